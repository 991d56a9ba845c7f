"""The place of a meter: what was measured there goes on when another meter is put in.

Nothing is copied: each meter keeps its own rows, and counts for its place in its own time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Protocol

from smartmeter.base.errors import SettingsError

#: Before all stamps, that of what has no time (0) among them; and after all.
BEGIN, MAX_SECOND = -1, 1 << 40
#: Meters that are looked back at in one place.
MAX_BEFORE = 100


class Reader(Protocol):
    """A store, or an archive."""

    def one(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Give the first row of a query, or None."""


@dataclass(frozen=True)
class Tenure:
    """A meter, and the time in which it counts: from one second on, and before another."""

    esn: str
    from_s: int = BEGIN
    to_s: int = MAX_SECOND


def tenure(reader: Reader, esn: str, from_s: int = BEGIN, to_s: int = MAX_SECOND) -> Tenure:
    """Give when a meter was in its place, of a span of time; an empty one where it was not."""
    came, went = before(reader, esn), after(reader, esn)
    begin_s = from_s if came is None else max(from_s, came["replaced_s"])
    return Tenure(esn, begin_s, to_s if went is None else min(to_s, went["replaced_s"]))


def in_its_place(reader: Reader, esn: str) -> list[str]:
    """Give a meter and those that were in its place before it, newest first."""
    found = [esn]
    while len(found) <= MAX_BEFORE and (row := before(reader, found[-1])) is not None:
        found.append(row["old_esn"])
    return found


def before(reader: Reader, esn: str) -> sqlite3.Row | None:
    """Give which meter one was put in the place of."""
    return reader.one("SELECT * FROM replacements WHERE new_esn=?", esn)


def after(reader: Reader, esn: str) -> sqlite3.Row | None:
    """Give which meter was put in the place of one."""
    return reader.one("SELECT * FROM replacements WHERE old_esn=?", esn)


def store_replacement(connection: sqlite3.Connection, old: str, new: str, at_s: int) -> None:
    """Enter that a meter took the place of another; SettingsError when it has a place already."""
    taken = connection.execute("SELECT old_esn FROM replacements WHERE new_esn=?", (new,))
    row = taken.fetchone()
    if row is not None and row[0] != old:
        raise SettingsError(new, f"is in the place of {row[0]}", "name another, or return that")
    connection.execute("INSERT OR REPLACE INTO replacements VALUES (?,?,?)", (old, new, at_s))
