"""The standard procedures that the meter runs: ST-07 in, ST-08 out (C12.19 procedures).

A procedure that ST-00 does not list is answered with 6, invalid parameters with 2, and
nothing is changed.  Whether an answer is posted follows the SELECTOR.
Spare bits of parameters are not looked at (from memory of the standard).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from ansi_tables import Context, DeviceFormat, Record, TableError
from ansi_tables.ids import PROCEDURE_BIT
from ansi_tables.procedures import (
    LIST_CODES,
    Initiate,
    Outcome,
    ResultCode,
    decode_initiate,
    encode_response,
)
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.clock import QUALIFIER_BITS, asked_for, seconds_of, stamp_of
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.lists import KeptList
from smartmeter.meter.load_profile import Recorder
from smartmeter.meter.service_switch import Answer

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter

#: The result: a code, and the members of the result record.
Result = tuple[ResultCode, Mapping[str, Any]]
BAD: Result = (ResultCode.INVALID_PARAMETER, {})
CONFLICT: Result = (ResultCode.SETUP_CONFLICT, {})
DONE: Result = (ResultCode.COMPLETED, {})
#: Octets of ST-07 before the parameters: which procedure, and a sequence number.
INITIATE_OCTETS = 3
#: SELECTOR of ST-07: post a failure only; post nothing.
POST_ON_EXCEPTION, NEVER_POST, _RESERVED_FROM = 1, 2, 4


def run_procedure(meter: Meter, initiate: bytes, now_us: int) -> bytes | None:
    """Run what ST-07 asks for; give the image of ST-08, or None when none is to be posted."""
    context = meter.program.context
    try:
        call = decode_initiate(initiate, context)
    except TableError:
        formats = meter.program.formats
        return unreadable(initiate, formats, formats.std_proc_used & _ACTIONS.keys())
    result = _run(meter, call, now_us)
    image = posted(call, result, context)
    if result[0] is ResultCode.COMPLETED:
        subject = (PROCEDURE_BIT | call.number).to_bytes(2, context.fmt.data_order)
        meter.note(EventCode.PROCEDURE_INVOKED, now_us, subject, call.number)
    return image


def posted(call: Initiate, result: Result, context: Context) -> bytes | None:
    """Give the image of ST-08 for a result, or None where the call's SELECTOR wants none."""
    code, values = result
    completed = code is ResultCode.COMPLETED
    if call.selector == NEVER_POST or (call.selector == POST_ON_EXCEPTION and completed):
        return None
    told = values if completed else b""
    answer = Outcome(call.number, call.sequence, code, told, call.manufacturer, call.selector)
    return encode_response(answer, context)


def unreadable(initiate: bytes, formats: DeviceFormat, offered: Container[int]) -> bytes | None:
    """Answer parameters that cannot be read: 6 for a procedure that is not offered, else 2."""
    head = initiate[:INITIATE_OCTETS].ljust(INITIATE_OCTETS, b"\0")
    selector, number = divmod(int.from_bytes(head[:2], formats.data_order), 0x1000)
    if selector == NEVER_POST:
        return None
    known = number in offered
    return head + bytes([ResultCode.INVALID_PARAMETER if known else ResultCode.UNRECOGNIZED])


def _run(meter: Meter, call: Initiate, now_us: int) -> Result:
    act = _ACTIONS.get(call.number)
    offered = call.number in meter.program.formats.std_proc_used and not call.manufacturer
    if act is None or not offered:
        return ResultCode.UNRECOGNIZED, {}
    if call.selector >= _RESERVED_FROM:
        return BAD
    meter.advance(now_us)
    return act(meter, call.parameters, now_us)


def _cold_start(meter: Meter, given: Record, now_us: int) -> Result:
    """Go back to the factory's configuration, and forget collected data."""
    meter.restore_factory_tables()
    _clear_data(meter, given, now_us)
    meter.pending.remove(list(meter.pending.waiting.values()))
    meter.conditions.clear_standard()
    meter.note(EventCode.ED_REPROGRAMMED, now_us)
    return DONE


def _nothing_lost(meter: Meter, given: Record, now_us: int) -> Result:
    """Warm start and saving: all that is acknowledged is in non-volatile memory anyway."""
    return DONE


def _clear_data(meter: Meter, given: Record, now_us: int) -> Result:
    """Clear registers, load profile and event log; the configuration stays."""
    meter.metering.clear_data()
    meter.logs.event.list.clear()
    if meter.logs.event.list.pointers.capacity:
        meter.note(EventCode.EVENT_LOG_CLEARED, now_us)
    return DONE


#: A list, and what it is in the logs that it was cleared, or that its entries were read.
_Named = tuple[KeptList | Recorder, EventCode | None, EventCode | None]


def _lists(meter: Meter, code: int) -> list[_Named] | None:
    """Give the lists of the meter that a code names; None for a code that names none."""
    event_codes = EventCode.EVENT_LOG_CLEARED, EventCode.EVENT_LOG_POINTERS_UPDATED
    history_codes = EventCode.HISTORY_LOG_CLEARED, EventCode.HISTORY_LOG_POINTERS_UPDATED
    lists: dict[int, _Named] = {
        26: (meter.metering.billing.self_reads, None, None),
        **{63 + one.set.number: (one, None, None) for one in meter.metering.recorders},
        74: (meter.logs.history.list, *history_codes),
        76: (meter.logs.event.list, *event_codes),
    }
    there = meter.program.formats.std_tbls_used & lists.keys()
    return [lists[table] for table in LIST_CODES.get(code, ()) if table in there] or None


def _reset_list_pointers(meter: Meter, given: Record, now_us: int) -> Result:
    lists = _lists(meter, given.TBL_LIST)
    if lists is None:
        return BAD
    for found, cleared, _ in lists:
        found.clear()
        if cleared is not None:
            meter.note(cleared, now_us)
    meter.note(EventCode.LIST_POINTERS_RESET, now_us, bytes([given.TBL_LIST]))
    return DONE


def _update_last_read(meter: Meter, given: Record, now_us: int) -> Result:
    lists = _lists(meter, given.TBL_LIST)
    if lists is None:
        return BAD
    count = given.ENTRIES_READ
    argument = count.to_bytes(2, meter.program.formats.data_order)
    for found, _, updated in lists:
        found.pointers.acknowledge(count)
        if updated is not None:
            meter.note(updated, now_us, argument)
    meter.note(EventCode.LIST_POINTERS_UPDATED, now_us, bytes([given.TBL_LIST]))
    return DONE


#: What leaving and entering test mode is in the logs.
_MODE_EVENTS = (
    (EventCode.TEST_MODE_STOPPED, EventCode.METERING_MODE_STARTED),
    (EventCode.METERING_MODE_STOPPED, EventCode.TEST_MODE_STARTED),
)


def _change_mode(meter: Meter, given: Record, now_us: int) -> Result:
    """Enter metering or test mode; shop and factory mode are not for the field."""
    mode = given.ED_MODE
    if mode.METER_SHOP_MODE_FLAG or mode.FACTORY_FLAG:
        return CONFLICT
    if mode.METERING_FLAG == mode.TEST_MODE_FLAG:
        return BAD
    on = bool(mode.TEST_MODE_FLAG)
    if on != meter.metering.test_mode:
        meter.metering.set_test_mode(on)
        for code in _MODE_EVENTS[on]:
            meter.note(code, now_us)
    return DONE


def _clear_standard_status(meter: Meter, given: Record, now_us: int) -> Result:
    meter.conditions.clear_standard()
    return ResultCode.COMPLETED, {
        "ED_STD_STATUS1": meter.standard_status,
        "ED_STD_STATUS2": 0,
    }


def _clear_mfg_status(meter: Meter, given: Record, now_us: int) -> Result:
    meter.conditions.clear_manufacturer()
    return ResultCode.COMPLETED, {"ED_MFG_STATUS": meter.manufacturer_status}


def _remote_reset(meter: Meter, given: Record, now_us: int) -> Result:
    """Self-read, demand reset, season change: all that is asked, or nothing and the reason."""
    action, metering = given.ACTION_FLAG, meter.metering
    utc_s = meter.clock.utc_s(now_us)
    seasons = meter.program.table(51).get("CALENDAR_FUNC", {}).get("NBR_SEASONS", 0)
    if action.SEASON_CHANGE_FLAG and seasons <= action.NEW_SEASON:
        return BAD
    if action.DEMAND_RESET_FLAG and not metering.billing.may_reset(utc_s):
        return ResultCode.TIMING_CONSTRAINT, {}
    changes = bool(action.SEASON_CHANGE_FLAG)
    season = action.NEW_SEASON if changes else None
    asked = bool(action.SELF_READ_FLAG), bool(action.DEMAND_RESET_FLAG)
    read, reset = metering.read_and_reset(utc_s, *asked, season)
    done = {
        "DEMAND_RESET_FLAG": int(asked[1] and reset),
        "SELF_READ_FLAG": int(asked[0] and read),
        "SEASON_CHANGE_FLAG": int(changes),
        "NEW_SEASON": season or 0,
    }
    return ResultCode.COMPLETED, {"SUCCESS_FLAG": done}


def _set_date_time(meter: Meter, given: Record, now_us: int) -> Result:
    """Set date, time, or both, and the qualifier's bits that say what is applied.

    Its DST_FLAG tells which of two is meant where an hour comes twice; when daylight saving
    begins and ends is the calendar's to say.
    Procedure 32 is the same with fractions of a second, whose times are longer.
    """
    mask, clock = given.SET_MASK, meter.clock
    if not clock.runs:
        return CONFLICT
    before = clock.shown(clock.utc_us(now_us))
    wanted = None if before is None else asked_for(given, before, meter.program.formats)
    if wanted is None:
        return BAD
    saving: bool | None = None
    if mask.SET_TIME_DATE_QUAL:
        saving = bool(given.TIME_DATE_QUAL.DST_FLAG)
        names = [name for name in QUALIFIER_BITS if name != "DST_FLAG"]
        clock.applied = frozenset(name for name in names if given.TIME_DATE_QUAL.get(name))
    if mask.SET_TIME_FLAG or mask.SET_DATE_FLAG:
        meter.note(EventCode.TIME_CHANGED_OLD, now_us)
        utc_s = meter.metering.time.instant_of(stamp_of(wanted), saving)
        meter.set_clock(utc_s * US_PER_S + wanted.microsecond, now_us)
        meter.note(EventCode.TIME_CHANGED_NEW, now_us)
    after = clock.shown(clock.utc_us(now_us))
    return ResultCode.COMPLETED, {"DATE_TIME_BEFORE": before, "DATE_TIME_AFTER": after}


def _diagnostics(meter: Meter, given: Record, now_us: int) -> Result:
    """Look for trouble: what is there sets its flag in ST-03 again."""
    for condition in meter.conditions.present.values():
        meter.conditions.begin(condition)
    return DONE


def _activate(meter: Meter, given: Record, now_us: int) -> Result:
    """Activate all pending tables, or those that wait for an event."""
    tables = meter.pending.of_event(_event_of(given))
    if not tables and "PENDING_EVENT" in given:
        return BAD
    return DONE if meter.activate(tables) else CONFLICT


def _discard(meter: Meter, given: Record, now_us: int) -> Result:
    """Discard all pending tables, or those that wait for an event."""
    tables = meter.pending.of_event(_event_of(given))
    if not tables and "PENDING_EVENT" in given:
        return BAD
    meter.discard(tables)
    return DONE


def _event_of(given: Record) -> bytes | None:
    if "PENDING_EVENT" not in given:
        return None
    selector = given.PENDING_EVENT.EVENT_SELECTOR
    first = selector.EVENT_CODE | selector.SELF_READ_FLAG << 4 | selector.DEMAND_RESET_FLAG << 5
    return bytes([first, *given.PENDING_EVENT.EVENT_STORAGE])


def _start_profile(meter: Meter, given: Record, now_us: int) -> Result:
    meter.metering.record_profile(True)
    return DONE


def _stop_profile(meter: Meter, given: Record, now_us: int) -> Result:
    meter.metering.record_profile(False)
    return DONE


def _log_in(meter: Meter, given: Record, now_us: int) -> Result:
    """Take a password, counted and locked as at the port."""
    if meter.access.try_password(given.PASSWORD, now_us):
        meter.access.user_id = given.USER_ID
        return DONE
    meter.note_refusal(now_us)
    return ResultCode.NO_AUTHORIZATION, {}


def _log_out(meter: Meter, given: Record, now_us: int) -> Result:
    meter.access.log_out()
    return DONE


def _load_control(meter: Meter, given: Record, now_us: int) -> Result:
    """Open or arm the service switch: level 0 or 100 of control point 0 (tentative layout)."""
    if meter.switch is None or given.LEVEL not in (0, 100) or {0} != given.CONTROL_POINTS:
        return BAD
    utc_s = meter.clock.utc_s(now_us)
    answer = meter.operate_switch(given.LEVEL == 100, seconds_of(given.DURATION), utc_s, now_us)
    return {
        Answer.DONE: DONE,
        Answer.TOO_SOON: (ResultCode.TIMING_CONSTRAINT, {}),
        Answer.UNSAFE: CONFLICT,
    }[answer]


_ACTIONS: Mapping[int, Callable[[Meter, Record, int], Result]] = {
    0: _cold_start,
    1: _nothing_lost,
    2: _nothing_lost,
    3: _clear_data,
    4: _reset_list_pointers,
    5: _update_last_read,
    6: _change_mode,
    7: _clear_standard_status,
    8: _clear_mfg_status,
    9: _remote_reset,
    10: _set_date_time,
    11: _diagnostics,
    12: _activate,
    13: _activate,
    14: _discard,
    15: _discard,
    16: _start_profile,
    17: _stop_profile,
    18: _log_in,
    19: _log_out,
    21: _load_control,
    32: _set_date_time,
}
#: Procedures of which the times have no known shape under some of TM_FORMAT.
PRECISE = (32,)
#: All standard procedures that a device may offer.
SUPPORTED = tuple(sorted(_ACTIONS))
