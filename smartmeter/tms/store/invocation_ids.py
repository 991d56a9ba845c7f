"""Invocation ids of the TMS: taken from the store in blocks, so that none is used twice."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from smartmeter.base.errors import StorageError
from smartmeter.tms.store.sqlite import Store

RESERVED_IDS = 100_000


class InvocationIds:
    """``first`` is the first id that was never used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.first = store.write_now(_reserve)
        self._reserved_until = self.first + RESERVED_IDS

    def reserve(self, next_id: int) -> None:
        """Take another block when half of this one is used; if that fails, at the next call."""
        if next_id + RESERVED_IDS // 2 > self._reserved_until:
            with suppress(StorageError):
                self._reserved_until = self._store.write_now(_reserve) + RESERVED_IDS


def _reserve(connection: sqlite3.Connection) -> int:
    """Give the first id of a block that was never used."""
    row = connection.execute("SELECT value FROM settings WHERE name='ids'").fetchone()
    first = int(row[0]) if row else 1
    connection.execute(
        "INSERT OR REPLACE INTO settings VALUES ('ids', ?)", (str(first + RESERVED_IDS),)
    )
    return first
