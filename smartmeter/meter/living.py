"""Let an image run on: its clock goes, its registers count, its load profile is recorded.

The load is that of a seeded house; what flows is counted in the units and number formats that
the image itself declares.  What the image does not tell stands still: registers whose unit is
not known, demands, apparent energy, a profile in descending order or of another set than 1,
and everything in a meter without a clock but its registers.  Energies are whole watt-seconds.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ansi_tables import Record, Snapshot, TableError
from ansi_tables.meaning.registers import Kind
from smartmeter.base.clock import HOUR_S, MINUTE_S, US_PER_S, Calendar
from smartmeter.meter.flown_energy import Energy, added
from smartmeter.meter.image import MeterImage
from smartmeter.meter.living_profile import CLOCK, PROFILE, PROFILE_STATUS, RunningProfile, copied
from smartmeter.meter.loads import flow_at

CLOCKS = (CLOCK, 55, 57)
REGISTERS = 23
#: Why a table stands still; the last is where dates end.
_STANDSTILL = (TableError, KeyError, OverflowError)


class RunningOn:
    """An image that runs on from an instant of a calendar."""

    def __init__(self, image: MeterImage, calendar: Calendar, seed: int, now_us: int) -> None:
        self._snapshot = Snapshot(image.tables)
        self._calendar = calendar
        self._seed = seed
        self._start_us = self._utc_us(now_us)
        self._clock = self._shown_clock()
        self._energy, self._done_s = Energy(), 0
        self._profile = RunningProfile.of(self._snapshot) if self._clock else None

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
        except _STANDSTILL:
            return None  # a count beyond its field, or a table that does not decode, stands still
        return None

    def deadline_us(self) -> int:
        """Give when an hour has passed at which nobody looked.

        A fast calendar would make the next look long, if all had to be made up for then.
        """
        return self._calendar.deadline_us(self._start_us + (self._done_s + HOUR_S) * US_PER_S)

    def expire(self, now_us: int) -> None:
        """Let one hour that has passed flow, whether anybody looks or not.

        No more at once, however far behind the image is: other meters have their turn between.
        """
        with suppress(*_STANDSTILL):  # as for one who looks
            self._advance(min(self._elapsed_s(now_us), self._done_s + HOUR_S))

    def go_on_from(self, table: int, image: bytes, now_us: int) -> None:
        """Take the clock, or the marks of what was read, from an image that was written."""
        try:
            record = self._snapshot.layout(table).decode(image)
        except TableError:
            return  # it is shown until it runs on
        shown = record.get("CLOCK_CALENDAR") if table == CLOCK else None
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
            shown = self._snapshot[CLOCK].CLOCK_CALENDAR.value
        except (KeyError, AttributeError, TableError):
            return None
        return shown if isinstance(shown, datetime) else None

    def _clock_table(self, table: int, elapsed_s: int) -> bytes | None:
        if self._clock is None:
            return None
        return clock_showing(self._snapshot, table, self._clock + timedelta(seconds=elapsed_s))

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
        record = copied(self._snapshot[REGISTERS])
        tier = self._tier(record)
        for register in self._snapshot.registers():
            if register.kind is not Kind.SUMMATION or register.tier is not None:
                continue
            counts = self._energy.counts(register.source)
            blocks = [record["TOT_DATA_BLOCK"]]
            blocks += [record["TIER_DATA_BLOCK"][tier]] if tier is not None else []
            for block in blocks:
                values = block["SUMMATIONS"]
                values[register.index] = added(values[register.index], counts)
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


def clock_showing(tables: Snapshot, number: int, moment: datetime) -> bytes:
    """Give a table of the clock as it shows a time, with the day of the week."""
    record = Record(tables[number])
    record["CLOCK_CALENDAR"] = moment
    weekday = moment.isoweekday() % 7
    record["TIME_DATE_QUAL"] = {**record.TIME_DATE_QUAL, "DAY_OF_WEEK": weekday}
    return tables.layout(number).encode(record)
