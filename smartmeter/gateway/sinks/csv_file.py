"""Intervals as a CSV file: one line an interval and channel, each once, in order of arrival.

Exactly once over kill -9 and power loss: lines are written and synchronised
first; then how far the file and the readings have come is committed in one
row.  At start, what stands in the file beyond that row is cut off and written
again.  A file that was moved away is followed by a new one, with what is new.
A file that stands there before the first line was written is somebody's, and
is left alone: its place is noted as ours before anything is written to it.
So is one that does not end, up to that row, as it was written: who edits it may
have moved every octet, and one that has lines beyond that row which would not be
written again: the readings are an older copy.
"""

from __future__ import annotations

import csv
import io
import os
import stat
import zlib
from pathlib import Path

from smartmeter.base.clock import utc_moment
from smartmeter.base.errors import StorageError, told_as
from smartmeter.base.file import make_folder, sync_folder
from smartmeter.gateway.readings import Readings

SINK = "csv"
#: How much of the file's end is looked at before something is added to it.
END_OCTETS = 4096
COLUMNS = (
    *("esn", "set", "ring_epoch", "sequence", "channel", "end_utc", "length_s", "status"),
    *("quantity", "direction", "unit", "value", "raw"),
)


class CsvFile:
    """Appends what is new of the intervals to one file."""

    def __init__(self, path: Path, readings: Readings) -> None:
        self._path, self._readings = path, readings

    def step(self) -> bool:
        """Write the next rows; True when there may be more.  StorageError names the file."""
        position = self._readings.position(SINK) or self._begin()
        rows = self._readings.after("intervals", position.get("number", 0))
        size = position.get("octets", 0)
        if not rows and size:
            return False
        if not self._is_there():
            size = 0
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if not size:
            writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(
                (
                    *(row[name] for name in ("esn", "set_nbr", "ring_epoch", "sequence")),
                    *(row["channel"], _end(row["end_s"]), row["length_s"], row["status"]),
                    *(row[name] for name in ("quantity", "direction", "unit", "value", "raw")),
                )
            )
        octets = out.getvalue().encode()
        end = self._append(octets, size, position.get("end_crc"))
        number = rows[-1]["number"] if rows else position.get("number", 0)
        crc = zlib.crc32(end)
        self._readings.move(SINK, {"number": number, "octets": size + len(octets), "end_crc": crc})
        return bool(rows)

    def _begin(self) -> dict[str, int]:
        """Take the file's place, where nothing stands; what is there may be years of readings."""
        if holds_lines(self._path):
            raise StorageError(
                str(self._path), "is there already, and not from these readings", "move it away"
            )
        position = {"number": 0, "octets": 0}
        self._readings.move(SINK, position)
        return position

    def _is_there(self) -> bool:
        """Tell whether the file was begun and is still in its place."""
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True  # what is wrong with it, the attempt to write tells

    def _append(self, octets: bytes, size: int, end_crc: int | None) -> bytes:
        """Write after ``size`` octets, whatever stands there; give the file's last octets."""
        with told_as(StorageError, self._path, "free some space, check the rights"):
            make_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
            with os.fdopen(descriptor, "r+b") as file:
                if os.fstat(descriptor).st_size < size:
                    raise OSError(0, "is shorter than what was written to it; move it away")
                file.seek(max(0, size - END_OCTETS))
                end = file.read(min(size, END_OCTETS))
                if size and end_crc is not None and zlib.crc32(end) != end_crc:
                    raise OSError(0, "is not as it was written; move it away")
                if not _is_cut_off_of(octets, file.read(len(octets) + 1)):
                    raise OSError(0, "has lines that the readings have not; move it away")
                file.truncate(size)
                file.seek(size)
                file.write(octets)
                file.flush()
                os.fsync(descriptor)
            if not size:
                sync_folder(self._path.parent)
        return (end + octets)[-END_OCTETS:]


def _is_cut_off_of(octets: bytes, found: bytes) -> bool:
    """Tell whether what stands in the place of lines is what a cut left of them, and no more."""
    written = set(octets.splitlines(keepends=True))
    lines = [line for line in found.splitlines(keepends=True) if line.endswith(b"\n")]
    # A medium may have made others of them when the power went, with zeros in the place of some.
    whole = (line for line in lines if line.count(b",") == len(COLUMNS) - 1 and b"\0" not in line)
    return len(found) <= len(octets) and written.issuperset(whole)


def holds_lines(path: Path) -> bool:
    """Tell whether something was written to a file; what else may be wrong, writing tells."""
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def _end(end_s: int) -> str:
    """Give the end of an interval, nothing where the meter gave it no time."""
    return f"{utc_moment(end_s):%Y-%m-%dT%H:%M:%SZ}" if end_s else ""
