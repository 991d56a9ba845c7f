"""Load profile: up to four sets of channels, each a ring of blocks of intervals (ST-61 to ST-67).

Blocks follow each other by a sequence number that never goes back; an interval
is known by ``block sequence x intervals a block + index``, not by its time.
Intervals end on multiples of the set's length in local standard time.

What the status of an interval says: skipped (nothing was measured), partial
(shorter than its length), long (the clock was set back in it), overflow, test
mode, and in edition 2 that the meter was reprogrammed in it; with common flags
for daylight saving, power failure and a clock that was set.  A block that must
end early, because the clock was set back over an interval's end or recording
was stopped, is filled with skipped intervals: a block that is not the newest is
always full, so that readers may count back from its end time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansi_tables import Context
from ansi_tables.decades.d06_load_profile import interval_format
from ansi_tables.fields import ni, stime_date, uint
from smartmeter.meter.clock import Clock
from smartmeter.meter.lists import ListPointers
from smartmeter.meter.profile import ListStyle
from smartmeter.meter.program import Channel, ProfileSet, Program
from smartmeter.meter.registers import wrapped

#: Common flags (high nibble of the first status octet) and channel codes of EXTENDED_INT_STATUS.
DST_IN_FORCE, POWER_FAILED, CLOCK_FORWARD, CLOCK_BACKWARD = 1, 2, 4, 8
OK, OVERFLOW, PARTIAL, LONG, SKIPPED, TEST_DATA, CHANGED, STOPPED = range(8)
#: Codes of intervals in which nothing was measured.
EMPTY = (SKIPPED, STOPPED)
#: The range of each INT_FMT_CDE; the NI formats hold what their dial holds.
RANGES = {
    1: (0, 0xFF),
    2: (0, 0xFFFF),
    4: (0, 0xFFFF_FFFF),
    8: (-0x7F, 0x7F),
    16: (-0x7FFF, 0x7FFF),
    32: (-0x7FFF_FFFF, 0x7FFF_FFFF),
}
#: What a recorder keeps of the running interval and the newest block.
_KEPT = ("used", "common", "short", "long", "reprogrammed", "measured_us", "last_end_s")


@dataclass(frozen=True)
class Interval:
    """One finished interval: where it is, when it ended, and its stored values, one a channel."""

    sequence: int
    end_utc_s: int
    values: tuple[int, ...]
    common: int
    code: int


@dataclass
class Gauge:
    """What a channel needs to make the next interval: count or total at its start, remainder."""

    mark: int = 0
    remainder: int = 0
    pulses: int = 0


@dataclass
class BlockData:
    """One block: octets of its end time and end readings, valid intervals as bits, intervals."""

    end_time: bytes = b""
    readings: bytes = b""
    simple: int = 0
    intervals: bytearray = field(default_factory=bytearray)

    def page(self) -> bytes:
        """Give the block for non-volatile memory."""
        head = bytes([len(self.end_time)]) + self.end_time
        head += len(self.readings).to_bytes(2, "big") + self.readings
        bits = self.simple.to_bytes((self.simple.bit_length() + 7) // 8, "big")
        return head + len(bits).to_bytes(2, "big") + bits + bytes(self.intervals)

    @classmethod
    def from_page(cls, page: bytes) -> BlockData:
        """Give the block back."""
        at = 1 + page[0]
        end_time, size = page[1:at], int.from_bytes(page[at : at + 2], "big")
        readings, at = page[at + 2 : at + 2 + size], at + 2 + size
        size = int.from_bytes(page[at : at + 2], "big")
        simple = int.from_bytes(page[at + 2 : at + 2 + size], "big")
        return cls(end_time, readings, simple, bytearray(page[at + 2 + size :]))


class Recorder:
    """One load-profile set: its ring, and the interval that runs.

    ``common`` gathers the flags of the running interval, ``short`` and ``long``
    tell that it does not have its length, ``reprogrammed`` that the configuration
    changed in it, ``measured_us`` how long flow was seen in it.
    """

    def __init__(
        self, program: Program, number: int, clock: Clock, style: ListStyle, newest_first: bool
    ) -> None:
        self.set: ProfileSet = program.sets[number]
        self._program, self._clock = program, clock
        self._newest_first = newest_first
        self.pointers = ListPointers(self.set.blocks, style, self.set.inhibit)
        self.gauges = [Gauge() for _ in self.set.channels]
        self.blocks: dict[int, BlockData] = {}
        self.length_s = self.set.length_min * 60
        self.used = 0  # intervals in the newest block
        self.last_end_s = 0
        self.common = 0
        self.short = self.long = self.reprogrammed = False
        self.measured_us = 0
        self.changed: set[int] = set()
        self._shape(program.context)

    def _shape(self, context: Context) -> None:
        flags = context.table(61).LP_FLAGS
        self._extended = bool(flags.EXTENDED_INT_STATUS_FLAG)
        self._simple = bool(flags.SIMPLE_INT_STATUS_FLAG)
        self._closure = bool(flags.get("CLOSURE_STATUS_FLAG"))
        self._end_read, self._end_pulse = flags.BLK_END_READ_FLAG, flags.BLK_END_PULSE_FLAG
        self._only_block = bool(flags.get("BLK_END_RD_INDICATOR_FLAG"))
        self._value = interval_format(context, self.set.format_code)
        self._time, self._reading = stime_date(context), ni(context, 1)
        self._pulse, self._closing = uint(context, 32), uint(context, 16)
        ends = ((self._end_read, self._reading), (self._end_pulse, self._pulse))
        self._reading_octets = sum(field.size for there, field in ends if there)
        channels = len(self.set.channels)
        status = channels // 2 + 1 if self._extended else 0
        self._interval_octets = status + channels * self._value.size

    # Recording.

    def end(self, utc_s: int, totals: Mapping[int, int], test: bool) -> Interval | None:
        """Close the running interval; None when the list may not take it."""
        code = TEST_DATA if test else CHANGED if self.reprogrammed else OK
        code = LONG if self.long else PARTIAL if self.short else code
        if self._at_block_end:
            self._new_pulses()
        values = []
        for channel, gauge in zip(self.set.channels, self.gauges, strict=True):
            values.append(self._take(channel, gauge, totals[channel.source]))
        interval = self.record(utc_s, values, code, totals)
        self.plain()
        self.measured_us = 0
        return interval

    def plain(self) -> None:
        """Let the running interval be one of which nothing is to be said."""
        self.common, self.short, self.long, self.reprogrammed = 0, False, False, False

    def _take(self, channel: Channel, gauge: Gauge, total: int) -> int:
        """Give what a channel saw since its mark, and mark anew.

        An energy gives its counts, times scalar by divisor, the remainder kept
        for the next interval; any other source its mean while it was measured.
        """
        source = self._program.sources[channel.source]
        if source.is_energy:
            count = source.count(total)
            gauge.pulses += count - gauge.mark
            scaled = (count - gauge.mark) * channel.scalar + gauge.remainder
            gauge.mark = count
            value, gauge.remainder = divmod(scaled, channel.divisor)
            return value
        energy, gauge.mark = total - gauge.mark, total
        if not self.measured_us:
            return 0
        return source.average(energy, self.measured_us) * channel.scalar // channel.divisor

    def record(
        self, utc_s: int, values: Sequence[int], code: int, totals: Mapping[int, int]
    ) -> Interval | None:
        """Write one interval; begins a block when the last one is full."""
        if self._at_block_end and not self._begin(code):
            return None
        low, high = RANGES.get(self.set.format_code, self._dial())
        stored = tuple(max(low, min(value, high)) for value in values)
        codes = [
            OVERFLOW if kept != value else code for kept, value in zip(stored, values, strict=True)
        ]
        common = self.common | (DST_IN_FORCE if self._clock.dst_on else 0)
        block = self.blocks[self._slot]
        sequence = (self.pointers.added - 1) * self.set.intervals + self.used
        interval = Interval(sequence, utc_s, stored, common, max(codes, default=code))
        if code not in EMPTY:
            block.simple |= 1 << self.used
        block.end_time = self._time.encode(self._clock.moment(self._clock.stamp(utc_s)))
        block.readings = self._readings(totals)
        block.intervals += self._status(common, codes)
        block.intervals += b"".join(self._value.encode(value) for value in stored)
        self.used += 1
        self.last_end_s = utc_s
        self.changed.add(self._slot)
        return interval

    def _dial(self) -> tuple[int, int]:
        dial = self._program.dial1 if self.set.format_code == 64 else self._program.dial2
        return 1 - dial, dial - 1

    @property
    def _slot(self) -> int:
        """Give where in memory the newest block is."""
        return (self.pointers.added - 1) % self.set.blocks

    @property
    def _at_block_end(self) -> bool:
        """Tell whether the next interval begins a block."""
        return not self.pointers.valid or self.used >= self.set.intervals

    def _begin(self, code: int) -> bool:
        if not self.pointers.add():
            return False
        self.used = 0
        self.blocks[self._slot] = BlockData()
        if code in EMPTY:
            self._new_pulses()
        return True

    def _new_pulses(self) -> None:
        """Count the pulses of a block from zero, where ST-61 wants its own only."""
        for gauge in self.gauges if self._only_block else ():
            gauge.pulses = 0

    def _status(self, common: int, codes: Sequence[int]) -> bytes:
        """Give EXTENDED_INT_STATUS: common flags, then a nibble a channel, low one first."""
        if not self._extended:
            return b""
        nibbles = [common, *codes, *[0] * (len(codes) % 2 == 0)]
        return bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))

    def _readings(self, totals: Mapping[int, int]) -> bytes:
        octets = b""
        for channel, gauge in zip(self.set.channels, self.gauges, strict=True):
            if self._end_read:
                count = 0
                if channel.end_reading is not None:
                    source = self._program.sources[channel.end_reading]
                    count = source.count(totals[source.number]) if source.is_energy else 0
                octets += self._reading.encode(wrapped(count, self._program.dial1))
            if self._end_pulse:
                octets += self._pulse.encode(gauge.pulses % (1 << 32))
        return octets

    def fill_block(self, totals: Mapping[int, int], code: int = SKIPPED) -> list[Interval]:
        """End the newest block early, with empty intervals; its times go on."""
        filled = []
        while self.pointers.valid and self.used < self.set.intervals:
            found = self.skip(self.last_end_s + self.length_s, totals, code)
            filled += [found] if found is not None else []
        return filled

    def skip(self, utc_s: int, totals: Mapping[int, int], code: int = SKIPPED) -> Interval | None:
        """Record an interval in which nothing was measured."""
        return self.record(utc_s, [0] * len(self.gauges), code, totals)

    def mark(self, totals: Mapping[int, int]) -> None:
        """Let an interval begin here: what flowed before is in no interval."""
        for channel, gauge in zip(self.set.channels, self.gauges, strict=True):
            source = self._program.sources[channel.source]
            total = totals[channel.source]
            gauge.mark = source.count(total) if source.is_energy else total
            gauge.remainder = 0
        self.measured_us = 0

    def clear(self) -> None:
        """Empty the ring; sequences go on, so that no identity is given twice."""
        self.pointers.clear()
        self.blocks, self.used = {}, 0
        self.changed = set(range(self.set.blocks))

    # Showing.

    def image(self) -> bytes:
        """Give the data table of this set, blocks never written included."""
        empty = self._block_octets(BlockData())
        slots = [empty] * self.set.blocks
        for age in range(self.pointers.valid):
            slot = (self.pointers.added - 1 - age) % self.set.blocks
            slots[self.pointers.element(age)] = self._block_octets(self.blocks[slot])
        return b"".join(slots)

    def _block_octets(self, block: BlockData) -> bytes:
        size, count = self._interval_octets, self.set.intervals
        used = len(block.intervals) // size if size else 0
        octets = block.end_time or bytes(self._time.size)
        octets += block.readings or bytes(self._reading_octets * len(self.set.channels))
        if self._closure:
            octets += self._closing.encode(used << 4) * len(self.set.channels)
        if self._simple:
            bits = block.simple
            if self._newest_first:
                bits = sum((bits >> k & 1) << used - 1 - k for k in range(used))
            octets += bits.to_bytes((count + 7) // 8, "little")
        rows = bytes(block.intervals)
        if self._newest_first and size:
            rows = b"".join(rows[at : at + size] for at in range(len(rows) - size, -1, -size))
        return octets + rows + bytes(count * size - len(rows))

    def status(self, active: bool, test: bool) -> dict[str, Any]:
        """Give the set's part of ST-63."""
        flags = self.pointers.flags
        inhibit = flags.pop("INHIBIT_OVERFLOW_FLAG")
        flags |= {
            "BLOCK_INHIBIT_OVERFLOW_FLAG": inhibit,
            "INTERVAL_ORDER": int(self._newest_first),
            "ACTIVE_MODE_FLAG": int(active),
            "TEST_MODE": int(test),
        }
        valid = self.pointers.valid
        return {
            "LP_SET_STATUS_FLAGS": flags,
            "NBR_VALID_BLOCKS": valid,
            "LAST_BLOCK_ELEMENT": self.pointers.newest,
            # While there is none: the number that the next block will have.
            "LAST_BLOCK_SEQ_NBR": self.pointers.added - (valid > 0),
            "NBR_UNREAD_BLOCKS": self.pointers.unread,
            "NBR_VALID_INT": self.used if valid else 0,
        }

    # Memory.

    def to_json(self) -> dict[str, Any]:
        """Give the state without the blocks for non-volatile memory."""
        return {
            "pointers": self.pointers.to_json(),
            "gauges": [[g.mark, g.remainder, g.pulses] for g in self.gauges],
            **{name: getattr(self, name) for name in _KEPT},
        }

    def changed_pages(self) -> dict[str, bytes | None]:
        """Give the blocks that changed since the last call, as pages."""
        pages: dict[str, bytes | None] = {}
        for slot in self.changed:
            block = self.blocks.get(slot)
            pages[f"profile{self.set.number}.{slot}"] = block.page() if block else None
        self.changed = set()
        return pages

    def restore(self, state: Mapping[str, Any], page: Callable[[str], bytes | None]) -> None:
        """Take state and blocks back."""
        self.pointers.restore(state["pointers"])
        self.gauges = [Gauge(*gauge) for gauge in state["gauges"]]
        for name in _KEPT:
            setattr(self, name, state[name])
        for age in range(self.pointers.valid):
            slot = (self.pointers.added - 1 - age) % self.set.blocks
            octets = page(f"profile{self.set.number}.{slot}")
            if octets is None:
                raise KeyError(f"block {slot} of set {self.set.number}")
            self.blocks[slot] = BlockData.from_page(octets)
