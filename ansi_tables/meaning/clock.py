"""From the times that a meter stores to instants: ST-52 or ST-55, ST-53 and ST-54.

The qualifier of ST-52 says what CLOCK_CALENDAR already contains, ST-53 how far
the zone and daylight saving move it, ST-54 on which dates daylight saving
begins and ends.  The bits agree in two public sources; the arithmetic is from
memory of the standard: UTC = clock, less the zone if applied, less daylight
saving if applied and in force.  Stored times (of demands, events, blocks) are
on the base of the clock.

Counts of TM_FORMAT 3 and 4 are UTC by the letter; one family of meters sends
local time there.  ``Snapshot(images, times=TimesOverride(...))`` corrects a
meter that does not keep to this, or does not tell its zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from ansi_tables.meaning.daylight import NO_CHANGES, DaylightDates, daylight_dates
from ansi_tables.values import Record, TableTime

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

#: No zone on earth is further from UTC; a meter that says so has no zone.
MAX_ZONE_MIN = 14 * 60


@dataclass(frozen=True)
class TimesOverride:
    """What a person knows better than the meter: None leaves it to the meter.

    ``zone_min`` is minutes east of UTC of standard time, ``dst_min`` the shift
    of daylight saving.  With ``local`` the stored times are local, TM_FORMAT 3
    and 4 included; without it they are UTC.
    """

    zone_min: int | None = None
    dst_min: int | None = None
    local: bool | None = None


@dataclass(frozen=True)
class ClockRules:
    """How the stored times of one meter become instants.

    ``zone_min``, ``dst_min``: minutes; ``zone_applied``, ``dst_applied``: the
    stored times contain them; ``dst_now``: ST-52 says that daylight saving is in
    force; ``note`` says what had to be assumed, empty for nothing.
    """

    zone_min: int = 0
    dst_min: int = 0
    zone_applied: bool = False
    dst_applied: bool = False
    counts_are_utc: bool = True
    dates: DaylightDates = NO_CHANGES
    dst_now: bool = False
    note: str = ""

    @property
    def tells_only_now(self) -> bool:
        """Tell whether ST-52 tells of daylight saving now, and ST-54 has no dates of it."""
        return self.dst_applied and self.dst_min != 0 and self.dates == NO_CHANGES

    def moment(self, stored: TableTime | None, dst: bool | None = None) -> datetime | None:
        """Give a stored date and time as an aware datetime in the meter's own zone.

        ``dst`` is what the meter says of daylight saving at that time, if it
        does (interval status); else ST-54 and ST-52 tell.  An hour that comes
        twice is taken as the first.  None for a time that is not set.
        """
        value = None if stored is None else stored.value
        if not isinstance(value, datetime):
            return None
        try:
            if value.tzinfo is not None and self.counts_are_utc:
                return self.local(value)
            wall = value.replace(tzinfo=None)
            shift_min = self.zone_min if self.zone_applied else 0
            if self.dst_applied:
                dst = self._in_force(self._civil(wall), 0) if dst is None else dst
                shift_min += self.dst_min if dst else 0
            return self.local((wall - timedelta(minutes=shift_min)).replace(tzinfo=UTC), dst)
        except OverflowError:  # at the ends of the calendar
            return None

    def utc_s(self, stored: TableTime | None, dst: bool | None = None) -> int | None:
        """Give a stored time as UTC seconds since 1970."""
        moment = self.moment(stored, dst)
        return None if moment is None else int(moment.timestamp())

    def comes_twice(self, stored: TableTime) -> bool:
        """Tell whether a stored time is of the hour that comes twice when daylight saving ends."""
        value = stored.value
        if not self.dst_applied or not isinstance(value, datetime):
            return False
        if value.tzinfo is not None and self.counts_are_utc:
            return False
        civil = self._civil(value.replace(tzinfo=None))
        return self._in_force(civil, 0) and not self._in_force(civil, self.dst_min)

    def _civil(self, wall: datetime) -> datetime:
        """Give the civil time of a stored one that contains daylight saving, where it applies."""
        return wall if self.zone_applied else wall + timedelta(minutes=self.zone_min)

    def local(self, utc: datetime, dst: bool | None = None) -> datetime:
        """Give an instant in the meter's civil time, with its offset at that instant."""
        if dst is None:
            standard = utc.replace(tzinfo=None) + timedelta(minutes=self.zone_min)
            dst = self._in_force(standard, self.dst_min)
        east_min = self.zone_min + (self.dst_min if dst else 0)
        return utc.astimezone(timezone(timedelta(minutes=east_min)) if east_min else UTC)

    def _in_force(self, at: datetime, shift_min: int) -> bool:
        computed = self.dates.in_force(at, shift_min)
        return self.dst_now if computed is None else computed


@dataclass(frozen=True)
class MeterClock:
    """What the clock showed when ST-52 or ST-55 was read: ``now`` aware, None when not set."""

    now: datetime | None
    rules: ClockRules


def clock(tables: Snapshot) -> MeterClock:
    """Give the clock of a snapshot; MissingContextError when neither ST-52 nor ST-55 is there."""
    record = tables.get(52) or tables.get(55) or tables.require(52)
    rules = clock_rules(tables)
    now = rules.moment(record.CLOCK_CALENDAR, bool(record.TIME_DATE_QUAL.DST_FLAG))
    return MeterClock(now, rules)


def clock_rules(tables: Snapshot) -> ClockRules:
    """Give the rules of a meter from as many of ST-52 to ST-55 as were read."""
    known, offsets = tables.times, tables.get(53)
    record = tables.get(52) or tables.get(55)
    flags = Record() if record is None else record.TIME_DATE_QUAL
    zone = known.zone_min
    if zone is None and offsets is not None:
        zone = offsets.get("TIME_ZONE_OFFSET")
    if not isinstance(zone, int) or abs(zone) > MAX_ZONE_MIN:
        zone = None
    dst_min = known.dst_min
    if dst_min is None:
        dst_min = 0 if offsets is None else int(offsets.DST_TIME_AMT)
    local, dates = known.local, daylight_dates(tables.get(54), offsets)
    zone_applied = bool(flags.get("TM_ZN_APPLIED_FLAG")) if local is None else local
    dst_applied = bool(flags.get("DST_APPLIED_FLAG")) if local is None else local
    rules = ClockRules(
        zone or 0,
        dst_min,
        zone_applied,
        dst_applied,
        counts_are_utc=not local,
        dates=dates,
        dst_now=bool(flags.get("DST_FLAG")),
    )
    if record is None and local is None:
        note = "neither ST-52 nor ST-55 was read: times are taken as UTC"
    elif zone is None and not flags.get("GMT_FLAG"):
        note = "the meter does not tell its zone: its times are taken as UTC"
    elif rules.tells_only_now:
        note = "ST-54 has no dates of daylight saving: that of now is taken for all times"
    else:
        return rules
    return replace(rules, note=note)
