"""Non-volatile memory on a real file: what was committed survives kill -9 and power loss.

The file is a log.  A record holds a length, a CRC-32 and the changed pages of
one commit as JSON; it is written at the end and the file is synchronised
before ``commit`` returns.  A record that a power cut tore is recognised by its
checksum and left out, and so is nothing else.  When the log has grown well
beyond what it holds, all pages are written to a new file that takes the old
one's place by an atomic rename, the folder synchronised too.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import check_changes

MAGIC = b"SMNV\x00\x00\x00\x01"
#: The log is rewritten when it is so large, and so many times larger than its pages.
COMPACT_OCTETS = 1 << 20
COMPACT_FACTOR = 4
MAX_RECORD_OCTETS = 1 << 26
MAX_FILE_OCTETS = 1 << 28


class FlashFile:
    """An ``smartmeter.base.nvram.Nvram`` on one file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pages: dict[str, bytes] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > 0:
                self._load()
            else:
                self._rewrite()
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise StorageError(
                str(path), str(error.strerror), "check the folder and its rights"
            ) from error

    def get(self, name: str) -> bytes | None:
        """Give the page, or None when there is none."""
        return self._pages.get(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Give the names that begin with ``prefix``, in order."""
        return iter(sorted(name for name in self._pages if name.startswith(prefix)))

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Write or remove all these pages; they are on the medium when this returns."""
        check_changes(changes)
        record = _record(changes)
        start = os.fstat(self._file).st_size
        try:
            if os.write(self._file, record) != len(record):
                raise OSError(28, "No space left on device")
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, start)  # a torn record in the middle would hide later ones
            raise StorageError(
                str(self._path), str(error.strerror), "free some space; nothing was changed"
            ) from error
        self._apply(changes)
        held = sum(map(len, self._pages.values()))
        size = start + len(record)
        if size > COMPACT_OCTETS and size > COMPACT_FACTOR * held:
            os.close(self._file)
            self._rewrite()
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _apply(self, changes: Mapping[str, bytes | None]) -> None:
        for name, page in changes.items():
            if page is None:
                self._pages.pop(name, None)
            else:
                self._pages[name] = bytes(page)

    def _load(self) -> None:
        if self._path.stat().st_size > MAX_FILE_OCTETS:
            raise StorageError(str(self._path), "far too large for a state file", "move it away")
        data = self._path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            raise StorageError(
                str(self._path), "no state file, or of another version", "move it away"
            )
        at = len(MAGIC)
        while (changes := _read_record(data, at)) is not None:
            at += 8 + int.from_bytes(data[at : at + 4], "big")
            self._apply(changes)
        if at < len(data):
            with self._path.open("r+b") as file:  # a torn tail: cut off, so that records follow on
                file.truncate(at)
                os.fsync(file.fileno())

    def _rewrite(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(MAGIC)
            for name, page in self._pages.items():
                file.write(_record({name: page}))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _record(changes: Mapping[str, bytes | None]) -> bytes:
    held = {name: None if page is None else page.hex() for name, page in changes.items()}
    body = json.dumps(held).encode()
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def _read_record(data: bytes, at: int) -> dict[str, bytes | None] | None:
    """Give the changes of the record at an offset, or None where no whole record is."""
    length = int.from_bytes(data[at : at + 4], "big")
    body = data[at + 8 : at + 8 + length]
    if len(data) < at + 8 or length > MAX_RECORD_OCTETS or len(body) != length:
        return None
    if zlib.crc32(body) != int.from_bytes(data[at + 4 : at + 8], "big"):
        return None
    changes = json.loads(body)
    return {n: None if page is None else bytes.fromhex(page) for n, page in changes.items()}
