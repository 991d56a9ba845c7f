"""Where the blocks of a load-profile set lie, and which intervals they hold, oldest first.

The rules (C12.19 decade 6, and what public hosts agree on):

* ST-63 ORDER 0: element N is older than N + 1, 1: newer; the newest block is
  LAST_BLOCK_ELEMENT.  INTERVAL_ORDER says the same of the intervals in a block.
* BLK_END_TIME is the end of the last interval written to the block.
* The newest block holds NBR_VALID_INT intervals, any other NBR_BLK_INTS unless
  it was closed early (see :func:`written_intervals`; from memory).
* A meter whose pointer is one past the newest block (seen on a Hexing meter) is
  stepped back once, if the block at the pointer has no time and the one before has;
  or if it is the oldest of a full ring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from ansi_tables.errors import TableValueError
from ansi_tables.layout import Layout
from ansi_tables.times import EPOCH
from ansi_tables.tree import Leaf
from ansi_tables.values import Record, TableTime, UnreadTime

#: ``end_utc_s`` of a block, or an interval, whose time is not set.
NO_TIME = 0
#: Codes of EXTENDED_INT_STATUS that tell an interval was written; 8 to 15 are reserved.
_WRITTEN_CODES = range(1, 8)
#: Common flag of EXTENDED_INT_STATUS.
_DST_IN_FORCE = 1

#: BLK_END_TIME, and whether daylight saving was in force (None: the meter does not say), to UTC
#: seconds; NO_TIME when the time is not set.
BlockEnd = Callable[[TableTime, bool | None], int]

_EPOCH = EPOCH.replace(tzinfo=None)
#: The eight bits of an octet as octets 0 and 1, least significant first.
_BITS = tuple(bytes(octet >> k & 1 for k in range(8)) for octet in range(256))


class ProfileBlock(NamedTuple):
    """One block of a set: its array element, sequence number, rows in the columns, and end."""

    element: int
    sequence: int
    rows: range
    end: TableTime
    end_utc_s: int


@dataclass(frozen=True)
class ProfileShape:
    """One set on one device; ``..._at`` are octets from the start of a block, None if absent.

    ``end_value`` reads BLK_END_TIME at the start of a block, ``value`` one number
    of INT_DATA (None without channels), ``closure`` one CLOSURE_STATUS.
    """

    set_number: int
    blocks: int
    intervals: int
    channels: int
    block_octets: int
    end_octets: int
    end_value: Callable[[bytes], Any]
    closure: Leaf | None
    closure_at: int | None
    simple_at: int | None
    interval_at: int
    interval_octets: int
    status_octets: int
    value: Leaf | None

    def end_of(self, data: bytes, element: int) -> TableTime:
        """Give BLK_END_TIME of a block."""
        at = element * self.block_octets
        return UnreadTime(data[at : at + self.end_octets], self.end_value)

    def valid_of(self, data: bytes, at: int) -> bytes:
        """Give SIMPLE_INT_STATUS as octets 0 and 1, all 1 where the device has none."""
        if self.simple_at is None:
            return b"\1" * self.intervals
        simple = data[at + self.simple_at : at + self.simple_at + (self.intervals + 7) // 8]
        return b"".join([_BITS[octet] for octet in simple])[: self.intervals]

    def interval(self, at: int, index: int) -> int:
        """Give where interval ``index`` of the block at ``at`` begins."""
        return at + self.interval_at + index * self.interval_octets


@lru_cache(maxsize=256)
def shape_of(layout: Layout, set_number: int) -> ProfileShape | None:
    """Give the shape of a set, made once for all equal devices; None when it holds no interval."""
    ring = f"LP_DATA_SET{set_number}"
    block = f"{ring}.0"
    blocks = layout.count(ring)
    intervals = layout.count(f"{block}.LP_INT") if blocks else 0
    if not intervals:
        return None
    data = f"{block}.LP_INT.0.INT_DATA"
    interval_at, interval_octets = layout.field(f"{block}.LP_INT.0")
    channels = layout.count(data)
    end = layout.leaf(f"{block}.BLK_END_TIME")

    def place(name: str) -> int | None:
        return layout.field(f"{block}.{name}")[0] if layout.has(f"{block}.{name}") else None

    closed = channels and layout.has(f"{block}.CLOSURE_STATUS")
    return ProfileShape(
        set_number,
        blocks,
        intervals,
        channels,
        layout.field(block)[1],
        end.size,
        end.time or end.decode,
        layout.leaf(f"{block}.CLOSURE_STATUS.0") if closed else None,
        place("CLOSURE_STATUS"),
        place("SIMPLE_INT_STATUS"),
        interval_at,
        interval_octets,
        layout.field(data)[0] - interval_at,
        layout.leaf(f"{data}.0") if channels else None,
    )


@dataclass(frozen=True)
class ProfileRing:
    """The blocks of a set that hold intervals, oldest first, as lists of one length.

    ``used`` is the number of intervals that a block holds.
    """

    shape: ProfileShape
    data: bytes
    elements: list[int]
    sequences: list[int]
    used: list[int]
    ends_utc_s: list[int]

    def blocks(self) -> Iterator[ProfileBlock]:
        """Give each block by itself."""
        row = 0
        for element, sequence, used, end_utc_s in zip(
            self.elements, self.sequences, self.used, self.ends_utc_s, strict=True
        ):
            end = self.shape.end_of(self.data, element)
            yield ProfileBlock(element, sequence, range(row, row + used), end, end_utc_s)
            row += used


def ring_of(
    shape: ProfileShape, data: bytes, status: Record, block_end: BlockEnd | None
) -> ProfileRing:
    """Find the blocks; without ``block_end`` a time without a zone is taken as UTC.

    TableValueError when LAST_BLOCK_ELEMENT is outside the ring.
    """
    held = min(status["NBR_VALID_BLOCKS"], shape.blocks)
    if not held:
        return ProfileRing(shape, data, [], [], [], [])
    older = 1 if status["LP_SET_STATUS_FLAGS"]["ORDER"] else -1
    element, sequence = _newest(shape, data, status, older)
    ages = range(held - 1, -1, -1)
    elements = [(element + age * older) % shape.blocks for age in ages]
    used = _used(shape, data, elements)
    used[-1] = min(status["NBR_VALID_INT"], shape.intervals)
    if block_end is None:
        size, read, step = shape.end_octets, shape.end_value, shape.block_octets
        ends = [_utc_s(read(data[this * step : this * step + size])) for this in elements]
    else:
        backwards = bool(status["LP_SET_STATUS_FLAGS"]["INTERVAL_ORDER"])
        ends = [
            block_end(shape.end_of(data, this), daylight_saving(shape, data, this, n, backwards))
            for this, n in zip(elements, used, strict=True)
        ]
    return ProfileRing(shape, data, elements, [sequence - age for age in ages], used, ends)


def _utc_s(end: object) -> int:
    if not isinstance(end, datetime):
        return NO_TIME
    since = end - (_EPOCH if end.tzinfo is None else EPOCH)
    return since.days * 86400 + since.seconds


def daylight_saving(
    shape: ProfileShape, data: bytes, element: int, used: int, backwards: bool
) -> bool | None:
    """Tell what the newest interval of a block says of daylight saving."""
    if not shape.status_octets or not used:
        return None
    at = shape.interval(element * shape.block_octets, 0 if backwards else used - 1)
    return data[at] >> 4 & _DST_IN_FORCE == 1


def is_oldest(shape: ProfileShape, pointed: bytes, before: bytes, after: bytes) -> bool:
    """Tell whether ST-63 of a full ring points to its oldest block, one past its newest.

    The BLK_END_TIME of a block, of the one before it and of the one after it tell: from the oldest
    to the next is a block's length, with an outage perhaps twice that.  Where the clock was set
    back by more than the ring is long, the newest is older than all others, too, but by far.
    """
    oldest_s, newest_s, next_s = (_utc_s(shape.end_value(one)) for one in (pointed, before, after))
    if NO_TIME in (oldest_s, newest_s, next_s) or not oldest_s < next_s < newest_s:
        return False
    return (next_s - oldest_s) * (shape.blocks - 2) <= 2 * (newest_s - next_s)


def _newest(shape: ProfileShape, data: bytes, status: Record, older: int) -> tuple[int, int]:
    """Give element and sequence number of the newest block."""

    def end(element: int) -> bytes:
        at = element % shape.blocks * shape.block_octets
        return data[at : at + shape.end_octets]

    def has_time(element: int) -> bool:
        return shape.end_value(end(element)) is not None

    element, sequence = status["LAST_BLOCK_ELEMENT"], status["LAST_BLOCK_SEQ_NBR"]
    if not status["NBR_VALID_INT"] and element <= shape.blocks:
        return element % shape.blocks, sequence  # only begun: it has no end time yet
    is_full = status["NBR_VALID_BLOCKS"] >= shape.blocks and element < shape.blocks
    if is_full and is_oldest(shape, end(element), end(element + older), end(element - older)):
        return (element + older) % shape.blocks, sequence - 1
    if element < shape.blocks and (shape.end_octets == 0 or has_time(element)):
        return element, sequence
    if element <= shape.blocks and has_time((element + older) % shape.blocks):
        return (element + older) % shape.blocks, sequence - 1
    if element < shape.blocks:
        return element, sequence
    raise TableValueError(
        f"element {element} of a ring of {shape.blocks}",
        table="ST-63",
        path=f"LP_STATUS_SET{shape.set_number}.LAST_BLOCK_ELEMENT",
    )


def _used(shape: ProfileShape, data: bytes, elements: list[int]) -> list[int]:
    """Give the number of intervals that each block holds, as if none were the newest."""
    step, full, last = shape.block_octets, shape.intervals, shape.intervals - 1
    if shape.simple_at is None or shape.closure is not None:
        return [written_intervals(shape, data, element * step) for element in elements]
    at, bit = shape.simple_at + last // 8, 1 << last % 8
    return [
        full if data[element * step + at] & bit else written_intervals(shape, data, element * step)
        for element in elements
    ]


def written_intervals(shape: ProfileShape, data: bytes, at: int) -> int:
    """Count the intervals of a block that is not the newest.

    A block may be closed early (outage, clock set).  CLOSURE_STATUS counts its
    intervals; without it, SIMPLE_INT_STATUS shows a tail that is not valid, of
    which only intervals with a status code (as skipped ones) were written.
    """
    if shape.closure is not None and shape.closure_at is not None:
        first = at + shape.closure_at
        starts = range(first, first + 2 * shape.channels, 2)
        counts = [shape.closure.decode(data[k : k + 2]).NBR_VALID_INTERVALS for k in starts]
        return min(max(counts) or shape.intervals, shape.intervals)
    if shape.simple_at is None:
        return shape.intervals
    valid = shape.valid_of(data, at).rfind(1) + 1
    for index in range(shape.intervals - 1, valid - 1, -1):
        start = shape.interval(at, index)
        octets = data[start : start + shape.status_octets]
        codes = [octets[(c + 1) // 2] >> 4 * (c % 2) & 15 for c in range(shape.channels) if octets]
        if any(code in _WRITTEN_CODES for code in codes):
            return index + 1
    return valid


def first_since(oldest: int, following: int, interval_s: int, between: tuple[int, int]) -> int:
    """Give the sequence number of a ring's first interval that ended after an instant.

    ``between`` are that instant and the one of reading (UTC seconds), when the ring held the
    numbers ``oldest`` to below ``following``.  Intervals are counted back from the newest, as
    the times in the ring may come from a wrong clock.  Without a length none has ended since.
    """
    since_s, utc_s = between
    ended = max(0, utc_s // interval_s - since_s // interval_s) if interval_s else 0
    return max(following - ended, oldest)
