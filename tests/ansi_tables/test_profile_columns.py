"""Columns of a load profile: cases by hand, then any set against its rows one at a time."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from ansi_tables import (
    Context,
    DeviceFormat,
    MissingContextError,
    TableTime,
    TableValueError,
    TruncatedTableError,
)
from ansi_tables.numbers import RawNumber
from ansi_tables.profile_columns import ProfileColumns, profile_columns, whole_count
from tests.ansi_tables.profiles import Drawn, profile_context, profiles, rows_of, status_of

FMT = DeviceFormat(std_tbls_used=frozenset({64}))
EXTENDED, SIMPLE, CLOSURE = 1 << 10, 1 << 11, 1 << 12
#: 2026-11-25 01:00 UTC.
ONE = 1_795_568_400
QUARTER_S = 900


def at(hour: int, minute: int) -> bytes:
    return bytes((26, 11, 25, hour, minute))


def octets(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little") for value in values)


def same_rows(columns: ProfileColumns, rows: list[dict[str, Any]]) -> None:
    assert len(columns) == len(rows)
    assert list(columns.sequences) == [row["sequence"] for row in rows]
    assert list(columns.ends_utc_s) == [row["end"] for row in rows]
    assert list(columns.valid) == [row["valid"] for row in rows]
    assert list(columns.common_status) == [row["common"] for row in rows]
    for channel, (codes, values) in enumerate(
        zip(columns.channel_status, columns.values, strict=True)
    ):
        assert list(codes) == [row["codes"][channel] for row in rows]
        assert list(values) == [row["values"][channel] for row in rows]


@settings(max_examples=150)
@given(profiles())
def test_any_set_has_the_rows_that_its_records_give_one_at_a_time(drawn: Drawn) -> None:
    columns = profile_columns(drawn.context, drawn.set_number, drawn.data, drawn.status)
    same_rows(columns, rows_of(drawn))
    assert [row for block in columns.blocks for row in block.rows] == list(range(len(columns)))


def test_a_ring_that_has_wrapped_is_read_oldest_first() -> None:
    context = profile_context(FMT, 1, 3, 2, 1)
    # Element 0 is the newest and half full, 1 the oldest.
    data = at(2, 15) + octets(5, 0) + at(1, 30) + octets(1, 2) + at(2, 0) + octets(3, 4)
    columns = profile_columns(context, 1, data, status_of(3, 0, 12, 1))
    assert list(columns.values[0]) == [1, 2, 3, 4, 5]
    assert list(columns.sequences) == [20, 21, 22, 23, 24]
    assert list(columns.ends_utc_s) == [ONE + k * QUARTER_S for k in (1, 2, 3, 4, 5)]
    assert [block.element for block in columns.blocks] == [1, 2, 0]


def test_a_descending_ring_with_descending_intervals_gives_the_same_rows() -> None:
    context = profile_context(FMT, 1, 3, 2, 1)
    data = at(2, 0) + octets(4, 3) + at(1, 30) + octets(2, 1) + at(2, 15) + octets(5, 0)
    columns = profile_columns(context, 1, data, status_of(3, 2, 12, 1, 1, 1))
    assert list(columns.values[0]) == [1, 2, 3, 4, 5]
    assert list(columns.sequences) == [20, 21, 22, 23, 24]
    assert list(columns.ends_utc_s) == [ONE + k * QUARTER_S for k in (1, 2, 3, 4, 5)]


def test_a_block_closed_early_leaves_a_gap_and_a_skipped_interval_does_not() -> None:
    context = profile_context(FMT, 1, 2, 3, 1, flags=EXTENDED | SIMPLE)
    skipped = bytes((0x04,)) + octets(0)
    # One valid, one skipped, one never written (all ones); then a whole block.
    first = at(1, 30) + b"\1" + b"\0" + octets(7) + skipped + b"\xff\xff\xff"
    second = at(3, 0) + b"\7" + (b"\x20" + octets(8)) * 3
    columns = profile_columns(context, 1, first + second, status_of(2, 1, 1, 3))
    assert list(columns.sequences) == [0, 1, 3, 4, 5]
    assert list(columns.valid) == [1, 0, 1, 1, 1]
    assert list(columns.channel_status[0]) == [0, 4, 0, 0, 0]
    assert list(columns.common_status) == [0, 0, 2, 2, 2]
    assert list(columns.ends_utc_s)[:2] == [ONE + QUARTER_S, ONE + 2 * QUARTER_S]


def test_closure_status_counts_the_intervals_of_a_closed_block() -> None:
    context = profile_context(FMT, 1, 2, 3, 1, flags=CLOSURE)
    data = at(1, 30) + octets(2 << 4 | 1, 6, 7, 0) + at(2, 0) + octets(0, 8, 0, 0)
    columns = profile_columns(context, 1, data, status_of(2, 1, 1, 1))
    assert list(columns.values[0]) == [6, 7, 8] and list(columns.sequences) == [0, 1, 3]


def test_a_pointer_one_past_the_newest_block_is_stepped_back_once() -> None:
    context = profile_context(FMT, 1, 2, 2, 1)
    filled, empty = at(1, 30) + octets(1, 2), bytes(9)
    for element, data in ((1, filled + empty), (2, empty + filled)):
        columns = profile_columns(context, 1, data, status_of(1, element, 1, 2))
        assert list(columns.values[0]) == [1, 2] and list(columns.sequences) == [0, 1]


def test_the_newest_of_two_blocks_is_no_oldest_one_where_the_clock_was_set_back() -> None:
    context = profile_context(FMT, 1, 2, 2, 1)
    data = at(1, 30) + octets(3, 4) + at(2, 30) + octets(1, 2)
    columns = profile_columns(context, 1, data, status_of(2, 0, 7, 2))
    assert list(columns.values[0]) == [1, 2, 3, 4] and list(columns.sequences) == [12, 13, 14, 15]


def test_the_newest_of_three_blocks_is_no_oldest_one_where_the_clock_lost_its_date() -> None:
    context = profile_context(FMT, 1, 3, 2, 1)
    lost = bytes([91, 1, 1, 0, 30])
    data = lost + octets(5, 6) + at(1, 30) + octets(1, 2) + at(2, 0) + octets(3, 4)
    columns = profile_columns(context, 1, data, status_of(3, 0, 7, 2))
    assert list(columns.values[0]) == [1, 2, 3, 4, 5, 6]
    assert list(columns.sequences) == list(range(10, 16))


def test_a_block_that_was_only_begun_has_no_time_and_takes_nothing_from_the_one_before() -> None:
    context = profile_context(FMT, 1, 2, 2, 1)
    filled, begun = at(1, 30) + octets(1, 2), bytes(9)
    for element, data in ((1, filled + begun), (0, begun + filled), (2, begun + filled)):
        columns = profile_columns(context, 1, data, status_of(2, element, 1, 0))
        assert list(columns.values[0]) == [1, 2] and list(columns.sequences) == [0, 1]


def test_a_pointer_outside_the_ring_is_refused_by_name() -> None:
    context = profile_context(FMT, 1, 2, 2, 1)
    for element in (2, 9):
        with pytest.raises(TableValueError, match=r"ST-63 LP_STATUS_SET1.LAST_BLOCK_ELEMENT"):
            profile_columns(context, 1, bytes(18), status_of(1, element, 1, 2))


def test_the_end_of_a_block_is_resolved_by_the_caller_who_knows_zone_and_daylight_saving() -> None:
    asked: list[tuple[Any, bool | None]] = []

    def three_hours_west(end: TableTime, daylight_saving: bool | None) -> int:
        asked.append((end.value, daylight_saving))
        return ONE

    context = profile_context(FMT, 1, 1, 2, 1, flags=EXTENDED)
    data = at(1, 0) + b"\x00" + octets(1) + b"\x10" + octets(2)
    columns = profile_columns(context, 1, data, status_of(1, 0, 0, 2), three_hours_west)
    assert asked == [(datetime(2026, 11, 25, 1, 0), True)]
    assert list(columns.ends_utc_s) == [ONE - QUARTER_S, ONE]
    silent = profile_context(FMT, 1, 1, 1, 1)
    profile_columns(silent, 1, at(1, 0) + octets(1), status_of(1, 0, 0, 1), three_hours_west)
    assert asked[1:] == [(datetime(2026, 11, 25, 1, 0), None)]


def test_a_truncated_image_names_the_field_that_is_cut() -> None:
    context = profile_context(FMT, 1, 2, 2, 1)
    with pytest.raises(TruncatedTableError, match=r"ST-64 LP_DATA_SET1.1.LP_INT.1.INT_DATA.0"):
        profile_columns(context, 1, bytes(17), status_of(1, 0, 1, 2))


def test_a_set_without_its_dimensions_names_them() -> None:
    listed = DeviceFormat(std_tbls_used=frozenset((61, 62, 64)))
    with pytest.raises(MissingContextError, match="ST-61"):
        profile_columns(Context(listed), 1, b"", status_of(0, 0, 0, 0))


@pytest.mark.parametrize(
    "number, count",
    [
        *((7, 7), (-7, -7), (Decimal("12"), 12), (2.0, 2), (Decimal("1E3"), 1000)),
        *(
            (RawNumber(b"\xff"), None),
            (float("inf"), None),
            (Decimal("1E30"), None),
            (2.0**63, None),
        ),
    ],
)
def test_a_number_of_any_format_is_a_count_or_none(number: Any, count: int | None) -> None:
    assert whole_count(number) == count


@pytest.mark.parametrize("number", [Decimal("1.5"), 0.25])
def test_a_fraction_is_no_count_and_is_not_rounded(number: Any) -> None:
    assert whole_count(number) is None
