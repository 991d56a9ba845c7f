"""The standard procedures 0 to 32: parameters and results as records.

Parameters of 4, 5, 6, 9 and 10, and that the others have none, are confirmed by
several sources; those of 7, 8, 13, 15, 18, 20 and 21 by one; 32 is from memory.
The layouts of 22 to 31 are not known: their parameters are one member RAW.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    binary,
    bit_field,
    htime_date,
    ltime_date,
    optional_tail,
    record,
    rest,
    set_of,
    time_of_day,
    uint,
)
from ansi_tables.identifiers import ed_mode, event, std_status1, std_status2, time_date_qualifier
from ansi_tables.ids import MANUFACTURER_BIT

Build = Callable[[Context], Tree]


def nothing(ctx: Context) -> Tree:
    """No parameters, or no result."""
    return record()


@dataclass(frozen=True)
class Procedure:
    """A procedure: its number, its name, and how parameters and result are built.

    ``layout``, ``confidence`` and ``since`` mean what they mean for tables.
    """

    number: int
    name: str
    parameters: Build = nothing
    result: Build = nothing
    manufacturer: bool = False
    layout: Literal["known", "tentative", "opaque"] = "known"
    confidence: Literal["verified", "single-source", "from-memory"] = "verified"
    since: int = 1997

    @property
    def id(self) -> int:
        """Give the number with bit 11 set for a manufacturer's procedure."""
        return self.number | self.manufacturer * MANUFACTURER_BIT


def _list(ctx: Context) -> Tree:
    return record("TBL_LIST" / uint(ctx, 8))


def _entries_read(ctx: Context) -> Tree:
    """5: entries, or blocks of load profile, read since the last acknowledgement."""
    return record("TBL_LIST" / uint(ctx, 8), "ENTRIES_READ" / uint(ctx, 16))


def _mode(ctx: Context) -> Tree:
    return record("ED_MODE" / ed_mode(ctx))


def _standard_status(ctx: Context) -> Tree:
    return record("ED_STD_STATUS1" / std_status1(ctx), "ED_STD_STATUS2" / std_status2(ctx))


def _standard_status_or_nothing(ctx: Context) -> Tree:
    """7: one host sends nothing, another declares the flags; both are read."""
    return record(
        optional_tail(True, "ED_STD_STATUS1" / std_status1(ctx)),
        optional_tail(True, "ED_STD_STATUS2" / std_status2(ctx)),
    )


def _manufacturer_status(ctx: Context) -> Tree:
    """8: the flags, or nothing at all."""
    status = "ED_MFG_STATUS" / set_of(ctx.fmt.dim_mfg_status_used)
    return record(optional_tail(True, status))


def _actions(ctx: Context) -> Tree:
    return bit_field(
        ctx,
        8,
        DEMAND_RESET_FLAG=(0, 0),
        SELF_READ_FLAG=(1, 1),
        SEASON_CHANGE_FLAG=(2, 2),
        NEW_SEASON=(3, 6),
    )


def _remote_reset(ctx: Context) -> Tree:
    return record("ACTION_FLAG" / _actions(ctx))


def _reset_done(ctx: Context) -> Tree:
    """9: the same bits, set for what was carried out (their meaning is from memory)."""
    return record("SUCCESS_FLAG" / _actions(ctx))


def _set_mask(ctx: Context) -> Tree:
    return bit_field(ctx, 8, SET_TIME_FLAG=(0, 0), SET_DATE_FLAG=(1, 1), SET_TIME_DATE_QUAL=(2, 2))


def _clock_setting(moment: Build) -> Build:
    def build(ctx: Context) -> Tree:
        return record(
            "SET_MASK" / _set_mask(ctx),
            "DATE_TIME" / moment(ctx),
            "TIME_DATE_QUAL" / time_date_qualifier(ctx),
        )

    return build


def _clocks(moment: Build) -> Build:
    def build(ctx: Context) -> Tree:
        return record("DATE_TIME_BEFORE" / moment(ctx), "DATE_TIME_AFTER" / moment(ctx))

    return build


def _pending_event(ctx: Context) -> Tree:
    return record("PENDING_EVENT" / event(ctx))


def _log_in(ctx: Context) -> Tree:
    return record("USER_ID" / uint(ctx, 16), "PASSWORD" / binary(20))


def _call(ctx: Context) -> Tree:
    return record("PHONE_NUMBER" / uint(ctx, 8))


def _load_control(ctx: Context) -> Tree:
    """21: as one host sends it; the octets of CONTROL_POINTS probably follow ST-111."""
    return record(
        "LEVEL" / uint(ctx, 8), "CONTROL_POINTS" / set_of(1), "DURATION" / time_of_day(ctx)
    )


def _raw(ctx: Context) -> Tree:
    return record("RAW" / rest(ctx.fmt.max_proc_parm_length))


def _unknown(number: int, name: str, source: Literal["single-source", "from-memory"]) -> Procedure:
    return Procedure(number, name, _raw, nothing, False, "opaque", source, 2008)


STANDARD_PROCEDURES = (
    Procedure(0, "COLD_START"),
    Procedure(1, "WARM_START"),
    Procedure(2, "SAVE_CONFIGURATION"),
    Procedure(3, "CLEAR_DATA"),
    Procedure(4, "RESET_LIST_POINTERS", _list),
    Procedure(5, "UPDATE_LAST_READ_ENTRY", _entries_read),
    Procedure(6, "CHANGE_END_DEVICE_MODE", _mode),
    Procedure(
        7,
        "CLEAR_STD_STATUS_FLAGS",
        _standard_status_or_nothing,
        _standard_status,
        confidence="single-source",
    ),
    Procedure(
        8,
        "CLEAR_MFG_STATUS_FLAGS",
        _manufacturer_status,
        _manufacturer_status,
        confidence="single-source",
    ),
    Procedure(9, "REMOTE_RESET", _remote_reset, _reset_done),
    Procedure(10, "SET_DATE_TIME", _clock_setting(ltime_date), _clocks(ltime_date)),
    Procedure(11, "EXECUTE_DIAGNOSTICS"),
    Procedure(12, "ACTIVATE_ALL_PENDING_TABLES"),
    Procedure(13, "ACTIVATE_SPECIFIC_PENDING_TABLES", _pending_event, confidence="single-source"),
    Procedure(14, "CLEAR_ALL_PENDING_TABLES"),
    Procedure(15, "CLEAR_SPECIFIC_PENDING_TABLES", _pending_event, confidence="single-source"),
    Procedure(16, "START_LOAD_PROFILE"),
    Procedure(17, "STOP_LOAD_PROFILE"),
    Procedure(18, "LOG_IN", _log_in, confidence="single-source"),
    Procedure(19, "LOG_OUT"),
    Procedure(20, "INITIATE_IMMEDIATE_CALL", _call, confidence="single-source"),
    Procedure(
        21,
        "DIRECT_LOAD_CONTROL",
        _load_control,
        layout="tentative",
        confidence="single-source",
        since=2008,
    ),
    _unknown(22, "MODIFY_CREDIT", "from-memory"),
    _unknown(23, "REGISTER", "from-memory"),
    _unknown(24, "DEREGISTER", "from-memory"),
    _unknown(25, "NETWORK_INTERFACE_CONTROL", "from-memory"),
    _unknown(26, "EXCEPTION_REPORT", "from-memory"),
    _unknown(27, "CLEAR_PENDING_CALL_STATUS", "single-source"),
    _unknown(28, "START_QOS_MONITORS", "single-source"),
    _unknown(29, "STOP_QOS_MONITORS", "single-source"),
    _unknown(30, "START_SECURED_REGISTERS", "single-source"),
    _unknown(31, "STOP_SECURED_REGISTERS", "single-source"),
    Procedure(
        32,
        "SET_PRECISION_DATE_TIME",
        _clock_setting(htime_date),
        _clocks(htime_date),
        layout="tentative",
        confidence="from-memory",
        since=2008,
    ),
)
