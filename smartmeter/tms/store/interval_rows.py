"""How intervals of load profiles are written, each once: by meter, set, ring epoch and sequence.

A module whose memory was lost counts the epochs of the meter's ring from one again.  Beside a
meter whose ring began anew before, it then gives intervals the numbers of older ones: those go
to the next epoch in which their place is free, or holds the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

REPORT, BACK_FILL = "report", "back-fill"
#: A block that is read again after its meter's clock was set tells other times: so far.
SAME_END_S = 86_400
_INSERT = "INSERT OR IGNORE INTO intervals VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_HELD = "SELECT end_s, raw FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence=?"


def store_intervals(
    connection: sqlite3.Connection,
    esn: str,
    value: Mapping[str, Any],
    source: str,
    received_s: int,
) -> int:
    """Write the intervals of a LOAD_PROFILE_PART; gives how many were not there yet."""
    return insert_intervals(connection, interval_rows(esn, value, source, received_s))


def interval_rows(
    esn: str, value: Mapping[str, Any], source: str, received_s: int
) -> list[tuple[Any, ...]]:
    """Give the rows of a LOAD_PROFILE_PART."""
    return [
        (
            esn,
            value["SET"],
            value["RING_EPOCH"],
            value["FIRST_SEQUENCE"] + index,
            interval["END_TIME"],
            value["INT_LENGTH_S"],
            value["CONTEXT_ID"],
            interval["STATUS"],
            str(interval["VALUES"]),  # a list of integers: the same text as JSON's
            source,
            received_s,
        )
        for index, interval in enumerate(value["INTERVALS"])
    ]


def insert_intervals(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Write intervals; gives how many were not there yet."""
    new, before = 0, connection.total_changes
    while rows:
        connection.executemany(_INSERT, rows)
        written = connection.total_changes - before - new
        new += written
        rows = _of_another_ring(connection, rows) if written < len(rows) else ()
    add_to_total(connection, "intervals", new)
    return new


def _of_another_ring(
    connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Give those whose place another interval has, in the epoch after."""
    moved = []
    for row in rows:
        held_end_s, held_raw = connection.execute(_HELD, row[:4]).fetchone()
        if not is_same_interval((held_end_s, held_raw), (row[4], row[8])):
            moved.append((*row[:2], row[2] + 1, *row[3:]))
    return moved


def is_same_interval(held: tuple[int, Any], told: tuple[int, Any]) -> bool:
    """Tell whether two intervals of one number, each its end and its raw values, are one.

    The ends (0 where the meter gives no time) count too: what measures nothing measures the
    same in every ring.
    """
    (held_end_s, held_raw), (told_end_s, told_raw) = held, told
    no_end = not held_end_s or not told_end_s
    return held_raw == told_raw and (no_end or abs(held_end_s - told_end_s) <= SAME_END_S)


def add_to_total(connection: sqlite3.Connection, name: str, new: int) -> None:
    """Count rows of a large table, which would take seconds to count."""
    connection.execute("UPDATE totals SET count=count+? WHERE name=?", (new, name))
