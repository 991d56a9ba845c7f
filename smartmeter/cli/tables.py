"""How the verbs name tables, and how they show one, as JSON and to a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from ansi_tables import Snapshot, TableError, definition, name_of
from ansi_tables.ids import MANUFACTURER_BIT, NUMBER_MASK, PENDING_BIT, USER_DEFINED_BIT
from ansi_tables.rendering import to_json_value

#: What a person writes for a table, in capitals: what waits, whose it is, and its number.
_NAME = re.compile(r"(PENDING[-_ ]?)?(?:(ST|MT|UT)[-_ ]?)?([0-9]{1,5})")
#: The bit of an id that says whose table it is, by the letters before its number.
_BITS = {"MT": MANUFACTURER_BIT, "UT": USER_DEFINED_BIT}
MAX_ID = 0x3FFF
#: Octets after a table that a person is shown; a file that is no table has many.  JSON has all.
MAX_TRAILING = 64


def table_number(text: str) -> int:
    """Give the id of a table that a person names: 23, ST-23, MT-5, 2053, UT-1 or pending-ST-13."""
    found = _NAME.fullmatch(text.strip().upper())
    waits, kind, digits = found.groups() if found else (None, None, "99999")
    base = _BITS.get(kind or "", 0)
    base |= PENDING_BIT if waits else 0
    if int(digits) > (NUMBER_MASK if kind or waits else MAX_ID):
        raise click.UsageError(f"{text!r:.40} is no table; write 23, ST-23, MT-5 or pending-ST-13")
    return int(digits) + base


def table_name(number: int) -> str:
    """Give the standard's name of a table, or its number as a person names it."""
    known = definition(number)
    return known.name if known else name_of(number)


def table_title(number: int, size: int | None) -> str:
    """Give the head of a listing: number, title, octets."""
    known = definition(number)
    words = known.title if known and known.title else "its layout is not known"
    octets = f", {size} octets" if size is not None else ""
    return click.style(f"{name_of(number)}  {words}{octets}", bold=True)


def decoded_table(tables: Snapshot, number: int) -> dict[str, Any]:
    """Give a table as JSON shows it: name, hex, and fields, or the error that says what to try."""
    shown: dict[str, Any] = {"name": table_name(number), "hex": tables.images[number].hex()}
    try:
        value, trailing = tables.layout(number).decode_with_trailing(tables.images[number])
    except TableError as error:
        return shown | {"error": error_shown(number, error)}
    shown["fields"] = to_json_value(value)
    return shown | ({"trailing": trailing.hex()} if trailing else {})


def value_lines(tables: Snapshot, number: int, shown: dict[str, Any]) -> Iterator[str]:
    """List a decoded table for a person, with the octets after its last member."""
    yield table_title(number, tables.layout(number).size)
    yield from tables.listing(number)
    if "trailing" in shown:
        yield trailing_text(bytes.fromhex(shown["trailing"]))


def trailing_text(octets: bytes) -> str:
    """Tell of octets after a table's last member, and show the first of them."""
    words = "octet follows" if len(octets) == 1 else "octets follow"
    shown = octets[:MAX_TRAILING].hex() + ("…" if len(octets) > MAX_TRAILING else "")
    return f"{len(octets)} {words} the table, as another edition may have: {shown}"


def error_shown(number: int, error: TableError) -> dict[str, str]:
    """Give an error as JSON shows it: which table, what is wrong, where, and what to try."""
    of = "" if name_of(number) in str(error) else f"{name_of(number)}: "
    return {"code": type(error).__name__, "text": f"{of}{error}; {error.remedy}"}
