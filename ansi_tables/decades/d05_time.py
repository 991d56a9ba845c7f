"""Decade 5, time and time of use: ST-50 to ST-57.  ST-57 is from memory."""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    array,
    bit_field,
    date,
    htime_date,
    ltime_date,
    optional_tail,
    rdate,
    record,
    sint,
    time_of_day,
    uint,
    when,
)
from ansi_tables.identifiers import DAYS_OF_WEEK, time_date_qualifier
from ansi_tables.registry import TableDefinition


def time_dimensions(ctx: Context) -> Tree:
    """ST-50 and ST-51: what clock and calendar can do, and do; 9 octets."""
    return record(
        "TIME_FUNC_FLAG1"
        / bit_field(
            ctx,
            8,
            TOU_SELF_READ_FLAG=(0, 0),
            SEASON_SELF_READ_FLAG=(1, 1),
            SEASON_DEMAND_RESET_FLAG=(2, 2),
            SEASON_CHNG_ARMED_FLAG=(3, 3),
            SORT_DATES_FLAG=(4, 4),
            ANCHOR_DATE_FLAG=(5, 5),
        ),
        "TIME_FUNC_FLAG2"
        / bit_field(
            ctx,
            8,
            CAP_DST_AUTO_FLAG=(0, 0),
            SEPARATE_WEEKDAYS_FLAG=(1, 1),
            SEPARATE_SUM_DEMANDS_FLAG=(2, 2),
            SORT_TIER_SWITCHES_FLAG=(3, 3),
            CAP_TM_ZN_OFFSET_FLAG=(4, 4),
        ),
        "CALENDAR_FUNC" / bit_field(ctx, 8, NBR_SEASONS=(0, 3), NBR_SPECIAL_SCHED=(4, 7)),
        "NBR_NON_RECURR_DATES" / uint(ctx, 8),
        "NBR_RECURR_DATES" / uint(ctx, 8),
        "NBR_TIER_SWITCHES" / uint(ctx, 16),
        "CALENDAR_TBL_SIZE" / uint(ctx, 16),
    )


def clock(ctx: Context) -> Tree:
    """ST-52: date and time, and what has been applied to them."""
    return record("CLOCK_CALENDAR" / ltime_date(ctx), "TIME_DATE_QUAL" / time_date_qualifier(ctx))


def time_offset(ctx: Context) -> Tree:
    """ST-53: daylight saving and zone; minutes."""
    return record(
        "DST_TIME_EFF" / time_of_day(ctx),
        "DST_TIME_AMT" / uint(ctx, 8),
        when(
            ctx.table(51).TIME_FUNC_FLAG2.CAP_TM_ZN_OFFSET_FLAG, "TIME_ZONE_OFFSET" / sint(ctx, 16)
        ),
        optional_tail(ctx.fmt.std_version_no > 1, "STD_TIME_EFF" / time_of_day(ctx)),
    )


def calendar(ctx: Context) -> Tree:
    """ST-54: dates that do something, tier switches of daily schedules, and the matrix."""
    dims = ctx.table(51)
    action = bit_field(
        ctx, 8, CALENDAR_CTRL=(0, 4), DEMAND_RESET_FLAG=(5, 5), SELF_READ_FLAG=(6, 6)
    )
    apart: dict[str, tuple[int, int]] = {}
    if dims.TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG:
        apart = {"SUMMATION_SWITCH_FLAG": (3, 3), "DEMANDS_SWITCH_FLAG": (4, 4)}
    switch = bit_field(ctx, 16, NEW_TIER=(0, 2), **apart, SWITCH_MIN=(5, 10), SWITCH_HOUR=(11, 15))
    separate = dims.TIME_FUNC_FLAG2.SEPARATE_WEEKDAYS_FLAG
    compact = ("SATURDAY", "SUNDAY", "WEEKDAY")
    row = record(
        *(when(separate, f"{day}_SCHEDULE" / uint(ctx, 8)) for day in DAYS_OF_WEEK),
        *(when(not separate, f"{day}_SCHEDULE" / uint(ctx, 8)) for day in compact),
        "SPECIAL_SCHEDULE" / array(dims.CALENDAR_FUNC.NBR_SPECIAL_SCHED, uint(ctx, 8)),
    )
    return record(
        when(dims.TIME_FUNC_FLAG1.ANCHOR_DATE_FLAG, "ANCHOR_DATE" / date(ctx)),
        "NON_RECURR_DATES"
        / array(
            dims.NBR_NON_RECURR_DATES,
            record("NON_RECURR_DATE" / date(ctx), "CALENDAR_ACTION" / action),
        ),
        "RECURR_DATES"
        / array(
            dims.NBR_RECURR_DATES, record("RECURR_DATE" / rdate(ctx), "CALENDAR_ACTION" / action)
        ),
        "TIER_SWITCHES"
        / array(
            dims.NBR_TIER_SWITCHES,
            record("TIER_SWITCH" / switch, "DAY_SCH_NUM" / uint(ctx, 8)),
        ),
        "DAILY_SCHEDULE_ID_MATRIX" / array(dims.CALENDAR_FUNC.NBR_SEASONS, row),
    )


def _calendar_status(ctx: Context) -> Tree:
    if ctx.table(51).TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG:
        tiers = {"CURR_SUMM_TIER": (0, 2), "CURR_DEMAND_TIER": (3, 5)}
    else:
        tiers = {"CURR_TIER": (0, 2)}
    return bit_field(
        ctx, 16, **tiers, TIER_DRIVE=(6, 7), SPECIAL_SCHD_ACTIVE=(8, 11), SEASON=(12, 15)
    )


def clock_state(ctx: Context) -> Tree:
    """ST-55: the clock, and what the calendar makes of it now."""
    return record(
        "CLOCK_CALENDAR" / ltime_date(ctx),
        "TIME_DATE_QUAL" / time_date_qualifier(ctx),
        "STATUS" / _calendar_status(ctx),
    )


def time_remaining(ctx: Context) -> Tree:
    """ST-56: minutes to the next tier, days to the next self-read of the calendar."""
    separate = ctx.table(51).TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG
    return record(
        when(separate, "SUMM_TIER_TIME_REMAIN" / uint(ctx, 16)),
        when(separate, "DEMAND_TIER_TIME_REMAIN" / uint(ctx, 16)),
        when(not separate, "TIER_TIME_REMAIN" / uint(ctx, 16)),
        "SELF_READ_DAYS_REMAIN" / uint(ctx, 8),
    )


def precision_clock_state(ctx: Context) -> Tree:
    """ST-57: ST-55 with fractions of a second; refused under TM_FORMAT 3 and 4."""
    return record(
        "CLOCK_CALENDAR" / htime_date(ctx),
        "TIME_DATE_QUAL" / time_date_qualifier(ctx),
        "STATUS" / _calendar_status(ctx),
    )


TABLES = (
    TableDefinition(50, "DIM_TIME_TOU_TBL", "Dimension time and TOU", time_dimensions),
    TableDefinition(51, "ACT_TIME_TOU_TBL", "Actual time and TOU", time_dimensions),
    TableDefinition(52, "CLOCK_TBL", "Clock", clock),
    TableDefinition(53, "TIME_OFFSET_TBL", "Time offset", time_offset, (51,)),
    TableDefinition(54, "CALENDAR_TBL", "Calendar", calendar, (51,)),
    TableDefinition(55, "CLOCK_STATE_TBL", "Clock state", clock_state, (51,)),
    TableDefinition(56, "TIME_REMAIN_TBL", "Time remaining", time_remaining, (51,)),
    TableDefinition(
        57,
        "PRECISION_CLOCK_STATE_TBL",
        "Precision clock state",
        precision_clock_state,
        (51,),
        "tentative",
        "from-memory",
        2008,
    ),
)
