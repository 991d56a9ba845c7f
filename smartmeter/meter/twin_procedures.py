"""The standard procedures that a twin carries out, where ST-00 of its image lists them.

An image holds all that these need: warm start, saving and diagnostics change nothing that a
client sees; entries that were read are counted off the unread ones; status flags are
cleared; the clock is set; a user logs in and out.  Those that make a meter measure, record
or switch (cold start, clearing, list pointers, modes, resets, pending tables, load profile,
load control), and a manufacturer's, are answered with result 3, "conflicts with device
setup": their effects are not in an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansi_tables import Record, Snapshot, TableError
from ansi_tables.procedures import LIST_CODES, Initiate, ResultCode, decode_initiate
from protocols.psem.codes import ResponseCode
from smartmeter.meter.access import LOG_IN
from smartmeter.meter.clock import asked_for
from smartmeter.meter.living import CLOCKS, clock_showing
from smartmeter.meter.procedures import BAD, CONFLICT, DONE, Result, posted, unreadable

if TYPE_CHECKING:
    from smartmeter.meter.twin import TwinDevice

STATUS, CLOCK, PROFILE_STATUS = 3, 52, 63
#: Load profile data, and what its set is called in ST-63.
_SETS = {64: "LP_STATUS_SET1", 65: "LP_STATUS_SET2", 66: "LP_STATUS_SET3", 67: "LP_STATUS_SET4"}
#: What the flags of a list are called, where they are not those of a load profile's set.
_LIST_FLAGS = {26: "LIST_STATUS", 74: "HIST_FLAGS", 76: "EVENT_FLAGS"}


def run_procedure(twin: TwinDevice, initiate: bytes, now_us: int) -> bytes | None:
    """Run what ST-07 asks for; give the image of ST-08, or None when none is to be posted."""
    tables = twin.present(now_us)
    try:
        call = decode_initiate(initiate, tables.context)
    except TableError:
        return unreadable(initiate, twin.format, twin.format.std_proc_used)
    return posted(call, _run(twin, tables, call, now_us), tables.context)


def _run(twin: TwinDevice, tables: Snapshot, call: Initiate, now_us: int) -> Result:
    fmt = twin.format
    if call.number not in (fmt.mfg_proc_used if call.manufacturer else fmt.std_proc_used):
        return ResultCode.UNRECOGNIZED, {}
    act = None if call.manufacturer else _ACTIONS.get(call.number)
    if act is None:
        return CONFLICT
    try:
        return act(twin, tables, call.parameters, now_us)
    except (TableError, KeyError, AttributeError):
        return CONFLICT  # the image has not the table, or it does not decode


def _nothing_to_see(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
    return DONE


def _update_last_read(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
    """Count entries off the unread ones, in every list of the code that the image has.

    Where some were read, not all are unread any more: no list overflows then.
    """
    lists = [n for n in LIST_CODES.get(given.TBL_LIST, ()) if n in tables.images]
    if not lists:
        return BAD
    for number in lists:
        table = PROFILE_STATUS if number in _SETS else number
        record: Any = tables[table]
        status = record[_SETS[number]] if number in _SETS else record
        name = "NBR_UNREAD_BLOCKS" if number in _SETS else "NBR_UNREAD_ENTRIES"
        status[name] = max(0, status[name] - given.ENTRIES_READ)
        if given.ENTRIES_READ:
            status[_LIST_FLAGS.get(number, "LP_SET_STATUS_FLAGS")]["OVERFLOW_FLAG"] = 0
        twin.put(table, tables.layout(table).encode(record), now_us)
        tables.images[table] = tables.layout(table).encode(record)
    return DONE


def _clear(*names: str) -> Callable[[TwinDevice, Snapshot, Record, int], Result]:
    def act(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
        record: Any = tables[STATUS]
        for name in names:
            flags = record[name]
            record[name] = dict.fromkeys(flags, 0) if isinstance(flags, dict) else frozenset()
        image = tables.layout(STATUS).encode(record)
        twin.put(STATUS, image, now_us)
        return ResultCode.COMPLETED, {name: record[name] for name in names}

    return act


def _set_date_time(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
    """Set date, time, or both; of the qualifier only the day of the week follows."""
    before = tables[CLOCK].CLOCK_CALENDAR.value
    known = isinstance(before, datetime)
    after = asked_for(given, before, tables.context.fmt) if known else None
    if after is None:
        return BAD
    shown = {CLOCK: clock_showing(tables, CLOCK, after)}
    for number in set(CLOCKS) - {CLOCK}:
        with suppress(TableError, KeyError, AttributeError):  # it is not there, or stays as it is
            shown[number] = clock_showing(tables, number, after)
    for number, image in shown.items():
        twin.put(number, image, now_us)
    return ResultCode.COMPLETED, {"DATE_TIME_BEFORE": before, "DATE_TIME_AFTER": after}


def _log_in(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
    accepted = twin.security(bytes(given.PASSWORD), now_us) is ResponseCode.ok
    return DONE if accepted else (ResultCode.NO_AUTHORIZATION, {})


def _log_out(twin: TwinDevice, tables: Snapshot, given: Record, now_us: int) -> Result:
    twin.end_rights()
    return DONE


_ACTIONS: Mapping[int, Callable[[TwinDevice, Snapshot, Record, int], Result]] = {
    1: _nothing_to_see,
    2: _nothing_to_see,
    5: _update_last_read,
    7: _clear("ED_STD_STATUS1", "ED_STD_STATUS2"),
    8: _clear("ED_MFG_STATUS"),
    10: _set_date_time,
    11: _nothing_to_see,
    LOG_IN: _log_in,
    19: _log_out,
}
