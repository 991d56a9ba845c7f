"""Load-profile columns as numpy arrays (extra ``[numpy]``), for the profiles of many meters.

The same results as :func:`ansi_tables.profile_columns.profile_columns`, element
by element.  Values in a format that numpy does not know (24, 40 or 48 bits,
BCD, text, other sign codings) are decoded as there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ansi_tables.context import Context
from ansi_tables.fields import Leaf
from ansi_tables.profile_blocks import (
    NO_TIME,
    BlockEnd,
    ProfileShape,
    utc_of_block_end,
)
from ansi_tables.profile_columns import (
    ProfileColumns,
    interval_seconds,
    profile_blocks,
    profile_columns,
)
from ansi_tables.values import Record


def profile_columns_numpy(
    context: Context,
    set_number: int,
    data: bytes,
    status: Record,
    block_end: BlockEnd = utc_of_block_end,
) -> ProfileColumns:
    """Give the columns of load-profile set 1 to 4 as arrays; errors as without numpy.

    int64 for sequences and ends, uint8 for statuses, the device's own width for
    values; an array of objects where numpy has no such number.
    """
    shape, blocks = profile_blocks(context, set_number, data, status, block_end)
    if shape is None or shape.value is None or not shape.value.code or not blocks:
        return _arrays(profile_columns(context, set_number, data, status, block_end))
    # Two dimensions to the end: block, and place in the block in the order of time.
    used = np.array([len(block.rows) for block in blocks])[:, None]
    place = np.arange(shape.intervals)[None, :]
    to_come = used - 1 - place
    held = to_come >= 0
    rows = slice(None) if held.all() else held
    index = np.maximum(to_come, 0) if status["LP_SET_STATUS_FLAGS"]["INTERVAL_ORDER"] else None

    def column(table: Any, index: Any = index) -> Any:
        if index is not None:
            table = np.take_along_axis(table, index, 1)
        return table[rows].reshape(-1)

    interval_s = interval_seconds(context, set_number)
    ends = np.array([block.end_utc_s for block in blocks])[:, None]
    ends_utc_s = ends - to_come * interval_s
    ends_utc_s[ends[:, 0] == NO_TIME] = NO_TIME
    first = np.array([block.sequence for block in blocks])[:, None] * shape.intervals
    ring = np.frombuffer(data, np.uint8, shape.blocks * shape.block_octets)
    ring = ring.reshape(shape.blocks, shape.block_octets)[[block.element for block in blocks]]
    common, codes = _statuses(shape, ring)
    return ProfileColumns(
        set_number,
        interval_s,
        blocks,
        column(first + place, None),
        column(ends_utc_s, None),
        column(_valid(shape, ring)),
        column(common),
        tuple(map(column, codes)),
        tuple(map(column, _values(shape, shape.value, ring))),
    )


def _in_intervals(shape: ProfileShape, ring: Any, kind: Any, at: int) -> Any:
    """Give one number of each interval, ``at`` octets from where the interval begins."""
    steps = (shape.block_octets, shape.interval_octets)
    return np.ndarray((len(ring), shape.intervals), kind, ring, shape.interval(0, 0) + at, steps)


def _valid(shape: ProfileShape, ring: Any) -> Any:
    if shape.simple_at is None:
        return np.ones((len(ring), shape.intervals), np.uint8)
    simple = ring[:, shape.simple_at : shape.simple_at + (shape.intervals + 7) // 8]
    return np.unpackbits(simple, axis=1, bitorder="little")[:, : shape.intervals]


def _statuses(shape: ProfileShape, ring: Any) -> tuple[Any, list[Any]]:
    if not shape.status_octets:
        none = np.zeros((len(ring), shape.intervals), np.uint8)
        return none, [none] * shape.channels
    octets = [_in_intervals(shape, ring, np.uint8, k).copy() for k in range(shape.status_octets)]
    codes = [octets[(c + 1) // 2] >> 4 * (c % 2) & 15 for c in range(shape.channels)]
    return octets[0] >> 4, codes


def _values(shape: ProfileShape, value: Leaf, ring: Any) -> list[Any]:
    kind = np.dtype(value.code)
    native = kind.newbyteorder("=")
    places = range(shape.status_octets, shape.interval_octets, value.size)
    return [_in_intervals(shape, ring, kind, at).astype(native) for at in places]


def _arrays(columns: ProfileColumns) -> ProfileColumns:
    """Give Python's columns as arrays."""

    def octets(column: Any) -> Any:
        return np.frombuffer(bytes(column), np.uint8)

    values = [np.empty(len(columns), object) for _ in columns.values]
    for target, column in zip(values, columns.values, strict=True):
        target[:] = column
    return replace(
        columns,
        sequences=np.array(columns.sequences, np.int64),
        ends_utc_s=np.array(columns.ends_utc_s, np.int64),
        valid=octets(columns.valid),
        common_status=octets(columns.common_status),
        channel_status=tuple(map(octets, columns.channel_status)),
        values=tuple(values),
    )
