"""A load-profile set as columns: a row an interval, oldest first, whichever way the ring runs.

ST-64 to ST-67 are read beside their status in ST-63, without building a record
for each interval.  Values stay raw: scalars, divisors and units are a matter of
those who know the sources.  Intervals that the meter marks as skipped are
intervals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any

from ansi_tables.context import Context
from ansi_tables.layout import layout_for
from ansi_tables.profile_blocks import (
    NO_TIME,
    BlockEnd,
    ProfileBlock,
    ProfileRing,
    ProfileShape,
    ring_of,
    shape_of,
)
from ansi_tables.values import Record


@dataclass(frozen=True)
class ProfileColumns:
    """A load-profile set; all columns have one length, row 0 is the oldest interval.

    ``interval_s``
        length of an interval in seconds
    ``ring``
        where the rows come from; one by one as ``blocks``
    ``sequences``
        block sequence x NBR_BLK_INTS + place in the block by age: the identity of an
        interval; a jump is a gap
    ``ends_utc_s``
        end of the interval in UTC seconds since 1970, NO_TIME (0) when not known
    ``valid``
        1, or 0 where SIMPLE_INT_STATUS says that the interval is not valid
    ``common_status``
        flags: 1 daylight saving in force, 2 power failed, 4 clock set forward, 8 clock set
        backward; 0 without EXTENDED_INT_STATUS
    ``channel_status``
        for each channel a code: 0 ok, 1 overflow, 2 partial, 3 long, 4 skipped, 5 test mode,
        6 configuration changed, 7 recording stopped
    ``values``
        for each channel the raw numbers: int, or what its NI format decodes to

    The columns are Python's own sequences; :mod:`ansi_tables.profile_numpy` gives arrays.
    """

    set_number: int
    interval_s: int
    ring: ProfileRing | None
    sequences: Sequence[int]
    ends_utc_s: Sequence[int]
    valid: Sequence[int]
    common_status: Sequence[int]
    channel_status: tuple[Sequence[int], ...]
    values: tuple[Sequence[Any], ...]

    @cached_property
    def blocks(self) -> tuple[ProfileBlock, ...]:
        """Give the blocks that hold the rows, oldest first.

        What else a block holds is at ``LP_DATA_SETn.<element>`` of the table.
        """
        return tuple(self.ring.blocks()) if self.ring else ()

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.sequences)


def profile_columns(
    context: Context,
    set_number: int,
    data: bytes,
    status: Record,
    block_end: BlockEnd | None = None,
) -> ProfileColumns:
    """Give the columns of load-profile set 1 to 4.

    ``data`` is the image of ST-(63 + set), ``status`` the set's member of ST-63,
    ``snapshot[63].LP_STATUS_SET1``.  ``block_end`` turns a block's end into UTC;
    without it a time without a zone is taken as UTC, which is right for
    TM_FORMAT 3 and 4 and for clocks on GMT.

    TruncatedTableError when ``data`` is shorter than the table, TableValueError
    when ST-63 points outside the ring, MissingContextError without ST-61 and ST-62.
    """
    shape = checked_shape(context, set_number, data)
    interval_s = interval_seconds(context, set_number)
    if shape is None:
        none = ((),) * int(context.table(61)[f"NBR_CHNS_SET{set_number}"])
        return ProfileColumns(set_number, interval_s, None, (), (), b"", b"", none, none)
    backwards = bool(status["LP_SET_STATUS_FLAGS"]["INTERVAL_ORDER"])
    ring = ring_of(shape, data, status, block_end)
    sequences: list[int] = []
    ends: list[int] = []
    valid: list[bytes] = []
    octets: list[list[bytes]] = [[] for _ in range(shape.status_octets)]
    values: list[list[Any]] = [[] for _ in range(shape.channels)]
    for element, sequence, used, end_utc_s in zip(
        ring.elements, ring.sequences, ring.used, ring.ends_utc_s, strict=True
    ):
        first, at = sequence * shape.intervals, shape.block_octets * element
        sequences += range(first, first + used)
        ends += _ends(end_utc_s, used, interval_s)
        area = data[shape.interval(at, 0) : shape.interval(at, used)]
        valid.append(_in_time(shape.valid_of(data, at)[:used], backwards))
        for k, column in enumerate(octets):
            column.append(_in_time(area[k :: shape.interval_octets], backwards))
        numbers = numbers_of(shape, area, used)
        for channel, target in enumerate(values):
            target += _in_time(numbers[channel :: shape.channels], backwards)
    common, codes = _statuses([b"".join(column) for column in octets], shape, len(sequences))
    return ProfileColumns(
        set_number,
        interval_s,
        ring,
        sequences,
        ends,
        b"".join(valid),
        common,
        codes,
        tuple(values),
    )


def interval_seconds(context: Context, set_number: int) -> int:
    """Give the length of an interval of a set."""
    return int(context.table(61)[f"MAX_INT_TIME_SET{set_number}"]) * 60


def checked_shape(context: Context, set_number: int, data: bytes) -> ProfileShape | None:
    """Give a set's shape, for octets that are a whole table; None when it holds no interval."""
    layout = layout_for(63 + set_number, context)
    layout.check(data)
    return shape_of(layout, set_number)


def _in_time(column: Any, backwards: bool) -> Any:
    return column[::-1] if backwards else column


def _ends(end_utc_s: int, used: int, interval_s: int) -> Sequence[int]:
    if end_utc_s == NO_TIME or not interval_s:
        return [end_utc_s] * used
    return range(end_utc_s - (used - 1) * interval_s, end_utc_s + 1, interval_s)


def numbers_of(shape: ProfileShape, area: bytes, used: int) -> Sequence[Any]:
    """Give the values of ``used`` intervals, all channels of each together."""
    leaf = shape.value
    if leaf is None:
        return ()
    if leaf.code:
        one = f"{shape.status_octets}x{shape.channels}{leaf.code[1]}"
        return struct.unpack(leaf.code[0] + one * used, area)
    size, decode = leaf.size, leaf.decode
    width = shape.channels * size
    starts = range(shape.status_octets, len(area), shape.interval_octets)
    return [
        decode(area[at : at + size]) for start in starts for at in range(start, start + width, size)
    ]


def whole_count(number: object) -> int | None:
    """Give a value as a count of 64 bits; None for what is no number, as the fill of a text.

    So is what is too large for one, and a fraction, which is not rounded.
    """
    if isinstance(number, int):
        return number
    if not isinstance(number, Decimal | float) or not isfinite(number):
        return None
    if not -(2**63) <= number < 2**63:
        return None
    return int(number) if number == int(number) else None


def whole_counts(numbers: Iterable[object]) -> list[int] | None:
    """Give the values of an interval as counts; None where one is no number (``whole_count``)."""
    given = [whole_count(number) for number in numbers]
    counts = [one for one in given if one is not None]
    return counts if len(counts) == len(given) else None


_LOW_NIBBLE = bytes(octet & 15 for octet in range(256))
_HIGH_NIBBLE = bytes(octet >> 4 for octet in range(256))


def _statuses(
    octets: list[bytes], shape: ProfileShape, rows: int
) -> tuple[bytes, tuple[bytes, ...]]:
    """Give common flags, and the code of each channel.

    Octet 0 has the common flags in its high nibble.  Channel c (from 0) has octet
    (c + 1) // 2, the low nibble if c is even, the high one if c is odd.
    """
    if not octets:
        return bytes(rows), (bytes(rows),) * shape.channels
    nibbles = (_LOW_NIBBLE, _HIGH_NIBBLE)
    codes = (octets[(c + 1) // 2].translate(nibbles[c % 2]) for c in range(shape.channels))
    return octets[0].translate(_HIGH_NIBBLE), tuple(codes)
