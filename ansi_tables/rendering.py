"""Decoded tables for a program (JSON) and for a person (aligned rows).

The JSON shape: fields nested by the standard's names, absent members left out;
a SET is a list of its members, a bit field an object, an exact decimal a
string, an infinite float too, binary lower-case hex, a time ``{"raw", "iso"}``
or null when not set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from ansi_tables.layout import Layout
from ansi_tables.numbers import RawNumber
from ansi_tables.values import Record, TableTime
from ansi_tables.words import member_meaning, value_meaning

#: A decimal with more digits than this is written with an exponent.
MAX_DIGITS = 60
#: The widest columns of a listing, in characters; what is longer pushes its neighbour away.
MAX_PATH, MAX_VALUE = 56, 40
#: Padding, and what unused text is filled with: NUL, or FFh in a coding that has it or not.
_FILL = " \x00\xff\udcff"


def to_json_value(value: Any) -> Any:
    """Give a decoded value as what JSON can hold."""
    if isinstance(value, Record):
        return {name: to_json_value(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json_value(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, TableTime):
        if value.value is None:
            return None
        return {"raw": value.raw.hex(), "iso": value.value.isoformat()}
    if isinstance(value, RawNumber):
        return {"raw": value.octets.hex()}
    if isinstance(value, Decimal):
        # FLOAT_CHAR may say 1E999999999, which would fill memory if it were written out.
        return format(value, "f") if abs(value.adjusted()) < MAX_DIGITS else str(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no number for it
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        text = value.strip(" \x00")
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


@dataclass(frozen=True)
class Row:
    """One field of a decoded table: where it lies, its value, and what that means."""

    offset: int
    path: str
    value: str
    note: str


def rows(layout: Layout, value: Record, notes: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Give a decoded table field by field.

    ``notes`` are words for fields of this meter (``meaning.notes``); they
    win over what the member or the code means everywhere.
    """
    known = notes or {}
    for field in layout.listing():
        member: Any = value
        for step in field.path.split("."):
            if isinstance(member, list):
                member = member[int(step)]
            elif isinstance(member, dict) and step in member:
                member = member[step]
            else:
                break
        else:
            note = known.get(field.path) or _meaning(layout.number, field.path, member)
            yield Row(field.offset, field.path, value_text(layout.number, member), note)


def listing(layout: Layout, value: Record, notes: Mapping[str, str] | None = None) -> Iterator[str]:
    """Give a decoded table as aligned lines: octet offset, name, value, what it means."""
    found = list(rows(layout, value, notes))
    path_width = width_of((row.path for row in found), MAX_PATH)
    value_width = width_of((row.value for row in found), MAX_VALUE)
    for row in found:
        line = f"{row.offset:6d}  {row.path:{path_width}s}  {row.value:{value_width}s}  {row.note}"
        yield line.rstrip()


def width_of(texts: Iterable[str], limit: int = MAX_PATH) -> int:
    """Give the width of a column: of the longest text that is not longer than ``limit``."""
    return max((len(text) for text in texts if len(text) <= limit), default=0)


def last_name(path: str) -> str:
    """Give the last name of a path: EVENT_TIME of DEMANDS.0.EVENT_TIME.1."""
    return next((step for step in reversed(path.split(".")) if not step.isdecimal()), "")


def _meaning(number: int, path: str, value: Any) -> str:
    """Give what a code means, else what its member means."""
    name = last_name(path)
    if isinstance(value, int):
        return value_meaning(number, name, value) or member_meaning(number, name)
    return member_meaning(number, name)


def value_text(number: int, value: Any) -> str:
    """Give a decoded value in one line for a person."""
    if isinstance(value, Record):
        told = (_bits_text(number, name, bits) for name, bits in value.items() if bits)
        return ", ".join(told) or "-"
    if isinstance(value, str):
        return text_shown(value)
    shown = to_json_value(value)
    if isinstance(shown, dict):
        iso = shown.get("iso")
        return str(shown["raw"] if iso is None else iso.replace("T", " "))
    if isinstance(shown, list):
        return ", ".join(map(str, shown)) or "none"
    return "not set" if shown is None else str(shown)


def text_shown(text: str) -> str:
    """Give a meter's text for a person: one line, without padding and the fill of unused text.

    What cannot be printed is escaped, since it may be meant for the terminal.
    """
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in text.strip(_FILL))


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # an octet that the text's coding does not know
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _bits_text(number: int, name: str, value: Any) -> str:
    """Give one member of a bit field: a flag by its name, a code with its meaning."""
    if isinstance(value, int) and name.endswith("_FLAG") and value == 1:
        return name
    told = value_meaning(number, name, value) if isinstance(value, int) else ""
    return f"{name}={value}" + (f" ({told})" if told else "")
