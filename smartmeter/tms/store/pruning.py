"""Rows from before a given day are dropped, in steps so small that reports do not wait.

Each step is one change of the store's writer: rows go and their numbers are
kept, or neither.  A row counts as old when both its own time and its arrival
are: what a wrong clock dated, and what came late, stays as long as anything.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from smartmeter.tms.store.interval_rows import add_to_total
from smartmeter.tms.store.pruned_numbers import Numbered, note_pruned

#: Rows that one step looks at.
STEP_ROWS = 500
#: Before all numbers.
BEGIN = -(1 << 62)


@dataclass(frozen=True)
class NumberedRows:
    """A table whose rows have numbers, in rings that ``ring`` tells apart."""

    kind: Numbered
    table: str
    ring: tuple[str, ...]
    number: str
    time: str
    total: str = ""


INTERVALS = NumberedRows(
    Numbered.INTERVAL, "intervals", ("set_nbr", "ring_epoch"), "sequence", "end_s", "intervals"
)
NUMBERED = (
    INTERVALS,
    NumberedRows(Numbered.REPORT, "reports", ("epoch",), "number", "received_s", "reports"),
    NumberedRows(Numbered.EVENT, "events", (), "sequence", "time_s"),
)

#: What else ages, each with what makes a row of a meter old; to be given the day, named ``before``.
_OTHERS = (
    ("readings", "time_s<:before AND received_s<:before"),
    ("alarms", "closed_by!='' AND received_s<:before"),
    ("silences", "ended_s BETWEEN 1 AND :before"),
    # Of each schedule, and of each kind of work, the newest stays: it tells what is due or done.
    (
        "polls",
        "ended_s<:before AND (schedule_nbr, due_s) NOT IN"
        " (SELECT schedule_nbr, max(due_s) FROM polls WHERE esn=:esn GROUP BY schedule_nbr)",
    ),
    (
        "jobs",
        "ended_s BETWEEN 1 AND :before"
        " AND id NOT IN (SELECT max(id) FROM jobs WHERE esn=:esn GROUP BY kind)",
    ),
)
_KEYS = {
    "readings": "esn, time_s, table_nbr",
    "polls": "esn, schedule_nbr, due_s",
}


def prune_numbered(
    connection: sqlite3.Connection,
    rows: NumberedRows,
    esn: str,
    ring: tuple[int, ...],
    after: int,
    before_s: int,
) -> int | None:
    """Drop what is old of the next rows of a ring after a number.

    Gives the number to go on after, None at the end.  The newest of a ring
    stays: from it is known what is missing.  The first page without an old row
    ends it, as rows come in about the order of their numbers.
    """
    where = " AND ".join(f"{name}=?" for name in ("esn", *rows.ring))
    found = connection.execute(
        f"SELECT {rows.number}, {rows.time}, received_s FROM {rows.table}"
        f" WHERE {where} AND {rows.number}>? ORDER BY {rows.number} LIMIT ?",
        (esn, *ring, after, STEP_ROWS + 1),
    ).fetchall()
    looked_at = found[:-1]
    old = [(row[0], row[1]) for row in looked_at if row[1] < before_s and row[2] < before_s]
    if not old:
        return None
    dropped = connection.execute(
        f"DELETE FROM {rows.table} WHERE {where} AND {rows.number} BETWEEN ? AND ?"
        f" AND {rows.time}<? AND received_s<?",
        (esn, *ring, looked_at[0][0], looked_at[-1][0], before_s, before_s),
    ).rowcount
    set_nbr, epoch = (0, 0, *ring)[-2:]
    note_pruned(connection, (rows.kind, esn, set_nbr, epoch), old)
    if rows.total:
        add_to_total(connection, rows.total, -dropped)
    return int(looked_at[-1][0]) if len(found) > STEP_ROWS else None


def prune_others(connection: sqlite3.Connection, esn: str, before_s: int) -> bool:
    """Drop some of what else is old of a meter; tells whether there may be more."""
    more = False
    for table, is_old in _OTHERS:
        key = _KEYS.get(table, "id")
        dropped = connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"
            f" (SELECT {key} FROM {table} WHERE esn=:esn AND {is_old} LIMIT {STEP_ROWS})",
            {"esn": esn, "before": before_s},
        ).rowcount
        more |= dropped == STEP_ROWS
    return more
