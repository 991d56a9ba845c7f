"""The form of a template's parts: what is said of an element that is not known, or does not fit.

What a part means, and what no SmartMeter could do, is told after it
(``smartmeter.base.provisioning``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from smartmeter.base.errors import SettingsError

#: What the lists within an entry hold: numbers below a bound, or objects of such.
_ITEMS: Mapping[str, int | Mapping[str, int]] = {
    "TABLES": 1 << 16,
    "PARTS": {"TABLE": 1 << 16, "OFFSET": 1 << 24, "COUNT": 1 << 16},
    "ENTRIES": {"SOURCE": 1 << 8, "CODE": 1 << 16, "DISPOSITION": 1 << 8},
}
#: Numbers that may be written as true and false.
_FLAGS = ("ENABLED", "LOCAL", "SIGNED", "SCALED")
#: Numbers that may be below nothing.
_SIGNED = ("POWER", "THRESHOLD", "THRESHOLD_HIGH", "HYSTERESIS")


def read_object(text: str, place: str) -> dict[str, Any]:
    """Read a JSON object; SettingsError for other text, and where a name comes twice in one."""

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
            raise SettingsError(place, f"{twice!r:.60} comes twice in one object", "drop one")
        return found

    try:
        value = json.loads(text, object_pairs_hook=each_once)
    except json.JSONDecodeError as error:
        raise SettingsError(place, str(error), "write JSON") from error
    except RecursionError:
        raise SettingsError(place, "is nested too deep", "write {...}") from None
    except ValueError:
        fault = "holds a number of too many digits"
        raise SettingsError(place, fault, "give one that fits") from None
    if not isinstance(value, dict):
        raise SettingsError(place, "is no JSON object", "write {...}")
    return value


def entries(part: str, given: Any, usual: Mapping[str, Any], layout: Any) -> list[dict[str, Any]]:
    """Give the entries of a part that is a list, as ``entry`` does each."""
    what = part.removesuffix("s")
    return [
        entry(what, one, usual, layout, f"{part}, entry {number}")
        for number, one in enumerate(_list(part, given), 1)
    ]


def entry(
    what: str, given: Any, usual: Mapping[str, Any], layout: Any, place: str = ""
) -> dict[str, Any]:
    """Give an entry with all its elements; what is not given is as usual.

    ``layout`` is the entry's in ``ansi_tables.ssi_layouts``.  SettingsError names what is wrong.
    """
    place = place or what
    refuse_unknown(f"element of {what}", _object(place, given), usual)
    fields = {field.name: field for field in layout.subcons}
    for name, value in given.items():
        _check(f"{place}: {name}", value, usual[name], fields[name])
    return {**usual, **given}


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise SettingsError for a name that is not known."""
    unknown = set(given) - set(known)
    if unknown:
        raise SettingsError(
            "template", f"unknown {what} {min(unknown)!r:.60}", f"use {', '.join(known)}"
        )


def _check(place: str, value: Any, usual: Any, field: Any) -> None:
    """Refuse a value that is of another kind than usual, or larger than its field."""
    if isinstance(usual, list):
        kind = _ITEMS[field.name]
        for number, item in enumerate(_list(place, value), 1):
            within = f"{place} {number}"
            if isinstance(kind, int):
                _number(within, item, range(kind))
                continue
            if set(_object(within, item)) != set(kind):
                text = f"has other elements than {', '.join(kind)}"
                raise SettingsError("template", f"{within}: {text}", "give these, and no others")
            for name, bound in kind.items():
                _number(f"{within}: {name}", item[name], range(bound))
    elif isinstance(usual, str):
        _text(place, value, field.sizeof())
    elif field.name in _FLAGS and isinstance(value, bool):
        return
    else:
        bits = 8 * field.sizeof()
        low = -(1 << bits - 1) if field.name in _SIGNED else 0
        _number(place, value, range(low, low + (1 << bits)))


def _text(place: str, value: Any, room: int) -> None:
    if not isinstance(value, str):
        raise SettingsError("template", f"{place}: {value!r:.40} is no text", "write a text")
    octets = len(value.encode("utf-8", "surrogatepass"))
    if octets > room:
        fault = f"{place}: {value!r:.40} has {octets} octets"
        raise SettingsError("template", fault, f"at most {room} fit")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        fault = f"{place}: {value!r:.40} has half a character"
        raise SettingsError("template", fault, "write the whole one")


def _list(place: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise SettingsError("template", f"{place}: {given!r:.40} is no list", "write [...]")
    return given


def _object(place: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise SettingsError("template", f"{place}: {given!r:.40} is no object", "write {...}")
    return given


def _number(place: str, value: Any, room: range) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value not in room:
        remedy = f"give a whole number, {room[0]} to {room[-1]}"
        raise SettingsError("template", f"{place}: {value!r:.40} is none that fits", remedy)
