"""Time of use for the reference model: dates, seasons, special days, tiers, by looking them up.

Times are UTC seconds of the meter's own clock.
"""

from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ansi_tables import Snapshot

EPOCH = datetime(1970, 1, 1)
DAY = timedelta(days=1)
DST_ON, DST_OFF, NO_SPECIAL = 1, 2, 15
WEEK = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
#: Days to look back for the last entry of a kind.
BACK_DAYS = 2000

#: CALENDAR_CTRL, demand reset, self-read.
Action = tuple[int, bool, bool]


@dataclass
class Asked:
    """What a step of the calendar asks for."""

    season: int | None = None
    again: bool = False
    reset: bool = False
    read: bool = False
    special: int | None = None
    dst: bool | None = None
    midnight: bool = False


class ReferenceCalendar:
    """What is in force, and what the dates ask for."""

    def __init__(self, tables: Snapshot, applied: frozenset[str]) -> None:
        self.applied = applied
        self.dst = self.season = 0
        self.armed: int | None = None
        self.special = NO_SPECIAL
        self.done = self.acted = date.min
        self.carried = self.in_force = (0, 0)
        self.use(tables)

    def use(self, tables: Snapshot) -> None:
        self.table = tables.get(54)
        self._read: dict[date, list[Action]] = {}
        self.flags1 = tables[51].TIME_FUNC_FLAG1 if 51 in tables else {}
        self.flags2 = tables[51].TIME_FUNC_FLAG2 if 51 in tables else {}
        offset = tables.get(53) or {}
        self.counts_utc = tables[0].FORMAT_CONTROL_2.TM_FORMAT in (3, 4)
        zone = offset.get("TIME_ZONE_OFFSET", 0)
        self.zone = 60 * (zone if isinstance(zone, int) else 0)
        self.dst_s = 60 * offset.get("DST_TIME_AMT", 0)
        begins = _seconds(offset.get("DST_TIME_EFF"))
        ends = offset.get("STD_TIME_EFF")
        self.hours = {DST_ON: begins, DST_OFF: begins if ends is None else _seconds(ends)}

    def local(self, utc_s: int) -> datetime:
        return EPOCH + timedelta(seconds=utc_s + self.zone + self.dst_s * self.dst)

    def shown(self, utc_s: int) -> datetime:
        """Give a time as tables show it: with what the qualifier of ST-52 says is applied."""
        if self.counts_utc:
            return EPOCH + timedelta(seconds=utc_s)
        zone = self.zone if "TM_ZN_APPLIED_FLAG" in self.applied else 0
        saving = self.dst_s * self.dst if "DST_APPLIED_FLAG" in self.applied else 0
        return EPOCH + timedelta(seconds=utc_s + zone + saving)

    def shown_then(self, utc_s: int) -> datetime:
        """Give a time as tables will show it, with the daylight saving of that time."""
        then = copy(self)
        then.begin(utc_s)
        return then.shown(utc_s)

    def instant_of(self, shown: datetime) -> int:
        """Give when the clock shows this: the time with daylight saving as now, if there is one."""
        seconds = int((shown - self.shown(0)).total_seconds())
        if self.shown_then(seconds) == shown:
            return seconds
        other = copy(self)
        other.dst = 1 - self.dst
        return int((shown - other.shown(0)).total_seconds())

    # Dates.

    def actions(self, day: date) -> list[Action]:
        """Give what a date asks for; the lists are read once a date."""
        if day not in self._read:
            self._read[day] = self._actions(day) if self.table is not None else []
        return self._read[day]

    def _actions(self, day: date) -> list[Action]:
        found: list[Any] = []
        for entry in self.table.NON_RECURR_DATES:
            if entry.CALENDAR_ACTION.CALENDAR_CTRL == 31:
                break
            if entry.NON_RECURR_DATE.value == day:
                found.append(_action(entry))
        for month, first, control in ((3, 8, DST_ON), (11, 1, DST_OFF)):
            sunday = day.weekday() == 6 and day.month == month and first <= day.day < first + 7
            if self.flags2["CAP_DST_AUTO_FLAG"] and sunday:
                found.append((control, False, False))
        anchor = self.table.get("ANCHOR_DATE")
        for entry in self.table.RECURR_DATES:
            if entry.CALENDAR_ACTION.CALENDAR_CTRL == 31:
                break
            if _falls(entry.RECURR_DATE, day, anchor.value if anchor is not None else None):
                found.append(_action(entry))
        return found

    def _last(self, day: date, low: int, high: int) -> int | None:
        """Give the last control between two codes, on a day or before it."""
        for back in range(BACK_DAYS):
            for control, _, _ in reversed(self.actions(day - back * DAY)):
                if low <= control <= high:
                    return control
        return None

    def begin(self, utc_s: int) -> None:
        """Take season, daylight saving and tier that the calendar has at this time."""
        self.dst, self.armed, self.special = 0, None, NO_SPECIAL
        for _ in range(2):  # summer time may bring the next date
            self.dst = int(self._last(self.local(utc_s).date() - DAY, 1, 2) == DST_ON)
        self._switch(utc_s)
        today = self.local(utc_s).date()
        self.season = self.by_dates(today)
        self.special = self._special(today)
        self.done = today
        self.acted = today if self.acted - today > DAY else self.acted
        yesterday = today - DAY
        plan = self._schedule(yesterday, self.by_dates(yesterday), self._special(yesterday))
        self.carried = self._tiers(plan, 24 * 60, (0, 0))

    def by_dates(self, day: date) -> int:
        """Give the season that the dates of the calendar have for a day."""
        return (self._last(day, 3, 18) or 3) - 3

    def _special(self, day: date) -> int:
        found = [control - 19 for control, _, _ in self.actions(day) if 19 <= control <= 30]
        return found[-1] if found else NO_SPECIAL

    def _switch(self, utc_s: int) -> bool | None:
        """Let daylight saving begin or end when its hour has come."""
        local = self.local(utc_s)
        at_s = local.hour * 3600 + local.minute * 60 + local.second
        control = self.daylight(local.date())
        if control in (None, DST_ON if self.dst else DST_OFF) or at_s < self.hours[control]:
            return None
        self.dst = int(control == DST_ON)
        return bool(self.dst)

    def daylight(self, day: date) -> Any:
        """Give what a date does to daylight saving: the last word counts; None for nothing."""
        words = [control for control, _, _ in self.actions(day) if control in (DST_ON, DST_OFF)]
        return words[-1] if words else None

    def step(self, utc_s: int) -> Asked:
        """Do what the dates up to now have, each once."""
        today, asked = self.local(utc_s).date(), Asked()
        asked.midnight = today > self.done and today > self.acted
        if today > self.done:
            self.carried = self.in_force
        while self.done < today:
            self.done += DAY
            self.special = self._special(self.done)
            for control, reset, read in self.actions(self.done):
                if 3 <= control <= 18:
                    asked.season, asked.again = control - 3, self.done <= self.acted
                if self.done > self.acted:
                    asked.reset, asked.read = asked.reset or reset, asked.read or read
            missed = self.daylight(self.done) if self.done < today else None
            if missed is not None and self.dst != (missed == DST_ON):
                self.dst = int(missed == DST_ON)
                asked.dst = bool(self.dst)
            self.acted = max(self.acted, self.done)
            asked.special = self.special if self.special != NO_SPECIAL else None
        asked.read = bool(asked.read and self.flags1["TOU_SELF_READ_FLAG"])
        switched = self._switch(utc_s)
        asked.dst = asked.dst if switched is None else switched
        return asked

    # Tiers.

    def _schedule(self, day: date, season: int, special: int) -> list[Any]:
        if self.table is None or season >= len(self.table.DAILY_SCHEDULE_ID_MATRIX):
            return []
        row = self.table.DAILY_SCHEDULE_ID_MATRIX[season]
        name = f"{WEEK[day.isoweekday() % 7]}_SCHEDULE"
        chosen = row.get(name, row.get("WEEKDAY_SCHEDULE"))
        if special < len(row.SPECIAL_SCHEDULE):
            chosen = row.SPECIAL_SCHEDULE[special]
        found = [s.TIER_SWITCH for s in self.table.TIER_SWITCHES if chosen == s.DAY_SCH_NUM]
        usual = [s for s in found if s.SWITCH_HOUR < 24 and s.SWITCH_MIN < 60]
        return sorted(usual, key=lambda s: s.SWITCH_HOUR * 60 + s.SWITCH_MIN)

    def _tiers(self, plan: list[Any], minute: int, before: tuple[int, int]) -> tuple[int, int]:
        summation, demand = before
        for switch in plan:
            if minute >= switch.SWITCH_HOUR * 60 + switch.SWITCH_MIN:
                summation = switch.NEW_TIER if switch.get("SUMMATION_SWITCH_FLAG", 1) else summation
                demand = switch.NEW_TIER if switch.get("DEMANDS_SWITCH_FLAG", 1) else demand
        return summation, demand

    def tiers(self, utc_s: int) -> tuple[int, int]:
        """Give the tiers of summations and demands at a time."""
        now = self.local(utc_s)
        plan = self._schedule(now.date(), self.season, self.special)
        if self.table is None:
            return 0, 0
        return self._tiers(plan, now.hour * 60 + now.minute, self.carried)


def _action(entry: Any) -> Action:
    found = entry.CALENDAR_ACTION
    return found.CALENDAR_CTRL, bool(found.DEMAND_RESET_FLAG), bool(found.SELF_READ_FLAG)


def _falls(rule: Any, day: date, anchor: date | None) -> bool:
    month = rule["MONTH"]
    if 1 <= month <= 13:
        return not rule["OFFSET"] and month in (day.month, 13) and rule["DAY"] == day.day
    if month == 14:
        return bool(rule["WEEKDAY"] == day.isoweekday() % 7)
    if month == 15 and anchor is not None and rule["PERIOD"]:
        days = (day - anchor).days - rule["DELTA"]
        return bool(days >= 0 and days % rule["PERIOD"] == 0)
    return False


def _seconds(value: Any) -> int:
    found = getattr(value, "value", value)
    return found.hour * 3600 + found.minute * 60 + found.second if found else 0
