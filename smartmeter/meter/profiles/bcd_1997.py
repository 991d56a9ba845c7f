"""A meter of the 1997 edition: most significant octet first, and digits in BCD throughout.

TM_FORMAT 1 (BCD date parts), BCD identifiers, FIXED_BCD6 and FIXED_BCD4 numbers
in kWh and kW; blocks of the load profile carry closure status, end readings and
pulses.  Its display starts at the lowest register of each kind.
"""

from __future__ import annotations

from datetime import time

from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.profile import DeviceProfile, Formats
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import SUB_BLOCK, VAR, VOLTS, WATT

_EVENTS = parts.events(parts.CALENDAR_EVENTS, parts.TROUBLE_EVENTS)
_PROCEDURES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17)

BCD_1997 = DeviceProfile(
    name="bcd-1997",
    title="big-endian BCD meter of the 1997 edition",
    model="SM-BCD-1",
    formats=Formats(data_order=1, tm_format=1, id_form=1, ni_format1=5, ni_format2=6),
    device_class=b"OLD1",
    clock=("TM_ZN_APPLIED_FLAG", "DST_APPLIED_FLAG"),
    service="2W1P",
    sources=(
        parts.energy(WATT, parts.DELIVERED, parts.KILO),
        parts.energy(WATT, parts.RECEIVED, parts.KILO),
        parts.energy(WATT, parts.DELIVERED),
        parts.energy(VAR, parts.VAR_DELIVERED),
        parts.demand(WATT, parts.DELIVERED, (30, 1)),
        parts.demand(WATT, parts.DELIVERED, (5, 1), base=SUB_BLOCK),
        parts.momentary(VOLTS, parts.CENTI),
    ),
    tables={
        11: {"SOURCE_FLAGS": ("BLOCK_DEMAND_FLAG",)},
        21: {
            "REG_FUNC1_FLAGS": (
                "SEASON_INFO_FIELD_FLAG",
                "DATE_TIME_FIELD_FLAG",
                "DEMAND_RESET_CTR_FLAG",
                "CONT_CUM_DEMAND_FLAG",
            ),
            "REG_FUNC2_FLAGS": {"SELF_READ_DEMAND_RESET": 3, "DAILY_SELF_READ_FLAG": 1},
            "NBR_SELF_READS": 5,
            "NBR_SUMMATIONS": 2,
            "NBR_DEMANDS": 2,
            "NBR_OCCUR": 2,
            "NBR_TIERS": 2,
            "NBR_PRESENT_DEMANDS": 1,
            "NBR_PRESENT_VALUES": 1,
        },
        22: {
            "SUMMATION_SELECT": parts.select(0, 1),
            "DEMAND_SELECT": parts.select(4, 5),
            "MIN_OR_MAX_FLAGS": frozenset((0, 1)),
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(4),
            "PRESENT_VALUE_SELECT": parts.select(6),
        },
        **parts.display(
            [Item(Kind.SUMMATION), Item(Kind.DEMAND), *parts.states(State.TIME)],
            [Item(Kind.SEGMENTS), *parts.items(Kind.SUMMATION, 1), Item(Kind.SUMMATION, 0, 1)],
        ),
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20},
        51: {
            "TIME_FUNC_FLAG1": ("SEASON_DEMAND_RESET_FLAG", "SEASON_CHNG_ARMED_FLAG"),
            "TIME_FUNC_FLAG2": ("CAP_DST_AUTO_FLAG", "CAP_TM_ZN_OFFSET_FLAG"),
            "CALENDAR_FUNC": {"NBR_SEASONS": 2, "NBR_SPECIAL_SCHED": 1},
            "NBR_NON_RECURR_DATES": 2,
            "NBR_RECURR_DATES": 6,
            "NBR_TIER_SWITCHES": 8,
        },
        53: {"DST_TIME_EFF": time(2, 0), "DST_TIME_AMT": 60, "TIME_ZONE_OFFSET": -420},
        54: {
            "RECURR_DATES": [
                {
                    "RECURR_DATE": {"MONTH": month, "WEEKDAY": 7, "DAY": 1},
                    "CALENDAR_ACTION": {"CALENDAR_CTRL": control, "DEMAND_RESET_FLAG": reset},
                }
                for month, control, reset in ((5, 4, 0), (11, 3, 0), (13, 0, 1))
            ],
            "TIER_SWITCHES": [
                {
                    "TIER_SWITCH": {"NEW_TIER": tier, "SWITCH_HOUR": hour, "SWITCH_MIN": minute},
                    "DAY_SCH_NUM": schedule,
                }
                for schedule, hour, minute, tier in (
                    (1, 0, 0, 0),
                    (1, 7, 30, 1),
                    (1, 21, 15, 0),
                    (2, 0, 0, 0),
                )
            ],
            "DAILY_SCHEDULE_ID_MATRIX": [
                {
                    "SATURDAY_SCHEDULE": 2,
                    "SUNDAY_SCHEDULE": 2,
                    "WEEKDAY_SCHEDULE": weekday,
                    "SPECIAL_SCHEDULE": [2],
                }
                for weekday in (2, 1)
            ],
        },
        61: {
            "LP_FLAGS": (
                "BLK_END_READ_FLAG",
                "BLK_END_PULSE_FLAG",
                "EXTENDED_INT_STATUS_FLAG",
                "SIMPLE_INT_STATUS_FLAG",
                "CLOSURE_STATUS_FLAG",
            ),
            "LP_FMATS": ("INV_UINT16_FLAG",),
            "NBR_BLKS_SET1": 7,
            "NBR_BLK_INTS_SET1": 48,
            "NBR_CHNS_SET1": 2,
            "MAX_INT_TIME_SET1": 30,
        },
        62: {"LP_SEL_SET1": parts.channels(2, 3, end_readings=True), "INT_FMT_CDE1": 2},
        71: parts.log_dimensions(events=50, history=20, flags=("HIST_DATE_TIME_FLAG",), argument=3),
        72: parts.supported(_EVENTS),
        73: parts.monitored({9, 10, 14, 15, 16}, parts.CONFIGURABLE, _PROCEDURES),
        75: parts.monitored(set(_EVENTS) - {7, 8, 9, 10, 12}, (), ()),
    },
    data=(23, 24, 25, 26, 28, 42, 52, 55, 56, 63, 64, 74, 76),
    procedures=_PROCEDURES,
    writable=(5, 6, 7, 53, 54, 61, 62, 73, 75),
    events=_EVENTS,
    limits={60: {"MAX_INT_TIME_SET1": 60}},
    overload_w=24_000,
)
