"""Reads and writes of parts at the optical port: by offset, by index, and the default."""

from typing import Any

import pytest

from ansi_tables.partial import part_of
from protocols.c1218.client import ScriptDone, ScriptFailed
from protocols.c1218.scripts import read_default, read_index, read_part, read_table
from protocols.c1218.transfer import check
from protocols.errors import ServiceRefused
from protocols.psem.services import FullWrite, IndexWrite, OffsetWrite
from smartmeter.base.clock import Calendar
from smartmeter.meter.optical_port import BY_INDEX, BY_OFFSET
from smartmeter.meter.profiles import PROFILES, profile_named
from tests.protocols.c1218.line import Line
from tests.smartmeter.meter.bench import HOUR_US, UNREADABLE, Bench, logged_on
from tests.smartmeter.meter.sessions import STANDING


def result(line: Line, script: Any) -> bytes | str:
    """Give the octets that a script read, or the name of the refusal."""
    ended = line.run(script)
    if isinstance(ended, ScriptFailed):
        assert isinstance(ended.error, ServiceRefused)
        return ended.error.name
    assert isinstance(ended, ScriptDone)
    return ended.result  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["residential", "commercial", "bcd-1997"])
def test_elements_by_index_are_those_of_the_whole_table(name: str) -> None:
    bench = Bench(profile_named(name))
    line = logged_on(bench, b"master")
    limits = line.client.limits
    for table in (1, 5, 21, 22, 61, 62):
        whole = result(line, read_table(table, limits))
        joined = b""
        for index in range(64):
            element = result(line, read_index(table, (index,), 1, limits))
            if element == "onp":
                break
            assert isinstance(element, bytes)
            joined += element
        assert joined == whole


def test_an_index_goes_into_records_and_arrays_and_may_name_several() -> None:
    bench = Bench()
    line = logged_on(bench, b"reader")
    limits = line.client.limits
    whole = result(line, read_table(16, limits))
    assert isinstance(whole, bytes)
    assert result(line, read_index(16, (0, 2), 3, limits)) == whole[2:5]
    part = part_of(bench.meter.layout(1), (2,), 2)
    identity = result(line, read_table(1, limits))
    assert isinstance(identity, bytes) and part.width == 2
    assert result(line, read_index(1, (2,), 2, limits)) == identity[part.offset : part.offset + 2]


@pytest.mark.parametrize(
    "table, indices, count, refusal",
    [
        (1, (99,), 1, "onp"),
        (1, (0,), 0, "onp"),
        (1, (0, 0, 0), 1, "onp"),
        (999, (0,), 1, "iar"),
        (7, (0,), 1, "iar"),
        (42, (0,), 1, "isc"),
    ],
)
def test_a_position_that_is_not_there_or_not_open_is_refused(
    table: int, indices: tuple[int, ...], count: int, refusal: str
) -> None:
    line = logged_on(Bench(), b"master")
    assert result(line, read_index(table, indices, count, line.client.limits)) == refusal


def test_an_element_is_written_by_index_with_the_right_to_do_so() -> None:
    def writing(data: bytes) -> Any:
        request = IndexWrite(5, (0,), data)
        check(request, (yield request))
        return b""

    bench = Bench()
    line = logged_on(bench, b"reader")
    assert result(line, writing(b"POLE 17".ljust(20))) == "isc"
    bench.now_us = line.now_us + 7_000_000
    bench.meter.expire(bench.now_us)
    line = logged_on(bench, b"master")
    assert result(line, writing(b"POLE 17")) == "onp"
    assert result(line, writing(b"POLE 17".ljust(20))) == b""
    assert bench.snapshot()[5].IDENTIFICATION.strip() == "POLE 17"


def test_no_part_of_st_07_is_written() -> None:
    def asked(request: Any) -> Any:
        check(request, (yield request))
        return b""

    line = logged_on(Bench(), b"master")
    for index in (0, 1, 2):
        assert result(line, asked(IndexWrite(7, (index,), b"\x09\x00\x01\x01"))) == "onp"
    assert result(line, asked(OffsetWrite(7, 0, b"\x09\x00\x01\x01"))) == "onp"


def test_the_default_read_gives_the_registers() -> None:
    line = logged_on(Bench(), None)
    limits = line.client.limits
    assert result(line, read_default(limits)) == result(line, read_table(23, limits))


def test_a_meter_whose_st_00_announces_offsets_only_has_no_reads_by_index() -> None:
    line = logged_on(Bench(profile_named("industrial")), b"master")
    limits = line.client.limits
    assert result(line, read_index(1, (0,), 1, limits)) == "sns"
    assert isinstance(result(line, read_part(1, 0, 4, limits)), bytes)


@pytest.mark.parametrize("name", ["residential-tou", "unusual", "random"])
def test_every_table_is_the_same_whole_in_parts_and_by_its_members(name: str) -> None:
    read_everything(name, 11)


@pytest.mark.night
def test_every_table_of_any_device_is_the_same_whole_in_parts_and_by_its_members() -> None:
    for name in PROFILES:
        read_everything(name, 1)
    for seed in range(40):
        read_everything("random", seed)


def read_everything(name: str, seed: int) -> None:
    bench = Bench(profile_named(name, seed))
    bench.wait(30 * HOUR_US)
    utc_us = bench.meter.clock.utc_us(bench.now_us)
    bench.calendar = Calendar(utc_us, STANDING, bench.now_us)  # nothing moves while it is read
    bench.start()
    line = logged_on(bench, b"master")
    limits, method = line.client.limits, bench.meter.access_method
    for table in sorted(set(bench.meter.profile.used) - {*UNREADABLE}):
        whole = result(line, read_table(table, limits))
        assert isinstance(whole, bytes), table
        assert bench.meter.layout(table).size in (None, len(whole)), table
        if method & BY_OFFSET:
            middle = len(whole) // 3
            first = result(line, read_part(table, 0, middle, limits)) if middle else b""
            rest = result(line, read_part(table, middle, len(whole) - middle, limits))
            assert first + rest == whole, table  # type: ignore[operator]
        if method & BY_INDEX:
            assert _members(line, table) == whole, table


def _members(line: Line, table: int) -> bytes:
    """Read the members of a table one by one; those that are not there have no octets."""
    joined, missing = b"", 0
    for index in range(200):
        element = result(line, read_index(table, (index,), 1, line.client.limits))
        if isinstance(element, bytes):
            joined, missing = joined + element, 0
            continue
        assert element == "onp"
        missing += 1
        if missing > 20:
            break
    return joined


def test_a_copy_that_waits_is_read_and_written_in_parts_its_event_first() -> None:
    bench = Bench(profile_named("residential-tou"))
    line = logged_on(bench, b"master")
    limits = line.client.limits

    def asked(request: Any) -> Any:
        check(request, (yield request))
        return b""

    for early in (OffsetWrite(0x1005, 0, b"POLE"), IndexWrite(0x1005, (1, 0), b"POLE".ljust(20))):
        assert result(line, asked(early)) == "onp"  # nothing waits yet
    event, name = b"\x02hello", b"POLE 17".ljust(20)
    assert result(line, asked(FullWrite(0x1005, event + name))) == b""
    assert result(line, read_index(0x1005, (0,), 1, limits)) == event
    assert result(line, read_index(0x1005, (1, 0), 1, limits)) == name
    assert result(line, asked(IndexWrite(0x1005, (1, 0), b"POLE 18".ljust(20)))) == b""
    assert result(line, asked(OffsetWrite(0x1005, 6 + 6, b"9"))) == b""
    assert result(line, read_table(0x1005, limits)) == event + b"POLE 19".ljust(20)


@pytest.mark.parametrize("data", [b"", b"\x09", b"\x09\x00"])
def test_a_write_of_st_07_without_a_whole_request_asks_for_nothing(data: bytes) -> None:
    def asked() -> Any:
        request = FullWrite(7, data)
        check(request, (yield request))
        return b""

    line = logged_on(Bench(), b"master")
    before = result(line, read_table(8, line.client.limits))
    assert result(line, asked()) == "onp"
    assert result(line, read_table(8, line.client.limits)) == before
