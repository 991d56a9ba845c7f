"""The configuration tables of the residential meter, as data.

Little-endian, TM_FORMAT 2 (one octet a date part), NI_FMAT1 INT48 and NI_FMAT2
INT32: the formats of a real residential meter.  The clock shows UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansi_tables import Context, DeviceFormat, Record, layout_for

#: Sources of ST-16, by their number: quantity (ST-12 ID_CODE), time base, quadrants, multiplier.
SOURCES: tuple[tuple[str, int, int, tuple[int, ...], int], ...] = (
    ("Wh delivered", 0, 0, (1, 4), 0),
    ("Wh received", 0, 0, (2, 3), 0),
    ("varh delivered", 1, 0, (1, 2), 0),
    ("varh received", 1, 0, (3, 4), 0),
    ("W demand, block average", 0, 4, (1, 4), 0),
    ("V, momentary", 8, 1, (), 5),
    ("W, momentary", 0, 1, (1, 2, 3, 4), 0),
)
DEMAND_SOURCE, VOLTAGE_SOURCE, POWER_SOURCE = 4, 5, 6

NBR_BLOCKS = 10
BLOCK_INTERVALS = 96
CHANNELS = 2
EVENT_ENTRIES = 100
SELF_READS = 4
#: Code of UINT16 in ST-62: 65,535 Wh in an interval are 262 kW in a house.
INT_FMT_UINT16 = 2

STD_TABLES: tuple[int, ...] = (
    0,
    1,
    2,
    3,
    5,
    6,
    7,
    8,
    10,
    11,
    12,
    13,
    16,
    20,
    21,
    22,
    23,
    25,
    26,
    27,
    28,
)
STD_TABLES += (40, 41, 42, 50, 51, 52, 55, 60, 61, 62, 63, 64, 70, 71, 72, 75, 76)
STD_PROCEDURES = (3, 4, 5, 9, 10)
WRITABLE = (5, 6, 7)
STD_EVENTS = (1, 2, 3, 4, 9, 10, 13, 14, 15, 18, 20, 21, 47)
#: Octets of the sets in ST-00 and ST-72: members up to 79, and procedures up to 15.
SET_OCTETS, PROCEDURE_OCTETS = 10, 2


def general_configuration() -> Record:
    """Give ST-00."""
    return Record(
        FORMAT_CONTROL_1={"DATA_ORDER": 0, "CHAR_FORMAT": 1, "MODEL_SELECT": 0},
        FORMAT_CONTROL_2={
            "TM_FORMAT": 2,
            "DATA_ACCESS_METHOD": 1,
            "ID_FORM": 0,
            "INT_FORMAT": 0,
        },
        FORMAT_CONTROL_3={"NI_FORMAT1": 10, "NI_FORMAT2": 8},
        DEVICE_CLASS=b"SMOP",
        NAMEPLATE_TYPE=2,
        DEFAULT_SET_USED=0,
        MAX_PROC_PARM_LENGTH=32,
        MAX_RESP_DATA_LEN=16,
        STD_VERSION_NO=1,
        STD_REVISION_NO=0,
        DIM_STD_TBLS_USED=SET_OCTETS,
        DIM_MFG_TBLS_USED=0,
        DIM_STD_PROC_USED=PROCEDURE_OCTETS,
        DIM_MFG_PROC_USED=0,
        DIM_MFG_STATUS_USED=1,
        NBR_PENDING=0,
        STD_TBLS_USED=frozenset(STD_TABLES),
        MFG_TBLS_USED=frozenset(),
        STD_PROC_USED=frozenset(STD_PROCEDURES),
        MFG_PROC_USED=frozenset(),
        STD_TBLS_WRITE=frozenset(WRITABLE),
        MFG_TBLS_WRITE=frozenset(),
    )


def _flags(*names: str, of: str) -> dict[str, int]:
    return {name: int(name in names) for name in of.split()}


_SOURCE_FLAGS = (
    "PF_EXCLUDE_FLAG RESET_EXCLUDE_FLAG BLOCK_DEMAND_FLAG SLIDING_DEMAND_FLAG "
    "THERMAL_DEMAND_FLAG SET1_PRESENT_FLAG SET2_PRESENT_FLAG CONVERSION_ALG_FLAG"
)
_REGISTER_FLAGS_1 = (
    "SEASON_INFO_FIELD_FLAG DATE_TIME_FIELD_FLAG DEMAND_RESET_CTR_FLAG DEMAND_RESET_LOCK_FLAG "
    "CUM_DEMAND_FLAG CONT_CUM_DEMAND_FLAG TIME_REMAINING_FLAG"
)
_REGISTER_FLAGS_2 = (
    "SELF_READ_INHIBIT_OVERFLOW_FLAG SELF_READ_SEQ_NBR_FLAG DAILY_SELF_READ_FLAG "
    "WEEKLY_SELF_READ_FLAG SELF_READ_DEMAND_RESET"
)
_TIME_FLAGS_1 = (
    "TOU_SELF_READ_FLAG SEASON_SELF_READ_FLAG SEASON_DEMAND_RESET_FLAG SEASON_CHNG_ARMED_FLAG "
    "SORT_DATES_FLAG ANCHOR_DATE_FLAG"
)
_TIME_FLAGS_2 = (
    "CAP_DST_AUTO_FLAG SEPARATE_WEEKDAYS_FLAG SEPARATE_SUM_DEMANDS_FLAG SORT_TIER_SWITCHES_FLAG "
    "CAP_TM_ZN_OFFSET_FLAG"
)
_LOG_FLAGS = (
    "EVENT_NUMBER_FLAG HIST_DATE_TIME_FLAG HIST_SEQ_NBR_FLAG HIST_INHIBIT_OVF_FLAG "
    "EVENT_INHIBIT_OVF_FLAG"
)
_PROFILE_FLAGS = (
    "LP_SET1_INHIBIT_OVF_FLAG LP_SET2_INHIBIT_OVF_FLAG LP_SET3_INHIBIT_OVF_FLAG "
    "LP_SET4_INHIBIT_OVF_FLAG BLK_END_READ_FLAG BLK_END_PULSE_FLAG SCALAR_DIVISOR_FLAG_SET1 "
    "SCALAR_DIVISOR_FLAG_SET2 SCALAR_DIVISOR_FLAG_SET3 SCALAR_DIVISOR_FLAG_SET4 "
    "EXTENDED_INT_STATUS_FLAG SIMPLE_INT_STATUS_FLAG CLOSURE_STATUS_FLAG"
)
_FORMAT_FLAGS = (
    "INV_UINT8_FLAG INV_UINT16_FLAG INV_UINT32_FLAG INV_INT8_FLAG INV_INT16_FLAG INV_INT32_FLAG "
    "INV_NI_FMAT1_FLAG INV_NI_FMAT2_FLAG"
)


def dimensions(interval_min: int) -> dict[int, dict[str, Any]]:
    """Give the actual (x1) tables; the limits (x0) of this meter are the same."""
    return {
        11: {
            "SOURCE_FLAGS": _flags("BLOCK_DEMAND_FLAG", of=_SOURCE_FLAGS),
            "NBR_UOM_ENTRIES": len(SOURCES),
            "NBR_DEMAND_CTRL_ENTRIES": 1,
            "DATA_CTRL_LENGTH": 0,
            "NBR_DATA_CTRL_ENTRIES": 0,
            "NBR_CONSTANTS_ENTRIES": 0,
            "CONSTANTS_SELECTOR": 2,
            "NBR_SOURCES": len(SOURCES),
        },
        21: {
            "REG_FUNC1_FLAGS": _flags(
                "DATE_TIME_FIELD_FLAG",
                "DEMAND_RESET_CTR_FLAG",
                "CUM_DEMAND_FLAG",
                of=_REGISTER_FLAGS_1,
            ),
            "REG_FUNC2_FLAGS": _flags("SELF_READ_SEQ_NBR_FLAG", of=_REGISTER_FLAGS_2),
            "NBR_SELF_READS": SELF_READS,
            "NBR_SUMMATIONS": 4,
            "NBR_DEMANDS": 1,
            "NBR_COIN_VALUES": 0,
            "NBR_OCCUR": 1,
            "NBR_TIERS": 0,
            "NBR_PRESENT_DEMANDS": 1,
            "NBR_PRESENT_VALUES": 2,
        },
        41: {
            "NBR_PASSWORDS": 2,
            "PASSWORD_LEN": 20,
            "NBR_KEYS": 0,
            "KEY_LEN": 0,
            "NBR_PERM_USED": 0,
        },
        51: {
            "TIME_FUNC_FLAG1": _flags(of=_TIME_FLAGS_1),
            "TIME_FUNC_FLAG2": _flags(of=_TIME_FLAGS_2),
            "CALENDAR_FUNC": {"NBR_SEASONS": 0, "NBR_SPECIAL_SCHED": 0},
            "NBR_NON_RECURR_DATES": 0,
            "NBR_RECURR_DATES": 0,
            "NBR_TIER_SWITCHES": 0,
            "CALENDAR_TBL_SIZE": 0,
        },
        61: {
            "LP_MEMORY_LEN": NBR_BLOCKS * block_octets(),
            "LP_FLAGS": _flags(
                "EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG", of=_PROFILE_FLAGS
            ),
            "LP_FMATS": _flags("INV_UINT16_FLAG", of=_FORMAT_FLAGS),
            "NBR_BLKS_SET1": NBR_BLOCKS,
            "NBR_BLK_INTS_SET1": BLOCK_INTERVALS,
            "NBR_CHNS_SET1": CHANNELS,
            "MAX_INT_TIME_SET1": interval_min,
        },
        71: {
            "LOG_FLAGS": _flags(of=_LOG_FLAGS),
            "NBR_STD_EVENTS": SET_OCTETS,
            "NBR_MFG_EVENTS": 0,
            "HIST_DATA_LENGTH": 0,
            "EVENT_DATA_LENGTH": 4,
            "NBR_HISTORY_ENTRIES": 0,
            "NBR_EVENT_ENTRIES": EVENT_ENTRIES,
        },
    }


def block_octets() -> int:
    """Give the size of one block of ST-64: end time, simple status, then the intervals."""
    return 5 + BLOCK_INTERVALS // 8 + BLOCK_INTERVALS * interval_octets()


def interval_octets() -> int:
    """Give the size of one interval: extended status, then a UINT16 a channel."""
    return CHANNELS // 2 + 1 + 2 * CHANNELS


def fixed_tables(interval_min: int) -> dict[int, dict[str, Any]]:
    """Give the other tables of the configuration, all of which never change."""
    monitored = {
        "STD_EVENTS_MONITORED_FLAGS": frozenset(STD_EVENTS),
        "MFG_EVENTS_MONITORED_FLAGS": frozenset(),
        "STD_TBLS_MONITORED_FLAGS": frozenset((5, 6)),
        "MFG_TBLS_MONITORED_FLAGS": frozenset(),
        "STD_PROC_MONITORED_FLAGS": frozenset(STD_PROCEDURES),
        "MFG_PROC_MONITORED_FLAGS": frozenset(),
    }
    link = {"DEMAND_CTRL_FLAG": 0, "DATA_CTRL_FLAG": 0, "CONSTANTS_FLAG": 0}
    link |= {"UOM_ENTRY_FLAG": 1, "PULSE_ENGR_FLAG": 1, "CONSTANT_TO_BE_APPLIED": 0}
    channel = {"CHNL_FLAG": {"END_RDG_FLAG": 0}, "END_BLK_RDG_SOURCE_SELECT": 255}
    return {
        2: {"ELECTRIC_DEVICE": _nameplate()},
        12: {"UOM_ENTRY": [_unit(*source[1:]) for source in SOURCES]},
        13: {"INTERVAL_VALUE": [{"INT_LENGTH": interval_min}]},
        16: {
            "SOURCES_LINK": [
                link | {"DEMAND_CTRL_FLAG": int(number == DEMAND_SOURCE)}
                for number in range(len(SOURCES))
            ]
        },
        22: {
            "SUMMATION_SELECT": [{"SOURCE_INDEX": number} for number in range(4)],
            "DEMAND_SELECT": [{"SOURCE_INDEX": DEMAND_SOURCE}],
            "MIN_OR_MAX_FLAGS": frozenset((0,)),
            "COINCIDENT_SELECT": [],
            "COIN_DEMAND_ASSOC": [],
        },
        27: {
            "PRESENT_DEMAND_SELECT": [{"SOURCE_INDEX": DEMAND_SOURCE}],
            "PRESENT_VALUE_SELECT": [
                {"SOURCE_INDEX": VOLTAGE_SOURCE},
                {"SOURCE_INDEX": POWER_SOURCE},
            ],
        },
        62: {
            "LP_SEL_SET1": [channel | {"LP_SOURCE_SELECT": number} for number in range(CHANNELS)],
            "INT_FMT_CDE1": INT_FMT_UINT16,
        },
        72: {"STD_EVENTS_SUPPORTED": frozenset(STD_EVENTS), "MFG_EVENTS_SUPPORTED": frozenset()},
        75: monitored,
    }


def _unit(quantity: int, time_base: int, quadrants: tuple[int, ...], multiplier: int) -> Any:
    entry = {f"Q{n}_ACCOUNTABILITY": int(n in quadrants) for n in (1, 2, 3, 4)}
    entry |= {"ID_CODE": quantity, "TIME_BASE": time_base, "MULTIPLIER": multiplier}
    zeros = (
        "NET_FLOW_ACCOUNTABILITY",
        "SEGMENTATION",
        "HARMONIC",
        "ID_RESOURCE",
        "RESERVED",
        "NFS",
    )
    return entry | dict.fromkeys(zeros, 0)


def _nameplate() -> Mapping[str, Any]:
    return {
        "E_KH": "1.0",
        "E_KT": "1.0",
        "E_INPUT_SCALAR": 1,
        "E_ED_CONFIG": "2S",
        "E_ELEMENTS": {
            "E_FREQ": 4,
            "E_NO_OF_ELEMENTS": 1,
            "E_BASE_TYPE": 1,
            "E_ACCURACY_CLASS": 0,
        },
        "E_VOLTS": {"E_ELEMENTS_VOLTS": 5, "E_ED_SUPPLY_VOLTS": 0},
        "E_AMPS": {"E_CLASS_MAX_AMPS": "200", "E_TA": "30"},
    }


def configuration(interval_min: int) -> dict[int, bytes]:
    """Give the images of all configuration tables."""
    # ST-00's own layout depends on the lengths of its sets only.
    sized = DeviceFormat(dim_std_tbls_used=SET_OCTETS, dim_std_proc_used=PROCEDURE_OCTETS)
    images = {0: layout_for(0, Context(sized)).encode(general_configuration())}
    for number, value in dimensions(interval_min).items():
        images[number] = layout_for(number, Context.from_images(images)).encode(value)
        images[number - 1] = images[number]
    for number, value in sorted(fixed_tables(interval_min).items(), key=lambda kv: kv[0] != 62):
        images[number] = layout_for(number, Context.from_images(images)).encode(value)
    return images
