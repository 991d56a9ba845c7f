"""A factory with its own generation: four quadrants, losses, power quality, four profiles.

Three-wire delta, edition 2, UTC in fields (TM_FORMAT 2), with an hour of local
zone in ST-53.  Thermal demand beside block demand; the squares of volts and
amperes are summed, from which the losses of the customer's transformer follow.
"""

from __future__ import annotations

from datetime import time

from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.procedures import PRECISE, SUPPORTED
from smartmeter.meter.profile import DeviceProfile, Formats, Fragment, SourceProfile
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import (
    AMPERES_SQUARED,
    EVENT_COUNT,
    HERTZ,
    OUTAGES,
    PF_PHASOR,
    RESET_COUNT,
    SAGS,
    SWELLS,
    THERMAL,
    VA_PHASOR,
    VAR,
    VOLTS,
    VOLTS_SQUARED,
    WATT,
    Unit,
)

_EVENTS = parts.events(parts.TROUBLE_EVENTS, parts.CALENDAR_EVENTS, parts.PENDING_EVENTS)
_PROCEDURES = tuple(number for number in SUPPORTED if number not in (21, *PRECISE))
_DISPLAY = parts.display(
    [*parts.items(Kind.SUMMATION, *range(6)), Item(Kind.DEMAND)],
    [
        Item(Kind.SEGMENTS),
        *parts.states(State.SERIAL),
        *parts.items(Kind.DEMAND, 1),
        *parts.items(Kind.PRESENT_VALUE, *range(4)),
    ],
)


def _count(quantity: int) -> SourceProfile:
    return SourceProfile(Unit(quantity, EVENT_COUNT))


INDUSTRIAL = DeviceProfile(
    name="industrial",
    title="four-quadrant factory meter with thermal demand, losses and four profiles",
    model="SM-IND-4",
    formats=Formats(ni_format1=10, ni_format2=8, std_version_no=2, data_access_method=1),
    service="3WD",
    load="factory",
    clock=("GMT_FLAG", "DST_SUPPORTED_FLAG"),
    sources=(
        parts.energy(WATT, (1, 4)),
        parts.energy(WATT, (2, 3)),
        *(parts.energy(VAR, (quadrant,)) for quadrant in (1, 2, 3, 4)),
        parts.energy(VA_PHASOR, parts.ALL),
        parts.net_energy(VAR),
        parts.energy(VOLTS_SQUARED, parts.ALL, parts.KILO),
        parts.energy(AMPERES_SQUARED, parts.ALL),
        parts.demand(WATT, parts.DELIVERED, (30, 1)),
        parts.demand(VA_PHASOR, parts.ALL, (15, 1), base=THERMAL),
        *(parts.momentary(VOLTS, parts.CENTI, segment=line) for line in (1, 2, 3)),
        parts.momentary(PF_PHASOR, parts.MILLI),
        parts.momentary(HERTZ, parts.CENTI),
        _count(SAGS),
        _count(SWELLS),
        _count(OUTAGES),
        _count(RESET_COUNT),
    ),
    tables={
        11: {
            "SOURCE_FLAGS": ("BLOCK_DEMAND_FLAG", "THERMAL_DEMAND_FLAG", "RESET_EXCLUDE_FLAG"),
        },
        13: {"RESET_EXCLUSION": 15},
        21: {
            "REG_FUNC1_FLAGS": (
                "DATE_TIME_FIELD_FLAG",
                "DEMAND_RESET_CTR_FLAG",
                "DEMAND_RESET_LOCK_FLAG",
                "CUM_DEMAND_FLAG",
            ),
            "REG_FUNC2_FLAGS": {
                "SELF_READ_INHIBIT_OVERFLOW_FLAG": 1,
                "SELF_READ_SEQ_NBR_FLAG": 1,
                "WEEKLY_SELF_READ_FLAG": 1,
            },
            "NBR_SELF_READS": 8,
            "NBR_SUMMATIONS": 10,
            "NBR_DEMANDS": 2,
            "NBR_COIN_VALUES": 1,
            "NBR_OCCUR": 2,
            "NBR_TIERS": 2,
            "NBR_PRESENT_DEMANDS": 2,
            "NBR_PRESENT_VALUES": 9,
        },
        22: {
            "SUMMATION_SELECT": parts.select(*range(10)),
            "DEMAND_SELECT": parts.select(10, 11),
            "MIN_OR_MAX_FLAGS": frozenset((0, 1)),
            "COINCIDENT_SELECT": parts.select(15),
            "COIN_DEMAND_ASSOC": [0],
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(10, 11),
            "PRESENT_VALUE_SELECT": parts.select(12, 13, 14, 15, 16, 17, 18, 19, 20),
        },
        **_DISPLAY,
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20, "NBR_KEYS": 2, "KEY_LEN": 16},
        51: {
            "TIME_FUNC_FLAG2": (
                "CAP_DST_AUTO_FLAG",
                "SEPARATE_WEEKDAYS_FLAG",
                "SEPARATE_SUM_DEMANDS_FLAG",
                "CAP_TM_ZN_OFFSET_FLAG",
            ),
            "CALENDAR_FUNC": {"NBR_SEASONS": 1},
            "NBR_TIER_SWITCHES": 8,
        },
        53: {
            "DST_TIME_EFF": time(2, 0),
            "DST_TIME_AMT": 60,
            "TIME_ZONE_OFFSET": -360,
            "STD_TIME_EFF": time(2, 0),
        },
        54: {
            "TIER_SWITCHES": [
                {"TIER_SWITCH": switch, "DAY_SCH_NUM": schedule}
                for schedule, hour, tier, sums, demands in (
                    (1, 0, 0, 1, 1),
                    (1, 7, 1, 1, 0),
                    (1, 9, 1, 0, 1),
                    (1, 20, 0, 1, 1),
                    (2, 0, 0, 1, 1),
                )
                for switch in (
                    {
                        "NEW_TIER": tier,
                        "SUMMATION_SWITCH_FLAG": sums,
                        "DEMANDS_SWITCH_FLAG": demands,
                        "SWITCH_HOUR": hour,
                        "SWITCH_MIN": 0,
                    },
                )
            ],
            "DAILY_SCHEDULE_ID_MATRIX": [
                {
                    f"{day}_SCHEDULE": 2 if day in ("SATURDAY", "SUNDAY") else 1
                    for day in (
                        "SUNDAY",
                        "MONDAY",
                        "TUESDAY",
                        "WEDNESDAY",
                        "THURSDAY",
                        "FRIDAY",
                        "SATURDAY",
                    )
                }
            ],
        },
        61: {
            "LP_FLAGS": (
                "LP_SET4_INHIBIT_OVF_FLAG",
                "BLK_END_READ_FLAG",
                "EXTENDED_INT_STATUS_FLAG",
                "SIMPLE_INT_STATUS_FLAG",
            ),
            "LP_FMATS": ("INV_UINT16_FLAG", "INV_UINT32_FLAG", "INV_NI_FMAT2_FLAG"),
            **{
                f"{name}_SET{number}": value
                for number, values in enumerate(
                    ((6, 96, 2, 15), (6, 96, 4, 15), (8, 24, 3, 60), (4, 60, 2, 5)), 1
                )
                for name, value in zip(
                    ("NBR_BLKS", "NBR_BLK_INTS", "NBR_CHNS", "MAX_INT_TIME"), values, strict=True
                )
            },
        },
        62: {
            "LP_SEL_SET1": parts.channels(0, 1, end_readings=True),
            "INT_FMT_CDE1": 4,
            "LP_SEL_SET2": parts.channels(2, 3, 4, 5),
            "INT_FMT_CDE2": 4,
            "LP_SEL_SET3": parts.channels(12, 13, 14),
            "INT_FMT_CDE3": 2,
            # Net reactive energy may be negative; the power factor is in thousandths.
            "LP_SEL_SET4": parts.channels(7, 15),
            "INT_FMT_CDE4": 128,
        },
        71: parts.log_dimensions(
            events=120, history=60, flags=("EVENT_NUMBER_FLAG", "HIST_SEQ_NBR_FLAG")
        ),
        72: parts.supported(_EVENTS),
        73: parts.monitored({9, 10, 11, 14, 15, 16, 17, 18, 19}, parts.CONFIGURABLE, _PROCEDURES),
        75: parts.monitored(set(_EVENTS) - {7, 8, 12}, parts.CONFIGURABLE, _PROCEDURES),
    },
    data=(4, 23, 25, 26, 28, 42, 52, 55, 56, 63, 64, 65, 66, 67, 74, 76),
    procedures=_PROCEDURES,
    writable=parts.CONFIGURABLE,
    events=_EVENTS,
    limits={
        50: {"NBR_TIER_SWITCHES": 40},
        60: {f"MAX_INT_TIME_SET{number}": 60 for number in (1, 2, 3, 4)},
    },
    nbr_pending=10,
    # What a host wants in one read: the time, all totals, and what is now.
    user_tables={
        84: (
            Fragment(52),
            Fragment(23, "TOT_DATA_BLOCK.SUMMATIONS"),
            Fragment(28, "PRESENT_VALUE"),
        ),
        85: (Fragment(1, "MFG_SERIAL_NUMBER"), Fragment(5), Fragment(63)),
    },
    overload_w=500_000,
)
