"""Which numbers were pruned: what keeps exactly-once when rows are dropped.

A report, an interval and an entry of a log are each stored once because their
numbers are keys.  When such rows are dropped, their numbers stay, as ranges: a
meter has one for each ring, and one more for each gap.  A report whose number
lies in a range was stored once, however late it comes again.  An interval or
an entry that lies in one was, too, if it is as old as what was dropped there;
a ring that began anew under the same epoch gives younger ones the same numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import StrEnum


class Numbered(StrEnum):
    """What has numbers of its own."""

    REPORT = "report"
    INTERVAL = "interval"
    EVENT = "event"


#: One sequence of numbers: kind, ESN, set (0: none), epoch (0: none).
Ring = tuple[Numbered, str, int, int]
_IN_RING = "FROM pruned WHERE kind=? AND esn=? AND set_nbr=? AND epoch=? AND last>=? AND first<=?"


#: To be given a ring, and the first number and the one after the last of a hole in it.
RANGES_IN_HOLE = (
    "SELECT first, last FROM pruned WHERE kind=? AND esn=? AND set_nbr=? AND epoch=?"
    " AND last>=? AND first<? ORDER BY first"
)


def without_pruned(
    hole: tuple[int, int], ranges: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Give what of a hole [first, end) never came, as holes: what was pruned is not missing."""
    begin, end = hole
    found = []
    for first, last in ranges:
        if begin < first:
            found.append((begin, first))
        begin = max(begin, last + 1)
    return [*found, (begin, end)] if begin < end else found


def note_pruned(
    connection: sqlite3.Connection, ring: Ring, rows: Iterable[tuple[int, int]]
) -> None:
    """Keep the numbers of rows that are dropped, each with its time, in the order of numbers."""
    runs: list[tuple[int, int, int]] = []
    for number, time_s in rows:
        if runs and number <= runs[-1][1] + 1:
            first, _, until_s = runs[-1]
            runs[-1] = first, number, max(until_s, time_s)
        else:
            runs.append((number, number, time_s))
    for first, last, until_s in runs:
        near = (*ring, first - 1, last + 1)  # what overlaps, or goes on without a seam
        joined = connection.execute(f"SELECT first, last, until_s {_IN_RING}", near).fetchall()
        connection.execute(f"DELETE {_IN_RING}", near)
        firsts, lasts, untils = zip(*map(tuple, joined), (first, last, until_s), strict=True)
        row = (*ring, max(lasts), min(firsts), max(untils))
        connection.execute("INSERT INTO pruned VALUES (?,?,?,?,?,?,?)", row)


def pruned_until(connection: sqlite3.Connection, ring: Ring, number: int) -> int | None:
    """Give the newest time of the range in which a number was pruned; None when it was not."""
    sql = f"SELECT until_s {_IN_RING}"
    row = connection.execute(sql, (*ring, number, number)).fetchone()
    return None if row is None else int(row[0])
