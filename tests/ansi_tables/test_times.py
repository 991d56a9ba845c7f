"""Times: a time that is not read yet is the time that it will be, and the short way is the long."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansi_tables.errors import TableValueError
from ansi_tables.times import (
    SIZES,
    decode_time,
    encode_time,
    size_of_time,
    time_reader,
    time_value,
)
from ansi_tables.values import TableTime, UnreadTime


@given(st.data(), st.sampled_from(sorted(SIZES)), st.integers(0, 4))
def test_a_time_that_is_not_read_yet_is_the_time_that_it_will_be(
    data: Any, kind: str, tm_format: int
) -> None:
    size = SIZES[kind][tm_format]
    assume(size is not None)
    octet = st.integers(0, 60) | st.sampled_from([89, 90, 99, 100, 255])
    octets = bytes(data.draw(st.lists(octet, min_size=size, max_size=size)))
    order = data.draw(st.sampled_from(["little", "big"]))
    unread = UnreadTime(octets, time_reader(kind, tm_format, order))
    read = decode_time(kind, octets, tm_format, order)
    assert unread == read and hash(unread) == hash(read) and repr(unread) == repr(read)
    assert unread.value == read.value and unread != TableTime(octets + b"\0", read.value)
    assert encode_time(kind, unread, tm_format, order) == octets
    assert unread != octets


@given(st.tuples(*(st.integers(0, limit) for limit in (101, 13, 32, 24, 60))))
def test_the_short_way_agrees_at_the_edges_of_the_calendar(parts: tuple[int, ...]) -> None:
    long = time_value("STIME_DATE", bytes(parts), 2, "little")
    assert time_reader("STIME_DATE", 2, "little")(bytes(parts)) == long


@given(st.integers(0, 0xFFFF), st.integers(0, 255))
def test_a_second_beyond_its_minute_is_no_time_in_any_format(minutes: int, second: int) -> None:
    octets = minutes.to_bytes(4, "little") + bytes([second])
    value = time_value("LTIME_DATE", octets, 3, "little")
    assert (value is None) == (second > 59 or not any(octets))
    assert (
        time_value("LTIME_DATE", bytes([26, 1, 1, 0, 0, second]), 2, "little") is None
        or second < 60
    )


@pytest.mark.parametrize("tm_format", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["STIME_DATE", "LTIME_DATE", "TIME"])
def test_what_is_not_set_is_written_so_that_it_reads_as_not_set(kind: str, tm_format: int) -> None:
    octets = encode_time(kind, None, tm_format, "little")
    assert len(octets) == size_of_time(kind, tm_format)
    assert time_value(kind, octets, tm_format, "little") is None


def test_a_zone_is_not_dropped_silently_where_a_time_has_none() -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(TableValueError, match="has a zone"):
        encode_time("LTIME_DATE", moment, 2, "little")
    assert decode_time(
        "LTIME_DATE", encode_time("LTIME_DATE", moment, 4, "big"), 4, "big"
    ).value == datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)
