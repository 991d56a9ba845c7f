"""The load profile of an image that runs on: set 1, as its meter would have recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from ansi_tables import Record, Snapshot, TableError
from ansi_tables.meaning.channels import channel_sources
from ansi_tables.meaning.sources import source
from smartmeter.base.clock import MINUTE_S
from smartmeter.meter.flown_energy import Energy, added
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

CLOCK, PROFILE_STATUS, PROFILE = 52, 63, 64


class RunningProfile:
    """The load profile of set 1: ST-63 and ST-64, ascending, written as the meter would."""

    def __init__(self, snapshot: Snapshot, interval_s: int, blocks: int, intervals: int) -> None:
        self._snapshot = snapshot
        self.interval_s = interval_s
        self._blocks, self._intervals = blocks, intervals
        self._channels = channel_sources(snapshot)
        #: What an interval can hold, where its format is a binary integer.
        self._range = RANGES.get(snapshot[62].INT_FMT_CDE1)
        self._status = copied(snapshot[PROFILE_STATUS])
        self._data = copied(snapshot[PROFILE])
        #: The source of the reading at a block's end, by channel; None for a channel without one.
        self._read_of = [
            source(snapshot, one.END_BLK_RDG_SOURCE_SELECT) if one.CHNL_FLAG.END_RDG_FLAG else None
            for one in snapshot[62].LP_SEL_SET1
        ]
        newest = self._data.LP_DATA_SET1[self._status.LP_STATUS_SET1.LAST_BLOCK_ELEMENT]
        #: The readings of the image's newest block; what has flown since is added to them.
        self._readings = copied(newest.END_READINGS)
        #: What the common flags of all intervals say: the clock never changes over.
        qualifier = snapshot[CLOCK].get("TIME_DATE_QUAL", {})
        self._common = DST_IN_FORCE if qualifier.get("DST_FLAG") else 0
        end = getattr(newest.BLK_END_TIME, "value", None)
        shown = getattr(snapshot[CLOCK].CLOCK_CALENDAR, "value", None)
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
    def of(cls, snapshot: Snapshot) -> RunningProfile | None:
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
                reading["BLOCK_END_READ"] = added(base.BLOCK_END_READ, counts)
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


def _held(value: float, within: tuple[int, int]) -> float:
    """Give a value as near as a range lets it be."""
    low, high = within
    return max(low, min(value, high))


def copied(value: Any) -> Any:
    """Copy the records and lists of a decoded table, so that they can be changed.

    ``copy.deepcopy`` takes about ten times as long, as it copies the values in them too.
    """
    if isinstance(value, dict):
        return Record({name: copied(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value
