"""Procedures: what is written to ST-07 and read from ST-08, as values, both ways.

A procedure's parameters and result are records in the device's own formats;
those of a procedure that is not known stay octets.  ``register``, which is
``ansi_tables.register_procedure``, adds a manufacturer's procedure, or a
device's own shape of a standard one::

    register(Procedure(3, "OPEN_SWITCH", lambda ctx: record("SECONDS" / uint(ctx, 16)),
                       manufacturer=True))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from ansi_tables.context import Context
from ansi_tables.errors import TableError, TableValueError, TruncatedTableError
from ansi_tables.ids import MANUFACTURER_BIT, NAME_MASK, NUMBER_MASK, name_of
from ansi_tables.layout import Layout
from ansi_tables.standard_procedures import STANDARD_PROCEDURES, Procedure

_SELECTOR_SHIFT = 12
#: The tables that a procedure is asked for in, which is never read, and answered in.
INITIATE, RESPONSE = 7, 8


class ResultCode(IntEnum):
    """ST-08.RESULT_CODE."""

    COMPLETED = 0
    NOT_COMPLETED = 1
    INVALID_PARAMETER = 2
    SETUP_CONFLICT = 3
    TIMING_CONSTRAINT = 4
    NO_AUTHORIZATION = 5
    UNRECOGNIZED = 6


RESULT_CODES: Mapping[int, str] = {code.value: code.name for code in ResultCode}

#: TBL_LIST of procedures 4 and 5: the tables that a list code stands for (single source).
LIST_CODES: Mapping[int, tuple[int, ...]] = {
    1: (76,),
    2: (26,),
    3: (64,),
    4: (65,),
    5: (66,),
    6: (67,),
    7: (64, 65, 66, 67),
    8: (74,),
    255: (26, 64, 65, 66, 67, 74),
}

_procedures: dict[int, Procedure] = {known.id: known for known in STANDARD_PROCEDURES}


def register(procedure: Procedure) -> None:
    """Add a procedure, or replace one: a manufacturer's, or a device's own shape."""
    _procedures[procedure.id] = procedure


def procedure(number: int, manufacturer: bool = False) -> Procedure | None:
    """Give a procedure, or None: its parameters and result stay octets."""
    return _procedures.get(number | (MANUFACTURER_BIT if manufacturer else 0))


def all_procedures() -> Iterator[Procedure]:
    """Give all procedures: the standard ones, then the registered ones of manufacturers."""
    return iter([_procedures[key] for key in sorted(_procedures)])


def procedure_name(number: int, manufacturer: bool = False) -> str:
    """Give the standard's name of a procedure, or the number of one without a known name.

    >>> procedure_name(9), procedure_name(3, manufacturer=True)
    ('REMOTE_RESET', 'manufacturer procedure 3')
    """
    known = procedure(number, manufacturer)
    if known is not None:
        return known.name
    return f"{'manufacturer ' if manufacturer else ''}procedure {number}"


@dataclass(frozen=True)
class Initiate:
    """ST-07: a call.  ``parameters`` is a record, or octets of an unknown procedure.

    ``selector``: answer on completion (0), on exception (1), never (2), at once and then (3).
    """

    number: int
    sequence: int
    parameters: Any
    manufacturer: bool = False
    selector: int = 0


@dataclass(frozen=True)
class Outcome:
    """ST-08: the answer to a call; ``result_code`` is one of RESULT_CODES or reserved.

    ``result`` is a record when the procedure has done its work, and octets
    otherwise.  ``trailing`` holds what follows it: some meters fill the table up.
    """

    number: int
    sequence: int
    result_code: int
    result: Any
    manufacturer: bool = False
    selector: int = 0
    trailing: bytes = b""

    @property
    def completed(self) -> bool:
        """Tell whether the procedure has done its work."""
        return self.result_code == ResultCode.COMPLETED

    @property
    def text(self) -> str:
        """Give the outcome in words: "invalid parameter"."""
        name = RESULT_CODES.get(self.result_code, f"result code {self.result_code}")
        return name.lower().replace("_", " ")

    def answers(self, call: Initiate) -> bool:
        """Tell whether this is the answer to a call, and not another session's."""
        mine = (call.number, call.manufacturer, call.sequence & 0xFF)
        return (self.number, self.manufacturer, self.sequence) == mine


def procedure_asked(initiate: bytes, order: Literal["little", "big"]) -> int:
    """Give the procedure that an image of ST-07 asks for; bit 11 is set of a manufacturer's."""
    return int.from_bytes(initiate[:2], order) & NAME_MASK


def encode_initiate(call: Initiate, ctx: Context) -> bytes:
    """Give the image of ST-07; TableValueError for parameters that do not fit."""
    octets = _head(INITIATE, call, ctx)
    layout = _layout(call, ctx, INITIATE)
    return octets + (_octets(call.parameters) if layout is None else layout.encode(call.parameters))


def decode_initiate(image: bytes, ctx: Context) -> Initiate:
    """Read ST-07; TableError when it does not hold its procedure's parameters exactly."""
    number, manufacturer, selector = _read_head(INITIATE, image, 3, ctx)
    call = Initiate(number, image[2], image[3:], manufacturer, selector)
    layout = _layout(call, ctx, INITIATE)
    if layout is None:
        return call
    parameters, surplus = _parameters(layout, call.parameters)
    if surplus:
        raise TableValueError(
            f"{len(surplus)} octets more than {layout.title} takes",
            table="ST-07",
            path="PARM_RCD",
            offset=len(image) - len(surplus),
        )
    return Initiate(number, image[2], parameters, manufacturer, selector)


def _parameters(layout: Layout, octets: bytes) -> tuple[Any, bytes]:
    try:
        return layout.decode_with_trailing(octets)
    except TableError as error:
        error.path = f"PARM_RCD.{error.path}"
        error.offset = 3 + (error.offset or 0)
        raise


def encode_response(outcome: Outcome, ctx: Context) -> bytes:
    """Give the image of ST-08; TableValueError for a result that does not fit."""
    octets = _head(RESPONSE, outcome, ctx) + bytes([outcome.result_code])
    known = isinstance(outcome.result, Mapping)
    layout = _layout(outcome, ctx, RESPONSE) if known else None
    result = _octets(outcome.result) if layout is None else layout.encode(outcome.result)
    return octets + result + outcome.trailing


def decode_response(image: bytes, ctx: Context) -> Outcome:
    """Read ST-08.  A result that is not there, as after a refusal, is octets."""
    number, manufacturer, selector = _read_head(RESPONSE, image, 4, ctx)
    rest = image[4:]
    outcome = Outcome(number, image[2], image[3], rest, manufacturer, selector)
    try:
        layout = _layout(outcome, ctx, RESPONSE) if outcome.completed else None
        if layout is None:
            return outcome
        result, trailing = layout.decode_with_trailing(rest)
    except TableError:
        return outcome  # a device may leave the result out, or send another one
    return Outcome(number, image[2], image[3], result, manufacturer, selector, trailing)


def _head(table: int, call: Initiate | Outcome, ctx: Context) -> bytes:
    """Give PROC and SEQ_NBR."""
    if not 0 <= call.number <= NUMBER_MASK or not 0 <= call.selector <= 15:
        raise TableValueError(
            f"procedure {call.number}, selector {call.selector}",
            table=name_of(table),
            path="PROC",
        )
    head = call.number | (MANUFACTURER_BIT if call.manufacturer else 0)
    head |= call.selector << _SELECTOR_SHIFT
    return head.to_bytes(2, ctx.fmt.data_order) + bytes([call.sequence & 0xFF])


def _read_head(table: int, image: bytes, least: int, ctx: Context) -> tuple[int, bool, int]:
    """Give number, manufacturer and selector of an image of at least so many octets."""
    if len(image) < least:
        path = ("PROC", "PROC", "SEQ_NBR", "RESULT_CODE")[len(image)]
        raise TruncatedTableError(
            f"{len(image)} octets, at least {least}",
            table=name_of(table),
            path=path,
            offset=len(image),
        )
    head = int.from_bytes(image[:2], ctx.fmt.data_order)
    return head & NUMBER_MASK, bool(head & MANUFACTURER_BIT), head >> _SELECTOR_SHIFT


def _octets(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TableValueError(f"{value!r:.60}: octets are needed, its layout is not known")
    return bytes(value)


def _layout(call: Initiate | Outcome, ctx: Context, table: int) -> Layout | None:
    known = procedure(call.number, call.manufacturer)
    if known is None:
        return None
    build = known.parameters if table == INITIATE else known.result
    try:
        return Layout(table, known.name, build(ctx))
    except TableError as error:
        error.table = error.table or name_of(table)
        raise
