"""A three-phase commercial meter behind transformers: rolling demand, four channels, two profiles.

Edition 2; time counts seconds since 1970 UTC (TM_FORMAT 4).  Registers show
primary values: the meter has applied the transformers' ratios itself, and says
so in ST-15.  Demand rolls over three subintervals of five minutes; apparent
power and power factor are kept that coincide with its three highest values.
"""

from __future__ import annotations

from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.procedures import PRECISE, SUPPORTED
from smartmeter.meter.profile import DeviceProfile, Formats
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import AMPERES, HERTZ, PF_APPARENT, VA_RMS, VAR, VOLTS, WATT

_EVENTS = parts.events(parts.TROUBLE_EVENTS, parts.PENDING_EVENTS)
_PROCEDURES = tuple(number for number in SUPPORTED if number not in (21, *PRECISE))
_ROLLING = (5, 3)
#: 120:1 current, 4:1 voltage transformers.
_RATIOS = {
    "MULTIPLIER": 1,
    "OFFSET": 0,
    "SET1_CONSTANTS": {"SET_FLAGS": {"SET_APPLIED_FLAG": 1}, "RATIO_F1": 120, "RATIO_P1": 4},
}
_DISPLAY = parts.display(
    [
        Item(Kind.SUMMATION),
        Item(Kind.DEMAND),
        Item(Kind.CUMULATIVE),
        *parts.items(Kind.PRESENT_VALUE, 0, 1, 2),
    ],
    [
        Item(Kind.SEGMENTS),
        *parts.states(State.SERIAL, State.RESETS, State.STATUS),
        *parts.items(Kind.SUMMATION, 1, 2, 3),
        *parts.items(Kind.DEMAND, 1, 2),
    ],
)

COMMERCIAL = DeviceProfile(
    name="commercial",
    title="three-phase commercial meter with demand and four channels",
    model="SM-COM-3",
    formats=Formats(tm_format=4, ni_format1=11, ni_format2=9, std_version_no=2),
    service="4WY",
    load="shop",
    sources=(
        parts.energy(WATT, parts.DELIVERED, constants=_RATIOS),
        parts.energy(WATT, parts.RECEIVED, constants=_RATIOS),
        parts.energy(VAR, parts.VAR_DELIVERED, constants=_RATIOS),
        parts.energy(VA_RMS, parts.ALL, constants=_RATIOS),
        parts.demand(WATT, parts.DELIVERED, _ROLLING, data_id=b"\x01\x10"),
        parts.demand(VA_RMS, parts.ALL, _ROLLING, data_id=b"\x01\x20"),
        *(parts.momentary(VOLTS, parts.CENTI, segment=5 + phase) for phase in range(3)),
        *(parts.momentary(AMPERES, parts.MILLI, segment=5 + phase) for phase in range(3)),
        parts.momentary(PF_APPARENT, parts.MILLI),
        parts.momentary(HERTZ, parts.CENTI),
    ),
    tables={
        11: {
            "SOURCE_FLAGS": (
                "PF_EXCLUDE_FLAG",
                "RESET_EXCLUDE_FLAG",
                "BLOCK_DEMAND_FLAG",
                "SLIDING_DEMAND_FLAG",
                "SET1_PRESENT_FLAG",
            )
        },
        13: {
            "RESET_EXCLUSION": 60,
            "P_FAIL_RECOGNTN_TM": 5,
            "P_FAIL_EXCLUSION": 20,
            "COLD_LOAD_PICKUP": 1,
        },
        21: {
            "REG_FUNC1_FLAGS": (
                "DATE_TIME_FIELD_FLAG",
                "DEMAND_RESET_CTR_FLAG",
                "DEMAND_RESET_LOCK_FLAG",
                "CUM_DEMAND_FLAG",
                "CONT_CUM_DEMAND_FLAG",
                "TIME_REMAINING_FLAG",
            ),
            "REG_FUNC2_FLAGS": {
                "SELF_READ_SEQ_NBR_FLAG": 1,
                "DAILY_SELF_READ_FLAG": 1,
                "SELF_READ_DEMAND_RESET": 1,
            },
            "NBR_SELF_READS": 10,
            "NBR_SUMMATIONS": 4,
            "NBR_DEMANDS": 3,
            "NBR_COIN_VALUES": 2,
            "NBR_OCCUR": 3,
            "NBR_PRESENT_DEMANDS": 2,
            "NBR_PRESENT_VALUES": 8,
        },
        22: {
            "SUMMATION_SELECT": parts.select(0, 1, 2, 3),
            # Highest W, highest VA, lowest W.
            "DEMAND_SELECT": parts.select(4, 5, 4),
            "MIN_OR_MAX_FLAGS": frozenset((0, 1)),
            "COINCIDENT_SELECT": parts.select(5, 12),
            "COIN_DEMAND_ASSOC": [0, 0],
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(4, 5),
            "PRESENT_VALUE_SELECT": parts.select(6, 7, 8, 9, 10, 11, 12, 13),
        },
        **_DISPLAY,
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20},
        51: {},
        61: {
            "LP_FLAGS": (
                "BLK_END_READ_FLAG",
                "SCALAR_DIVISOR_FLAG_SET1",
                "EXTENDED_INT_STATUS_FLAG",
                "SIMPLE_INT_STATUS_FLAG",
            ),
            "LP_FMATS": ("INV_UINT16_FLAG", "INV_UINT32_FLAG", "INV_INT32_FLAG"),
            "NBR_BLKS_SET1": 12,
            "NBR_BLK_INTS_SET1": 48,
            "NBR_CHNS_SET1": 4,
            "MAX_INT_TIME_SET1": 15,
            "NBR_BLKS_SET2": 6,
            "NBR_BLK_INTS_SET2": 24,
            "NBR_CHNS_SET2": 3,
            "MAX_INT_TIME_SET2": 60,
        },
        62: {
            "LP_SEL_SET1": parts.channels(0, 1, 2, 3, end_readings=True),
            "INT_FMT_CDE1": 4,
            # Intervals in tens of Wh.
            "SCALARS_SET1": [1, 1, 1, 1],
            "DIVISOR_SET1": [10, 10, 10, 10],
            "LP_SEL_SET2": parts.channels(6, 7, 8),
            "INT_FMT_CDE2": 2,
        },
        71: parts.log_dimensions(
            events=80, history=50, flags=("HIST_DATE_TIME_FLAG", "HIST_SEQ_NBR_FLAG")
        ),
        72: parts.supported(_EVENTS),
        73: parts.monitored({9, 10, 11, 14, 15, 16, 17, 18, 19}, parts.CONFIGURABLE, _PROCEDURES),
        75: parts.monitored(set(_EVENTS) - {7, 8, 9, 12}, parts.CONFIGURABLE, ()),
    },
    data=(4, 23, 25, 26, 28, 42, 52, 55, 63, 64, 65, 74, 76),
    procedures=_PROCEDURES,
    writable=parts.CONFIGURABLE,
    events=_EVENTS,
    limits={60: {"MAX_INT_TIME_SET1": 60, "MAX_INT_TIME_SET2": 60}},
    nbr_pending=8,
    overload_w=75_000,
)
