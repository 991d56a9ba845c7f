"""A folder that holds the state of one running process, and of no second one at a time."""

from __future__ import annotations

import os
from pathlib import Path

from smartmeter.base.errors import StorageError

#: What holds the claims of this process: the system takes them back when it ends, by kill -9 too.
_CLAIMS: list[int] = []


def claim(folder: Path) -> None:
    """Make a folder this process's own; StorageError when another has it, or it cannot be made."""
    try:
        import fcntl
    except ImportError:
        return  # a system without: nobody is warned there
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(
            str(folder), str(error.strerror), "check the folder and its rights"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError(
            str(folder), "another process keeps its state there", "stop it, or give another folder"
        ) from error
    except OSError:
        os.close(descriptor)  # a file system without locks
        return
    _CLAIMS.append(descriptor)
