"""Decoded tables for a program (JSON) and for a person (an aligned listing).

The JSON shape: fields nested by the standard's names, absent members left out;
a SET is a list of its members, a bit field an object, an exact decimal a
string, binary lower-case hex, a time ``{"raw", "iso"}`` or null when not set.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ansi_tables.layout import Layout
from ansi_tables.numbers import RawNumber
from ansi_tables.values import Record, TableTime


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
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        text = value.strip(" \x00")
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def listing(layout: Layout, value: Record) -> Iterator[str]:
    """Give a decoded table as lines: octet offset, name, value, type; at most one a field."""
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
            yield f"{field.offset:6d}  {field.path:44s}  {_short(member):28s}  {field.type_name}"


def _short(value: Any) -> str:
    if isinstance(value, Record):
        set_bits = [f"{name}={bits}" for name, bits in value.items() if bits]
        return ", ".join(set_bits) or "-"
    shown = to_json_value(value)
    if isinstance(shown, dict):
        return str(shown.get("iso", shown.get("raw")))
    if isinstance(shown, list):
        return ", ".join(map(str, shown)) or "none"
    return "not set" if shown is None else str(shown)
