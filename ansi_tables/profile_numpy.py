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
from ansi_tables.profile_blocks import (
    NO_TIME,
    BlockEnd,
    ProfileShape,
    ring_of,
)
from ansi_tables.profile_columns import (
    ProfileColumns,
    checked_shape,
    interval_seconds,
    profile_columns,
)
from ansi_tables.tree import Leaf
from ansi_tables.values import Record


def profile_columns_numpy(
    context: Context,
    set_number: int,
    data: bytes,
    status: Record,
    block_end: BlockEnd | None = None,
) -> ProfileColumns:
    """Give the columns of load-profile set 1 to 4 as arrays; errors as without numpy.

    int64 for sequences and ends, uint8 for statuses, the device's own width for
    values; an array of objects where numpy has no such number.
    """
    shape = checked_shape(context, set_number, data)
    if shape is None or shape.value is None or not shape.value.code:
        return _arrays(profile_columns(context, set_number, data, status, block_end))
    ring = ring_of(shape, data, status, block_end)
    if not ring.elements:
        return _arrays(profile_columns(context, set_number, data, status, block_end))
    full = ring.used.count(shape.intervals) == len(ring.used)
    # Two dimensions to the end: block, and place in the block in the order of time.
    place = np.arange(shape.intervals)[None, :]
    to_come = (shape.intervals if full else np.array(ring.used)[:, None]) - 1 - place
    rows = slice(None) if full else to_come >= 0
    index = np.maximum(to_come, 0) if status["LP_SET_STATUS_FLAGS"]["INTERVAL_ORDER"] else None

    def column(table: Any, index: Any = index) -> Any:
        if index is not None:
            table = np.take_along_axis(table, index, 1)
        return table[rows].reshape(-1)

    interval_s = interval_seconds(context, set_number)
    ends = np.array(ring.ends_utc_s)[:, None]
    ends_utc_s = ends - to_come * interval_s
    if NO_TIME in ring.ends_utc_s:
        ends_utc_s[ends[:, 0] == NO_TIME] = NO_TIME
    table = np.frombuffer(data, np.uint8, shape.blocks * shape.block_octets)
    blocks = table.reshape(shape.blocks, shape.block_octets)[ring.elements]
    common, codes = _statuses(shape, blocks)
    return ProfileColumns(
        set_number,
        interval_s,
        ring,
        column(np.array(ring.sequences)[:, None] * shape.intervals + place, None),
        column(ends_utc_s, None),
        column(_valid(shape, blocks)),
        column(common),
        tuple(map(column, codes)),
        tuple(map(column, _values(shape, shape.value, blocks))),
    )


def _in_intervals(shape: ProfileShape, blocks: Any, kind: Any, at: int) -> Any:
    """Give one number of each interval, ``at`` octets from where the interval begins."""
    steps = (shape.block_octets, shape.interval_octets)
    return np.ndarray(
        (len(blocks), shape.intervals), kind, blocks, shape.interval(0, 0) + at, steps
    )


def _valid(shape: ProfileShape, blocks: Any) -> Any:
    if shape.simple_at is None:
        return np.ones((len(blocks), shape.intervals), np.uint8)
    simple = blocks[:, shape.simple_at : shape.simple_at + (shape.intervals + 7) // 8]
    return np.unpackbits(simple, axis=1, bitorder="little")[:, : shape.intervals]


def _statuses(shape: ProfileShape, blocks: Any) -> tuple[Any, list[Any]]:
    if not shape.status_octets:
        none = np.zeros((len(blocks), shape.intervals), np.uint8)
        return none, [none] * shape.channels
    octets = [_in_intervals(shape, blocks, np.uint8, k).copy() for k in range(shape.status_octets)]
    halves = [(octet & 15, octet >> 4) for octet in octets]
    return halves[0][1], [halves[(c + 1) // 2][c % 2] for c in range(shape.channels)]


def _values(shape: ProfileShape, value: Leaf, blocks: Any) -> list[Any]:
    kind = np.dtype(value.code)
    native = kind.newbyteorder("=")
    places = range(shape.status_octets, shape.interval_octets, value.size)
    return [_in_intervals(shape, blocks, kind, at).astype(native) for at in places]


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
