"""The calendar of ST-54 in words: dates that do something, daily schedules, and the matrix.

CALENDAR_CTRL and RDATE as in the public sources.  OFFSET 0 is the date as given,
whatever WEEKDAY says: a real meter's public holidays have OFFSET 0 and WEEKDAY 0.
The other codes of OFFSET are not public and told by their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ansi_tables.identifiers import DAYS_OF_WEEK
from ansi_tables.meaning.daylight import DST_OFF, DST_ON, END_OF_LIST
from ansi_tables.values import Record, TableTime

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
#: CALENDAR_CTRL of the first season and of the first special schedule.
FIRST_SEASON, FIRST_SPECIAL = 3, 19
#: RDATE.MONTH of what comes back otherwise than once a year.
MONTHLY, WEEKLY, PERIODIC = 13, 14, 15


@dataclass(frozen=True)
class CalendarDate:
    """One entry of ST-54: when, and what happens then, in words; ``path`` is the entry."""

    when: str
    action: str
    path: str


@dataclass(frozen=True)
class TierSwitch:
    """A tier that begins at a minute of the day; ``kind`` is what it switches."""

    minute: int
    tier: int
    kind: str = ""

    def __str__(self) -> str:
        """Give time and tier: "14:00 tier 1"."""
        kind = f" {self.kind}" if self.kind else ""
        return f"{self.minute // 60:02d}:{self.minute % 60:02d} tier {self.tier}{kind}"


@dataclass(frozen=True)
class Calendar:
    """ST-54: ``dates`` up to the end of each list, ``schedules`` by their id, switches in order.

    ``seasons`` has for each season the schedule of each kind of day:
    ``{"SATURDAY": 0, "SUNDAY": 0, "WEEKDAY": 1, "special 0": 2}``.
    """

    dates: tuple[CalendarDate, ...]
    schedules: Mapping[int, tuple[TierSwitch, ...]]
    seasons: tuple[Mapping[str, int], ...]


def calendar(tables: Snapshot) -> Calendar:
    """Give the calendar; MissingContextError when ST-54 was not read."""
    record = tables.require(54)
    dates = [
        *_dates(record.NON_RECURR_DATES, "NON_RECURR_DATES", "NON_RECURR_DATE"),
        *_dates(record.RECURR_DATES, "RECURR_DATES", "RECURR_DATE"),
    ]
    used = {number for row in record.DAILY_SCHEDULE_ID_MATRIX for number in _row(row).values()}
    schedules: dict[int, list[TierSwitch]] = {number: [] for number in sorted(used)}
    for entry in record.TIER_SWITCHES:
        # Entries that no season's day uses are free: all ones in one real meter.
        if entry.DAY_SCH_NUM in schedules:
            schedules[entry.DAY_SCH_NUM].append(_switch(entry.TIER_SWITCH))
    return Calendar(
        tuple(dates),
        {
            number: tuple(sorted(found, key=lambda one: one.minute))
            for number, found in schedules.items()
        },
        tuple(_row(row) for row in record.DAILY_SCHEDULE_ID_MATRIX),
    )


def _dates(entries: list[Record], array: str, name: str) -> Iterator[CalendarDate]:
    for index, entry in enumerate(entries):
        action = entry.CALENDAR_ACTION
        if action.CALENDAR_CTRL == END_OF_LIST:
            return
        when, what = date_text(entry[name]), action_text(action)
        if when and what:
            yield CalendarDate(when, what, f"{array}.{index}")


def date_text(value: TableTime | Record) -> str:
    """Give a DATE or RDATE in words; empty for an entry that is not used."""
    if isinstance(value, TableTime):
        return value.value.isoformat() if isinstance(value.value, date) else ""
    code = value.MONTH
    if code == 0:
        return ""
    if code == WEEKLY:
        return f"every {_weekday(value.WEEKDAY)}"
    if code == PERIODIC:
        return f"every {value.PERIOD} days, {value.DELTA} days after the anchor date"
    offset = f", offset code {value.OFFSET} to {_weekday(value.WEEKDAY)}" if value.OFFSET else ""
    if code == MONTHLY:
        return f"day {value.DAY} of every month{offset}"
    return f"{value.DAY} {_MONTHS[code - 1]} of every year{offset}"


def _weekday(code: int) -> str:
    return DAYS_OF_WEEK[code].capitalize() if code < len(DAYS_OF_WEEK) else "no weekday"


def action_text(action: Record) -> str:
    """Give what happens on a date: "season 2, demand reset"; empty for nothing."""
    code, parts = action.CALENDAR_CTRL, []
    if code == DST_ON:
        parts.append("daylight saving begins")
    elif code == DST_OFF:
        parts.append("daylight saving ends")
    elif FIRST_SEASON <= code < FIRST_SPECIAL:
        parts.append(f"season {code - FIRST_SEASON}")
    elif FIRST_SPECIAL <= code < END_OF_LIST:
        parts.append(f"special day {code - FIRST_SPECIAL}")
    parts += ["demand reset"] if action.DEMAND_RESET_FLAG else []
    parts += ["self-read"] if action.SELF_READ_FLAG else []
    return ", ".join(parts)


def _switch(switch: Record) -> TierSwitch:
    flags = ("SUMMATION_SWITCH_FLAG", "DEMANDS_SWITCH_FLAG")
    kinds = [name.partition("_")[0].lower() for name in flags if switch.get(name)]
    kind = "" if len(kinds) != 1 else f"of {kinds[0].removesuffix('s')}s"
    return TierSwitch(switch.SWITCH_HOUR * 60 + switch.SWITCH_MIN, switch.NEW_TIER, kind)


def _row(row: Record) -> dict[str, int]:
    days = {
        name.removesuffix("_SCHEDULE"): number
        for name, number in row.items()
        if isinstance(number, int)
    }
    return days | {f"special {k}": number for k, number in enumerate(row.SPECIAL_SCHEDULE)}
