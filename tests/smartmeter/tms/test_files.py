"""Shipment files, templates and gateway settings: read whole, or refused with the place."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from smartmeter.base.errors import SettingsError
from smartmeter.gateway.settings import read_settings
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.meters import Meters
from smartmeter.tms.shipment import Shipped, import_shipment, read_shipment, write_shipment
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import make_template, read_template

HEADER = "esn,title,key,model\n"
KEY = "00112233445566778899aabbccddeeff"
GOOD = f"{HEADER}SM1,.7.1,{KEY},M\n"


def test_a_shipment_file_is_read_and_written_back() -> None:
    shipped = read_shipment("\ufeff" + GOOD + "\nSM2,2.16.124,ffeeddccbbaa99887766554433221100,\n")
    assert shipped[0] == Shipped("SM1", ".7.1", bytes.fromhex(KEY), "M")
    assert read_shipment(write_shipment(shipped)) == shipped


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_shipment_file_may_come_from_any_system_and_spreadsheet(end: str) -> None:
    text = GOOD + f'SM2,.7.2,{KEY},"a, b"\n'
    assert read_shipment(text.replace("\n", end)) == read_shipment(text)
    assert read_shipment(GOOD.replace(",", ";").replace("\n", end)) == read_shipment(GOOD)


def enter(store: Store, text: str) -> int:
    return store.write_now(lambda c: import_shipment(c, read_shipment(HEADER + text), 0))


def test_a_title_is_one_however_it_is_written_and_its_owner_is_named() -> None:
    store = MemoryStore()
    enter(store, f"SM1,.7.1,{KEY},M\nSM2,2.16.124.113620.1.22.0.7.2,{KEY},M\n")
    for title, owner in (("2.16.124.113620.1.22.0.7.1", "SM1"), (".7.2", "SM2"), (".7.1", "SM1")):
        with pytest.raises(sqlite3.IntegrityError) as caught:
            enter(store, f"SM3,{title},{KEY},M\n")
        told = f"{title} of SM3 is the title of {owner}, which has it until it is retired"
        assert str(caught.value) == told
    assert store.number("SELECT count(*) FROM meters") == 2


def test_two_modules_that_were_exchanged_are_entered_with_one_file() -> None:
    store, meters = MemoryStore(), Meters()
    for text in ("SM1,.7.1,{0},M\nSM2,.7.2,{0},M\n", "SM1,.7.2,{0},M\nSM2,.7.1,{0},M\n"):
        enter(store, text.format(KEY))
        for row in store.read("SELECT esn, title FROM meters ORDER BY esn"):
            meters.add(row["esn"], row["title"], 0, bytes(16))
    titles = [ApTitle.parse(one) for one in (".7.1", ".7.2")]
    assert [meters.esn(title) for title in titles] == ["SM2", "SM1"]


def test_a_fifth_column_may_hold_the_number_that_wakes_a_smart_meter() -> None:
    header = HEADER.replace("model", "model,wake")
    text = f"{header}SM1,.7.1,{KEY},M,+15551234567\nSM2,.7.2,{KEY},M,\n"
    shipped = read_shipment(text)
    assert [one.wake for one in shipped] == ["+15551234567", ""]
    assert write_shipment(shipped) == text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "line 1"),
        (f"{HEADER.replace('model', 'model,wake')}SM1,.7.1,{KEY},M,home\n", "line 2"),
        (f"{HEADER.replace('model', 'model,wake')}SM1,.7.1,{KEY},M\n", "line 2"),
        ("esn,key\n", "line 1"),
        (f"{HEADER}SM1,.7.1,{KEY}\n", "line 2"),
        (f"{HEADER}SM1,.7.1,xyz,M\n", "line 2"),
        (f"{HEADER}SM1,.7.1,{KEY[:-2]},M\n", "line 2"),
        (f"{HEADER}SM1,nonsense,{KEY},M\n", "line 2"),
        (f"{HEADER}SM1,.7.+1,{KEY},M\n", "line 2"),
        (f"{HEADER}SM1,.7.1_0,{KEY},M\n", "line 2"),
        (f"{HEADER}SM1,.7.\u0661,{KEY},M\n", "line 2"),
        (f"{HEADER}S M/1,.7.1,{KEY},M\n", "line 2"),
        (f"{GOOD}SM1,.7.2,{KEY},M\n", "line 3"),
        (f"{GOOD}SM2,.7.1,{KEY},M\n", "line 3"),
        (f'{HEADER}"SM1\x00', "line"),
    ],
)
def test_a_wrong_shipment_file_is_refused_with_its_line_and_without_its_key(
    text: str, place: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_shipment(text)
    assert place in str(caught.value) and KEY not in str(caught.value)


@given(st.text(max_size=300))
def test_any_text_is_a_shipment_or_one_clear_error(text: str) -> None:
    for content in (text, HEADER + text):
        try:
            read_shipment(content)
        except SettingsError as error:
            assert error.place.startswith("shipment file")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"unknown": 1}',
        '{"schedules": 5}',
        '{"schedules": [{"PERIOD_MIN": 0}]}',
        '{"schedules": [{"PERIOD_MIN": 99999}]}',
        '{"schedules": [{"KIND": 77}]}',
        '{"general": {"DUTY_PERMILLE": "x"}}',
        '{"monitors": [{"TABLE": -1}]}',
        '{"outage": []}',
        "[" * 100_000,
        '{"schedules": [{"COLOUR": 1}]}',
        '{"general": {"COLOUR": 1}}',
        '{"schedules": [{"SCHEDULE_NBR": 1}, {"SCHEDULE_NBR": 1}]}',
        '{"schedules": [{"TASK": 99}]}',
        '{"monitors": [{"TABLE": 23}]}',
        '{"general": {"DUTY_PERMILLE": 0}}',
    ],
)
def test_a_wrong_template_is_one_clear_error(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_template(text, "--template mine.json")
    assert caught.value.place == "--template mine.json" and "\n" not in str(caught.value)


def test_the_same_template_has_the_same_version_and_another_one_another() -> None:
    assert make_template().version == read_template("\ufeff{}").version != 0
    assert make_template({"general": {"ACK_TIMEOUT_MS": 999}}).version != make_template().version


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


GATEWAY = """
[module]
esn = "SM1"
state = "state.nvram"
[meter]
port = "/dev/ttyUSB0"
[[tms]]
address = "tcp:127.0.0.1:1153"
"""
ENVIRONMENT = {"SMARTMETER_MODULE_KEY": KEY, "SMARTMETER_OPTICAL_PASSWORD": "secret"}


def test_gateway_settings_are_read_with_secrets_from_the_environment(tmp_path: Path) -> None:
    settings = read_settings(settings_file(tmp_path, GATEWAY), ENVIRONMENT)
    [seat] = settings.seats
    assert seat.factory.key.hex() == KEY and seat.factory.optical_password == b"secret"
    assert "secret" not in repr(settings) and KEY not in repr(settings)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('esn = "SM1"', "", "esn"),
        ('esn = "SM1"', 'esn = "small letters"', "ESN"),
        ("[meter]", "[metre]", "[meter]"),
        ('port = "/dev/ttyUSB0"', "port = 5", "port"),
        ("tcp:127.0.0.1:1153", "udp:somewhere", "udp:HOST:PORT"),
        ("tcp:127.0.0.1:1153", "tcp:127.0.0.1:99999", "tcp:HOST:PORT"),
        ("[module]", "[module]\ncolour = 1", "colour"),
        ("[module]", "[module", "TOML"),
        ("[[tms]]", "[tms]", "[[tms]]"),
        ("[[tms]]", '[mqtt]\nhost = "x"\nport = 0\n[[tms]]', "1 to 65535"),
        ("[[tms]]", '[gateway]\nmetrics = "9118"\n[[tms]]', "127.0.0.1:9118"),
        ("[[tms]]", '[home_assistant]\nurl = "ws://x"\n[[tms]]', "token_file"),
        ("[[tms]]", '[[meters]]\nesn = "SM2"\nport = "x"\n[[tms]]', "two forms"),
        ("[[tms]]", '[[tms]]\ntitle = "x"', "title"),
    ],
)
def test_wrong_gateway_settings_name_the_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GATEWAY
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, GATEWAY.replace(old, new)), ENVIRONMENT)
    assert told in str(caught.value), str(caught.value)
    assert KEY not in str(caught.value)


def test_a_gateway_without_a_key_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SMARTMETER_MODULE_KEY"):
        read_settings(settings_file(tmp_path, GATEWAY), {})
    with pytest.raises(SettingsError, match="missing"):
        read_settings(tmp_path / "missing.toml", {})
