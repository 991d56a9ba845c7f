"""``smartmeter read PORT`` without tables: one screen for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ansi_tables import Snapshot, TableError, name_of
from ansi_tables.meaning.register_tables import readings
from ansi_tables.meaning.registers import Kind, Register
from ansi_tables.rendering import text_shown
from protocols.psem.codes import ResponseCode

#: What the screen is made of, where the meter has it.
TABLES = (0, 1, 3, 5, 11, 12, 15, 16, 21, 22, 23, 27, 28, 51, 52, 53)

#: The answer to who lacks a right (isc).
_NO_RIGHT = ResponseCode.isc.name

_KINDS = {
    Kind.SUMMATION: "register",
    Kind.PRESENT_DEMAND: "present",
    Kind.PRESENT_VALUE: "present",
}


def lines(tables: Snapshot, refused: dict[int, str], now: datetime) -> Iterator[str]:
    """Give the screen; what is missing or does not decode is said, never guessed."""
    identity = tables.get(1)
    if identity is not None:
        maker = f"{_text(identity.MANUFACTURER)} {_text(identity.ED_MODEL)}"
        firmware = f"{identity.FW_VERSION_NUMBER}.{identity.FW_REVISION_NUMBER}"
        yield f"meter      {maker}, serial {_text(identity.MFG_SERIAL_NUMBER)}, firmware {firmware}"
    owner = tables.get(5)
    if owner is not None:
        yield f"name       {_text(owner.IDENTIFICATION)}"
    status = tables.get(3)
    if status is not None:
        flags = [n for n, bit in status.ED_STD_STATUS1.items() if bit and n != "FILLER"]
        yield f"status     {', '.join(flags) or 'nothing to report'}"
    yield from _clock(tables, now)
    shown = [(_kind(register), _value(register), register) for register in readings(tables)]
    width = max((len(value) for _, value, _ in shown), default=0)
    for kind, value, register in shown:
        yield f"{kind:10s} {value:{width}s}  {register.name}"
    yield from _faults(tables)
    yield from _refusals(refused)


def _kind(register: Register) -> str:
    kind = _KINDS.get(register.kind, "demand")
    return f"{kind} {register.index}"


def _value(register: Register) -> str:
    if register.value is None:
        return register.text
    return f"{register.number} {register.source.measure}"


def _faults(tables: Snapshot) -> Iterator[str]:
    """Tell what does not decode; what comes of one cause once."""
    told = set()
    for number in tables:
        try:
            tables.require(number)
        except TableError as error:
            text = f"{error}; {error.remedy}"
            if text not in told:
                told.add(text)
                yield f"wrong      {text}"


def _refusals(refused: dict[int, str]) -> Iterator[str]:
    """Tell what was refused, and of what for want of a right that a password may open it."""
    told = [(why == _NO_RIGHT, f"{name_of(number)} ({why})") for number, why in refused.items()]
    locked = ", ".join(text for closed, text in told if closed)
    if locked:
        yield f"locked     {locked}; a password may open it"
    others = ", ".join(text for closed, text in told if not closed)
    if others:
        yield f"refused    {others}"


def _text(value: str) -> str:
    return text_shown(value) or "-"


def _clock(tables: Snapshot, now: datetime) -> Iterator[str]:
    if tables.get(52) is None:
        return
    try:
        clock = tables.clock()
    except TableError:
        return
    if clock.now is None:
        yield "clock      not set"
        return
    offset = round((clock.now - now).total_seconds())
    assumed = f"; {clock.rules.note}" if clock.rules.note else ""
    yield f"clock      {clock.now:%Y-%m-%d %H:%M:%S %Z}, {offset:+d} s to this computer{assumed}"
