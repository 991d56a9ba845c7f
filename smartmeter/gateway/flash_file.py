"""Non-volatile memory on a real file: what was committed survives kill -9 and power loss.

The file is a log.  A record holds a length, a CRC-32 and the changed pages of
one commit as JSON; it is written at the end and the file is synchronised
before ``commit`` returns.  A record that a power cut tore stands at the end and
is recognised by its checksum: it is left out, and so is nothing else.  When the
log has grown well beyond what it holds, all pages are written to a new file that
takes the old one's place by an atomic rename, the folder synchronised too.

An unreadable record with whole ones behind it was acknowledged, and the medium
has lost it.  What else is whole counts, and ``DAMAGED_PAGE`` says that pages may
be older than they were.  The same where the file's own beginning was lost; what
holds no record of ours is left alone.

Flash wears out, so what is written is counted and bounded: a token bucket of
``DAY_OCTETS`` a day, which is not full again because the file was opened again.  A fault
that writes for ever is stopped by it long before the medium is worn; the module then works
on when the bucket has filled again.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from smartmeter.base.errors import StorageError, told_as
from smartmeter.base.file import make_folder, sync_folder
from smartmeter.base.nvram import DAMAGED_PAGE, check_changes

MAGIC = b"SMNV\x00\x00\x00\x01"
#: The log is rewritten when it is so large, and so many times larger than its pages.
COMPACT_OCTETS = 1 << 20
COMPACT_FACTOR = 4
RECORD_HEAD_OCTETS = 8
MAX_RECORD_OCTETS = 1 << 26
#: What may be written in a day of continuous work; a module needs about a hundredth of it.
DAY_OCTETS = 256 << 20
DAY_US = 86_400 * 1_000_000
MAX_FILE_OCTETS = 1 << 28
#: The first and the last octet of a record's body: it is JSON.
_BODY = b"{}"


class Medium:
    """The calls that change a medium; the tests put one in their place that fails or is cut off."""

    def write(self, descriptor: int, octets: bytes) -> int:
        """Write at the file's position (or end); give how many octets went."""
        return os.write(descriptor, octets)

    def sync(self, descriptor: int) -> None:
        """Return when it is on the medium."""
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file off."""
        os.ftruncate(descriptor, size)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file another's name, in one step."""
        source.replace(target)


class WriteBudget:
    """What may be written to a medium in a day; ``clock_us`` gives monotonic microseconds."""

    def __init__(self, clock_us: Callable[[], int], day_octets: int = DAY_OCTETS) -> None:
        self._clock_us, self.day_octets = clock_us, day_octets
        self._left, self._since_us = day_octets, clock_us()

    def take(self, octets: int) -> bool:
        """Take so much of it; False, and nothing is taken, when less is left."""
        now_us = self._clock_us()
        filled = (now_us - self._since_us) * self.day_octets // DAY_US
        if filled > 0:
            self._left = min(self.day_octets, self._left + filled)
            self._since_us = now_us
        if octets > self._left:
            return False
        self._left -= octets
        return True


class FlashFile:
    """An ``smartmeter.base.nvram.Nvram`` on one file of mode 0600.

    ``commits`` and ``octets`` count what was written since it was opened.  A host that opens the
    file again and again gives it the same ``budget`` each time.
    """

    def __init__(
        self, path: Path, medium: Medium | None = None, budget: WriteBudget | None = None
    ) -> None:
        self._path = path
        self._medium = medium or Medium()
        self._pages: dict[str, bytes] = {}
        self.commits = self.octets = 0
        self._torn = False
        #: Up to here the log is not rewritten.
        self._compact_octets = COMPACT_OCTETS
        self._budget = budget or WriteBudget(lambda: 0)
        with told_as(StorageError, path, "check the folder and its rights"):
            make_folder(path.parent)
            if _holds_pages(path):
                self._load()
            else:
                self._rewrite()
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

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
        self._spend(len(record))
        found = os.fstat(self._file)
        if not found.st_nlink:
            raise StorageError(str(self._path), "was removed", "a new one is begun")
        start = found.st_size
        try:
            if self._medium.write(self._file, record) != len(record):
                raise OSError(28, "No space left on device")
            self._medium.sync(self._file)
        except OSError as error:
            self._cut(start)
            raise StorageError(
                str(self._path), str(error.strerror), "free some space; nothing was changed"
            ) from error
        _apply(changes, self._pages)
        held = sum(map(len, self._pages.values()))
        size = start + len(record)
        if size > self._compact_octets and size > COMPACT_FACTOR * held:
            self._compact(size)

    def _cut(self, size: int) -> None:
        """Take a torn record away: in the middle it would hide later ones."""
        try:
            self._medium.truncate(self._file, size)
        except OSError:
            self._torn = True  # until the file is opened again, which cuts it off

    def _spend(self, octets: int) -> None:
        """Take from the day's budget; StorageError when it is used up, or the file is torn."""
        if self._torn:
            raise StorageError(str(self._path), "ends in a torn record", "open it again")
        self._take(octets)
        self.octets += octets
        self.commits += 1

    def _take(self, octets: int) -> None:
        if not self._budget.take(octets):
            raise StorageError(
                str(self._path),
                f"{self._budget.day_octets} octets were written within a day",
                "nothing was changed; find out what writes so much",
            )

    def _compact(self, size: int) -> None:
        """Write the pages anew; where that fails, the log stays and grows on.

        Each try writes all pages, so the next one waits until the log has grown by COMPACT_OCTETS.
        """
        self._compact_octets = size + COMPACT_OCTETS
        with contextlib.suppress(OSError, StorageError):
            self._rewrite()
            self._compact_octets = COMPACT_OCTETS
        # Whichever of the two has the name now is whole.  If none has, or the new one cannot be
        # opened, the next commit tells.
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            os.close(self._file)
            self._file = file

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _load(self) -> None:
        self._pages, whole, damaged = _read(self._path)
        if damaged:
            self._pages[DAMAGED_PAGE] = b"1"
            self._rewrite()
        elif whole < self._path.stat().st_size:
            with self._path.open("r+b") as file:  # a torn tail: cut off, so that records follow on
                file.truncate(whole)
                os.fsync(file.fileno())

    def _rewrite(self) -> None:
        # Where the name is a link to a better medium, it stays one.
        file = Path(os.path.realpath(self._path))
        fresh = file.with_name(file.name + ".new")
        records = [MAGIC, *(_record({n: p}) for n, p in self._pages.items())]
        self._take(sum(map(len, records)))
        try:
            self._write_anew(fresh, records)
            self._medium.replace(fresh, file)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()  # a full disk has room for the log's next records in its place
            raise
        sync_folder(file.parent, self._medium.sync)

    def _write_anew(self, fresh: Path, records: Iterable[bytes]) -> None:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            for octets in records:
                if self._medium.write(descriptor, octets) != len(octets):
                    raise OSError(28, "No space left on device")
                self.octets += len(octets)
            self._medium.sync(descriptor)
        finally:
            os.close(descriptor)


def read_pages(path: Path) -> dict[str, bytes]:
    """Give the pages of a file, and leave it as it is; StorageError when it is no such file."""
    with told_as(StorageError, path, "check the folder and its rights"):
        return _read(path)[0] if _holds_pages(path) else {}


def _holds_pages(path: Path) -> bool:
    """Tell whether a state file is there; StorageError where something else has its place."""
    if not path.exists():
        return False
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        # A rename would take the place of a device or a pipe.
        raise StorageError(str(path), "is no regular file", "choose another name")
    return found.st_size > 0


def _read(path: Path) -> tuple[dict[str, bytes], int, bool]:
    """Give the pages, where the last whole record ends, and whether one before it is not whole."""
    if path.stat().st_size > MAX_FILE_OCTETS:
        raise StorageError(str(path), "far too large for a state file", "move it away")
    data = path.read_bytes()
    pages: dict[str, bytes] = {}
    at = whole = len(MAGIC)
    damaged = False
    is_ours = data[: len(MAGIC)] == MAGIC
    while at >= 0:
        changes = _read_record(data, at)
        if changes is None:
            at = _next_body(data, at) - RECORD_HEAD_OCTETS
            continue
        damaged |= at > whole
        at += RECORD_HEAD_OCTETS + int.from_bytes(data[at : at + 4], "big")
        whole = at
        _apply(changes, pages)
    if not is_ours and whole == len(MAGIC):
        raise StorageError(str(path), "no state file, or of another version", "move it away")
    # Records tell whose it is, where the medium has lost the file's first octets.
    return pages, whole, damaged or not is_ours


def _next_body(data: bytes, at: int) -> int:
    """Give where the body of a record behind the one at ``at`` may begin, below 0 for nowhere.

    Pages stand in it as hex digits, so that its first octet is seldom another's.
    """
    return data.find(_BODY[:1], at + RECORD_HEAD_OCTETS + 1)


def _apply(changes: Mapping[str, bytes | None], pages: dict[str, bytes]) -> None:
    for name, page in changes.items():
        if page is None:
            pages.pop(name, None)
        else:
            pages[name] = bytes(page)


def _record(changes: Mapping[str, bytes | None]) -> bytes:
    held = {name: None if page is None else page.hex() for name, page in changes.items()}
    body = json.dumps(held).encode()
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def _read_record(data: bytes, at: int) -> dict[str, bytes | None] | None:
    """Give the changes of the record at an offset, or None where no whole record is."""
    begin = at + RECORD_HEAD_OCTETS
    length = int.from_bytes(data[at : at + 4], "big")
    # Zeros are no record.  Each brace of a large file that is not ours may begin one, so what is
    # cheap to see comes before a copy.
    if not 0 < length <= min(MAX_RECORD_OCTETS, len(data) - begin):
        return None
    if data[begin] != _BODY[0] or data[begin + length - 1] != _BODY[-1]:
        return None
    body = data[begin : begin + length]
    if zlib.crc32(body) != int.from_bytes(data[at + 4 : at + 8], "big"):
        return None
    changes = json.loads(body)
    return {n: None if page is None else bytes.fromhex(page) for n, page in changes.items()}
