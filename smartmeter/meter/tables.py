"""What each table of the meter shows now, and what identifies it from the factory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansi_tables import Context, layout_for
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.household import load_at
from smartmeter.meter.load_profile import CLOCK_BACKWARD, CLOCK_FORWARD
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profile import SELF_READS
from smartmeter.meter.registers import Reading

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter

MANUFACTURER = "SMOP"
MODEL = "SM-RES-1"
#: Whether a clock set went forward, to the mark in EXTENDED_INT_STATUS.
CLOCK_MARK = {True: CLOCK_FORWARD, False: CLOCK_BACKWARD}


def port_of(meter: Meter) -> OpticalPort:
    """Give the device behind the meter's optical port."""
    return OpticalPort(meter)


def identification(images: Mapping[int, bytes], serial: str) -> dict[int, bytes]:
    """Give ST-01, ST-05 and ST-06 as they leave the factory."""
    context = Context.from_images(images)
    blank = dict.fromkeys(("OWNER_NAME", "UTILITY_DIV", "SERVICE_POINT_ID", "ELEC_ADDR"), "")
    blank |= dict.fromkeys(("UTIL_SER_NO", "CUSTOMER_ID", "TARIFF_ID", "PROGRAMMER_NAME"), "")
    blank |= dict.fromkeys(("EX1_SW_VENDOR", "EX2_SW_VENDOR", "MISC_ID"), "")
    numbers = [f"EX{n}_SW_{what}_NUMBER" for n in (1, 2) for what in ("VERSION", "REVISION")]
    utility: dict[str, Any] = {**blank, **dict.fromkeys(numbers, 0), "DEVICE_ID": serial}
    utility |= {f"COORDINATE_{n}": bytes(10) for n in (1, 2, 3)}
    manufacturer = {
        "MANUFACTURER": MANUFACTURER,
        "ED_MODEL": MODEL,
        "HW_VERSION_NUMBER": 1,
        "HW_REVISION_NUMBER": 0,
        "FW_VERSION_NUMBER": 0,
        "FW_REVISION_NUMBER": 1,
        "MFG_SERIAL_NUMBER": serial,
    }
    values: dict[int, dict[str, Any]] = {1: manufacturer, 5: {"IDENTIFICATION": serial}, 6: utility}
    return {number: layout_for(number, context).encode(value) for number, value in values.items()}


def moment(utc_s: int) -> datetime | None:
    """Give UTC seconds as tables hold them under TM_FORMAT 2; 0 is a time that is not set."""
    return datetime.fromtimestamp(utc_s, UTC).replace(tzinfo=None) if utc_s else None


def current(meter: Meter, number: int, now_us: int) -> Mapping[str, Any] | bytes | None:
    """Give the value of a table that changes by itself, or None for one that does not."""
    match number:
        case 3:
            return _status(meter)
        case 8:
            return meter.response
        case 23:
            return _registers(meter.registers.reading())
        case 25:
            return _previous(meter)
        case 26:
            return _self_reads(meter)
        case 28:
            return _present(meter, now_us)
        case 52:
            return _clock(meter, now_us)
        case 55:
            status = {"CURR_TIER": 0, "TIER_DRIVE": 0, "SPECIAL_SCHD_ACTIVE": 15, "SEASON": 0}
            return {**_clock(meter, now_us), "STATUS": status}
        case 63:
            return meter.ring.status()
        case 64:
            return meter.ring.image()
        case 76:
            return meter.log.table()
    return None


def _status(meter: Meter) -> dict[str, Any]:
    flags: dict[str, int] = {
        "METERING_FLAG": 1,
        "TEST_MODE_FLAG": 0,
        "METER_SHOP_MODE_FLAG": 0,
        "FACTORY_FLAG": 0,
    }
    tampered = meter.access.failures > 0
    return {
        "ED_MODE": flags,
        "ED_STD_STATUS1": 1 << 12 if tampered else 0,
        "ED_STD_STATUS2": 0,
        "ED_MFG_STATUS": frozenset(),
    }


def _registers(reading: Reading) -> dict[str, Any]:
    demand = {
        "EVENT_TIME": [moment(reading.demand_utc_s)],
        "CUM_DEMAND": reading.cumulative_w,
        "DEMAND": [reading.demand_w],
    }
    block = {"SUMMATIONS": reading.summations, "DEMANDS": [demand], "COINCIDENTS": []}
    return {"NBR_DEMAND_RESETS": reading.resets, "TOT_DATA_BLOCK": block, "TIER_DATA_BLOCK": []}


def _previous(meter: Meter) -> dict[str, Any]:
    reading = meter.registers.previous or Reading(0, [0] * 4, 0, 0, 0)
    return {
        "REGISTER_INFO": {"END_DATE_TIME": moment(meter.registers.previous_utc_s)},
        "PREV_DEMAND_RESET_DATA": _registers(reading),
    }


def _self_reads(meter: Meter) -> dict[str, Any]:
    registers = meter.registers
    empty = {
        "SELF_READ_SEQ_NBR": 0,
        "REGISTER_INFO": {"END_DATE_TIME": None},
        "SELF_READ_REGISTER_DATA": _registers(Reading(0, [0] * 4, 0, 0, 0)),
    }
    slots: list[dict[str, Any]] = [empty] * SELF_READS
    for entry in registers.self_reads:
        slots[(entry.sequence - 1) % SELF_READS] = {
            "SELF_READ_SEQ_NBR": entry.sequence,
            "REGISTER_INFO": {"END_DATE_TIME": moment(entry.utc_s)},
            "SELF_READ_REGISTER_DATA": _registers(entry.reading),
        }
    flags = {"ORDER": 0, "OVERFLOW_FLAG": 0, "LIST_TYPE": 1, "INHIBIT_OVERFLOW_FLAG": 0}
    return {
        "LIST_STATUS": flags,
        "NBR_VALID_ENTRIES": len(registers.self_reads),
        "LAST_ENTRY_ELEMENT": max(0, registers.self_read_sequence - 1) % SELF_READS,
        "LAST_ENTRY_SEQ_NBR": registers.self_read_sequence,
        "NBR_UNREAD_ENTRIES": len(registers.self_reads),
        "SELF_READS_ENTRIES": slots,
    }


def _present(meter: Meter, now_us: int) -> dict[str, Any]:
    utc_us = meter.calendar.utc_us(now_us)
    assert utc_us is not None
    load = load_at(meter.settings.seed, utc_us // (60 * US_PER_S))
    return {
        "PRESENT_DEMAND": [{"DEMAND_VALUE": meter.registers.last_demand_w}],
        "PRESENT_VALUE": [load.centivolts, load.power_w],
    }


def _clock(meter: Meter, now_us: int) -> dict[str, Any]:
    utc_s = meter.calendar.utc_s(now_us)
    assert utc_s is not None
    return {
        "CLOCK_CALENDAR": moment(utc_s),
        "TIME_DATE_QUAL": {
            "DAY_OF_WEEK": (utc_s // 86400 + 4) % 7,  # 1970-01-01 was a Thursday
            "DST_FLAG": 0,
            "GMT_FLAG": 1,
            "TM_ZN_APPLIED_FLAG": 0,
            "DST_APPLIED_FLAG": 0,
            "DST_SUPPORTED_FLAG": 0,
        },
    }
