"""Time of use: what the calendar makes of the running time, as the standard's ST-54 says.

At local midnight the actions of the new date are done: season, special day,
demand reset, self-read.  Daylight saving begins and ends at the times of ST-53.
Then the schedule of the day gives the tier; before its first switch the tier of
the day before goes on.

A date is done once, however often the clock shows it.  After an outage the
dates that were missed take effect together.  A clock that was set takes season,
daylight saving and tier of its new date; a season that it does not leave by that
stays as it was commanded or armed.  Resets and self-reads of the dates in between
are not made up for, and not done again when the clock goes back over midnight.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ansi_tables.meaning.daylight import DST_OFF, DST_ON
from smartmeter.base.clock import DAY_S, US_PER_S
from smartmeter.meter.calendar_table import NO_SPECIAL, DayPlan, tiers_at
from smartmeter.meter.clock import Clock, seconds_of
from smartmeter.meter.program import Program

_EPOCH_DAY = date(1970, 1, 1)
#: Missed dates that are looked at one by one after an outage.
MAX_MISSED_DAYS = 400


@dataclass
class TimeState:
    """What is in force; ``day`` counts local dates since 1970, the one that the clock has come to.

    ``acted`` is the last one of which resets and self-reads were done: the one
    after ``day`` when the clock was set back over midnight.
    """

    season: int = 0
    armed_season: int | None = None
    special: int = NO_SPECIAL
    summation_tier: int = 0
    demand_tier: int = 0
    carried: tuple[int, int] = (0, 0)
    day: int = 0
    acted: int = 0
    dst_on: bool = False


@dataclass(frozen=True)
class Due:
    """What a step of the calendar asks the meter to do, beside the tier that it moves.

    ``again``: the season has begun before, and the clock went back over its beginning.
    """

    new_season: int | None = None
    again: bool = False
    demand_reset: bool = False
    self_read: bool = False
    special: int | None = None
    dst: bool | None = None
    midnight: bool = False


class TimeOfUse:
    """Steps through the calendar; the state is the meter's to keep."""

    def __init__(self, program: Program, clock: Clock, state: TimeState | None) -> None:
        self.state = state or TimeState()
        self._clock = clock
        self.use(program)
        clock.dst_on = self.state.dst_on

    def use(self, program: Program) -> None:
        """Take the calendar of a program."""
        self._plan = program.calendar
        self._acts: tuple[Hashable, list[int]] = (None, [])
        table = program.table(53)
        begins = seconds_of(table.get("DST_TIME_EFF"))
        ends = table.get("STD_TIME_EFF")
        self._dst_at = {
            DST_ON: begins,
            DST_OFF: begins if ends is None else seconds_of(ends),
        }

    def begin(self, utc_s: int) -> None:
        """Take season, daylight saving and tier from the calendar."""
        state, plan = self.state, self._plan
        state.armed_season = None
        state.special = NO_SPECIAL
        if plan is not None:
            self._begin_dst(utc_s, plan)
            today = self._date(utc_s)
            state.season = plan.season_on(today)
            state.special = self._special(today)
            state.carried = self._tiers_at_end(today - timedelta(days=1))
        state.day = (self._date(utc_s) - _EPOCH_DAY).days
        if state.acted > state.day + 1:
            state.acted = state.day
        self.move_tier(utc_s)

    def clock_set(self, utc_s: int) -> None:
        """Go on at another time, in the season of its date.

        The season that is in force by command, or until the armed one begins, stays where the
        calendar has the same one for both times.
        """
        state, plan = self.state, self._plan
        season, armed, before = state.season, state.armed_season, state.day
        self.begin(utc_s)
        if plan is None or plan.season_on(_EPOCH_DAY + timedelta(days=before)) == state.season:
            state.season, state.armed_season = season, armed
            self.move_tier(utc_s)

    def _begin_dst(self, utc_s: int, plan: DayPlan) -> None:
        """Put daylight saving as it was at midnight, then do what today has if its hour is past."""
        self._set_dst(False)
        for _ in range(2):  # summer time may bring the next date
            yesterday = self._date(utc_s) - timedelta(days=1)
            self._set_dst(plan.last_dst(yesterday) == DST_ON)
        self._switch_dst(utc_s, None)

    def instant_of(self, stamp: int, saving: bool | None = None) -> int:
        """Give when, in UTC seconds, the clock shows a stamp by the daylight saving of that time.

        Of an hour that comes twice the one is meant in which daylight saving is as ``saving``
        says, or as now; a time in the hour that is left out is taken as one without it.
        """
        if self._plan is None:
            return self._clock.instant_of(stamp)
        now = self.state.dst_on
        first = now if saving is None else saving
        try:
            for on in (first, not first):
                self._set_dst(on)
                utc_s = self._clock.instant_of(stamp)
                self._begin_dst(utc_s, self._plan)
                if self.state.dst_on == on:
                    return utc_s
            self._set_dst(False)
            return self._clock.instant_of(stamp)
        finally:
            self._set_dst(now)

    def _tiers_at_end(self, day: date) -> tuple[int, int]:
        assert self._plan is not None
        season = self._plan.season_on(day)
        plan = self._plan.schedule(day, season, self._special(day))
        return tiers_at(plan, DAY_S // 60, (0, 0))

    def _special(self, day: date) -> int:
        assert self._plan is not None
        found = [a.special for a in self._plan.actions(day) if a.special is not None]
        return found[-1] if found else NO_SPECIAL

    def _set_dst(self, on: bool) -> None:
        self.state.dst_on = self._clock.dst_on = on

    def _local(self, utc_s: int) -> datetime:
        return self._clock.local(utc_s)

    def _date(self, utc_s: int) -> date:
        return self._local(utc_s).date()

    def due_us(self, utc_us: int) -> int:
        """Give the next instant (UTC) after ``utc_us`` at which the calendar acts."""
        utc_s = utc_us // US_PER_S
        offset_s = self._clock.offset_s
        day, at_s = divmod(utc_s + offset_s, DAY_S)
        later = next(t for t in self._acts_on(day) if t > at_s)
        return (utc_s - at_s + later) * US_PER_S

    def _acts_on(self, day: int) -> list[int]:
        """Give the seconds of a local day at which the calendar acts; made once a day."""
        state = self.state
        key = (day, state.season, state.special, state.dst_on)
        if self._acts[0] != key:
            times = {DAY_S}
            if self._plan is not None:
                today = _EPOCH_DAY + timedelta(days=day)
                times |= {s.minute * 60 for s in self._schedule(today)}
                times |= {self._dst_at[c] for c in self._dst_today(today)}
            self._acts = key, sorted(times)
        return self._acts[1]

    def _dst_today(self, today: date) -> list[int]:
        """Give the daylight-saving action of a date, unless it is done; of several the last."""
        assert self._plan is not None
        wanted = DST_OFF if self.state.dst_on else DST_ON
        controls = [action.control for action in self._plan.actions(today)]
        last = [control for control in controls if control in (DST_ON, DST_OFF)][-1:]
        return last if wanted in last else []

    def _schedule(self, day: date) -> Any:
        assert self._plan is not None
        return self._plan.schedule(day, self.state.season, self.state.special)

    def step(self, utc_s: int) -> Due:
        """Do what the calendar has for this instant and the dates before it; tiers come after.

        The meter does what the answer asks for and then calls ``move_tier``.
        """
        state = self.state
        today = (self._date(utc_s) - _EPOCH_DAY).days
        season, special, dst = None, None, None
        reset = read = again = False
        midnight = today > max(state.day, state.acted)
        if today > state.day:
            state.carried = (state.summation_tier, state.demand_tier)
        for number in range(max(state.day + 1, today - MAX_MISSED_DAYS), today + 1):
            day = _EPOCH_DAY + timedelta(days=number)
            state.special = NO_SPECIAL
            for action in self._plan.actions(day) if self._plan is not None else ():
                if action.season is not None:
                    season, again = action.season, number <= state.acted
                state.special = action.special if action.special is not None else state.special
                if number > state.acted:
                    reset, read = reset or action.demand_reset, read or action.self_read
            state.acted = max(state.acted, number)
            if number < today:
                dst = self._missed_dst(day, dst)
            special = state.special if state.special != NO_SPECIAL else None
            state.day = number
        dst = self._switch_dst(utc_s, dst)
        return Due(season, again, reset, read, special, dst, midnight)

    def _missed_dst(self, day: date, dst: bool | None) -> bool | None:
        if self._plan is not None and self._dst_today(day):
            self._set_dst(not self.state.dst_on)
            return self.state.dst_on
        return dst

    def _switch_dst(self, utc_s: int, dst: bool | None) -> bool | None:
        """Switch daylight saving when its hour has come."""
        if self._plan is None:
            return dst
        at_s = (utc_s + self._clock.offset_s) % DAY_S
        for control in self._dst_today(self._date(utc_s)):
            if at_s >= self._dst_at[control]:
                self._set_dst(control == DST_ON)
                return self.state.dst_on
        return dst

    def change_season(self, season: int) -> None:
        """Let a season begin."""
        self.state.season, self.state.armed_season = season, None

    def move_tier(self, utc_s: int) -> bool:
        """Put the tiers of this instant in force; True when one has changed."""
        state = self.state
        before = (state.summation_tier, state.demand_tier)
        now = (0, 0)
        if self._plan is not None:
            local = self._local(utc_s)
            minute = local.hour * 60 + local.minute
            now = tiers_at(self._schedule(local.date()), minute, state.carried)
        state.summation_tier, state.demand_tier = now
        return now != before

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return vars(self.state).copy()


def state_from_json(state: dict[str, Any]) -> TimeState:
    """Give the state back."""
    return TimeState(**{**state, "carried": tuple(state["carried"])})
