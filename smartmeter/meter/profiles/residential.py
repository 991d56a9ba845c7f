"""A plain residential meter: energy, one demand, one profile of two channels, one log.

Little-endian, TM_FORMAT 2 (one octet a date part), NI_FMAT1 INT48 and NI_FMAT2
INT32: the formats of a real residential meter.  The clock shows UTC.
"""

from __future__ import annotations

from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.profile import DeviceProfile, Formats
from smartmeter.meter.profiles import parts
from smartmeter.meter.quantities import VAR, VOLTS, WATT

_EVENTS = (1, 2, 3, 4, 9, 10, 13, 14, 15, 18, 20, 21, *parts.TROUBLE_EVENTS)
_PROCEDURES = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 16, 17, 18, 19)
_DISPLAY = parts.display(
    [*parts.items(Kind.SUMMATION, 0, 1), Item(Kind.DEMAND)],
    [
        Item(Kind.SEGMENTS),
        *parts.states(State.SERIAL, State.DATE, State.TIME, State.RESETS),
        *parts.items(Kind.SUMMATION, 2, 3),
        Item(Kind.CUMULATIVE),
        Item(Kind.PRESENT_DEMAND),
        *parts.items(Kind.PRESENT_VALUE, 0, 1),
    ],
)

RESIDENTIAL = DeviceProfile(
    name="residential",
    title="plain residential meter",
    model="SM-RES-1",
    formats=Formats(),
    sources=(
        parts.energy(WATT, parts.DELIVERED),
        parts.energy(WATT, parts.RECEIVED),
        parts.energy(VAR, parts.VAR_DELIVERED),
        parts.energy(VAR, parts.VAR_RECEIVED),
        parts.demand(WATT, parts.DELIVERED, (15, 1)),
        parts.momentary(VOLTS, parts.CENTI, segment=5),
        parts.momentary(WATT),
    ),
    tables={
        11: {"SOURCE_FLAGS": ("BLOCK_DEMAND_FLAG",)},
        21: {
            "REG_FUNC1_FLAGS": ("DATE_TIME_FIELD_FLAG", "DEMAND_RESET_CTR_FLAG", "CUM_DEMAND_FLAG"),
            "REG_FUNC2_FLAGS": ("SELF_READ_SEQ_NBR_FLAG",),
            "NBR_SELF_READS": 4,
            "NBR_SUMMATIONS": 4,
            "NBR_DEMANDS": 1,
            "NBR_OCCUR": 1,
            "NBR_PRESENT_DEMANDS": 1,
            "NBR_PRESENT_VALUES": 2,
        },
        22: {
            "SUMMATION_SELECT": parts.select(0, 1, 2, 3),
            "DEMAND_SELECT": parts.select(4),
            "MIN_OR_MAX_FLAGS": frozenset((0,)),
        },
        27: {
            "PRESENT_DEMAND_SELECT": parts.select(4),
            "PRESENT_VALUE_SELECT": parts.select(5, 6),
        },
        **_DISPLAY,
        41: {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20},
        51: {},
        61: {
            "LP_FLAGS": ("EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG"),
            "LP_FMATS": ("INV_UINT16_FLAG",),
            "NBR_BLKS_SET1": 10,
            "NBR_BLK_INTS_SET1": 96,
            "NBR_CHNS_SET1": 2,
            "MAX_INT_TIME_SET1": 15,
        },
        # 65,535 Wh in an interval are 262 kW in a house.
        62: {"LP_SEL_SET1": parts.channels(0, 1), "INT_FMT_CDE1": 2},
        71: parts.log_dimensions(events=100, history=0),
        72: parts.supported(_EVENTS),
        75: parts.monitored(_EVENTS, (5, 6, 11, 12, 13, 16, 21, 22, 61, 62, 75), _PROCEDURES),
    },
    data=(23, 25, 26, 28, 42, 52, 55, 63, 64, 76),
    procedures=_PROCEDURES,
    writable=(5, 6, 7, 12, 13, 16, 21, 22, 27, 32, 33, 34, 61, 62, 75),
    events=_EVENTS,
    limits={60: {"MAX_INT_TIME_SET1": 60}},
    overload_w=24_000,
)
