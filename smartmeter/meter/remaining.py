"""What is still to come, for ST-56: minutes to the next change of a tier, days to a self-read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from datetime import date, timedelta

from smartmeter.base.clock import MINUTE_S, US_PER_S
from smartmeter.meter.billing import RESET_READS, SUNDAY
from smartmeter.meter.calendar_table import Action
from smartmeter.meter.clock import Clock
from smartmeter.meter.program import Program
from smartmeter.meter.time_of_use import Due, TimeOfUse

#: What the fields hold when nothing is to come within what they could tell.
NO_TIER, NO_READ = 0xFFFF, 0xFF


def tier_minutes(program: Program, clock: Clock, time: TimeOfUse, utc_s: int) -> tuple[int, int]:
    """Give whole minutes to the next change of the summations' tier, and of the demands'.

    A copy of the calendar goes on without the meter until both have changed.
    """
    found: list[int | None] = [None, None]
    plan = program.calendar
    if plan is None or not plan.highest_tier:
        return NO_TIER, NO_TIER
    ahead = TimeOfUse(program, copy(clock), replace(time.state))
    before = (ahead.state.summation_tier, ahead.state.demand_tier)
    at_s = utc_s
    while None in found and at_s - utc_s < NO_TIER * MINUTE_S:
        at_s = ahead.due_us(at_s * US_PER_S) // US_PER_S
        _begin_season(program, ahead, ahead.step(at_s))
        ahead.move_tier(at_s)
        now = (ahead.state.summation_tier, ahead.state.demand_tier)
        for which in (0, 1):
            if found[which] is None and now[which] != before[which]:
                found[which] = min(-((utc_s - at_s) // MINUTE_S), NO_TIER)
    first, second = (NO_TIER if minutes is None else minutes for minutes in found)
    return first, second


def _begin_season(program: Program, ahead: TimeOfUse, due: Due) -> None:
    """Let a season begin; one that waits for a demand reset waits on."""
    armed = program.table(51).TIME_FUNC_FLAG1.SEASON_CHNG_ARMED_FLAG
    if due.new_season is not None and not armed:
        ahead.change_season(due.new_season)


def self_read_days(program: Program, clock: Clock, time: TimeOfUse, utc_s: int) -> int:
    """Give days to the next date on which the meter reads itself as the date begins."""
    today, season = clock.local(utc_s).date(), time.state.season
    if not program.table(21).get("NBR_SELF_READS", 0):
        return NO_READ
    for days in range(1, NO_READ):
        day = today + timedelta(days=days)
        actions = program.calendar.actions(day) if program.calendar is not None else []
        if _reads_on(program, day, actions, season):
            return days
        season = next((a.season for a in reversed(actions) if a.season is not None), season)
    return NO_READ


def _reads_on(program: Program, day: date, actions: Sequence[Action], season: int) -> bool:
    """Tell whether a date brings a self-read, by ST-21, ST-51 and ST-54."""
    function = program.table(21).REG_FUNC2_FLAGS
    sunday = day.isoweekday() % 7 == SUNDAY
    if function.DAILY_SELF_READ_FLAG or (function.WEEKLY_SELF_READ_FLAG and sunday):
        return True
    flags = program.table(51).get("TIME_FUNC_FLAG1", {})
    coupled = function.SELF_READ_DEMAND_RESET & RESET_READS
    begins = flags.get("SEASON_SELF_READ_FLAG") and not flags.get("SEASON_CHNG_ARMED_FLAG")
    return any(
        (action.self_read and flags.get("TOU_SELF_READ_FLAG"))
        or (action.demand_reset and coupled)
        or (begins and action.season not in (None, season))
        for action in actions
    )
