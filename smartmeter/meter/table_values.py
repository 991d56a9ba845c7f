"""Table values from partial ones: what is not given is blank.

Device profiles say of a table only what matters; a table whose dimensions were
programmed anew keeps what still fits.  Both are one merge onto a blank table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansi_tables import Context, Record, TableError, layout_for

#: Unused entries of the calendar's lists are all ones (seen on a real meter); all else is zero.
_UNUSED_ONES = {54: ("NON_RECURR_DATES", "RECURR_DATES", "TIER_SWITCHES")}


def blank(number: int, context: Context, octet: bytes = b"\0") -> Record:
    """Give the value of a table of which all octets are the same."""
    layout = layout_for(number, context)
    return layout.decode(octet * (layout.size or 0))


def completed(number: int, given: Mapping[str, Any], context: Context) -> Any:
    """Give a whole value from a partial one; list entries that are not given are unused."""
    value = merged(blank(number, context), given)
    names = _UNUSED_ONES.get(number, ())
    unused = blank(number, context, b"\xff") if names else {}
    for name in names:
        count = len(given.get(name, ()))
        value[name] = value[name][:count] + unused[name][count:]
    return value


def merged(base: Any, given: Any) -> Any:
    """Put a partial value onto a whole one.

    A bit field may be given as the names of the bits that are one.  Arrays and
    octets keep the length of the base.  Members that the base lacks are left out.
    """
    if isinstance(base, Mapping):
        if "MONTH" in base:
            return given  # a recurring date, whose MONTH selects its other members
        if not isinstance(given, Mapping):
            given = dict.fromkeys(given, 1)
        return Record(
            {
                name: merged(base[name], given[name]) if name in given else _plain(base[name])
                for name in base
            }
        )
    if isinstance(base, list):
        return [
            merged(element, given[index]) if index < len(given) else _plain(element)
            for index, element in enumerate(base)
        ]
    if isinstance(base, bytes) and isinstance(given, bytes):
        return given[: len(base)].ljust(len(base), b"\0")
    return given


def _plain(value: Any) -> Any:
    """Give a blank as one would write it: text of NULs is an empty text."""
    if isinstance(value, Mapping):
        return Record({name: _plain(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return "" if isinstance(value, str) and value and not value.strip("\0") else value


def encoded(number: int, given: Mapping[str, Any], context: Context) -> bytes:
    """Encode a partial value of a table."""
    return layout_for(number, context).encode(completed(number, given, context))


def refitted(number: int, image: bytes, before: Context, after: Context) -> bytes:
    """Give a table's image under new dimensions: what still has a place keeps it."""
    layout = layout_for(number, after)
    try:
        if layout.size == layout_for(number, before).size == len(image):
            layout.decode(image)
            return image
        old = layout_for(number, before).decode(image)
        return layout.encode(completed(number, old, after))
    except TableError:
        return layout.encode(completed(number, {}, after))
