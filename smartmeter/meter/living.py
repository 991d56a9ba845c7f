"""Let an image run on: its clock goes, its registers count, its load profile is recorded.

The load is that of a seeded house; what flows is counted in the units and number formats that
the image itself declares.  What the image does not tell stands still: registers whose unit is
not known, demands, apparent energy, a profile in descending order or of another set than 1,
and everything in a meter without a clock but its registers.  Energies are whole watt-seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ansi_tables import Record, Snapshot, TableError
from ansi_tables.meaning.channels import channel_sources
from ansi_tables.meaning.registers import Kind
from ansi_tables.meaning.sources import Direction, Source, source
from smartmeter.base.clock import HOUR_S, MINUTE_S, US_PER_S, Calendar
from smartmeter.meter.image import MeterImage
from smartmeter.meter.load_profile import (
    CLOCK_BACKWARD,
    CLOCK_FORWARD,
    DST_IN_FORCE,
    LONG,
    OK,
    OVERFLOW,
    PARTIAL,
    RANGES,
    SKIPPED,
)
from smartmeter.meter.loads import flow_at
from smartmeter.meter.quantities import quadrant

CLOCKS = (52, 55, 57)
REGISTERS, PROFILE_STATUS, PROFILE = 23, 63, 64
#: Why a table stands still; the last is where dates end.
_STANDS = (TableError, KeyError, OverflowError)
#: What a unit counts, in watt-seconds.
_WATT_SECONDS = 3600
#: The quadrants in which a unit flows from the customer: they count against a net of both ways.
_RECEIVED = {"Wh": (2, 3), "varh": (3, 4)}


@dataclass
class Energy:
    """What has flown, in watt-seconds: by unit and quadrant."""

    flown: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, power_w: int, reactive_var: int, seconds: int) -> None:
        """Let a load flow."""
        where = quadrant(power_w, reactive_var)
        for unit, rate in (("Wh", power_w), ("varh", reactive_var)):
            self.flown[unit, where] = self.flown.get((unit, where), 0) + abs(rate) * seconds

    def counts(self, source: Source, factor: Fraction = Fraction(1)) -> Fraction:
        """Give the counts of a register or channel; 0 where its unit is not of these, or none."""
        received = _RECEIVED.get(source.unit, ()) if source.direction is Direction.NET else ()
        flown = 0
        for where in source.quadrants:
            part = self.flown.get((source.unit, where), 0)
            flown += -part if where in received else part
        unit = source.scale.factor * factor if source.scale is not None else 0
        return Fraction(flown, _WATT_SECONDS) / unit if unit else Fraction(0)


class RunningOn:
    """An image that runs on from an instant of a calendar."""

    def __init__(self, image: MeterImage, calendar: Calendar, seed: int, now_us: int) -> None:
        self._snapshot = Snapshot(image.tables)
        self._calendar = calendar
        self._seed = seed
        self._start_us = self._utc_us(now_us)
        self._clock = self._shown_clock()
        self._energy, self._done_s = Energy(), 0
        self._profile = _Profile.of(self._snapshot) if self._clock else None

    def current(self, table: int, now_us: int) -> bytes | None:
        """Give a table that moves as it is now, or None for one that does not."""
        elapsed_s = self._elapsed_s(now_us)
        try:
            if table in CLOCKS:
                return self._clock_table(table, elapsed_s)
            if table == REGISTERS:
                self._advance(elapsed_s)
                return self._registers()
            if table in (PROFILE_STATUS, PROFILE) and self._profile is not None:
                self._advance(elapsed_s)
                return self._profile.table(table)
        except _STANDS:
            return None  # a count beyond its field, or a table that does not decode, stands still
        return None

    def deadline_us(self) -> int:
        """Give when an hour has passed at which nobody looked.

        A fast calendar would make the next look long, if all had to be made up for then.
        """
        return self._calendar.deadline_us(self._start_us + (self._done_s + HOUR_S) * US_PER_S)

    def expire(self, now_us: int) -> None:
        """Let an hour that has passed flow, whether anybody looks or not.

        Who is far behind does not keep the others, or one who asks, from their turn.
        """
        with suppress(*_STANDS):  # as for one who looks
            self._advance(min(self._elapsed_s(now_us), self._done_s + HOUR_S))

    def go_on_from(self, table: int, image: bytes, now_us: int) -> None:
        """Take the clock, or the marks of what was read, from an image that was written."""
        try:
            record = self._snapshot.layout(table).decode(image)
        except TableError:
            return  # it is shown until it runs on
        shown = record.get("CLOCK_CALENDAR") if table == CLOCKS[0] else None
        moment = getattr(shown, "value", None)
        if isinstance(moment, datetime) and self._clock is not None:
            self._set_clock(moment, now_us)
        if table == PROFILE_STATUS and self._profile is not None:
            self._profile.go_on_from(record)

    def move_clock(self, moved_s: int, now_us: int) -> None:
        """Set the clock, and its calendar, by so much: nothing flows in what it jumps over.

        OverflowError, and no change, where dates end.
        """
        if self._clock is not None:
            moved = timedelta(seconds=self._elapsed_s(now_us) + moved_s)
            self._set_clock(self._clock + moved, now_us)
        moved_us = moved_s * US_PER_S
        self._calendar.set(self._utc_us(now_us) + moved_us, now_us)
        self._start_us += moved_us

    def _set_clock(self, shown: datetime, now_us: int) -> None:
        elapsed_s = self._elapsed_s(now_us)
        clock = shown - timedelta(seconds=elapsed_s)
        self._advance(elapsed_s)
        old_s, self._clock = self._start_s(), clock
        if self._profile is not None:
            new_s = self._start_s() + elapsed_s
            self._profile.clock_set(old_s + elapsed_s, new_s, self._energy)

    def _elapsed_s(self, now_us: int) -> int:
        """Give how long the image has run; below 0 where the calendar was set back further."""
        return (self._utc_us(now_us) - self._start_us) // US_PER_S

    def _utc_us(self, now_us: int) -> int:
        utc_us = self._calendar.utc_us(now_us)
        assert utc_us is not None
        return utc_us

    def _shown_clock(self) -> datetime | None:
        """Give what the image's clock shows."""
        try:
            shown = self._snapshot[CLOCKS[0]].CLOCK_CALENDAR.value
        except (KeyError, AttributeError, TableError):
            return None
        return shown if isinstance(shown, datetime) else None

    def _clock_table(self, table: int, elapsed_s: int) -> bytes | None:
        if self._clock is None:
            return None
        moment = self._clock + timedelta(seconds=elapsed_s)
        record = Record(self._snapshot[table])
        record["CLOCK_CALENDAR"] = moment
        if "TIME_DATE_QUAL" in record:
            weekday = moment.isoweekday() % 7
            record["TIME_DATE_QUAL"] = {**record.TIME_DATE_QUAL, "DAY_OF_WEEK": weekday}
        return self._snapshot.layout(table).encode(record)

    def _start_s(self) -> int:
        """Give what the clock showed at the start, in seconds; 0 without a clock."""
        return int(self._clock.replace(tzinfo=UTC).timestamp()) if self._clock else 0

    def _advance(self, elapsed_s: int) -> None:
        """Let the load flow, minute by minute, and close the intervals that end."""
        start_s = self._start_s()
        while self._done_s < elapsed_s:
            at_s = start_s + self._done_s
            until_s = min(at_s + MINUTE_S - at_s % MINUTE_S, start_s + elapsed_s)
            flow = flow_at(self._seed, at_s // MINUTE_S)
            power, reactive = sum(flow.power_w), sum(flow.reactive_var)
            self._energy.add(power, reactive, until_s - at_s)
            self._done_s = until_s - start_s
            if self._profile is not None:
                self._profile.energy.add(power, reactive, until_s - at_s)
                if self._profile.ends_at(until_s):
                    self._profile.close(self._energy)

    def _registers(self) -> bytes:
        record = _copied(self._snapshot[REGISTERS])
        tier = self._tier(record)
        for register in self._snapshot.registers():
            if register.kind is not Kind.SUMMATION or register.tier is not None:
                continue
            counts = self._energy.counts(register.source)
            blocks = [record["TOT_DATA_BLOCK"]]
            blocks += [record["TIER_DATA_BLOCK"][tier]] if tier is not None else []
            for block in blocks:
                values = block["SUMMATIONS"]
                values[register.index] = _plus(values[register.index], counts)
        return self._snapshot.layout(REGISTERS).encode(record)

    def _tier(self, record: Any) -> int | None:
        """Give the tier that counts: the sum over tiers stays the total."""
        tiers = len(record.get("TIER_DATA_BLOCK", ()))
        if not tiers:
            return None
        try:
            shown = int(self._snapshot[55].STATUS.CURR_TIER)
        except (KeyError, AttributeError, TableError):
            return 0
        return shown if shown < tiers else 0


def _plus(raw: Any, counts: Fraction) -> Any:
    """Add counts to a raw number in its own type; whole counts only where it is an integer."""
    if isinstance(raw, int):
        return raw + int(counts)
    if isinstance(raw, float):
        return raw + float(counts)
    return raw + int(counts) if isinstance(raw, Decimal) else raw


def _held(value: float, within: tuple[int, int]) -> float:
    """Give a value as near as a range lets it be."""
    low, high = within
    return max(low, min(value, high))


def _copied(value: Any) -> Any:
    """Copy records and lists of a decoded table, so that they can be changed."""
    if isinstance(value, dict):
        return Record({name: _copied(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value


class _Profile:
    """The load profile of set 1: ST-63 and ST-64, ascending, written as the meter would."""

    def __init__(self, snapshot: Snapshot, interval_s: int, blocks: int, intervals: int) -> None:
        self._snapshot = snapshot
        self.interval_s = interval_s
        self._blocks, self._intervals = blocks, intervals
        self._channels = channel_sources(snapshot)
        #: What an interval can hold, where its format is a binary integer.
        self._range = RANGES.get(snapshot[62].INT_FMT_CDE1)
        self._status = _copied(snapshot[PROFILE_STATUS])
        self._data = _copied(snapshot[PROFILE])
        #: The source of the reading at a block's end, by channel; None for a channel without one.
        self._read_of = [
            source(snapshot, one.END_BLK_RDG_SOURCE_SELECT) if one.CHNL_FLAG.END_RDG_FLAG else None
            for one in snapshot[62].LP_SEL_SET1
        ]
        newest = self._data.LP_DATA_SET1[self._status.LP_STATUS_SET1.LAST_BLOCK_ELEMENT]
        #: The readings of the image's newest block; what has flown since is added to them.
        self._readings = _copied(newest.END_READINGS)
        #: What the common flags of all intervals say: the clock never changes over.
        qualifier = snapshot[CLOCKS[0]].get("TIME_DATE_QUAL", {})
        self._common = DST_IN_FORCE if qualifier.get("DST_FLAG") else 0
        end = getattr(newest.BLK_END_TIME, "value", None)
        shown = getattr(snapshot[CLOCKS[0]].CLOCK_CALENDAR, "value", None)
        #: How far intervals end from multiples of their length, as the newest block did.
        self._offset_s = 0
        if isinstance(end, datetime) and not end.second:
            self._offset_s = int(end.replace(tzinfo=UTC).timestamp()) % interval_s
        #: Seconds from the last end to where the next interval begins: what was not recorded
        #: since all blocks are unread, or how far the clock was set back.
        self._unrecorded_s = 0
        if isinstance(end, datetime) and isinstance(shown, datetime):
            self._unrecorded_s = self._stopped_for_s(end, shown)
        #: What is to be said of the interval that runs: common flags, and its channels' code.
        self._flags, self._code = 0, OK
        self._own_pulses = bool(snapshot[61].LP_FLAGS.get("BLK_END_RD_INDICATOR_FLAG"))
        self._images: dict[int, bytes] = {}
        self.energy = Energy()
        #: What was too little for a whole count, by channel: the next interval gets it.
        self._carried = [Fraction(0)] * len(self._channels)

    def _stopped_for_s(self, end: datetime, shown: datetime) -> int:
        """Give for how long the image's meter had not recorded, as all its blocks were unread."""
        status = self._status.LP_STATUS_SET1
        is_full = self._intervals <= status.NBR_VALID_INT
        is_unread = self._blocks <= status.NBR_UNREAD_BLOCKS
        inhibits = status.LP_SET_STATUS_FLAGS.BLOCK_INHIBIT_OVERFLOW_FLAG
        passed_s = max(0, int((shown - end).total_seconds()))
        return passed_s - passed_s % self.interval_s if is_full and is_unread and inhibits else 0

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Profile | None:
        """Give the profile, or None where it cannot run on."""
        try:
            actual, status = snapshot[61], snapshot[PROFILE_STATUS].LP_STATUS_SET1
            flags = status.LP_SET_STATUS_FLAGS
            blocks, intervals = actual.NBR_BLKS_SET1, actual.NBR_BLK_INTS_SET1
            fits = not flags.ORDER and not flags.INTERVAL_ORDER and status.NBR_VALID_BLOCKS
            inside = blocks > status.LAST_BLOCK_ELEMENT and intervals
            interval_s = actual.MAX_INT_TIME_SET1 * MINUTE_S
            if not (fits and inside and interval_s and PROFILE in snapshot.images):
                return None
            return cls(snapshot, interval_s, blocks, intervals)
        except (KeyError, AttributeError, TableError):
            return None

    def ends_at(self, shown_s: int) -> bool:
        """Tell whether an interval ends when the clock shows this."""
        return (shown_s - self._offset_s) % self.interval_s == 0

    def close(self, flown: Energy) -> None:
        """Record the interval that has ended; ``flown`` is all since the image."""
        flags, code = self._flags, self._code
        self._flags, self._code = 0, OK
        block = self._begin(flown)
        if block is None:
            self._unrecorded_s += self.interval_s
            self.energy = Energy()
            return
        index = self._status.LP_STATUS_SET1.NBR_VALID_INT
        if "SIMPLE_INT_STATUS" in block:
            block["SIMPLE_INT_STATUS"] = frozenset(block.SIMPLE_INT_STATUS) | {index}
        interval = block["LP_INT"][index]
        codes = [code] * len(self._channels)
        for number, channel in enumerate(self._channels):
            counts = self.energy.counts(channel.source, channel.factor) + self._carried[number]
            binary = isinstance(interval["INT_DATA"][number], float)
            value = float(counts) if binary else int(counts)
            self._carried[number] = counts - Fraction(value)
            if self._range is not None and value != (held := _held(value, self._range)):
                value, codes[number] = held, OVERFLOW
            interval["INT_DATA"][number] = value
        self._end(block, flags, codes, flown)
        self.energy = Energy()

    def _begin(self, flown: Energy) -> Any | None:
        """Give the block in which the next interval is, which ends it; None where none may be."""
        status = self._status.LP_STATUS_SET1
        end = self._data.LP_DATA_SET1[status.LAST_BLOCK_ELEMENT]["BLK_END_TIME"]
        moment = getattr(end, "value", end)
        if self._intervals <= status.NBR_VALID_INT:
            if self._is_stopped(status):
                return None
            self._next_block(status, flown)
        block = self._data.LP_DATA_SET1[status.LAST_BLOCK_ELEMENT]
        if isinstance(moment, datetime):
            with suppress(OverflowError):  # an end stands still where dates end
                moment += timedelta(seconds=self.interval_s + self._unrecorded_s)
            block["BLK_END_TIME"] = moment
            self._unrecorded_s = 0
        return block

    def _end(self, block: Any, flags: int, codes: Sequence[int], flown: Energy) -> None:
        """Tell of the interval that ``_begin`` began: a nibble for all channels, one for each."""
        status = self._status.LP_STATUS_SET1
        interval = block["LP_INT"][status.NBR_VALID_INT]
        if "EXTENDED_INT_STATUS" in interval:
            nibbles = [flags | self._common, *codes, 0]
            interval["EXTENDED_INT_STATUS"] = [
                {"HIGH_NIBBLE": nibbles[2 * octet], "LOW_NIBBLE": nibbles[2 * octet + 1]}
                for octet in range(len(interval["EXTENDED_INT_STATUS"]))
            ]
        self._read(block, flown)
        status["NBR_VALID_INT"] += 1
        for closure in block.get("CLOSURE_STATUS", ()):
            closure["NBR_VALID_INTERVALS"] = status.NBR_VALID_INT
        self._images.clear()

    def clock_set(self, old_s: int, new_s: int, flown: Energy) -> None:
        """Go on by the new time, and let the intervals tell of it as those of our meter do.

        Set within the running interval, that is partial or long.  Over its end, it ends: forward,
        the others are skipped; backward, what is left of the newest block is, so that a reader
        may count back in it.
        """
        if new_s == old_s:
            return
        new, old = ((at_s - self._offset_s) // self.interval_s for at_s in (new_s, old_s))
        passed, flag = new - old, CLOCK_FORWARD if new_s > old_s else CLOCK_BACKWARD
        is_long = self._code == LONG or (not passed and flag == CLOCK_BACKWARD)
        self._flags, self._code = self._flags | flag, LONG if is_long else PARTIAL
        if not passed:
            return
        self.close(flown)
        if passed > 0:
            self._skip_forward(passed - 1, flown)
        else:
            rest = max(0, self._intervals - self._status.LP_STATUS_SET1.NBR_VALID_INT)
            self._skip(rest, CLOCK_BACKWARD, flown)
            self._unrecorded_s += (passed - 1 - rest) * self.interval_s
        if not self.ends_at(new_s):
            self._flags, self._code = flag, PARTIAL

    def _skip_forward(self, count: int, flown: Energy) -> None:
        """Skip intervals; where what is unread may be lost, no more than are kept."""
        kept = count
        if not self._status.LP_STATUS_SET1.LP_SET_STATUS_FLAGS.BLOCK_INHIBIT_OVERFLOW_FLAG:
            kept = min(count, self._blocks * self._intervals + 1)
        self._unrecorded_s += (count - kept) * self.interval_s
        self._skip(kept, CLOCK_FORWARD, flown)

    def _skip(self, count: int, flag: int, flown: Energy) -> None:
        """Record intervals in which nothing was measured, until none may be recorded."""
        for left in range(count, 0, -1):
            block = self._begin(flown)
            if block is None:
                self._unrecorded_s += left * self.interval_s
                return
            interval = block["LP_INT"][self._status.LP_STATUS_SET1.NBR_VALID_INT]
            kept = interval["INT_DATA"]
            interval["INT_DATA"] = [0.0 if isinstance(value, float) else 0 for value in kept]
            self._end(block, flag, [SKIPPED] * len(self._channels), flown)

    def _read(self, block: Any, flown: Energy) -> None:
        """Give the block the readings at its end."""
        bases = zip(self._readings, self._read_of, self._channels, strict=True)
        for reading, (base, of, channel) in zip(block.END_READINGS, bases, strict=True):
            if "BLOCK_END_READ" in reading:
                counts = Fraction(0) if of is None else flown.counts(of)
                reading["BLOCK_END_READ"] = _plus(base.BLOCK_END_READ, counts)
            if "BLOCK_END_PULSE" in reading:
                pulses = base.BLOCK_END_PULSE + flown.counts(channel.source)
                reading["BLOCK_END_PULSE"] = int(pulses) % (1 << 32)

    def _is_stopped(self, status: Any) -> bool:
        """Tell whether no block may begin; where all are unread, the oldest is lost otherwise."""
        if self._blocks > status.NBR_UNREAD_BLOCKS:
            return False
        flags = status["LP_SET_STATUS_FLAGS"]
        flags["OVERFLOW_FLAG"] = 1
        self._images.clear()
        return bool(flags["BLOCK_INHIBIT_OVERFLOW_FLAG"])

    def _next_block(self, status: Any, flown: Energy) -> None:
        """Begin a block; where the oldest is the first element, all others move to make room."""
        element = status.LAST_BLOCK_ELEMENT + 1
        if element == self._blocks and not status.LP_SET_STATUS_FLAGS.LIST_TYPE:
            element -= 1
            self._data.LP_DATA_SET1.append(self._data.LP_DATA_SET1.pop(0))
        status["LAST_BLOCK_ELEMENT"] = element % self._blocks
        status["LAST_BLOCK_SEQ_NBR"] = (status.LAST_BLOCK_SEQ_NBR + 1) % (1 << 32)
        status["NBR_VALID_BLOCKS"] = min(status.NBR_VALID_BLOCKS + 1, self._blocks)
        status["NBR_UNREAD_BLOCKS"] = min(status.NBR_UNREAD_BLOCKS + 1, self._blocks)
        status["NBR_VALID_INT"] = 0
        block = self._data.LP_DATA_SET1[status.LAST_BLOCK_ELEMENT]
        if "SIMPLE_INT_STATUS" in block:
            block["SIMPLE_INT_STATUS"] = frozenset()
        for base, channel in zip(self._readings, self._channels, strict=True):
            if self._own_pulses and "BLOCK_END_PULSE" in base:
                before = flown.counts(channel.source) - self.energy.counts(channel.source)
                base["BLOCK_END_PULSE"] = -before

    def go_on_from(self, status: Any) -> None:
        """Take how many blocks are unread; where not all are, none is lost any more."""
        written, own = status.LP_STATUS_SET1.NBR_UNREAD_BLOCKS, self._status.LP_STATUS_SET1
        own["NBR_UNREAD_BLOCKS"] = min(written, self._blocks)
        if written < self._blocks:
            own["LP_SET_STATUS_FLAGS"]["OVERFLOW_FLAG"] = 0
        self._images.clear()

    def table(self, number: int) -> bytes:
        """Give ST-63 or ST-64 as it is now; both stand still where one cannot be written."""
        if not self._images:
            now = ((PROFILE_STATUS, self._status), (PROFILE, self._data))
            self._images = {n: self._snapshot.layout(n).encode(value) for n, value in now}
        return self._images[number]
