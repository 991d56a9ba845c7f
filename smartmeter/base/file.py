"""Files that are read whole and never beyond a limit, and files that are written whole or not.

What a name leads to may be a device or a pipe without end, so a size that the
file system tells is not believed: no more than the limit is read.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from smartmeter.base.errors import SettingsError, told_as

MAX_PASSWORD_FILE_OCTETS = 4096
_READ_OCTETS = 1 << 16
#: How often, and how long each time, to wait for a writer at the other end of a named pipe.
_PIPE_WAITS, _PIPE_WAIT_MS = 100, 100
#: A new file that was not written to for so long is of a program that has died, on any machine.
FORGOTTEN_S = 86_400
#: What a file system says that synchronises no folders, and what a folder that may not be read.
_NOT_SYNCHRONISED = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def read_file(path: Path, limit: int, place: str = "") -> bytes:
    """Give the octets of a file, ``limit`` at most.

    SettingsError names ``place``, or else the file, when it cannot be read or is larger, and when
    it is a pipe that nobody writes into.  For who has opened it to write is waited.
    """
    place = place or str(path)
    with told_as(SettingsError, place, "check name and rights"):
        if stat.S_ISFIFO(path.stat().st_mode):
            return _read_pipe(path, limit, place)
        with path.open("rb") as file:
            return read_stream(file, limit, place)


def _read_pipe(path: Path, limit: int, place: str) -> bytes:
    # To open it the plain way waits for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        for _ in range(_PIPE_WAITS):
            ready = waiting.poll(_PIPE_WAIT_MS)  # there are octets, or who wrote has closed it
            first = pipe.read(1)
            if ready or first != b"":  # None: it is open to be written, and nothing is in it yet
                os.set_blocking(descriptor, True)
                return read_stream(pipe, limit, place, first or b"")
    raise SettingsError(place, "is a pipe that nobody writes into", "check the name")


def read_stream(stream: BinaryIO | io.FileIO, limit: int, place: str, begun: bytes = b"") -> bytes:
    """Give ``begun`` and what is left of an open stream; SettingsError for more than ``limit``."""
    found = io.BytesIO()  # grows with what is there: a whole limit may be more than there is memory
    found.write(begun)
    while octets := stream.read(min(_READ_OCTETS, limit + 1 - found.tell())):
        found.write(octets)
    if found.tell() > limit:
        raise SettingsError(place, f"is larger than {limit} octets", "check the name")
    return found.getvalue()


def read_text(path: Path, limit: int, place: str = "") -> str:
    """Give the text of a UTF-8 file, ``limit`` octets at most; SettingsError like `read_file`.

    The mark that some editors put before a text (U+FEFF) is no part of it.
    """
    try:
        return read_file(path, limit, place).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = place or str(path)
        raise SettingsError(place, "is no UTF-8 text", "check the name") from error


def read_password(path: Path, place: str = "") -> str:
    """Read a password from a file of its own, without the end of its line; SettingsError."""
    return read_text(path, MAX_PASSWORD_FILE_OCTETS, place).rstrip("\r\n")


def parse_toml(text: str, place: str) -> dict[str, Any]:
    """Give what a TOML text says; SettingsError names the place and what is wrong there."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))  # some editors begin a text with it
    except tomllib.TOMLDecodeError as error:
        fault = str(error)
    except RecursionError:
        fault = "is nested too deep"
    except ValueError:
        fault = "holds a number of too many digits"
    raise SettingsError(place, fault, "write TOML")


def file_number(path: Path) -> tuple[int, int] | None:
    """Give which file a name leads to, None where it leads to none that may be looked at."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def leads_to(path: Path, number: tuple[int, int] | None) -> bool:
    """Tell whether a name still leads to a file; yes where nobody may look."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return file_number(path) == number


def log_of(database: Path) -> Path:
    """Give SQLite's log of a database: it stands beside the file, not beside a link to it."""
    file = Path(os.path.realpath(database))
    return file.with_name(f"{file.name}-wal")


@contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """Give a new, empty file to fill, by default its owner's alone, and let it take a name.

    A link goes on leading where it leads: what is there is replaced.  The new file stands beside
    the name, and is synchronised and renamed when the block has ended without an error: what stood
    there stays until then, or for good.  Kill -9 and a power cut leave it there, for who writes to
    the same name a day later to take away.  OSError as it comes: callers know what helps.
    """
    with _filled(Path(os.path.realpath(path)), mode, Path.replace) as beside:
        yield beside


@contextmanager
def _filled(path: Path, mode: int, take: Callable[[Path, Path], object]) -> Iterator[Path]:
    """Give a new file beside a name to fill; ``take`` gives it that name when it is filled."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)  # in a container, who was killed had the same number
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            _remove_forgotten(path, os.fstat(descriptor).st_mtime)
            yield beside
            os.fsync(descriptor)
        finally:
            os.close(descriptor)  # Windows gives no name to a file that is open
        take(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_new(path: Path, octets: bytes, mode: int = 0o600) -> None:
    """Write a file that is not there yet, as ``replacing`` does: whole and on the medium, or not.

    FileExistsError where one is there, also one that another process has just made; another
    OSError where there can be none.
    """
    _refuse_taken(path)
    with _filled(path, mode, _take_free) as beside:
        beside.write_bytes(octets)


def _take_free(beside: Path, path: Path) -> None:
    """Give a file a name that no other has; FileExistsError."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system where a file has one name: who comes between is not seen
        _refuse_taken(path)
        beside.replace(path)


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _remove_forgotten(path: Path, now_s: float) -> None:
    """Remove what others who were to write a file have begun, and not touched for a day.

    SQLite has a journal beside its own.
    """
    begun = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.new(-journal)?")
    for other in path.parent.iterdir():
        if begun.fullmatch(other.name):
            with suppress(OSError):
                if other.stat().st_mtime < now_s - FORGOTTEN_S:
                    other.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, with their names on the medium; OSError.

    What is synchronised in a folder is lost with the folder's own name.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def sync_found(path: Path) -> None:
    """Return when a file that may be there is on the medium with its name; OSError.

    What a process had written when it was killed can be read by the next one, and still goes with
    the power: who acts on it synchronises it first.
    """
    with suppress(FileNotFoundError):  # also where its own program removes it meanwhile
        _sync(path)
        sync_folder(path.parent)


def sync_folder(folder: Path, sync: Callable[[int], None] | None = None) -> None:
    """Return when the names in a folder are on the medium, by ``sync`` or the system; OSError.

    Where a file system knows no such thing, as some of another computer's, or the folder may be
    written and not read, nothing is waited for.
    """
    try:
        _sync(folder, sync)
    except OSError as error:
        if error.errno not in _NOT_SYNCHRONISED:
            raise


def _sync(path: Path, sync: Callable[[int], None] | None = None) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, nor a file synchronised that is only read
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        (sync or os.fsync)(descriptor)
    finally:
        os.close(descriptor)
