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
    ProfileBlock,
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
    if shape is None or shape.value is None or not shape.value.code:
        return _arrays(profile_columns(context, set_number, data, status, block_end))
    used = np.array([len(block.rows) for block in blocks], np.int64)
    # Row by row: which block, and how many intervals of its block came before.
    block = np.repeat(np.arange(len(blocks)), used)
    place = np.arange(len(block)) - np.repeat(np.cumsum(used) - used, used)
    to_come = used[block] - 1 - place
    interval_s = interval_seconds(context, set_number)
    ends = np.array([block.end_utc_s for block in blocks], np.int64)[block]
    first = np.array([block.sequence for block in blocks], np.int64)[block] * shape.intervals
    index = to_come if status["LP_SET_STATUS_FLAGS"]["INTERVAL_ORDER"] else place
    valid, intervals = _octets(shape, data, blocks, block * shape.intervals + index)
    common, codes = _statuses(shape, intervals)
    return ProfileColumns(
        set_number,
        interval_s,
        blocks,
        first + place,
        np.where(ends == NO_TIME, NO_TIME, ends - to_come * interval_s),
        valid,
        common,
        codes,
        _values(shape, shape.value.code, intervals),
    )


def _octets(
    shape: ProfileShape, data: bytes, blocks: tuple[ProfileBlock, ...], rows: Any
) -> tuple[Any, Any]:
    """Give, for each row, whether it is valid, and the octets of its interval."""
    table = np.frombuffer(data, np.uint8, shape.blocks * shape.block_octets)
    ring = table.reshape(shape.blocks, shape.block_octets)[[block.element for block in blocks]]
    area = ring[:, shape.interval(0, 0) : shape.interval(0, shape.intervals)]
    intervals = area.reshape(len(blocks) * shape.intervals, shape.interval_octets)[rows]
    if shape.simple_at is None:
        return np.ones(len(rows), np.uint8), intervals
    simple = ring[:, shape.simple_at : shape.simple_at + (shape.intervals + 7) // 8]
    bits = np.unpackbits(simple, axis=1, bitorder="little")[:, : shape.intervals]
    return bits.reshape(-1)[rows], intervals


def _statuses(shape: ProfileShape, intervals: Any) -> tuple[Any, tuple[Any, ...]]:
    if not shape.status_octets:
        none = np.zeros(len(intervals), np.uint8)
        return none, (none,) * shape.channels
    codes = (intervals[:, (c + 1) // 2] >> 4 * (c % 2) & 15 for c in range(shape.channels))
    return intervals[:, 0] >> 4, tuple(codes)


def _values(shape: ProfileShape, code: str, intervals: Any) -> tuple[Any, ...]:
    kind = np.dtype(code)
    numbers = np.ascontiguousarray(intervals[:, shape.status_octets :]).view(kind)
    return tuple(numbers[:, c].astype(kind.newbyteorder("=")) for c in range(shape.channels))


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
