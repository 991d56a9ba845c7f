"""Table number to definition; a number without one stays opaque octets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from construct import Construct, Struct

from ansi_tables.context import Context
from ansi_tables.fields import record, rest
from ansi_tables.identifiers import event
from ansi_tables.ids import PENDING_BIT, name_of

#: Definitions of pending tables kept; each is a few hundred octets.
MAX_PENDING_DEFINITIONS = 4096


@dataclass(frozen=True)
class TableDefinition:
    """One table: its id, the standard's name, and how its layout is made.

    ``needs`` lists the tables that ``build`` asks the context for, beside ST-00.
    ``layout`` says what is publicly known of the members: "known", "tentative"
    (best recollection: verify it first) or "opaque" (the octets are kept).
    ``confidence`` says how well: "verified" by two independent sources or a
    real image, "single-source", or "from-memory".  ``since`` is the first
    edition of the standard that has the table.
    """

    number: int
    name: str
    title: str
    build: Callable[[Context], Any]
    needs: tuple[int, ...] = ()
    layout: Literal["known", "tentative", "opaque"] = "known"
    confidence: Literal["verified", "single-source", "from-memory"] = "verified"
    since: int = 1997


def opaque(
    number: int, name: str, title: str, *, since: int = 2008, member: str = "RAW"
) -> TableDefinition:
    """Give the definition of a table whose members no public source tells: its octets are kept."""
    tree = Struct(member / rest())
    return TableDefinition(
        number, name, title, lambda ctx: tree, (), "opaque", "from-memory", since
    )


def table(
    number: int,
    tree: Any,
    name: str = "",
    title: str = "",
    needs: tuple[int, ...] = (),
) -> TableDefinition:
    """Register a table of one's own: a construct, or a function of a Context that gives one.

    >>> from construct import Int16ul, Struct
    >>> table(2053, Struct("VOLTAGE" / Int16ul)).name
    'MT_05_TBL'
    """
    own = TableDefinition(
        number,
        name or name_of(number).replace("-", "_").replace(" ", "_").upper() + "_TBL",
        title,
        tree if not isinstance(tree, Construct) else lambda ctx: tree,
        needs,
        confidence="single-source",
    )
    register(own)
    return own


_definitions: dict[int, TableDefinition] = {}
_standard_taken_in = False


def register(definition: TableDefinition) -> None:
    """Add a definition, or replace one: a manufacturer table, or a vendor's own shape."""
    _definitions[definition.number] = definition


def definition(number: int) -> TableDefinition | None:
    """Give the definition of a table, or None: keep its octets.

    A pending table is the event that it waits for, and then the table.
    """
    _load()
    found = _definitions.get(number)
    if found is None and number & PENDING_BIT:
        return _pending(number, definition(number & ~PENDING_BIT))
    return found


@lru_cache(maxsize=MAX_PENDING_DEFINITIONS)
def _pending(number: int, known: TableDefinition | None) -> TableDefinition:
    base = known or opaque(number & ~PENDING_BIT, "", "")

    def build(ctx: Context) -> Any:
        return record("EVENT" / event(ctx), "TABLE" / base.build(ctx))

    title = f"Pending: {base.title}" if base.title else ""
    return replace(base, number=number, title=title, build=build)


def all_definitions() -> Iterator[TableDefinition]:
    """Give all definitions in the order of their numbers."""
    _load()
    return iter(sorted(_definitions.values(), key=lambda known: known.number))


def _load() -> None:
    """Take in the decades, once, and after the user's own, which win."""
    global _standard_taken_in
    if _standard_taken_in:
        return
    from ansi_tables.decades import TABLES

    _standard_taken_in = True
    for known in TABLES:
        _definitions.setdefault(known.number, known)
