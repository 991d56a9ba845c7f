"""The embedded store: SQLite, one writing thread with group commit, versioned schema files.

Durable: the database is in WAL mode with ``synchronous=FULL``.  The writer
takes all changes that wait, carries them out in one transaction, commits (one
synchronisation for all of them), and only then tells their callers.  If one of
them fails, the transaction is undone and done again with a savepoint for each,
so that it alone is lost.  What was told is there after kill -9 and power loss; what was not is
there whole or not at all.

A database that was removed, or replaced, under its name is written no more: what it took would
be gone with the last program that holds it.  Nor is one that a copy was written over, nor one that
was found damaged: what goes into a page that stands in the place of another is found by nobody.

What the TMS notes for itself (a state, the end of a job) nobody repeats: the writer keeps it
while the database takes nothing, and then nothing overtakes it.
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.base.file import log_of, make_folder, sync_found
from smartmeter.tms.store.faults import (
    OF_THE_CHANGE,
    damage_of,
    empty_log,
    foreign,
    is_lock,
    may_pass,
    moved,
    overwritten,
    own_files,
    storage_error,
)

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], Any]

#: Of a TMS, in its folder.
FILE_NAME = "tms.sqlite3"
#: Changes that wait before callers are held back, and that share one commit.
MAX_WAITING = 10_000
MAX_GROUP = 500
BUSY_TIMEOUT_S = 10.0
#: How long a head-end's writer waits for a lock of another program, and anybody's once it has
#: outlasted that: a loop that waits for a commit answers nobody meanwhile.
SERVER_LOCK_TIMEOUT_S, LOCKED_TIMEOUT_S = 2.0, 0.1
#: Changes that are kept while the database takes nothing, and how often they are tried.
MAX_OWED = 100_000
AGAIN_S = 1.0
#: Pages that stay in memory, and how many are logged (32 MB) before they are put in their places:
#: a page that many reports change is then written there once for all of them.
CACHE_KIB = 32_768
CHECKPOINT_PAGES = 8192
#: Where SQLite's files tell, twice, whether there is a log beside them.
_HAS_LOG_AT = 18
#: Of each version of the schema; another program's database has hardly all of them.
OWN_TABLES = {"meters", "reports", "intervals", "jobs"}
_STOP = None
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """A change that waits; ``again``: it is kept while the database takes nothing."""

    change: Change
    again: bool
    future: Future[Any] = field(default_factory=Future)


class Store:
    """A database in a folder; ``write`` and ``read`` from any thread.

    Reading and writing keep pages in memory, ``cache_kib`` each at the most.  A change waits for
    ``lock_timeout_s`` while another program holds the database.
    """

    def __init__(
        self, path: Path, cache_kib: int = CACHE_KIB, lock_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.path = path
        #: Why the last changes were not carried out; None when they were.
        self.fault: StorageError | None = None
        self._damage: DamagedError | None = None
        self._looking, self._looks = threading.Lock(), 0
        #: Python gives a thread the rows of another that asks the same at the same moment.
        self._reading: AbstractContextManager[object] = threading.Lock()
        try:
            make_folder(path.parent)
            sync_found(log_of(path))
            path.touch(mode=0o600)
            self._reader = _connect(path, cache_kib)
            migrate(self._reader, path)
            self._writer = _connect(path, cache_kib)
            self._files = own_files(path)
            # Open for as long as SQLite has it: to close one ends SQLite's own locks.
            self._file = path.open("rb", buffering=0)
            self._octets = os.fstat(self._file.fileno()).st_size
        except sqlite3.Error as error:
            raise storage_error(path, error) from error
        except OSError as error:
            fault = error.strerror or str(error)
            raise StorageError(str(path), fault, "check the folder and its rights") from error
        self._queue: queue.Queue[_Entry | None] = queue.Queue(MAX_WAITING)
        #: Of the writing thread: what comes before all that waits.
        self._owed: list[_Entry] = []
        #: Another program held it at the last change: when that has let go, ``fault`` is to say so.
        self._is_locked = False
        #: What was asked for, and what counts now.
        self._patience_s, self._lock_timeout_s = lock_timeout_s, BUSY_TIMEOUT_S
        self._wait_for_locks(lock_timeout_s)
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def write(self, change: Callable[[sqlite3.Connection], T], again: bool = False) -> Future[T]:
        """Queue a change; its future is done after the commit, or holds what went wrong.

        ``again`` is for what nobody else would repeat: while the database takes nothing (it is
        full, locked) it is kept in memory and tried each second, and nothing is done before it.
        """
        entry = _Entry(change, again)
        # A caller that is cancelled waits no longer: the change is made all the same.
        entry.future.set_running_or_notify_cancel()
        try:
            self._queue.put(entry, timeout=BUSY_TIMEOUT_S)
        except queue.Full:
            fault = f"{MAX_WAITING:,} changes wait for it"
            raise StorageError(str(self.path), fault, "is its medium sound?") from None
        return entry.future

    def write_now(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Carry a change out and wait for its commit."""
        return self.write(change).result()

    def read(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Give all rows of a query; the caller bounds them."""
        try:
            with self._reading:
                return self._reader.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._fault_of(error) from error

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Give the first row of a query, or None."""
        try:
            with self._reading:
                row: sqlite3.Row | None = self._reader.execute(sql, values).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._fault_of(error) from error
        return row

    def _fault_of(self, error: sqlite3.Error) -> StorageError:
        fault = storage_error(self.path, error)
        if isinstance(fault, DamagedError):
            self._damage = self.fault = fault
        return fault

    @property
    def damaged(self) -> bool:
        """Tell whether a part of it was found that is not as it was written."""
        return self._damage is not None

    def damage(self) -> DamagedError | None:
        """Look whether an error that nobody foresaw comes from what is stored.  Any thread.

        All of it is looked through, once for all who ask meanwhile; what is found counts until
        there is another store.
        """
        before = self._looks
        with self._looking:
            if self._damage is None and self._looks == before:
                damage, self._looks = damage_of(self.path), before + 1
                if damage is not None:
                    self._damage = self.fault = damage
        return self._damage

    def number(self, sql: str, *values: Any) -> int:
        """Give the one number that a query asks for, 0 when there is none."""
        row = self.one(sql, *values)
        return int(row[0] or 0) if row is not None else 0

    def close(self) -> None:
        """Commit what waits, and close."""
        self._queue.put(_STOP)
        self._thread.join()
        if own_files(self.path) != self._files:
            empty_log(self._writer)
        self._writer.close()
        self._reader.close()
        self._file.close()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            group: list[_Entry] = []
            try:
                waits = self._owed or self._is_locked
                entry = self._queue.get(timeout=AGAIN_S if waits else None)
                while True:
                    if entry is _STOP:
                        stopping = True
                        break
                    group.append(entry)
                    if len(group) >= MAX_GROUP:
                        break
                    entry = self._queue.get_nowait()
            except queue.Empty:
                pass
            if group or self._owed or self._is_locked:
                self._go_on_with(group)

    def _go_on_with(self, group: list[_Entry]) -> None:
        """Carry changes out; an error that nobody foresaw ends these alone, and not the thread.

        Whoever waits for a change would wait for ever, and the loop with it.
        """
        entries = self._owed + group
        try:
            self._carry_out(group)
        except Exception as error:
            _LOG.exception("not foreseen")
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            told = f"{type(error).__name__}: {error}".split("\n")[0]
            self.fault = StorageError(str(self.path), f"nobody foresaw {told:.200}", "see the log")
            self._owed = []
            for entry in entries:
                if not entry.future.done():
                    entry.future.set_exception(self.fault)

    def _carry_out(self, group: list[_Entry]) -> None:
        connection = self._writer
        fault: StorageError | None = None
        group, self._owed = self._owed + group, []
        done = group
        if own_files(self.path) != self._files:
            self._refuse(group, moved(self.path), passing=True)
            return
        if self._is_overwritten():
            self._refuse(group, overwritten(self.path), passing=False)
            return
        if self._damage is not None:
            self._refuse(group, self._damage, passing=False)
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                results = [entry.change(connection) for entry in group]
            except Exception:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                done, results, fault = self._one_by_one(group)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._is_locked = is_lock(error)
            self._refuse(group, self._fault_of(error), may_pass(error))
            return
        self._is_locked = False
        self._octets = os.fstat(self._file.fileno()).st_size
        self._wait_for_locks(self._patience_s)
        self.fault = fault
        for entry, result in zip(done, results, strict=True):
            entry.future.set_result(result)

    def _is_overwritten(self) -> bool:
        """Tell whether a copy was written over the file.

        One that ``tms backup`` made has no log, and an older one is mostly shorter; where SQLite
        makes the file shorter itself, by ``VACUUM``, it knows so, and it keeps its log.
        """
        try:
            has_log = os.pread(self._file.fileno(), 2, _HAS_LOG_AT) == b"\2\2"
            octets = os.fstat(self._file.fileno()).st_size
            return not has_log or (octets < self._octets and octets < self._known_octets())
        except (OSError, sqlite3.DatabaseError):
            return False  # the change itself tells what is against it

    def _known_octets(self) -> int:
        pages, size = (
            self._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
        return int(pages * size)

    def _wait_for_locks(self, timeout_s: float) -> None:
        if timeout_s != self._lock_timeout_s:
            self._writer.execute(f"PRAGMA busy_timeout={round(timeout_s * 1000)}")
            self._lock_timeout_s = timeout_s

    def _refuse(self, group: list[_Entry], fault: StorageError, passing: bool) -> None:
        """Keep of a group that the database did not take what is to be tried again."""
        self._wait_for_locks(LOCKED_TIMEOUT_S)
        self.fault = fault
        for entry in group:
            if entry.future.done():
                continue
            if entry.again and passing and len(self._owed) < MAX_OWED:
                self._owed.append(entry)
            else:
                entry.future.set_exception(fault)

    def _one_by_one(
        self, group: list[_Entry]
    ) -> tuple[list[_Entry], list[Any], StorageError | None]:
        """Carry each change out in a savepoint; give those that went well, and their results.

        And what the database could not do, where a change failed by it and not by itself.
        """
        connection, fault = self._writer, None
        done: list[_Entry] = []
        results: list[Any] = []
        for entry in group:
            connection.execute("SAVEPOINT change")
            try:
                results.append(entry.change(connection))
                done.append(entry)
            except OF_THE_CHANGE as error:
                connection.execute("ROLLBACK TO change")
                entry.future.set_exception(error)
            except sqlite3.Error as error:
                # The disk is full, and SQLite gave all of it up; or nothing may come before this.
                if not connection.in_transaction or (entry.again and may_pass(error)):
                    raise
                connection.execute("ROLLBACK TO change")
                self.fault = fault = self._fault_of(error)
                entry.future.set_exception(fault)
            except Exception as error:
                connection.execute("ROLLBACK TO change")
                entry.future.set_exception(error)
            connection.execute("RELEASE change")
        return done, results, fault


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    schema_version(connection, path)  # what is not ours keeps its kind of journal, too
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    return connection


def newest_schema() -> int:
    """Give the version of the schema that this program has."""
    return len(_scripts())


def _scripts() -> list[Path]:
    return sorted(Path(__file__).with_name("schema").glob("*.sql"))


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Give the version of a database's schema, 0 for a new one; nothing of it is changed.

    StorageError for a database that a newer program has written, or another one.
    """
    newest = newest_schema()
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if version > newest:
        raise StorageError(
            str(path),
            f"has schema {version}, newer than this program's {newest}",
            "use the newer program",
        )
    # Each version is one transaction: who has none has no table yet.
    if version < 0 or not (tables >= OWN_TABLES if version else not tables):
        raise foreign(path)
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a database to the newest schema; each file of ``schema/`` is one version.

    StorageError as for ``schema_version``.
    """
    version = schema_version(connection, path)
    for number, file in enumerate(_scripts()[version:], version + 1):
        script = file.read_text()
        connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")
