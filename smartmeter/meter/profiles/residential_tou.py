"""A residential meter with time of use and a service switch.

Edition 2 (2008).  The clock shows local time, US Eastern, with daylight saving.
Two seasons, four tiers, holidays; demand is reset and read at each month's begin.
"""

from __future__ import annotations

from datetime import date, time
from typing import Any

from smartmeter.meter.calendar_table import automatic_dst
from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.procedures import SUPPORTED
from smartmeter.meter.profile import DeviceProfile, Formats
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import VAR, VOLTS, WATT

_EVENTS = parts.events(
    parts.TROUBLE_EVENTS, parts.CALENDAR_EVENTS, parts.PENDING_EVENTS, parts.SWITCH_EVENTS
)
_WINTER, _SUMMER = 3, 4  # CALENDAR_CTRL of seasons 0 and 1
_HOLIDAY = 19
_MONTHLY, _WHOLE_DATE = 13, 7
#: Dates that move with a weekday are listed as far as this; the fixed ones recur.
_LAST_LISTED = date(2030, 12, 31)
_NON_RECURRING = 20


def _yearly(month: int, day: int, control: int) -> dict[str, Any]:
    date_rule = {"MONTH": month, "WEEKDAY": _WHOLE_DATE, "DAY": day}
    return {"RECURR_DATE": date_rule, "CALENDAR_ACTION": {"CALENDAR_CTRL": control}}


def _once(day: date, control: int) -> dict[str, Any]:
    return {"NON_RECURR_DATE": day, "CALENDAR_ACTION": {"CALENDAR_CTRL": control}}


def _switch(schedule: int, hour: int, tier: int) -> dict[str, Any]:
    switch = {"NEW_TIER": tier, "SWITCH_HOUR": hour, "SWITCH_MIN": 0}
    switch |= {"SUMMATION_SWITCH_FLAG": 1, "DEMANDS_SWITCH_FLAG": 1}
    return {"TIER_SWITCH": switch, "DAY_SCH_NUM": schedule}


_CALENDAR = {
    "ANCHOR_DATE": date(2026, 1, 1),
    "NON_RECURR_DATES": [
        *(
            _once(day, action.control)
            for day, action in automatic_dst()
            if date(2025, 1, 1) < day < _LAST_LISTED
        ),
        *(
            _once(date(year, 11, day), _HOLIDAY)  # Thanksgiving
            for year, day in ((2026, 26), (2027, 25), (2028, 23), (2029, 22), (2030, 28))
        ),
    ],
    "RECURR_DATES": [
        _yearly(1, 1, _HOLIDAY),
        _yearly(7, 4, _HOLIDAY),
        _yearly(12, 25, _HOLIDAY),
        _yearly(6, 1, _SUMMER),
        _yearly(10, 1, _WINTER),
        {
            "RECURR_DATE": {"MONTH": _MONTHLY, "WEEKDAY": _WHOLE_DATE, "DAY": 1},
            "CALENDAR_ACTION": {"DEMAND_RESET_FLAG": 1, "SELF_READ_FLAG": 1},
        },
    ],
    "TIER_SWITCHES": [
        _switch(0, 0, 0),  # holidays and weekends: off-peak all day
        *(_switch(1, hour, tier) for hour, tier in ((0, 0), (6, 1), (9, 2), (17, 1), (22, 0))),
        *(_switch(2, hour, tier) for hour, tier in ((0, 0), (7, 1), (13, 3), (19, 1), (23, 0))),
    ],
    "DAILY_SCHEDULE_ID_MATRIX": [
        {
            "SATURDAY_SCHEDULE": 0,
            "SUNDAY_SCHEDULE": 0,
            "WEEKDAY_SCHEDULE": weekday,
            "SPECIAL_SCHEDULE": [0],
        }
        for weekday in (1, 2)
    ],
}
_DISPLAY = parts.display(
    [
        *parts.states(State.DATE, State.TIME),
        *(Item(Kind.SUMMATION, 0, block) for block in range(5)),
        Item(Kind.DEMAND),
        *parts.states(State.TIER),
    ],
    [
        Item(Kind.SEGMENTS),
        *parts.states(State.SERIAL, State.SEASON, State.STATUS),
        Item(Kind.LAST_RESET_DEMAND),
        Item(Kind.CUMULATIVE),
        *parts.items(Kind.SUMMATION, 1),
        Item(Kind.PRESENT_VALUE),
    ],
)

RESIDENTIAL_TOU = DeviceProfile(
    name="residential-tou",
    title="residential meter with time of use and service switch",
    model="SM-TOU-1",
    formats=Formats(std_version_no=2),
    clock=("TM_ZN_APPLIED_FLAG", "DST_APPLIED_FLAG", "DST_SUPPORTED_FLAG"),
    sources=(
        parts.energy(WATT, parts.DELIVERED),
        parts.energy(WATT, parts.RECEIVED),
        parts.net_energy(WATT),
        parts.energy(VAR, parts.VAR_DELIVERED),
        parts.demand(WATT, parts.DELIVERED, (15, 1)),
        parts.momentary(VOLTS, parts.CENTI),
        parts.momentary(WATT),
    ),
    tables={
        11: {"SOURCE_FLAGS": ("BLOCK_DEMAND_FLAG", "PF_EXCLUDE_FLAG", "RESET_EXCLUDE_FLAG")},
        13: {
            "RESET_EXCLUSION": 30,
            "P_FAIL_RECOGNTN_TM": 60,
            "P_FAIL_EXCLUSION": 30,
            "COLD_LOAD_PICKUP": 10,
        },
        21: {
            "REG_FUNC1_FLAGS": (
                "SEASON_INFO_FIELD_FLAG",
                "DATE_TIME_FIELD_FLAG",
                "DEMAND_RESET_CTR_FLAG",
                "DEMAND_RESET_LOCK_FLAG",
                "CUM_DEMAND_FLAG",
                "TIME_REMAINING_FLAG",
            ),
            "REG_FUNC2_FLAGS": ("SELF_READ_SEQ_NBR_FLAG",),
            "NBR_SELF_READS": 12,
            "NBR_SUMMATIONS": 3,
            "NBR_DEMANDS": 1,
            "NBR_OCCUR": 1,
            "NBR_TIERS": 4,
            "NBR_PRESENT_DEMANDS": 1,
            "NBR_PRESENT_VALUES": 2,
        },
        22: {
            "SUMMATION_SELECT": parts.select(0, 1, 2),
            "DEMAND_SELECT": parts.select(4),
            "MIN_OR_MAX_FLAGS": frozenset((0,)),
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(4),
            "PRESENT_VALUE_SELECT": parts.select(5, 6),
        },
        **_DISPLAY,
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20},
        51: {
            "TIME_FUNC_FLAG1": ("TOU_SELF_READ_FLAG", "SEASON_SELF_READ_FLAG", "ANCHOR_DATE_FLAG"),
            "TIME_FUNC_FLAG2": ("CAP_TM_ZN_OFFSET_FLAG",),
            "CALENDAR_FUNC": {"NBR_SEASONS": 2, "NBR_SPECIAL_SCHED": 1},
            "NBR_NON_RECURR_DATES": _NON_RECURRING,
            "NBR_RECURR_DATES": 12,
            "NBR_TIER_SWITCHES": 24,
        },
        53: {
            "DST_TIME_EFF": time(2, 0),
            "DST_TIME_AMT": 60,
            "TIME_ZONE_OFFSET": -300,
            "STD_TIME_EFF": time(2, 0),
        },
        54: _CALENDAR,
        61: {
            "LP_FLAGS": ("EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG"),
            "LP_FMATS": ("INV_UINT16_FLAG", "INV_INT32_FLAG"),
            "NBR_BLKS_SET1": 8,
            "NBR_BLK_INTS_SET1": 96,
            "NBR_CHNS_SET1": 3,
            "MAX_INT_TIME_SET1": 15,
        },
        62: {"LP_SEL_SET1": parts.channels(0, 1, 3), "INT_FMT_CDE1": 2},
        71: parts.log_dimensions(
            events=60,
            history=40,
            flags=("EVENT_NUMBER_FLAG", "HIST_DATE_TIME_FLAG", "HIST_SEQ_NBR_FLAG"),
        ),
        72: parts.supported(_EVENTS),
        73: parts.monitored(
            {7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, parts.CONFIGURABLE, SUPPORTED
        ),
        75: parts.monitored(set(_EVENTS) - {7, 8, 9, 12, 27}, parts.CONFIGURABLE, ()),
    },
    data=(4, 23, 24, 25, 26, 28, 42, 52, 55, 56, 57, 63, 64, 74, 76),
    procedures=SUPPORTED,
    writable=parts.CONFIGURABLE,
    events=_EVENTS,
    limits={
        10: {"NBR_DEMAND_CTRL_ENTRIES": 2},
        20: {
            "REG_FUNC2_FLAGS": {
                "SELF_READ_INHIBIT_OVERFLOW_FLAG": 1,
                "SELF_READ_SEQ_NBR_FLAG": 1,
                "DAILY_SELF_READ_FLAG": 1,
                "WEEKLY_SELF_READ_FLAG": 1,
                "SELF_READ_DEMAND_RESET": 3,
            },
            "NBR_SELF_READS": 40,
        },
        40: {"NBR_PASSWORDS": 5},
        50: {
            "TIME_FUNC_FLAG1": (
                "TOU_SELF_READ_FLAG",
                "SEASON_SELF_READ_FLAG",
                "SEASON_DEMAND_RESET_FLAG",
                "SEASON_CHNG_ARMED_FLAG",
                "ANCHOR_DATE_FLAG",
            ),
            "NBR_NON_RECURR_DATES": 30,
            "NBR_TIER_SWITCHES": 60,
            "NBR_RECURR_DATES": 20,
        },
        60: {"MAX_INT_TIME_SET1": 60},
        70: {"NBR_EVENT_ENTRIES": 200, "NBR_HISTORY_ENTRIES": 200},
    },
    nbr_pending=6,
    has_switch=True,
    overload_w=24_000,
)
