"""The standard procedures that the meter runs: ST-07 in, ST-08 out (C12.19 procedures)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING

from smartmeter.base.clock import US_PER_S
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.tables import moment

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter

LTIME_OCTETS = 6


class ResultCode(IntEnum):
    """ST-08.RESULT_CODE."""

    COMPLETED = 0
    NOT_COMPLETED = 1
    INVALID_PARAMETER = 2
    SETUP_CONFLICT = 3
    TIMING_CONSTRAINT = 4
    NO_AUTHORIZATION = 5
    UNRECOGNIZED = 6


Outcome = tuple[ResultCode, bytes]
_BAD: Outcome = (ResultCode.INVALID_PARAMETER, b"")
_DONE: Outcome = (ResultCode.COMPLETED, b"")


def run_procedure(meter: Meter, initiate: bytes, now_us: int) -> bytes:
    """Run what ST-07 asks for; give the image of ST-08.

    An unknown procedure answers 6, a wrong parameter 2, and nothing is changed.
    """
    if len(initiate) < 3:
        return bytes(3) + bytes([ResultCode.INVALID_PARAMETER])
    number = int.from_bytes(initiate[:2], "little") & 0x0FFF
    act = _ACTIONS.get(number)
    if act is None:
        code, result = ResultCode.UNRECOGNIZED, b""
    else:
        code, result = act(meter, initiate[3:], now_us)
        if code is ResultCode.COMPLETED:
            meter.note(EventCode.PROCEDURE_INVOKED, now_us, number.to_bytes(2, "little"))
    return initiate[:3] + bytes([code]) + result


def _clear_data(meter: Meter, parameters: bytes, now_us: int) -> Outcome:
    if parameters:
        return _BAD
    meter.clear_data()
    return _DONE


#: List codes of procedures 4 and 5: event log; self-reads; load profile.
_EVENT_LOG, _SELF_READS, _PROFILE = (1,), (2, 255), (3, 7, 255)


def _reset_list_pointers(meter: Meter, parameters: bytes, now_us: int) -> Outcome:
    if len(parameters) != 1 or parameters[0] not in (1, 2, 3, 7, 255):
        return _BAD
    code = parameters[0]
    if code in _EVENT_LOG:
        meter.log.clear()
        meter.note(EventCode.EVENT_LOG_CLEARED, now_us)
    if code in _SELF_READS:
        meter.registers.self_reads.clear()
    if code in _PROFILE:
        meter.ring.clear()
    meter.note(EventCode.LIST_POINTERS_RESET, now_us, parameters)
    return _DONE


def _update_last_read(meter: Meter, parameters: bytes, now_us: int) -> Outcome:
    if len(parameters) != 3 or parameters[0] not in (1, 3, 7):
        return _BAD
    count = int.from_bytes(parameters[1:3], "little")
    if parameters[0] in _EVENT_LOG:
        meter.log.acknowledge(count)
    else:
        meter.ring.acknowledge(count)
    meter.note(EventCode.LIST_POINTERS_UPDATED, now_us, parameters[:1])
    return _DONE


def _remote_reset(meter: Meter, parameters: bytes, now_us: int) -> Outcome:
    """Demand reset and self-read; this meter has no seasons to change."""
    if len(parameters) != 1 or parameters[0] & ~0b11:
        return _BAD
    utc_s = meter.calendar.utc_s(now_us)
    assert utc_s is not None
    if parameters[0] & 2:
        meter.registers.read_self(utc_s)
        meter.note(EventCode.SELF_READ, now_us)
    if parameters[0] & 1:
        meter.registers.reset_demand(utc_s)
        meter.note(EventCode.DEMAND_RESET, now_us)
    return ResultCode.COMPLETED, parameters


def _set_date_time(meter: Meter, parameters: bytes, now_us: int) -> Outcome:
    """Set date and time together: mask 3 or 7, LTIME_DATE, qualifier (kept as it is: UTC)."""
    if len(parameters) != 2 + LTIME_OCTETS or parameters[0] & 3 != 3:
        return _BAD
    fields = parameters[1 : 1 + LTIME_OCTETS]
    try:
        year, month, day, hour, minute, second = fields
        wanted = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return _BAD
    before = meter.calendar.utc_s(now_us)
    assert before is not None
    after = int(wanted.timestamp())
    meter.note(EventCode.TIME_CHANGED_OLD, now_us)
    meter.set_clock(after * US_PER_S, now_us)
    meter.note(EventCode.TIME_CHANGED_NEW, now_us)
    return ResultCode.COMPLETED, _ltime(before) + _ltime(after)


def _ltime(utc_s: int) -> bytes:
    value = moment(utc_s)
    assert value is not None
    parts = (value.year % 100, value.month, value.day, value.hour, value.minute, value.second)
    return bytes(parts)


_ACTIONS: Mapping[int, Callable[[Meter, bytes, int], Outcome]] = {
    3: _clear_data,
    4: _reset_list_pointers,
    5: _update_last_read,
    9: _remote_reset,
    10: _set_date_time,
}
