"""A folder or file with the state of one running process, and of no second one at a time."""

from __future__ import annotations

import os
from pathlib import Path

from smartmeter.base.errors import StorageError, told_as
from smartmeter.base.file import make_folder

CLAIMED = "another process keeps its state there"
#: What holds the claims of this process, by device and inode: the system takes them back when it
#: ends, by kill -9 too.
_CLAIMS: dict[tuple[int, int], int] = {}


def claim(folder: Path) -> None:
    """Make a folder this process's own; StorageError when another has it, or it cannot be made."""
    with told_as(StorageError, folder, "check the folder and its rights"):
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY)
    _keep(descriptor, folder, "folder")


def claim_file(path: Path) -> None:
    """Make a file this process's own; StorageError when another has it.

    What is held is a file beside it: the file itself may give its name to another.  Where
    nothing can be written, nothing is claimed.
    """
    try:
        descriptor = os.open(_beside(path), os.O_RDONLY | os.O_CREAT, 0o600)
    except OSError:
        return
    _keep(descriptor, path, "name")


def is_claimed(path: Path) -> bool:
    """Tell whether another process has a folder, or a file, for its own; nothing is made."""
    try:
        import fcntl

        descriptor = os.open(path if path.is_dir() else _beside(path), os.O_RDONLY)
    except (ImportError, OSError):
        return False  # nobody could have claimed it, or it cannot be told
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _keep(descriptor: int, path: Path, kind: str) -> None:
    """Hold what is open until this process ends."""
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) in _CLAIMS:
        os.close(descriptor)
        return
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError(str(path), CLAIMED, f"stop it, or give another {kind}") from error
    except (ImportError, OSError):
        os.close(descriptor)  # a system or a file system without locks: nobody is warned there
        return
    _CLAIMS[found.st_dev, found.st_ino] = descriptor
