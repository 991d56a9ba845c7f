"""The load profile, set by set, read by the module's own cursor, whichever way its ring runs.

A block that grew while it was read has moved: its end time may be of either
interval, and in descending order all its intervals shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ansi_tables import layout_for
from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.errors import TableError
from ansi_tables.profile_blocks import (
    ProfileShape,
    daylight_saving,
    is_oldest,
    shape_of,
    written_intervals,
)
from ansi_tables.profile_columns import interval_seconds, numbers_of, whole_counts
from protocols.c1218.scripts import read_part, read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import RemoteProtocolError
from smartmeter.ssi.meter_data import MeterContext, utc_seconds
from smartmeter.ssi.moving_list import read_moving

#: The data of set n are ST-(63 + n).
DIMENSIONS, PROFILE_STATUS = 61, 63
_SIZES = ("NBR_BLKS", "NBR_BLK_INTS", "NBR_CHNS", "MAX_INT_TIME")
#: Blocks that are read between two looks at the status: a look costs 13 octets.
BLOCKS_A_LOOK = 8
#: Octets between two pieces of a block that cost less on the line than a read of their own.
WORTH_A_READ = 40


@dataclass(frozen=True)
class Interval:
    """One interval as the meter holds it; ``status`` is a valid flag, then the extended status.

    ``end_s`` is 0 where the meter gives its block no time, or one by which it ended before 1970.
    """

    sequence: int
    end_s: int
    status: bytes
    values: tuple[int, ...]


@dataclass(frozen=True)
class ProfileRead:
    """Intervals in sequence, and what the ring holds: sequences [oldest, following).

    ``oldest`` is not after the first interval that was read; the next read is to
    begin at ``reached``: what the ring had before that was read.  A sequence that
    is between them and missing is one that the meter left out of its block.
    ``anew`` tells that the ring began anew and was read from its beginning;
    ``left_out`` how many intervals were read of which a channel holds no whole count.
    """

    set_nbr: int
    intervals: tuple[Interval, ...]
    oldest: int
    following: int
    reached: int
    interval_s: int
    anew: bool = False
    left_out: int = 0


class _Place(NamedTuple):
    """Where a block is, and how many intervals it holds by the status."""

    element: int
    used: int


@dataclass(frozen=True)
class _Ring:
    """What ST-63 says; ``older`` is the step from a block to the one before it."""

    blocks: int
    per_block: int
    newest: int
    held: int
    last_element: int
    used: int
    older: int
    backwards: bool

    @property
    def oldest(self) -> int:
        """Give the sequence of the oldest interval."""
        return (self.newest - self.held + 1) * self.per_block if self.held else self.following

    @property
    def following(self) -> int:
        """Give the sequence of the interval that comes next."""
        return self.newest * self.per_block + (self.used if self.held else 0)

    def stepped_back(self) -> _Ring:
        """Give the ring with its pointer at the block before."""
        element = (self.last_element + self.older) % self.blocks
        return replace(self, newest=self.newest - 1, last_element=element)

    def place(self, block: int) -> _Place | None:
        """Give where a block is; None when the ring does not hold it."""
        age = self.newest - block
        if not 0 <= age < self.held:
            return None
        element = (self.last_element + age * self.older) % self.blocks
        return _Place(element, self.per_block if age else self.used)


def profile_sets(meter: MeterContext) -> tuple[int, ...]:
    """Give the numbers of the load-profile sets that the meter has."""
    used = meter.context.fmt.std_tbls_used
    if PROFILE_STATUS not in used:
        return ()
    return tuple(set_nbr for set_nbr in SETS if PROFILE_STATUS + set_nbr in used)


def ring_shapes(meter: MeterContext) -> dict[str, list[int]]:
    """Give how large the rings are, by set number; one that is made anew holds nothing of before.

    Empty where the meter does not tell, or tells what cannot be understood.
    """
    try:
        told = meter.context.table(DIMENSIONS)
    except TableError:
        return {}
    return {
        str(set_nbr): [int(told[f"{name}_SET{set_nbr}"]) for name in _SIZES]
        for set_nbr in profile_sets(meter)
    }


def read_profile(
    meter: MeterContext, set_nbr: int, first: int | None, count: int, limits: ClientLimits
) -> Script[ProfileRead]:
    """Read up to ``count`` intervals of a set from a sequence on; None: from the oldest.

    RemoteProtocolError when all that is wanted moved each time that it was read.
    """
    interval_s = interval_seconds(meter.context, set_nbr)
    shape = shape_of(layout_for(PROFILE_STATUS + set_nbr, meter.context), set_nbr)
    if shape is None:
        return ProfileRead(set_nbr, (), first or 0, first or 0, first or 0, interval_s)
    look = partial(_look, meter, shape, limits)
    ring = yield from look()
    begin = ring.oldest if first is None else max(first, ring.oldest)
    wanted = range(begin, max(begin, min(ring.following, begin + count)))

    def read(ring: _Ring, block: int) -> Script[_BlockRead]:
        return _read_block(meter, shape, ring, block, wanted, limits)

    found = yield from read_moving(look, read, ring, _blocks(ring, wanted), BLOCKS_A_LOOK)
    if found.moved and not found.items:
        raise RemoteProtocolError("the load profile moved each time that it was read")
    # Only now: what was read while it moved may be no block at all.
    blocks = (_intervals(meter, shape, number, one) for number, one in found.items.items())
    intervals = tuple(one for block in blocks for one in block)
    oldest, following = found.pointers.oldest, found.pointers.following
    if intervals:
        oldest = min(oldest, intervals[0].sequence)
    end_of_blocks = (max(found.items, default=-1) + 1) * shape.intervals
    reached = min(wanted.stop, end_of_blocks) if found.items else wanted.stop
    left_out = sum(len(one.ages) for one in found.items.values()) - len(intervals)
    told = oldest, following, max(reached, oldest), interval_s
    return ProfileRead(set_nbr, intervals, *told, left_out=left_out)


def _look(meter: MeterContext, shape: ProfileShape, limits: ClientLimits) -> Script[_Ring]:
    image = yield from read_table(PROFILE_STATUS, limits)
    status = layout_for(PROFILE_STATUS, meter.context).decode(image)[
        f"LP_STATUS_SET{shape.set_number}"
    ]
    flags = status["LP_SET_STATUS_FLAGS"]
    ring = _Ring(
        shape.blocks,
        shape.intervals,
        status["LAST_BLOCK_SEQ_NBR"],
        min(status["NBR_VALID_BLOCKS"], shape.blocks),
        status["LAST_BLOCK_ELEMENT"],
        min(status["NBR_VALID_INT"], shape.intervals),
        1 if flags["ORDER"] else -1,
        bool(flags["INTERVAL_ORDER"]),
    )
    if not ring.held or not ring.used:
        return ring
    if shape.set_number not in meter.pointer_ahead:
        meter.pointer_ahead[shape.set_number] = yield from _is_ahead(shape, ring, limits)
    return ring.stepped_back() if meter.pointer_ahead[shape.set_number] else ring


def _is_ahead(shape: ProfileShape, ring: _Ring, limits: ClientLimits) -> Script[bool]:
    """Tell whether the pointer is one past the newest block, as a real meter's was seen to be.

    Then there is no block, or one without a time, while the one before has its time; or, once
    the ring is full, the oldest one.
    """
    if ring.last_element > shape.blocks:
        raise RemoteProtocolError(f"ST-63 points to block {ring.last_element} of {shape.blocks}")
    if not shape.end_octets:
        return ring.last_element == shape.blocks

    def end(element: int) -> Script[bytes]:
        octets = _Octets(shape, element % shape.blocks, limits)
        yield from octets.read(0, shape.end_octets)
        return bytes(octets.data[: shape.end_octets])

    if ring.last_element < shape.blocks:
        pointed = yield from end(ring.last_element)
        if shape.end_value(pointed) is not None:
            if ring.held < shape.blocks:
                return False
            before = yield from end(ring.last_element + ring.older)
            after = yield from end(ring.last_element - ring.older)
            # Looked at again: where the ring has turned meanwhile they tell nothing.
            is_ahead = is_oldest(shape, pointed, before, after)
            return is_ahead and (yield from end(ring.last_element)) == pointed
    before = yield from end(ring.last_element + ring.older)
    return shape.end_value(before) is not None


def _blocks(ring: _Ring, wanted: range) -> range:
    """Give the blocks that intervals lie in."""
    if not wanted:
        return range(0)
    return range(wanted.start // ring.per_block, (wanted.stop - 1) // ring.per_block + 1)


@dataclass(frozen=True)
class _BlockRead:
    """A block as far as it was read; ``ages`` are its intervals, by age, of ``used``."""

    data: bytes
    ages: range
    used: int
    backwards: bool

    @property
    def span(self) -> range:
        """Give where in the block its intervals lie."""
        return _span(self.ages, self.used, self.backwards)


def _read_block(
    meter: MeterContext,
    shape: ProfileShape,
    ring: _Ring,
    block: int,
    wanted: range,
    limits: ClientLimits,
) -> Script[_BlockRead]:
    """Read a block's head and those of its intervals that are wanted, and no more than that."""
    place, first = ring.place(block), block * shape.intervals
    assert place is not None
    octets, used = _Octets(shape, place.element, limits), place.used
    ages = range(max(wanted.start - first, 0), max(min(wanted.stop - first, used), 0))
    yield from octets.read_intervals(_span(ages, used, ring.backwards))
    if block != ring.newest and not _is_full(shape, bytes(octets.data)):
        yield from octets.read(0, shape.block_octets)
        used = written_intervals(shape, bytes(octets.data), 0)
        ages = range(ages.start, min(ages.stop, used))
    if meter.rules.dst_applied and shape.status_octets and used and ages.stop != used:
        # Whether daylight saving was in force at the block's end, its newest interval tells.
        yield from octets.read(shape.interval(0, 0 if ring.backwards else used - 1), 1)
    return _BlockRead(bytes(octets.data), ages, used, ring.backwards)


def _span(ages: range, used: int, backwards: bool) -> range:
    """Give where in a block its intervals lie, of which age 0 is the oldest."""
    if not ages:
        return range(0)
    return range(used - ages.stop, used - ages.start) if backwards else ages


def _is_full(shape: ProfileShape, data: bytes) -> bool:
    """Tell whether a block that is not the newest says by its head that it is full."""
    if shape.closure is not None:
        return written_intervals(shape, data, 0) == shape.intervals
    return shape.valid_of(data, 0)[-1] == 1


def _intervals(
    meter: MeterContext, shape: ProfileShape, number: int, block: _BlockRead
) -> list[Interval]:
    """Give the intervals of a block in sequence, but for those that hold no whole count."""
    data, used, span = block.data, block.used, block.span
    saving = daylight_saving(shape, data, 0, used, block.backwards)
    end_s = utc_seconds(shape.end_of(data, 0), meter.rules, saving)
    step_s = interval_seconds(meter.context, shape.set_number)
    area = data[shape.interval(0, span.start) : shape.interval(0, span.stop)]
    numbers = numbers_of(shape, area, len(span))
    valid = shape.valid_of(data, 0)
    found = []
    for n, index in enumerate(span):
        age = used - 1 - index if block.backwards else index
        # The block's time is that of its newest interval; those before it lie a step apart.
        at_s = end_s and max(0, end_s - (used - 1 - age) * step_s)
        octet = n * shape.interval_octets
        status = valid[index : index + 1] + area[octet : octet + shape.status_octets]
        values = whole_counts(numbers[n * shape.channels : (n + 1) * shape.channels])
        if values is not None:
            found.append(Interval(number * shape.intervals + age, at_s, status, tuple(values)))
    return found[::-1] if block.backwards else found


class _Octets:
    """One block as far as it was read."""

    def __init__(self, shape: ProfileShape, element: int, limits: ClientLimits) -> None:
        self.data = bytearray(shape.block_octets)
        self._shape, self._limits = shape, limits
        self._offset = element * shape.block_octets

    def read(self, at: int, count: int) -> Script[None]:
        """Read octets of the block; RemoteProtocolError when fewer come."""
        offset, table = self._offset + at, PROFILE_STATUS + self._shape.set_number
        octets = yield from read_part(table, offset, count, self._limits)
        if len(octets) != count:
            raise RemoteProtocolError(f"ST-{table} gave {len(octets)} octets of {count}")
        self.data[at : at + count] = octets

    def read_intervals(self, span: range) -> Script[None]:
        """Read the head and a span of intervals, in one read where that is no dearer."""
        head, begin = self._shape.interval_at, self._shape.interval(0, span.start)
        end = self._shape.interval(0, span.stop)
        if begin - head <= WORTH_A_READ:
            yield from self.read(0, end)
        else:
            yield from self.read(0, head)
            yield from self.read(begin, end - begin)
