"""The meter's clock: calendar time, zone and daylight saving, and how ST-52 shows them.

Inside the meter time is UTC.  What tables show follows the qualifier of ST-52:
the zone is in CLOCK_CALENDAR when TM_ZN_APPLIED_FLAG is set, daylight saving
when DST_APPLIED_FLAG is.  TM_FORMAT 3 and 4 count from 1970 UTC by definition,
and a device of these formats applies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from ansi_tables import DeviceFormat, Record
from ansi_tables.times import SIZES, YEARS, encode_time, time_value
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.meter.program import Program

QUALIFIER_BITS = {
    "DST_FLAG": 3,
    "GMT_FLAG": 4,
    "TM_ZN_APPLIED_FLAG": 5,
    "DST_APPLIED_FLAG": 6,
    "DST_SUPPORTED_FLAG": 7,
}
_EPOCH = datetime(1970, 1, 1)
#: YEAR, MONTH and DAY, before the octets of the time (TM_FORMAT 1 and 2).
DATE_OCTETS = 3


class Clock:
    """Calendar time as the program and the state of daylight saving show it.

    ``applied`` holds the names of the qualifier's bits that are set for good.
    """

    def __init__(self, calendar: Calendar, program: Program, applied: frozenset[str]) -> None:
        self.calendar = calendar
        self.applied = applied
        self.dst_on = False
        self.use(program)

    def use(self, program: Program) -> None:
        """Take zone and daylight saving from a program."""
        self._counts_utc = program.formats.tm_format in (3, 4)
        self.runs = program.formats.tm_format != 0
        self.zone_s = program.zone_min * 60
        self._dst_s = program.dst_min * 60

    def utc_us(self, now_us: int) -> int:
        """Give calendar time in microseconds since 1970 UTC."""
        utc_us = self.calendar.utc_us(now_us)
        assert utc_us is not None, "a meter has a clock from the factory"
        return utc_us

    def utc_s(self, now_us: int) -> int:
        """Give calendar time in seconds since 1970 UTC."""
        return self.utc_us(now_us) // US_PER_S

    @property
    def offset_s(self) -> int:
        """Give what is added to UTC for the civil time of the place, now."""
        return self.zone_s + (self._dst_s if self.dst_on else 0)

    def after_boundary_us(self, length_s: int, utc_us: int) -> int:
        """Give how long ago an interval of this length ended, in local standard time."""
        return (utc_us + self.zone_s * US_PER_S) % (length_s * US_PER_S)

    def local(self, utc_s: int) -> datetime:
        """Give civil time."""
        return _EPOCH + timedelta(seconds=utc_s + self.offset_s)

    def stamp(self, utc_s: int) -> int:
        """Give an instant as the clock shows it now, in seconds: what is kept with a record."""
        return utc_s + self._shift_s()

    def moment(self, stamp: int) -> datetime | None:
        """Give a stamp as a date of a table; 0 is a time that is not set.

        A date beyond what a table can hold turns over, as that of a device does:
        years of two digits after 2089, counts after 32 bits.
        """
        if not stamp:
            return None
        if self._counts_utc:
            return (_EPOCH + timedelta(seconds=stamp % (1 << 32))).replace(tzinfo=UTC)
        moment = _EPOCH + timedelta(seconds=stamp)
        return moment.replace(year=YEARS[(moment.year - YEARS.start) % len(YEARS)])

    def shown(self, utc_us: int) -> datetime | None:
        """Give an instant as tables show it now, with its fraction of a second."""
        utc_s, fraction_us = divmod(utc_us, US_PER_S)
        moment = self.moment(self.stamp(utc_s))
        return None if moment is None else moment.replace(microsecond=fraction_us)

    def instant_of(self, stamp: int) -> int:
        """Give the UTC seconds of a stamp, by what the clock applies now."""
        return stamp - self._shift_s()

    def _shift_s(self) -> int:
        if self._counts_utc:
            return 0
        zone = self.zone_s if "TM_ZN_APPLIED_FLAG" in self.applied else 0
        saving = "DST_APPLIED_FLAG" in self.applied and self.dst_on
        return zone + (self._dst_s if saving else 0)

    def to_json(self) -> dict[str, Any]:
        """Give for non-volatile memory what is applied, and how the calendar was set."""
        return {"applied": sorted(self.applied), "moved_us": self.calendar.moved_us}

    def restore(self, state: Mapping[str, Any], now_us: int) -> None:
        """Take it back: the battery has kept a clock that was set; what was not saved is undone.

        The host gives a calendar that was never set (a new process) or the one that ran on.
        """
        self.applied = frozenset(state["applied"])
        moved_us = state["moved_us"] - self.calendar.moved_us
        if moved_us:
            self.calendar.set(self.utc_us(now_us) + moved_us, now_us)

    def table(self, utc_s: int) -> Mapping[str, object]:
        """Give ST-52."""
        moment = self.moment(self.stamp(utc_s))
        assert moment is not None
        qualifier = {name: int(name in self.applied) for name in QUALIFIER_BITS}
        qualifier |= {"DAY_OF_WEEK": moment.isoweekday() % 7, "DST_FLAG": int(self.dst_on)}
        return {"CLOCK_CALENDAR": moment, "TIME_DATE_QUAL": qualifier}


def stamp_of(shown: datetime) -> int:
    """Give a time as tables show it as a stamp."""
    bare = shown.astimezone(UTC).replace(tzinfo=None) if shown.tzinfo else shown
    return int((bare - _EPOCH).total_seconds())


def asked_for(given: Record, before: datetime, formats: DeviceFormat) -> datetime | None:
    """Give what SET_DATE_TIME wants the clock to show: date, time, both or neither set anew.

    The part that is not asked for may hold anything, also no date at all, where each
    part has octets of its own.  None for what is in no calendar.
    """
    mask, sent = given.SET_MASK, given.DATE_TIME
    if not (mask.SET_DATE_FLAG or mask.SET_TIME_FLAG):
        return before
    found = sent.value
    if formats.tm_format in (1, 2):
        kind = "HTIME_DATE" if len(sent.raw) == SIZES["HTIME_DATE"][1] else "LTIME_DATE"
        shape = formats.tm_format, formats.data_order
        kept = encode_time(kind, before, *shape)
        date_of = sent.raw if mask.SET_DATE_FLAG else kept
        time_of = sent.raw if mask.SET_TIME_FLAG else kept
        found = time_value(kind, date_of[:DATE_OCTETS] + time_of[DATE_OCTETS:], *shape)
    if not isinstance(found, datetime):
        return None
    day = found if mask.SET_DATE_FLAG else before
    hour = found if mask.SET_TIME_FLAG else before
    return datetime.combine(day, hour.timetz())


def seconds_of(value: object) -> int:
    """Give a TIME of a table as seconds of the day; one that is not set is midnight."""
    found = getattr(value, "value", value)
    if isinstance(found, time):
        return found.hour * 3600 + found.minute * 60 + found.second
    return 0
