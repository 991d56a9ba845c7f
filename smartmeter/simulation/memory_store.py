"""The TMS' store without a disk and without a thread: for worlds in virtual time.

The same schema and the same changes; each is carried out when it is written,
so that a run is the same each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from smartmeter.tms.store.sqlite import Store, migrate

T = TypeVar("T")


class MemoryStore(Store):
    """A database in memory with the face of ``Store``."""

    def __init__(self) -> None:
        self.path = Path(":memory:")
        self._connection = sqlite3.connect(self.path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._reader, self._reading = self._connection, nullcontext()
        migrate(self._connection, self.path)

    def write(self, change: Callable[[sqlite3.Connection], T], again: bool = False) -> Future[T]:
        """Carry a change out, whole or not at all."""
        future: Future[T] = Future()
        connection = self._connection
        connection.execute("SAVEPOINT change")
        try:
            result: Any = change(connection)
        except Exception as error:
            connection.execute("ROLLBACK TO change")
            connection.execute("RELEASE change")
            future.set_exception(error)
        else:
            connection.execute("RELEASE change")
            future.set_result(result)
        return future

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
