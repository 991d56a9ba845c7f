"""Standard procedures: what is written to ST-07 and read from ST-08, as values.

A procedure's parameters and result are records in the device's own formats.
Those of a procedure that is not listed here stay octets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansi_tables.context import Context
from ansi_tables.errors import TableValueError, TruncatedTableError
from ansi_tables.fields import Tree, bit_field, ltime_date, record, uint
from ansi_tables.layout import Layout

MANUFACTURER_PROCEDURE = 0x0800
_NUMBER_BITS = 0x07FF
_SELECTOR_SHIFT = 12

RESULT_CODES: Mapping[int, str] = {
    0: "COMPLETED",
    1: "NOT_COMPLETED",
    2: "INVALID_PARAMETER",
    3: "SETUP_CONFLICT",
    4: "TIMING_CONSTRAINT",
    5: "NO_AUTHORIZATION",
    6: "UNRECOGNIZED",
}


@dataclass(frozen=True)
class Procedure:
    """A standard procedure: its name, and how parameters and result are built."""

    number: int
    name: str
    parameters: Callable[[Context], Tree]
    result: Callable[[Context], Tree]


def _nothing(ctx: Context) -> Tree:
    return record()


def _clear_list(ctx: Context) -> Tree:
    return record("LIST" / uint(ctx, 8))


def _entries_read(ctx: Context) -> Tree:
    return record("LIST" / uint(ctx, 8), "ENTRIES_READ" / uint(ctx, 16))


def _action(ctx: Context) -> Tree:
    flags = bit_field(ctx, 8, DEMAND_RESET=(0, 0), SELF_READ=(1, 1), SEASON_CHANGE=(2, 2))
    return record("ACTION_FLAG" / flags)


def _action_done(ctx: Context) -> Tree:
    flags = bit_field(ctx, 8, DEMAND_RESET=(0, 0), SELF_READ=(1, 1), SEASON_CHANGE=(2, 2))
    return record("SUCCESS_FLAG" / flags)


def _set_clock(ctx: Context) -> Tree:
    mask = bit_field(ctx, 8, SET_TIME_FLAG=(0, 0), SET_DATE_FLAG=(1, 1), SET_TIME_DATE_QUAL=(2, 2))
    qualifier = bit_field(
        ctx,
        8,
        DAY_OF_WEEK=(0, 2),
        DST_FLAG=(3, 3),
        GMT_FLAG=(4, 4),
        TM_ZN_APPLIED_FLAG=(5, 5),
        DST_APPLIED_FLAG=(6, 6),
        DST_SUPPORTED_FLAG=(7, 7),
    )
    return record("SET_MASK" / mask, "DATE_TIME" / ltime_date(ctx), "TIME_DATE_QUAL" / qualifier)


def _clocks(ctx: Context) -> Tree:
    return record("DATE_TIME_BEFORE" / ltime_date(ctx), "DATE_TIME_AFTER" / ltime_date(ctx))


PROCEDURES: Mapping[int, Procedure] = {
    procedure.number: procedure
    for procedure in (
        Procedure(0, "COLD_START", _nothing, _nothing),
        Procedure(1, "WARM_START", _nothing, _nothing),
        Procedure(2, "SAVE_CONFIGURATION", _nothing, _nothing),
        Procedure(3, "CLEAR_DATA", _nothing, _nothing),
        Procedure(4, "RESET_LIST_POINTERS", _clear_list, _nothing),
        Procedure(5, "UPDATE_LAST_READ_ENTRY", _entries_read, _nothing),
        Procedure(9, "REMOTE_RESET", _action, _action_done),
        Procedure(10, "SET_DATE_TIME", _set_clock, _clocks),
    )
}


@dataclass(frozen=True)
class Initiate:
    """ST-07: a call.  ``parameters`` is a record, or octets of an unknown procedure."""

    number: int
    sequence: int
    parameters: Any
    manufacturer: bool = False
    selector: int = 0


@dataclass(frozen=True)
class Outcome:
    """ST-08: the answer to a call; ``result_code`` is one of RESULT_CODES or reserved."""

    number: int
    sequence: int
    result_code: int
    result: Any
    manufacturer: bool = False

    @property
    def completed(self) -> bool:
        """Tell whether the procedure has done its work."""
        return self.result_code == 0


def encode_initiate(call: Initiate, ctx: Context) -> bytes:
    """Give the image of ST-07; TableValueError for parameters that do not fit."""
    head = call.number | (MANUFACTURER_PROCEDURE if call.manufacturer else 0)
    if not 0 <= call.number <= _NUMBER_BITS or not 0 <= call.selector <= 15:
        raise TableValueError(f"procedure {call.number}", table="ST-07", path="PROC")
    head |= call.selector << _SELECTOR_SHIFT
    octets = head.to_bytes(2, ctx.fmt.data_order) + bytes([call.sequence & 0xFF])
    layout = _layout(call.number, call.manufacturer, ctx, "parameters")
    return octets + (bytes(call.parameters) if layout is None else layout.encode(call.parameters))


def decode_initiate(image: bytes, ctx: Context) -> Initiate:
    """Read ST-07; TableError when it does not hold its procedure's parameters exactly."""
    if len(image) < 3:
        raise TruncatedTableError("at least 3 octets", table="ST-07", path="PROC", offset=0)
    number, manufacturer, selector = _head(image, ctx)
    layout = _layout(number, manufacturer, ctx, "parameters")
    parameters = image[3:] if layout is None else layout.decode(image[3:])
    return Initiate(number, image[2], parameters, manufacturer, selector)


def decode_response(image: bytes, ctx: Context) -> Outcome:
    """Read ST-08.  A result that is not there, as after a refusal, is empty octets."""
    if len(image) < 4:
        raise TruncatedTableError("at least 4 octets", table="ST-08", path="PROC", offset=0)
    number, manufacturer, _ = _head(image, ctx)
    layout = _layout(number, manufacturer, ctx, "result")
    rest = image[4:]
    # Devices may pad the answer, or leave the result out: then it stays octets.
    fits = layout is not None and image[3] == 0 and layout.size == len(rest)
    result = layout.decode(rest) if fits and layout is not None else rest
    return Outcome(number, image[2], image[3], result, manufacturer)


def _head(image: bytes, ctx: Context) -> tuple[int, bool, int]:
    head = int.from_bytes(image[:2], ctx.fmt.data_order)
    return head & _NUMBER_BITS, bool(head & MANUFACTURER_PROCEDURE), head >> _SELECTOR_SHIFT


def _layout(number: int, manufacturer: bool, ctx: Context, part: str) -> Layout | None:
    procedure = None if manufacturer else PROCEDURES.get(number)
    if procedure is None:
        return None
    build = procedure.parameters if part == "parameters" else procedure.result
    return Layout(7 if part == "parameters" else 8, procedure.name, build(ctx))
