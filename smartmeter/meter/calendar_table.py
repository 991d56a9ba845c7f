"""The calendar of ST-54, compiled: what a date does, and which tier a minute of a day has.

RDATE codes and OFFSET: C12.19 types.  The codes of OFFSET have no public
source; this meter takes 0 as the date as given and refuses to act on others.
With OFFSET 0 the WEEKDAY of a yearly or monthly entry says nothing: the public
holidays of a real meter's calendar all have WEEKDAY 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from ansi_tables import Record
from ansi_tables.identifiers import DAYS_OF_WEEK
from ansi_tables.meaning.calendar import (
    FIRST_SEASON,
    FIRST_SPECIAL,
    MONTHLY,
    PERIODIC,
    WEEKLY,
)
from ansi_tables.meaning.daylight import DST_OFF, DST_ON, END_OF_LIST
from ansi_tables.times import YEARS

NO_SPECIAL = 15
#: Recurring dates come back within this many days.
YEAR_DAYS = 366


@dataclass(frozen=True)
class Action:
    """What a date entry asks for: CALENDAR_CTRL, and two flags."""

    control: int
    demand_reset: bool
    self_read: bool

    @property
    def season(self) -> int | None:
        """Give the season that begins, if one does."""
        number = self.control - FIRST_SEASON
        return number if 0 <= number < FIRST_SPECIAL - FIRST_SEASON else None

    @property
    def special(self) -> int | None:
        """Give the special schedule of the day, if it has one."""
        number = self.control - FIRST_SPECIAL
        return number if 0 <= number < END_OF_LIST - FIRST_SPECIAL else None


@dataclass(frozen=True)
class Switch:
    """One tier switch of a daily schedule, at a minute of the day."""

    minute: int
    tier: int
    summations: bool
    demands: bool


@dataclass(frozen=True)
class DayPlan:
    """ST-54: actions by date, switches by schedule id, and the matrix that chooses the schedule."""

    dates: Mapping[date, tuple[Action, ...]]
    recurring: tuple[tuple[Mapping[str, int], Action], ...]
    anchor: date | None
    switches: Mapping[int, tuple[Switch, ...]]
    matrix: tuple[Mapping[str, Any], ...]
    highest_tier: int

    def actions(self, day: date) -> list[Action]:
        """Give what a date does, in the order of the lists."""
        found = list(self.dates.get(day, ()))
        return found + [act for rule, act in self.recurring if matches(rule, day, self.anchor)]

    def schedule(self, day: date, season: int, special: int) -> tuple[Switch, ...]:
        """Give the tier switches of a date, in order of their minutes."""
        if season >= len(self.matrix):
            return ()
        row = self.matrix[season]
        if special < len(row["SPECIAL_SCHEDULE"]):
            number = row["SPECIAL_SCHEDULE"][special]
        else:
            name = DAYS_OF_WEEK[day.isoweekday() % 7]
            number = row[f"{name if f'{name}_SCHEDULE' in row else 'WEEKDAY'}_SCHEDULE"]
        return self.switches.get(number, ())

    def season_on(self, day: date) -> int:
        """Give the season that the calendar has on a date: that of the last season entry."""
        return next((a.season for a in self._back(day) if a.season is not None), 0)

    def last_dst(self, day: date) -> int | None:
        """Give the last daylight-saving action up to a date, that date included."""
        found = (a.control for a in self._back(day) if a.control in (DST_ON, DST_OFF))
        return next(found, None)

    def _back(self, day: date) -> list[Action]:
        """Give the actions of a year back from a date, latest first; then those long ago."""
        found: list[Action] = []
        for _ in range(YEAR_DAYS):
            found += reversed(self.actions(day))
            if day == date.min:
                break
            day -= timedelta(days=1)
        for old in sorted((d for d in self.dates if d <= day), reverse=True):
            found += reversed(self.dates[old])
        return found


def matches(rule: Mapping[str, int], day: date, anchor: date | None) -> bool:
    """Tell whether a recurring date (RDATE) falls on a day."""
    month = rule["MONTH"]
    if month == 0:
        return False
    if month == WEEKLY:
        return rule["WEEKDAY"] == day.isoweekday() % 7
    if month == PERIODIC:
        days = (day - anchor).days - rule["DELTA"] if anchor is not None else -1
        return rule["PERIOD"] > 0 and days >= 0 and days % rule["PERIOD"] == 0
    if rule["OFFSET"] or (month != MONTHLY and month != day.month):
        return False
    return rule["DAY"] == day.day


def _sunday_from(day: date) -> date:
    return day + timedelta(days=6 - day.weekday())


@lru_cache(maxsize=1)
def automatic_dst() -> tuple[tuple[date, Action], ...]:
    """Give what CAP_DST_AUTO_FLAG does without entries: the United States since 2007."""
    found: list[tuple[date, Action]] = []
    for year in range(2007, YEARS.stop):
        found.append((_sunday_from(date(year, 3, 8)), Action(DST_ON, False, False)))
        found.append((_sunday_from(date(year, 11, 1)), Action(DST_OFF, False, False)))
    return tuple(found)


def compile_calendar(dims: Record, table: Record) -> DayPlan:
    """Compile ST-54 under the flags of ST-51; entries that say nothing are left out."""
    anchor = table.get("ANCHOR_DATE")
    dates: dict[date, tuple[Action, ...]] = {}
    for entry in table.NON_RECURR_DATES:
        if entry.CALENDAR_ACTION.CALENDAR_CTRL == END_OF_LIST:
            break
        day = entry.NON_RECURR_DATE.value
        if day is not None:
            dates[day] = (*dates.get(day, ()), _action(entry.CALENDAR_ACTION))
    recurring: list[tuple[Mapping[str, int], Action]] = []
    for entry in table.RECURR_DATES:
        if entry.CALENDAR_ACTION.CALENDAR_CTRL == END_OF_LIST:
            break
        recurring.append((entry.RECURR_DATE, _action(entry.CALENDAR_ACTION)))
    if dims.TIME_FUNC_FLAG2.CAP_DST_AUTO_FLAG:
        for day, action in automatic_dst():
            dates[day] = (*dates.get(day, ()), action)
    switches = _switches(table, bool(dims.TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG))
    return DayPlan(
        dates,
        tuple(recurring),
        anchor.value if anchor is not None else None,
        switches,
        tuple(table.DAILY_SCHEDULE_ID_MATRIX),
        max((s.tier for group in switches.values() for s in group), default=0),
    )


def _switches(table: Record, separate: bool) -> dict[int, tuple[Switch, ...]]:
    switches: dict[int, list[Switch]] = {}
    for entry in table.TIER_SWITCHES:
        found = entry.TIER_SWITCH
        if found.SWITCH_HOUR > 23 or found.SWITCH_MIN > 59:
            continue
        switch = Switch(
            found.SWITCH_HOUR * 60 + found.SWITCH_MIN,
            found.NEW_TIER,
            not separate or bool(found.SUMMATION_SWITCH_FLAG),
            not separate or bool(found.DEMANDS_SWITCH_FLAG),
        )
        switches.setdefault(entry.DAY_SCH_NUM, []).append(switch)
    return {n: tuple(sorted(group, key=lambda s: s.minute)) for n, group in switches.items()}


def _action(found: Record) -> Action:
    reset, read = bool(found.DEMAND_RESET_FLAG), bool(found.SELF_READ_FLAG)
    return Action(found.CALENDAR_CTRL, reset, read)


def tiers_at(plan: tuple[Switch, ...], minute: int, before: tuple[int, int]) -> tuple[int, int]:
    """Give the tiers (summation, demand) at a minute of a day; ``before`` is what went on."""
    summation, demand = before
    for switch in plan[: bisect_right([s.minute for s in plan], minute)]:
        summation = switch.tier if switch.summations else summation
        demand = switch.tier if switch.demands else demand
    return summation, demand
