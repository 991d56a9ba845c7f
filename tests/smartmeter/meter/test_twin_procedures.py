"""Procedures at a twin: what an image is enough for is carried out as by the original."""

from datetime import datetime
from functools import reduce
from operator import getitem
from typing import Any

import pytest

from ansi_tables import Snapshot
from ansi_tables.procedures import Initiate, ResultCode, decode_response, encode_initiate
from protocols.machine import Machine
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    FullRead,
    FullWrite,
    Identify,
    Logon,
    Negotiate,
    Request,
    Security,
)
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.meter.image import MeterImage
from smartmeter.meter.living import RunningOn
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.twin import Twin, TwinDevice, TwinPasswords
from tests.smartmeter.meter import sessions
from tests.smartmeter.meter.bench import Bench
from tests.smartmeter.meter.sessions import IMAGE, twin

CONTEXT = Snapshot(IMAGE.tables).context
OPENED: list[Request] = [Identify(), Negotiate(1024, 255), Logon(0, b"")]
MASTER = [*OPENED, Security(b"master".ljust(20))]
NOON = datetime(2026, 3, 4, 12, 30, 15)
CLOCK = {
    "SET_MASK": {"SET_TIME_FLAG": 1, "SET_DATE_FLAG": 1, "SET_TIME_DATE_QUAL": 0},
    "DATE_TIME": NOON,
    "TIME_DATE_QUAL": Snapshot(IMAGE.tables)[52].TIME_DATE_QUAL,
}


def call(number: int, parameters: Any = None, selector: int = 0) -> FullWrite:
    image = encode_initiate(Initiate(number, 33, parameters or {}, selector=selector), CONTEXT)
    return FullWrite(7, image)


def outcome(machine: Machine, *before: Request, opened: list[Request] = MASTER) -> int:
    """Give the result code in ST-08 after some requests."""
    said = sessions.answers(machine, [*opened, *before, FullRead(8)])
    code, block = said[len(opened) + len(before)]
    assert code == ResponseCode.ok
    return decode_response(block[2:-1], CONTEXT).result_code


@pytest.mark.parametrize(
    "request_, shown",
    [
        (call(1), 8),
        (call(2), 8),
        (call(11), 8),
        (call(2, selector=1), 8),
        (call(2, selector=2), 8),
        (call(5, {"TBL_LIST": 3, "ENTRIES_READ": 2}), 63),
        (call(5, {"TBL_LIST": 3, "ENTRIES_READ": 60_000}), 63),
        (call(5, {"TBL_LIST": 99, "ENTRIES_READ": 1}), 8),
        (call(7), 3),
        (call(10, CLOCK), 52),
        (FullWrite(7, bytes.fromhex("0a0021010000000c1e0000")), 52),
        (FullWrite(7, bytes.fromhex("0a0021001a0d010c1e0000")), 52),
        (FullWrite(7, b"\x05\x00\x21\x03"), 8),
        (FullWrite(7, b"\x90\x07\x21"), 8),
    ],
)
def test_twin_and_original_carry_out_the_same(request_: FullWrite, shown: int) -> None:
    steps = [*MASTER, request_, FullRead(8), FullRead(shown)]
    assert sessions.answers(twin(), steps) == sessions.answers(sessions.original(), steps)


def test_what_an_image_cannot_carry_out_conflicts_and_changes_nothing() -> None:
    for number in (0, 3, 16, 17):
        machine = twin()
        before = dict(machine.device.tables)
        assert outcome(machine, call(number)) == ResultCode.SETUP_CONFLICT
        after = {n: octets for n, octets in machine.device.tables.items() if n != 8}
        assert after == {n: octets for n, octets in before.items() if n != 8}
    assert outcome(twin(), FullWrite(7, b"\x09\x00\x21\x00")) == ResultCode.SETUP_CONFLICT


def test_logging_in_by_procedure_opens_what_is_locked_and_logging_out_closes_it() -> None:
    assert IMAGE.locked[76]
    password = {"USER_ID": 1, "PASSWORD": b"master".ljust(20)}
    steps = [*OPENED, FullRead(76), call(18, password), FullRead(76), call(19), FullRead(76)]
    codes = [code for code, _ in sessions.answers(twin(), steps)[len(OPENED) : len(steps)]]
    isc, ok = ResponseCode.isc, ResponseCode.ok
    assert codes == [isc, ok, ok, ok, isc]
    wrong = {"USER_ID": 1, "PASSWORD": b"wrong".ljust(20)}
    assert outcome(twin(), call(18, wrong), opened=OPENED) == ResultCode.NO_AUTHORIZATION
    said = sessions.answers(twin(), [*OPENED, call(2)])
    assert said[len(OPENED)][0] == isc


def test_every_table_that_shows_the_clock_shows_the_time_that_was_set() -> None:
    device = TwinDevice(IMAGE, TwinPasswords())
    device.security(b"master", 0)
    device.write(7, None, call(10, CLOCK).data, 0)
    shown = Snapshot(device.tables)
    assert shown[52].CLOCK_CALENDAR.value == shown[55].CLOCK_CALENDAR.value == NOON
    assert shown[55].TIME_DATE_QUAL.DAY_OF_WEEK == shown[52].TIME_DATE_QUAL.DAY_OF_WEEK == 3


def test_a_twin_that_runs_goes_on_from_the_clock_that_was_set() -> None:
    device = TwinDevice(IMAGE, TwinPasswords(), RunningOn(IMAGE, Calendar(0, 1), 1, 0))
    device.security(b"master", 0)
    device.write(7, None, call(10, CLOCK).data, 50 * US_PER_S)
    assert decode_response(device.tables[8], CONTEXT).completed
    later = Snapshot({**IMAGE.tables, 52: device.read(52, 65 * US_PER_S)})
    assert later[52].CLOCK_CALENDAR.value == NOON.replace(second=30)
    device.write(7, None, call(5, {"TBL_LIST": 3, "ENTRIES_READ": 60_000}).data, 66 * US_PER_S)
    status = Snapshot({**IMAGE.tables, 63: device.read(63, 67 * US_PER_S)})[63]
    assert status.LP_STATUS_SET1.NBR_UNREAD_BLOCKS == 0


def test_an_image_without_the_tables_of_a_procedure_conflicts() -> None:
    bare = Twin(sessions.MeterImage({n: IMAGE.tables[n] for n in (0, 1)}), TwinPasswords())
    for request in (call(7), call(10, CLOCK)):
        bare.device.security(b"master", 0)
        bare.device.write(7, None, request.data, 0)
        answer = bare.device.tables[8]
        assert answer[3] == ResultCode.SETUP_CONFLICT


@pytest.mark.parametrize(
    "code, shown, path",
    [
        (1, 76, ("EVENT_FLAGS",)),
        (2, 26, ("LIST_STATUS",)),
        (3, 63, ("LP_STATUS_SET1", "LP_SET_STATUS_FLAGS")),
        (8, 74, ("HIST_FLAGS",)),
        (255, 26, ("LIST_STATUS",)),
    ],
)
def test_a_list_of_which_some_was_read_overflows_no_more(
    code: int, shown: int, path: tuple[str, ...]
) -> None:
    tables = Bench(PROFILES["residential-tou"]).snapshot()
    layout, overflown = tables.layout(shown), tables[shown]
    reduce(getitem, path, overflown)["OVERFLOW_FLAG"] = 1
    image = MeterImage({**tables.images, shown: layout.encode(overflown)})
    device = TwinDevice(image, TwinPasswords())
    device.security(b"master", 0)
    for count, overflows in ((0, 1), (1, 0)):
        read = Initiate(5, 33, {"TBL_LIST": code, "ENTRIES_READ": count})
        device.write(7, None, encode_initiate(read, tables.context), 0)
        flags = reduce(getitem, path, layout.decode(device.read(shown, 0)))
        assert overflows == flags["OVERFLOW_FLAG"]
