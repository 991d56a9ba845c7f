"""Databases that a medium has damaged are set aside, so that a gateway goes on without a person.

Nothing of them is thrown away: file and log keep their octets under another name, and what
can still be read of them, a person reads with SQLite's own ``.recover``.  Names are changed in
an order in which kill -9 leaves nothing behind that has to be mended by hand.
"""

from __future__ import annotations

import os
from pathlib import Path

from smartmeter.base.errors import StorageError
from smartmeter.base.file import sync_folder

#: A medium that damages more has to be looked at.
MAX_ASIDE = 9
_LOG, _SHARED = "-wal", "-shm"


def set_aside(database: Path, follower: Path | None = None) -> Path:
    """Give a closed database another name beside its own, and tell it; StorageError.

    ``follower`` is a file that was written from it, and cannot go on without it.  It goes
    first: a database that is still there is found damaged again.
    """
    files = _files(database, follower)
    number = _free_number(files)
    if number is None:
        raise no_room(database)
    try:
        for path in files:
            if path.exists():
                path.rename(_aside(path, number))
                sync_folder(path.parent)
        # SQLite drops what it finds of these beside a new file.
        log = _beside(files[-1], _LOG)
        if log.exists():
            log.rename(_beside(_aside(files[-1], number), _LOG))
        _beside(files[-1], _SHARED).unlink(missing_ok=True)
    except OSError as error:
        fault = f"is damaged, and cannot be set aside: {error.strerror}"
        raise StorageError(str(database), fault, "check the folder and its rights") from error
    return _aside(files[-1], number)


def has_room(database: Path, follower: Path | None = None) -> bool:
    """Tell whether there is a name left for a database to be set aside under."""
    return _free_number(_files(database, follower)) is not None


def no_room(database: Path) -> StorageError:
    """Give what is told of a damaged database that stays where it is."""
    fault = f"is damaged, and {MAX_ASIDE} were set aside already"
    return StorageError(str(database), fault, "look at its medium, move them away")


def aside(database: Path) -> list[Path]:
    """Give what of a database was set aside and is still there."""
    file = Path(os.path.realpath(database))
    numbered = (_aside(file, n) for n in range(1, MAX_ASIDE + 1))
    return [path for path in numbered if os.path.exists(path)]


def _files(database: Path, follower: Path | None) -> list[Path]:
    # A link to a better medium stays, and leads to the new file, too.
    return [Path(os.path.realpath(path)) for path in (follower, database) if path is not None]


def _free_number(files: list[Path]) -> int | None:
    for number in range(1, MAX_ASIDE + 1):
        if not any(os.path.lexists(_aside(path, number)) for path in files):
            return number
    return None


def _aside(path: Path, number: int) -> Path:
    return _beside(path, f".aside-{number}")


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
