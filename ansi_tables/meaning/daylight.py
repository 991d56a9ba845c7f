"""When daylight saving begins and ends, by the dates of ST-54 and the hours of ST-53.

CALENDAR_CTRL 1 switches it on, 2 off, 31 ends a list; a change happens at
DST_TIME_EFF, the change back at STD_TIME_EFF where ST-53 has that member; both
are in the wall time that they end.  Of two changes on one date the last in the
lists counts, which is a choice.  RDATE rules with OFFSET 0 are dates of every
year; the codes of other offsets are not public, so such a calendar tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from ansi_tables.values import Record

#: CALENDAR_CTRL.
DST_ON, DST_OFF, END_OF_LIST = 1, 2, 31
#: RDATE MONTH codes of a date that comes every year.
_MONTHS = range(1, 13)


@dataclass(frozen=True)
class DaylightDates:
    """``yearly``: (month, day, on); ``once``: (date, on); hours of the changes in wall time."""

    yearly: tuple[tuple[int, int, bool], ...] = ()
    once: tuple[tuple[date, bool], ...] = ()
    on_at: time = time(0)
    off_at: time = time(0)

    def in_force(self, at: datetime, shift_min: int = 0) -> bool | None:
        """Tell whether it is in force at a wall time; None when no change is known.

        With ``shift_min``, ``at`` is standard time, in which the change back
        comes that much earlier.  Of an hour that comes twice the first is meant.
        """
        shift = timedelta(minutes=shift_min)
        changes = [
            (moment if on else moment - shift, on)
            for year in (at.year - 1, at.year, at.year + 1)
            for moment, on in _changes(self, year)
        ]
        before = [change for change in changes if change[0] <= at]
        if before:
            return max(before)[1]
        # Before the first change that is known, it was the other way round.
        return not min(changes)[1] if changes else None

    def changes(self, first_year: int, last_year: int) -> list[tuple[datetime, bool]]:
        """Give the changes of these years as (wall time that ends there, on), in order."""
        years = range(first_year, last_year + 1)
        return sorted(change for year in years for change in _changes(self, year))


NO_CHANGES = DaylightDates()


@lru_cache(maxsize=1024)
def _changes(dates: DaylightDates, year: int) -> tuple[tuple[datetime, bool], ...]:
    """Give the changes of one year as (wall time, on)."""
    found = {day: on for day, on in dates.once if day.year == year}
    for month, number, on in dates.yearly:
        with suppress(ValueError):  # 29 February, or a year beyond the calendar
            found[date(year, month, number)] = on
    return tuple(
        (datetime.combine(day, dates.on_at if on else dates.off_at), on)
        for day, on in found.items()
    )


def daylight_dates(calendar: Record | None, offsets: Record | None) -> DaylightDates:
    """Give the dates of ST-54 with the hours of ST-53; NO_CHANGES when they do not tell."""
    if calendar is None:
        return NO_CHANGES
    yearly: list[tuple[int, int, bool]] = []
    for entry, action in _until_end(calendar.RECURR_DATES, "RECURR_DATE"):
        if entry.MONTH not in _MONTHS or entry.OFFSET:
            return NO_CHANGES
        yearly.append((entry.MONTH, entry.DAY, action == DST_ON))
    once = [
        (entry.value, action == DST_ON)
        for entry, action in _until_end(calendar.NON_RECURR_DATES, "NON_RECURR_DATE")
        if isinstance(entry.value, date)
    ]
    if not yearly and not once:
        return NO_CHANGES  # hours without a date tell nothing
    on_at = _time_of(offsets, "DST_TIME_EFF")
    back = "STD_TIME_EFF" if offsets is not None and "STD_TIME_EFF" in offsets else "DST_TIME_EFF"
    return DaylightDates(tuple(yearly), tuple(once), on_at, _time_of(offsets, back))


def _until_end(entries: list[Record], name: str) -> Iterator[tuple[Any, int]]:
    """Give the entries that switch daylight saving, up to the end of the list."""
    for entry in entries:
        action = entry.CALENDAR_ACTION.CALENDAR_CTRL
        if action == END_OF_LIST:
            return
        if action in (DST_ON, DST_OFF):
            yield entry[name], action


def _time_of(offsets: Record | None, name: str) -> time:
    value = None if offsets is None else offsets[name].value
    return value if isinstance(value, time) else time(0)
