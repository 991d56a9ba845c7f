"""How intervals of load profiles are written, each once: by meter, set, ring epoch and sequence.

A module whose memory was lost counts the epochs of the meter's ring from one again.  Beside a
meter whose ring began anew before, it then gives intervals the numbers of older ones: those go
to the newest epoch that is stored, or to the next one where their place is another's there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from smartmeter.tms.store.pruned_numbers import Numbered, pruned_until

REPORT, BACK_FILL = "report", "back-fill"
#: A block that is read again after its meter's clock was set tells other times: so far.
SAME_END_S = 86_400
_INSERT = (
    "INSERT OR IGNORE INTO intervals SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11 WHERE NOT EXISTS"
    " (SELECT 1 FROM pruned WHERE kind='interval' AND esn=?1 AND set_nbr=?2 AND epoch=?3"
    " AND last>=?4 AND first<=?4)"
)
_NEXT_EPOCH = "SELECT min(ring_epoch) FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch>?"
_HELD = "SELECT end_s, raw FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence=?"


def store_intervals(
    connection: sqlite3.Connection,
    esn: str,
    value: Mapping[str, Any],
    source: str,
    received_s: int,
) -> int:
    """Write the intervals of a LOAD_PROFILE_PART; gives how many were not there yet."""
    return insert_intervals(connection, interval_rows(connection, esn, value, source, received_s))


def interval_rows(
    connection: sqlite3.Connection,
    esn: str,
    value: Mapping[str, Any],
    source: str,
    received_s: int,
) -> list[tuple[Any, ...]]:
    """Give the rows of a LOAD_PROFILE_PART, in the newest epoch that is stored at least."""
    rows = [
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
    epochs = [value["RING_EPOCH"]]
    while found := connection.execute(_NEXT_EPOCH, (esn, value["SET"], epochs[-1])).fetchone()[0]:
        epochs.append(found)
    if len(epochs) == 1:
        return rows
    places = [[(*row[:2], epoch, *row[3:]) for epoch in epochs] for row in rows]
    return [place[-1] for place in places if not any(_is_known(connection, one) for one in place)]


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
    moved = (row for row in rows if not _is_known(connection, row))
    return [(*row[:2], row[2] + 1, *row[3:]) for row in moved]


def _is_known(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    """Tell whether an interval has its place, or had it."""
    esn, set_nbr, epoch, sequence, end_s = row[:5]
    held = connection.execute(_HELD, (esn, set_nbr, epoch, sequence)).fetchone()
    if held is not None:
        return is_same_interval((held[0], held[1]), (end_s, row[8]))
    until_s = pruned_until(connection, (Numbered.INTERVAL, esn, set_nbr, epoch), sequence)
    return until_s is not None and end_s <= until_s + SAME_END_S


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
