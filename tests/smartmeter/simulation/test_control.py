"""Served meters are broken from outside, as a table of actions says."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansi_tables import Snapshot
from protocols.c1218.client import Client
from protocols.c1218.scripts import LogonSettings, open_session, read_table
from protocols.errors import LinkError, ServiceRefused
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.cloning import CloneSettings
from smartmeter.meter.image import MeterImage
from smartmeter.meter.living import RunningOn
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.sample import measured_meter
from smartmeter.meter.twin import Twin, TwinPasswords
from smartmeter.simulation.actions import ControlError, openapi
from smartmeter.simulation.breakable import Breakable
from smartmeter.simulation.control import ACTIONS, Control, Controlled, EditableMeter
from tests.smartmeter.meter import sessions
from tests.smartmeter.meter.bench import Bench

FAULTS, POWER = "/meters/0/faults", "/meters/0/power"


def a_meter() -> tuple[Control, Breakable]:
    calendar = Calendar(sessions.NOON_UTC_US, 1)
    meter = EditableMeter(MeterSettings(), MemoryNvram(), calendar, 0)
    line = Breakable(meter)
    return Control([Controlled(line, "SM000001", calendar)]), line


def a_twin() -> tuple[Control, Breakable]:
    image = sessions.clone(sessions.original(), CloneSettings())
    line = Breakable(Twin(image, TwinPasswords()))
    return Control([Controlled(line, "twin")]), line


def ask(control: Control, method: str, path: str, **body: Any) -> Any:
    return control.handle(method, path, body or None, 0)


def read(line: Breakable, table: int, password: bytes | None = None, now_us: int = 0) -> Any:
    client = Client()

    def script() -> Any:
        opened = yield from open_session(LogonSettings(password=password))
        data = yield from read_table(table, client.limits)
        return opened.password_accepted, data

    return sessions.converse(client, line, script(), now_us)[0]


@pytest.mark.parametrize("kind", ["drop", "delay", "corrupt", "repeat"])
def test_a_fault_holds_for_its_count_and_a_client_gets_over_it(kind: str) -> None:
    control, line = a_meter()
    whole = read(line, 1)
    ask(control, "POST", FAULTS, kind=kind, count=3, ms=300)
    assert ask(control, "GET", FAULTS) == [{"kind": kind, "count": 3, "ms": 300, "times": 2}]
    assert read(line, 1) == whole
    assert ask(control, "GET", FAULTS) == []


def test_a_line_that_drops_everything_is_a_lost_link() -> None:
    control, line = a_meter()
    ask(control, "POST", FAULTS, kind="drop", count=1000)
    with pytest.raises(LinkError):
        read(line, 1)
    ask(control, "DELETE", FAULTS)
    assert read(line, 1, now_us=10**9)


def test_a_right_password_becomes_a_wrong_one_once() -> None:
    control, line = a_meter()
    ask(control, "POST", FAULTS, kind="wrong_password", count=2)  # blanks, then NULs behind it
    assert read(line, 1, b"reader")[0] is False
    assert read(line, 76, b"reader")[0] is True


def test_without_power_nobody_answers_and_it_comes_back_by_itself() -> None:
    for control, line in (a_meter(), a_twin()):
        assert ask(control, "POST", POWER, on=False, for_ms=50) == {"on": False}
        with pytest.raises(LinkError):
            read(line, 1)
        control.expire(50_000)
        assert ask(control, "GET", "/meters")[0]["on"] is True
        assert read(line, 1, now_us=10**9)


def test_an_edited_table_is_shown_until_it_is_let_go() -> None:
    for control, line in (a_meter(), a_twin()):
        before = read(line, 23)[1]
        ask(control, "PUT", "/meters/0/tables/23", hex="ff", offset=0)
        assert read(line, 23)[1] == b"\xff" + before[1:]
        assert ask(control, "GET", "/meters/0/tables/23")["hex"].startswith("ff")
        ask(control, "DELETE", "/meters/0/tables/23")
        assert read(line, 23)[1] == before


def test_a_table_that_the_meter_has_not_is_not_there() -> None:
    control, _ = a_meter()
    for number in (7, 24, 57, 65, 84, 2048):
        for method, body in (("GET", None), ("PUT", {"hex": "00"})):
            with pytest.raises(ControlError, match=f"no table {number}"):
                control.handle(method, f"/meters/0/tables/{number}", body, 0)


def test_what_is_delayed_leaves_as_soon_as_no_fault_holds() -> None:
    control, line = a_meter()
    ask(control, "POST", FAULTS, kind="delay", ms=600_000)
    line.receive(bytes.fromhex("ee000000000120 1310"), 0)
    line.expire(1_000_000)
    assert line.outgoing() == b"\x06"  # acknowledged, but the answer is held back
    ask(control, "DELETE", FAULTS)
    assert line.deadline_us() == 0
    line.expire(1_000_000)
    assert line.outgoing()[:1] == b"\xee"


def test_an_event_storm_fills_the_log() -> None:
    control, line = a_meter()
    before = read(line, 76, b"reader")[1]
    assert ask(control, "POST", "/meters/0/events", count=250) == {"events": 250}
    after = read(line, 76, b"reader")[1]
    assert len(after) == len(before) and after != before


def test_an_event_storm_fills_a_twins_log() -> None:
    image = sessions.clone(sessions.original(), CloneSettings(LogonSettings(password=b"reader")))
    twin = Twin(image, TwinPasswords())
    line = Breakable(twin)
    control = Control([Controlled(line, "twin")])
    assert ask(control, "POST", "/meters/0/events", count=250) == {"events": 250}
    after = read(line, 76, b"reader")[1]
    assert len(after) == len(image.tables[76]) and after != image.tables[76]
    bare, _ = a_twin()
    with pytest.raises(ControlError, match=r"^ST-76 is not in this snapshot: clone .* password$"):
        ask(bare, "POST", "/meters/0/events", count=1)


def test_a_clock_jumps_and_drifts() -> None:
    control, _ = a_meter()
    before = ask(control, "POST", "/meters/0/clock")["utc_s"]
    assert ask(control, "POST", "/meters/0/clock", offset_s=-90)["utc_s"] == before - 90
    ask(control, "POST", "/meters/0/clock", drift_ppm=100_000)
    assert control.handle("POST", "/meters/0/clock", None, 10_000_000)["utc_s"] == before - 90 + 11


@pytest.mark.parametrize("way", [-1, 1])
def test_a_clock_jumps_to_no_time_at_which_dates_end(way: int) -> None:
    control, line = a_meter()
    before = ask(control, "POST", "/meters/0/clock")["utc_s"]
    with pytest.raises(ControlError, match=r"^no meter shows that time; .*nearer") as caught:
        while True:
            before = ask(control, "POST", "/meters/0/clock", offset_s=way * 10**9)["utc_s"]
    assert caught.value.status == 422
    with pytest.raises(ControlError, match="nearer"):
        ask(control, "POST", "/meters/0/clock", offset_s=way * 10**9, drift_ppm=500_000)
    later = control.handle("POST", "/meters/0/clock", None, 2 * US_PER_S)
    assert later["utc_s"] == before + 2, "neither moved nor drifting"
    assert read(line, 52, now_us=2 * US_PER_S)[1]


def test_the_events_that_are_told_as_known_are_taken() -> None:
    control, _ = a_meter()
    with pytest.raises(ControlError, match="none that the meter has: ") as caught:
        ask(control, "POST", "/meters/0/events", code=2047)
    for code in str(caught.value).partition(": ")[2].split(", "):
        assert ask(control, "POST", "/meters/0/events", count=1, code=int(code)) == {"events": 1}


def test_a_twin_that_runs_on_is_seen_and_set_back_as_it_is_now() -> None:
    calendar = Calendar(sessions.NOON_UTC_US, 1)
    image = sessions.clone(sessions.original(), CloneSettings())
    device = Twin(image, TwinPasswords(), RunningOn(image, calendar, 1, 0))
    control = Control([Controlled(Breakable(device), "twin", calendar)])

    def shown(now_us: int) -> datetime:
        seen = control.handle("GET", "/meters/0/tables/52", None, now_us)["hex"]
        found = Snapshot({**image.tables, 52: bytes.fromhex(seen)})[52].CLOCK_CALENDAR.value
        assert isinstance(found, datetime)
        return found

    begun = shown(0)
    assert shown(3600 * US_PER_S) == begun + timedelta(hours=1)
    control.handle("POST", "/meters/0/clock", {"offset_s": -5000}, 3600 * US_PER_S)
    assert shown(3600 * US_PER_S) == begun - timedelta(seconds=1400)


@pytest.mark.parametrize("years", [1, -1, 30, -30])
def test_nothing_flows_in_the_years_that_a_live_twins_clock_jumps_over(years: int) -> None:
    calendar = Calendar(sessions.NOON_UTC_US, 1)
    image = sessions.clone(sessions.original(), CloneSettings())
    twin = Twin(image, TwinPasswords(), RunningOn(image, calendar, 1, 0))
    control = Control([Controlled(Breakable(twin), "twin", calendar)])
    hour_us = 3600 * US_PER_S
    before = twin.device.present(hour_us)
    moved_s = years * 365 * 86_400
    told = control.handle("POST", "/meters/0/clock", {"offset_s": moved_s}, hour_us)
    assert told == {"utc_s": (sessions.NOON_UTC_US + hour_us) // US_PER_S + moved_s}
    after = twin.device.present(hour_us)
    moved = after[52].CLOCK_CALENDAR.value - before[52].CLOCK_CALENDAR.value
    assert moved == timedelta(seconds=moved_s)
    assert after.images[23] == before.images[23] != image.tables[23]
    assert twin.device.present(2 * hour_us).images[23] != after.images[23]


def test_a_live_twins_clock_jumps_to_no_time_at_which_its_own_dates_end() -> None:
    settings = MeterSettings(profile=PROFILES["unusual"])  # its dates go beyond the year 9999
    cloned = sessions.clone(measured_meter(settings, sessions.NOON_UTC_US, 0), CloneSettings())
    tables = Snapshot(cloned.tables)
    clock = tables[52] | {"CLOCK_CALENDAR": datetime(9990, 1, 1, tzinfo=UTC)}
    image = MeterImage({**cloned.tables, 52: tables.layout(52).encode(clock)})
    calendar = Calendar(sessions.NOON_UTC_US, 1)
    twin = Twin(image, TwinPasswords(), RunningOn(image, calendar, 1, 0))
    control = Control([Controlled(Breakable(twin), "twin", calendar)])
    with pytest.raises(ControlError, match=r"^no meter shows that time; .*nearer"):
        ask(control, "POST", "/meters/0/clock", offset_s=10**9)
    told = ask(control, "POST", "/meters/0/clock")
    assert told == {"utc_s": sessions.NOON_UTC_US // US_PER_S}
    assert twin.device.present(0)[52].CLOCK_CALENDAR == Snapshot(image.tables)[52].CLOCK_CALENDAR


def test_the_call_log_tells_what_was_asked_and_no_password() -> None:
    control, line = a_meter()
    read(line, 1, b"reader")
    calls = ask(control, "GET", "/meters/0/calls")
    shown = [(call["request"], call["answer"]) for call in calls]
    assert ("Read full, table 0001H", "ok") in shown
    assert "reader" not in str(calls) and b"reader".hex() not in str(calls)
    ask(control, "DELETE", "/meters/0/calls")
    assert ask(control, "GET", "/meters/0/calls") == []


def test_a_refusal_is_still_a_refusal() -> None:
    _, line = a_meter()
    with pytest.raises(ServiceRefused):
        read(line, 42)


@pytest.mark.parametrize(
    "method, path, body, status, words",
    [
        ("GET", "/nothing", None, 404, "openapi"),
        ("GET", "/meters/7/faults", None, 404, "no meter 7"),
        ("PUT", FAULTS, None, 405, "POST"),
        ("POST", FAULTS, {"kind": "melt"}, 422, "drop"),
        ("POST", FAULTS, {"kind": "drop", "count": True}, 422, "count"),
        ("POST", FAULTS, {"kind": "drop", "count": 0}, 422, "count"),
        ("POST", FAULTS, {"kind": "drop", "often": 2}, 422, "often"),
        ("POST", FAULTS, {}, 422, "kind is missing"),
        ("POST", FAULTS, [1], 422, "object"),
        ("PUT", "/meters/0/tables/1", {"hex": "zz"}, 422, "hexadecimal"),
        ("PUT", "/meters/0/tables/1", {"hex": "00", "offset": 99}, 422, "32 octets"),
        ("GET", "/meters/0/tables/2000", None, 404, "2000"),
        ("POST", "/meters/0/events", {"code": 1999}, 422, "1999"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(
    method: str, path: str, body: Any, status: int, words: str
) -> None:
    control, _ = a_meter()
    with pytest.raises(ControlError, match=words) as refusal:
        control.handle(method, path, body, 0)
    assert refusal.value.status == status


def test_the_openapi_document_lists_every_action() -> None:
    document = json.loads(json.dumps(openapi(ACTIONS, "control")))
    for action in ACTIONS:
        operation = document["paths"][action.path][action.method.lower()]
        assert operation["summary"] == action.summary
        assert ("requestBody" in operation) == bool(action.keys)
    assert document["openapi"].startswith("3.")


def test_trouble_begins_and_ends_and_the_button_is_pressed() -> None:
    bench = Bench(PROFILES["residential-tou"])
    control = Control([Controlled(Breakable(bench.meter), "one", bench.calendar)])
    sag = {"kind": "sag", "phase": 0, "percent": 60}
    assert control.handle("POST", "/meters/0/troubles", sag, 0) == [sag]
    assert control.handle("GET", "/meters/0/troubles", None, 0) == [sag]
    with pytest.raises(ControlError) as caught:
        control.handle("POST", "/meters/0/troubles", {"kind": "sag", "percent": 99}, 0)
    assert caught.value.status == 422
    assert control.handle("DELETE", "/meters/0/troubles", None, 0) == []
    assert bench.meter.conditions.present == {}
    assert control.handle("POST", "/meters/0/button", None, 0) == {"closed": False}
