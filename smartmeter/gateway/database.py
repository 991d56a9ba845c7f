"""The SQLite file behind a gateway's readings: opened, committed to, and known by its name.

Durable: a commit (WAL, ``synchronous=FULL``) is on the medium when it returns.  What goes wrong is
a StorageError that names the file; a part that the medium has damaged is a DamagedError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.base.file import file_number, leads_to, log_of, make_folder, sync_found
from smartmeter.tms.store.faults import empty_log

#: Beside this file: importlib.resources costs a board a megabyte.
SCHEMA = Path(__file__).with_name("readings.sql")
SCHEMA_VERSION = 5
#: How long another program's write is waited for: meanwhile nothing else is done.
BUSY_S = 0.5
#: What is told of a file whose name leads elsewhere now.
GONE = "was removed or replaced"
_TAKEN = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def database_files(path: Path) -> tuple[Path, Path]:
    """Give the files of an open database: its own, and the log that holds what is newest."""
    return path, log_of(path)


class Database:
    """One open file, begun with ``readings.sql`` where it is new or of an older version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: Whether a part of it was found that cannot be read any more.
        self.damaged = False
        try:
            make_folder(path.parent)
            sync_found(log_of(path))
            path.touch(mode=0o600)
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
            self.connection.row_factory = sqlite3.Row
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=FULL")
            if self.connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                script = SCHEMA.read_text(encoding="utf-8")
                self.connection.executescript(f"BEGIN; {script} COMMIT;")
            self._files = {path: file_number(path) for path in database_files(path)}
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "connection"):
                self.connection.close()
            raise self.fault(error) from error

    def close(self) -> None:
        """Close it."""
        if not all(leads_to(path, number) for path, number in self._files.items()):
            empty_log(self.connection)
        self.connection.close()

    def fault(self, error: Exception) -> StorageError:
        """Give what is told of an error of SQLite or the system."""
        told = getattr(error, "strerror", None) or str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            self.damaged = True
            return DamagedError(str(self._path), told, "it is set aside, and a new one is begun")
        remedy = "free some space, check the rights"
        if code == sqlite3.SQLITE_ERROR:  # a table is missing, or of another form
            remedy = "move it away, the -wal and -shm beside it too; a new one is begun"
        elif code in _TAKEN:
            remedy = "find out which program works on it"
        return StorageError(str(self._path), told, remedy)

    def check_name(self) -> None:
        """Refuse to work on files without a name: nothing of it would be there at the end."""
        for path, number in self._files.items():
            if not leads_to(path, number):
                raise StorageError(str(path), GONE, "the gateway begins anew")

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Commit all that is done within, or nothing of it where anything fails; StorageError."""
        self.check_name()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.fault(error) from error
        finally:
            # What only looked something up failed with a StorageError already.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Give all rows of a query."""
        try:
            return self.connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self.fault(error) from error

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Give the first row of a query."""
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def do(self, sql: str, *values: Any) -> None:
        """Carry a statement out; outside of ``commit`` it is durable by itself."""
        try:
            self.connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self.fault(error) from error
