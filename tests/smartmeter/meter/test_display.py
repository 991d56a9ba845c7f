"""The display shows what the tables say, and a written display list changes it."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from ansi_tables import Snapshot, TimesOverride, layout_for
from protocols.c1218.server import Refused
from smartmeter.cli.meter import command
from smartmeter.meter.display import ALL_SEGMENTS, screens
from smartmeter.meter.display_codes import Item, Kind, State, code, item, numbered
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.meter.bench import HOUR_US, Bench


def test_every_profile_shows_its_registers_as_the_tables_hold_them() -> None:
    for name, profile in PROFILES.items():
        bench = Bench(profile)
        bench.wait(5 * HOUR_US)
        tables = bench.snapshot()
        shown = {screen.label: screen.text for screen in screens(tables)}
        first = tables.registers().where(index=0, tier=None)[0]
        assert shown[first.name] == first.number, name
        secondary = [screen.text for screen in screens(tables, "secondary")]
        assert "------" not in secondary, name


def test_a_written_display_list_changes_what_is_shown() -> None:
    bench = Bench()
    tables = bench.snapshot()
    value = tables[33] | {"PRI_DISP_SOURCES": [3, 3, 4]}
    image = layout_for(33, tables.context).encode(value)
    bench.meter.write_table(33, image, bench.now_us)
    shown = screens(bench.snapshot())
    assert [screen.number for screen in shown] == [3, 3, 4]
    assert shown[0].text == ALL_SEGMENTS


def test_a_list_of_items_that_are_not_there_is_refused() -> None:
    bench = Bench()
    tables = bench.snapshot()
    items = len(tables[32].DISP_SOURCES)
    (one,) = tables[33].PRI_DISP_LIST
    slots = len(tables[33].PRI_DISP_SOURCES)
    for value in (
        {"PRI_DISP_SOURCES": [0, 1, items]},
        {"PRI_DISP_SOURCES": [0, 1, 0xFFFF]},
        {"PRI_DISP_LIST": [one | {"NBR_LIST_ITEMS": slots + 1}]},
    ):
        image = layout_for(33, tables.context).encode(tables[33] | value)
        with pytest.raises(Refused):
            bench.meter.write_table(33, image, bench.now_us)
    unlisted = {"PRI_DISP_LIST": [one | {"NBR_LIST_ITEMS": 2}], "PRI_DISP_SOURCES": [0, 1, 0xFFFF]}
    image = layout_for(33, tables.context).encode(tables[33] | unlisted)
    bench.meter.write_table(33, image, bench.now_us)
    assert [screen.number for screen in screens(bench.snapshot())] == [0, 1]


def test_item_codes_go_there_and_back_and_foreign_ones_are_no_item() -> None:
    for kind in Kind:
        for digits in (0, 7, 99, None):
            one = Item(kind, 7, 3, digits)
            assert item(code(one)) == one
    assert item(b"\x10\x02") == Item(Kind.SUMMATION, 2)
    assert item(b"\x10\x02\x64") == Item(Kind.SUMMATION, 2)
    assert item(b"\xff\x00") is None
    assert item(b"\x10") is None


def test_the_two_digits_beside_a_value_are_those_that_the_utility_wrote() -> None:
    bench = Bench()
    tables = bench.snapshot()
    assert [screen.code for screen in screens(tables)] == ["01", "02", "03"]
    assert screens(tables, "secondary")[0].code == "88"
    sources = list(tables[32].DISP_SOURCES)
    found = item(sources[1].DISP_SOURCE)
    assert found is not None
    for digits, shown in ((4, "04"), (72, "72"), (None, "")):
        sources[1] = {"DISP_SOURCE": code(replace(found, digits=digits))}
        image = layout_for(32, tables.context).encode({"DISP_SOURCES": sources})
        bench.meter.write_table(32, image, bench.now_us)
        assert screens(bench.snapshot())[1].code == shown


def test_a_serial_number_of_odd_octets_is_shown_escaped() -> None:
    tables = Bench().snapshot()
    tables.images[1] = tables.images[1][:16] + b"\x1b[2J\xff1".ljust(16)
    texts = [screen.text for screen in screens(tables, "secondary")]
    assert r"b[2J\xff1" in texts  # the last nine characters of \x1b[2J\xff1


def test_no_two_items_of_a_display_have_the_same_digits() -> None:
    every = [Item(Kind.SUMMATION, n % 250, n // 250) for n in range(120)]
    digits = [one.digits for one in numbered([Item(Kind.SEGMENTS), *every])]
    assert digits[0] == 88 and digits[-1] is None
    assert sorted(n for n in digits if n is not None) == list(range(1, 100))


def with_items(profile: DeviceProfile, *items: Item) -> Snapshot:
    """Give the tables of a meter whose first items are these, in a list of just them."""
    bench = Bench(profile)
    bench.wait(5 * HOUR_US)
    tables = bench.snapshot()
    sources, size = tables[32].DISP_SOURCES, tables[31].WIDTH_DISP_SOURCES
    for place, one in enumerate(items):
        sources[place] = {"DISP_SOURCE": code(one)[:size]}
    (first, *rest), listed = tables[33].PRI_DISP_LIST, list(tables[33].PRI_DISP_SOURCES)
    listed[: len(items)] = range(len(items))
    changed = {"PRI_DISP_LIST": [first | {"NBR_LIST_ITEMS": len(items)}, *rest]}
    for number, value in ((32, {"DISP_SOURCES": sources}), (33, tables[33] | changed)):
        value = value | ({"PRI_DISP_SOURCES": listed} if number == 33 else {})
        tables.images[number] = layout_for(number, tables.context).encode(value)
    return tables


def test_the_lcd_shows_the_time_of_the_place_also_where_tables_count_in_utc() -> None:
    items = Item(Kind.STATE, State.DATE), Item(Kind.STATE, State.TIME)
    tables = with_items(PROFILES["commercial"], *items)
    tables.times = TimesOverride(zone_min=-360)
    assert [screen.text for screen in screens(tables)] == ["12.31.25", "23:00:00"]


@pytest.mark.parametrize(
    "wanted, missing, there",
    [
        (Item(Kind.STATE, State.DATE), 52, "01.01.26"),
        (Item(Kind.STATE, State.SERIAL), 1, "SM000001"),
        (Item(Kind.STATE, State.SEASON), 55, "0"),
        (Item(Kind.STATE, State.TIER), 55, "tier A"),
        (Item(Kind.STATE, State.STATUS), 3, "good"),
        (Item(Kind.LAST_SEASON, 0), 24, "0"),
    ],
)
def test_an_item_whose_table_cannot_be_had_is_dashes_and_the_others_are_shown(
    wanted: Item, missing: int, there: str
) -> None:
    tables = with_items(PROFILES["residential-tou"], wanted, Item(Kind.SEGMENTS))
    assert [screen.text for screen in screens(tables)] == [there, ALL_SEGMENTS]
    del tables.images[missing]
    assert [screen.text for screen in screens(tables)] == ["------", ALL_SEGMENTS]


def test_show_prints_the_lcd_of_a_simulated_meter() -> None:
    done = CliRunner().invoke(command, ["show", "sim:residential-tou"], standalone_mode=False)
    lines = done.output.splitlines()
    assert done.return_value == 0 and len(lines) == 9
    assert lines[0].startswith("01 ") and "date" in lines[0]
    assert lines[-1].startswith("09 ") and "tier" in lines[-1]
