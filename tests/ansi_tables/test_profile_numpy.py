"""Columns as arrays hold what the columns of pure Python hold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import DeviceFormat, TruncatedTableError
from ansi_tables.profile_columns import ProfileColumns, profile_columns
from tests.ansi_tables.profiles import Drawn, profile_context, profiles, status_of

np = pytest.importorskip("numpy", reason="the extra [numpy] is not installed")
profile_numpy = pytest.importorskip("ansi_tables.profile_numpy")


def listed(columns: ProfileColumns) -> list[Any]:
    """The columns as lists."""
    simple = (columns.sequences, columns.ends_utc_s, columns.valid, columns.common_status)
    return [list(column) for column in (*simple, *columns.channel_status, *columns.values)]


@settings(max_examples=200)
@given(profiles())
def test_any_set_gives_the_same_columns(drawn: Drawn) -> None:
    arguments = (drawn.context, drawn.set_number, drawn.data, drawn.status)
    ours, theirs = profile_columns(*arguments), profile_numpy.profile_columns_numpy(*arguments)
    assert repr(listed(ours)) == repr([[plain(v) for v in column] for column in listed(theirs)])
    assert (ours.blocks, ours.interval_s, len(ours)) == (
        theirs.blocks,
        theirs.interval_s,
        len(theirs),
    )


def plain(value: Any) -> Any:
    """A number of numpy as Python's."""
    return value.item() if isinstance(value, np.generic) else value


@given(st.tuples(*(st.integers(0, limit) for limit in (101, 13, 32, 24, 60))))
def test_a_block_ends_on_the_same_second_at_the_edges_of_the_calendar(end: Any) -> None:
    context = profile_context(DeviceFormat(std_tbls_used=frozenset({64})), 1, 1, 1, 1)
    arguments = (context, 1, bytes(end) + b"\1\0", status_of(1, 0, 0, 1))
    theirs = profile_numpy.profile_columns_numpy(*arguments)
    assert list(theirs.ends_utc_s) == list(profile_columns(*arguments).ends_utc_s)


def test_numbers_have_the_width_of_the_device_and_the_order_of_the_machine() -> None:
    fmt = DeviceFormat(data_order="big", std_tbls_used=frozenset({64}))
    context = profile_context(fmt, 1, 1, 2, 2)
    data = bytes((26, 11, 25, 1, 0)) + bytes.fromhex("0001 0002 0003 fffe")
    columns = profile_numpy.profile_columns_numpy(context, 1, data, status_of(1, 0, 0, 2))
    assert [column.tolist() for column in columns.values] == [[1, 3], [2, 0xFFFE]]
    assert {column.dtype for column in columns.values} == {np.dtype(np.uint16)}
    assert columns.ends_utc_s.dtype == np.int64 and columns.values[0].flags.c_contiguous


def test_errors_are_those_of_pure_python() -> None:
    context = profile_context(DeviceFormat(std_tbls_used=frozenset({64})), 1, 1, 2, 1)
    with pytest.raises(TruncatedTableError, match=r"LP_INT.1.INT_DATA.0"):
        profile_numpy.profile_columns_numpy(context, 1, bytes(8), status_of(1, 0, 0, 2))
