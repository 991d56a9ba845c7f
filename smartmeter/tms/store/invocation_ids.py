"""Invocation ids of the TMS: taken from the store in blocks, so that none is used twice."""

from __future__ import annotations

import sqlite3

RESERVED_IDS = 100_000


def reserve_ids(connection: sqlite3.Connection) -> int:
    """Give the first of a block of invocation ids that were never used."""
    row = connection.execute("SELECT value FROM settings WHERE name='ids'").fetchone()
    first = int(row[0]) if row else 1
    connection.execute(
        "INSERT OR REPLACE INTO settings VALUES ('ids', ?)", (str(first + RESERVED_IDS),)
    )
    return first
