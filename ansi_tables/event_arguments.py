"""What the arguments of events hold: records in the device's own formats.

An argument has the fixed length that ST-71 gives; a known code fills it from
the left, and what follows is undefined.  The arguments come from one public
source.  ``register_event`` names a manufacturer's code, or gives an argument
another shape::

    register_event(0x0803, "COVER_OPENED", lambda ctx: record("DOOR" / uint(ctx, 8)))
"""

from __future__ import annotations

from collections.abc import Callable

from ansi_tables.context import Context
from ansi_tables.errors import TableError
from ansi_tables.events import name_event
from ansi_tables.fields import record, stime_date, uint
from ansi_tables.identifiers import table_ida, table_idc
from ansi_tables.layout import Layout
from ansi_tables.tree import Tree
from ansi_tables.values import Record

Build = Callable[[Context], Tree]
_TABLE = 76


def _time(ctx: Context) -> Tree:
    return record("TIME" / stime_date(ctx))


def _procedure(ctx: Context) -> Tree:
    return record("PROCEDURE" / table_idc(ctx))


def _table(ctx: Context) -> Tree:
    return record("TABLE" / table_ida(ctx))


def _number(name: str, bits: int) -> Build:
    return lambda ctx: record(name / uint(ctx, bits))


def _tiers(ctx: Context) -> Tree:
    """New tiers; one real meter writes them with one bit for each tier (1, 2, 4, 8)."""
    return record("SUMM_TIER" / uint(ctx, 8), "DEMAND_TIER" / uint(ctx, 8))


_arguments: dict[int, Build] = {
    5: _time,
    6: _time,
    9: _procedure,
    10: _table,
    14: _number("TBL_LIST", 8),
    15: _number("TBL_LIST", 8),
    17: _number("ENTRIES_READ", 16),
    19: _number("ENTRIES_READ", 16),
    24: _number("SEASON", 8),
    25: _number("RATE", 8),
    26: _number("SPECIAL_SCHEDULE", 8),
    27: _tiers,
    28: _table,
    29: _table,
}


def register_event(code: int, name: str, argument: Build | None = None) -> None:
    """Name an event code (bit 11 set: a manufacturer's) and give its argument a shape."""
    name_event(code, name)
    if argument is not None:
        _arguments[code] = argument


def argument_layout(code: int, ctx: Context) -> Layout | None:
    """Give the layout of an argument on one device, or None: it stays octets."""
    build = _arguments.get(code)
    return None if build is None else Layout(_TABLE, "Event argument", build(ctx))


def decode_argument(code: int, argument: bytes, ctx: Context) -> Record | None:
    """Give an argument as a record; None where no shape is known or it is too short for it."""
    layout = argument_layout(code, ctx)
    try:
        return None if layout is None else layout.decode(argument)
    except TableError:
        return None
