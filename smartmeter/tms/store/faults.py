"""What SQLite could not do, as an error with the remedy that fits it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.base.file import file_number, log_of

#: By the primary code of SQLite's error, the lower octet of the extended one.
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_READONLY: "make folder and file writable",
    sqlite3.SQLITE_PERM: "make folder and file writable",
    sqlite3.SQLITE_CANTOPEN: "check the folder and its rights",
    sqlite3.SQLITE_IOERR: "is its medium there, and sound?",
    sqlite3.SQLITE_BUSY: "end the other program that holds it",
    sqlite3.SQLITE_LOCKED: "end the other program that holds it",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: What Python says of a text of which octets were changed; all else of the database may be sound.
_NO_TEXT = "Could not decode to UTF-8"
#: What goes by when there is room again, or nobody else holds the database.
_PASSING = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
)
#: What is wrong with a change itself, and not with the database.
OF_THE_CHANGE = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
)


def may_pass(error: sqlite3.Error) -> bool:
    """Tell whether the same change may be taken later."""
    return _code(error) in _PASSING


def is_lock(error: sqlite3.Error) -> bool:
    """Tell whether another program holds the database."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def storage_error(path: Path, error: sqlite3.Error) -> StorageError:
    """Give what is raised in the place of an error of SQLite."""
    if _code(error) in _DAMAGED:
        return _damaged(path, str(error))
    if _NO_TEXT in str(error):
        return StorageError(str(path), f"is damaged: {error}"[:200], "restore it from a copy")
    remedy = _REMEDIES.get(_code(error), "check the folder, its rights and its space")
    return StorageError(str(path), str(error), remedy)


def damage_of(path: Path) -> DamagedError | None:
    """Look through all of a database for what is wrong with how it is put together; None: nothing.

    Where pages stand in each other's places SQLite itself gives rows, without a word.  Takes as
    long as it takes to read the file, and holds no writer up.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            told = str(found.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        fault = storage_error(path, error)
        return fault if isinstance(fault, DamagedError) else None
    told = " ".join(told.replace("*** in database main ***", "").split())
    return None if told == "ok" else _damaged(path, f"is damaged: {told:.120}")


def _damaged(path: Path, fault: str) -> DamagedError:
    return DamagedError(str(path), fault, "restore it from a copy")


def foreign(path: Path) -> StorageError:
    """Give what is raised for a database that another program has made."""
    return StorageError(str(path), "is no database of a TMS", "name another folder")


def moved(path: Path) -> StorageError:
    """Give what is raised where a name leads no longer to the file that was opened."""
    return StorageError(
        str(path), "it, or its -wal, was removed or replaced", "put it back, or start again"
    )


def overwritten(path: Path) -> StorageError:
    """Give what is raised where a copy was written over a database that is open."""
    remedy = "stop, put the copy into an empty folder, and start there"
    return StorageError(str(path), "it was overwritten while it was open", remedy)


def own_files(path: Path) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Give which files the names of a database and of its log lead to, None for nothing.

    Who has a file open goes on with it when its name is gone, and SQLite with a log does not look.
    """
    # Not by a generator: what is made of one is no tuple any more for Python (SystemError) when
    # another thread looks at all objects meanwhile, as the page server does when it starts.
    return file_number(path), file_number(log_of(path))


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def empty_log(connection: sqlite3.Connection) -> None:
    """Bring what is in the log into the file that was opened, before that is closed.

    Where another file has its name SQLite leaves the log there, and whoever opens that file next
    would be given pages of this one: a copy that was put there under way would be lost.
    """
    with suppress(sqlite3.Error):  # its medium takes nothing: nobody can do more
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
