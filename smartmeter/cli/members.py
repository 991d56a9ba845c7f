"""Members of a record set from the command line: ``PATH=VALUE``."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ansi_tables.numbers import RawNumber
from ansi_tables.values import TableTime


def set_members(record: Any, assignments: tuple[str, ...]) -> Any:
    """Give a copy of a decoded record with members replaced; UsageError names what is wrong.

    A path is written with points (``ENTRIES.0.VALUE``); the value as JSON, octets
    in hexadecimal, times as ISO 8601 has them, ``null`` for one that is not set.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise click.UsageError(f"{assignment!r}: write PATH=VALUE")
        record = _replaced(record, path.split("."), text, path)
    return record


def _replaced(record: Any, steps: list[str], text: str, path: str) -> Any:
    if not steps:
        return _value(record, text, path)
    step, rest = steps[0], steps[1:]
    if isinstance(record, list | tuple) and step.isdecimal() and int(step) < len(record):
        items = list(record)
        items[int(step)] = _replaced(items[int(step)], rest, text, path)
        return items
    if isinstance(record, dict) and step in record:
        return {**record, step: _replaced(record[step], rest, text, path)}
    names = "nothing in it"
    if isinstance(record, dict):
        names = ", ".join(record)
    elif isinstance(record, list | tuple) and record:
        names = f"0 to {len(record) - 1}"
    raise click.UsageError(f"{path}: there is no {step}; there is {names}")


def _value(old: Any, text: str, path: str) -> Any:
    """Give a value of the kind that is there."""
    if isinstance(old, TableTime):
        return _time(text, path)
    try:
        if isinstance(old, bytes):
            return bytes.fromhex(text)
        if isinstance(old, Decimal):
            return Decimal(text)
        if isinstance(old, frozenset):
            return frozenset(int(member) for member in json.loads(text))
        if isinstance(old, str):
            return text
        return json.loads(text, parse_float=Decimal if isinstance(old, RawNumber) else None)
    except (ValueError, TypeError, InvalidOperation):
        raise click.UsageError(f"{path}: {text!r} is not {_wanted(old)}") from None


def _wanted(old: Any) -> str:
    """Tell how a value of the kind that is there is written."""
    if isinstance(old, frozenset):
        return "a set; write its members as [0,3]"
    if isinstance(old, list):
        return "a list; write its elements as [0,3]"
    if isinstance(old, bytes):
        return "octets; write two hexadecimal digits for each"
    return "a number"


def _time(text: str, path: str) -> datetime | date | time | None:
    """Give a date and time, a date, or a time of day, by how it is written."""
    bare = text.strip('"')
    if bare == "null":
        return None
    try:
        if ":" not in bare:
            return date.fromisoformat(bare)
        return datetime.fromisoformat(bare) if "-" in bare else time.fromisoformat(bare)
    except ValueError:
        raise click.UsageError(
            f"{path}: {text!r} is no time; write 2026-02-03T04:05:06, 2026-02-03, 04:05:06 or null"
        ) from None
