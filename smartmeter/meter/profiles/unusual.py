"""A meter that declares unusual number and time formats, all of them legal.

Most significant octet first; NI_FMAT1 is a decimal number as text
(FLOAT_CHAR12), NI_FMAT2 single precision; negative integers are sign and
magnitude; time counts minutes since 1970 UTC (TM_FORMAT 3); text is UTF-8.
Lists run newest first, in first-in-first-out order, and so do the intervals in
a block, whose values are NI_FMAT1 numbers.
"""

from __future__ import annotations

from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.profile import DeviceProfile, Formats, ListStyle
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import (
    AMPERES,
    CURRENT_ANGLE,
    Q60,
    THERMAL,
    VA_RMS,
    VAR,
    VOLT_ANGLE,
    VOLTS,
    WATT,
)

_EVENTS = parts.events(parts.TROUBLE_EVENTS, parts.PENDING_EVENTS)
_PROCEDURES = (2, 3, 4, 5, 7, 9, 10, 12, 13, 14, 15, 16, 17)
_NEWEST_FIRST = ListStyle(descending=True, fifo=True)

UNUSUAL = DeviceProfile(
    name="unusual",
    title="unusual number and time formats, lists newest first",
    model="SM-ODD-9",
    formats=Formats(
        data_order=1,
        char_format=3,
        tm_format=3,
        int_format=2,
        ni_format1=2,
        ni_format2=1,
        std_version_no=2,
    ),
    device_class=bytes.fromhex("60a70000"),
    service="4WY",
    load="factory",
    sources=(
        parts.energy(WATT, parts.DELIVERED),
        parts.net_energy(WATT),
        parts.net_energy(VAR),
        parts.energy(Q60, parts.ALL),
        parts.energy(VA_RMS, parts.ALL),
        parts.demand(WATT, parts.DELIVERED, (15, 1), parts.KILO, base=THERMAL),
        parts.momentary(VOLTS, parts.CENTI),
        *(parts.momentary(VOLT_ANGLE, parts.CENTI, segment=5 + phase) for phase in range(3)),
        *(parts.momentary(CURRENT_ANGLE, parts.CENTI, segment=5 + phase) for phase in range(3)),
        parts.momentary(AMPERES, parts.MILLI, segment=5),
    ),
    tables={
        11: {"SOURCE_FLAGS": ("THERMAL_DEMAND_FLAG",)},
        21: {
            "REG_FUNC1_FLAGS": ("DATE_TIME_FIELD_FLAG", "CUM_DEMAND_FLAG", "CONT_CUM_DEMAND_FLAG"),
            "NBR_SELF_READS": 3,
            "NBR_SUMMATIONS": 5,
            "NBR_DEMANDS": 2,
            "NBR_COIN_VALUES": 1,
            "NBR_OCCUR": 4,
            "NBR_PRESENT_DEMANDS": 1,
            "NBR_PRESENT_VALUES": 9,
        },
        22: {
            "SUMMATION_SELECT": parts.select(0, 1, 2, 3, 4),
            # The highest, and the lowest.
            "DEMAND_SELECT": parts.select(5, 5),
            "MIN_OR_MAX_FLAGS": frozenset((0,)),
            "COINCIDENT_SELECT": parts.select(6),
            "COIN_DEMAND_ASSOC": [1],
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(5),
            # The last one is not assigned.
            "PRESENT_VALUE_SELECT": parts.select(6, 7, 8, 9, 10, 11, 12, 13, 255),
        },
        **parts.display(
            parts.items(Kind.SUMMATION, *range(5)),
            [Item(Kind.PRESENT_VALUE), *parts.states(State.SERIAL)],
        ),
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20},
        51: {},
        61: {
            "LP_FLAGS": (
                "LP_SET1_INHIBIT_OVF_FLAG",
                "BLK_END_READ_FLAG",
                "BLK_END_PULSE_FLAG",
                "SCALAR_DIVISOR_FLAG_SET2",
                "EXTENDED_INT_STATUS_FLAG",
                "BLK_END_RD_INDICATOR_FLAG",
            ),
            "LP_FMATS": ("INV_INT16_FLAG", "INV_NI_FMAT1_FLAG", "INV_NI_FMAT2_FLAG"),
            "NBR_BLKS_SET1": 9,
            "NBR_BLK_INTS_SET1": 30,
            "NBR_CHNS_SET1": 3,
            "MAX_INT_TIME_SET1": 20,
            "NBR_BLKS_SET2": 5,
            "NBR_BLK_INTS_SET2": 36,
            "NBR_CHNS_SET2": 1,
            "MAX_INT_TIME_SET2": 10,
        },
        62: {
            "LP_SEL_SET1": parts.channels(0, 1, 2, end_readings=True),
            "INT_FMT_CDE1": 64,
            "LP_SEL_SET2": parts.channels(2),
            "INT_FMT_CDE2": 16,
            "SCALARS_SET2": [3],
            "DIVISOR_SET2": [1000],
        },
        71: parts.log_dimensions(events=30, history=0, octets=8, argument=2),
        72: parts.supported(_EVENTS),
        75: parts.monitored(set(_EVENTS) - {7, 8, 12}, parts.CONFIGURABLE, _PROCEDURES),
    },
    data=(4, 23, 25, 26, 28, 42, 52, 55, 63, 64, 65, 76),
    procedures=_PROCEDURES,
    writable=parts.CONFIGURABLE,
    events=_EVENTS,
    lists={
        "event": _NEWEST_FIRST,
        "self_reads": ListStyle(descending=True),
        "profile1": _NEWEST_FIRST,
        "profile2": ListStyle(descending=True),
        "intervals1": ListStyle(descending=True),
    },
    limits={60: {"MAX_INT_TIME_SET1": 60, "MAX_INT_TIME_SET2": 60}},
    nbr_pending=3,
    overload_w=500_000,
)
