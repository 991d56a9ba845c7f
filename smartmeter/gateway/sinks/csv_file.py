"""Intervals as a CSV file: one line an interval and channel, each once, in order of arrival.

Exactly once over kill -9 and power loss: lines are written and synchronised
first; then how far the file and the readings have come is committed in one
row.  At start, what stands in the file beyond that row is cut off and written
again.
"""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path

from smartmeter.base.errors import StorageError
from smartmeter.gateway.readings import Readings

SINK = "csv"
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
        position = self._readings.position(SINK)
        rows = self._readings.after("intervals", position.get("number", 0))
        size = position.get("octets", 0)
        if not rows and size:
            return False
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if not size:
            writer.writerow(COLUMNS)
        for row in rows:
            end = datetime.fromtimestamp(row["end_s"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            writer.writerow(
                (
                    *(row[name] for name in ("esn", "set_nbr", "ring_epoch", "sequence")),
                    *(row["channel"], end, row["length_s"], row["status"]),
                    *(row[name] for name in ("quantity", "direction", "unit", "value", "raw")),
                )
            )
        size = self._append(out.getvalue().encode(), size)
        number = rows[-1]["number"] if rows else 0
        self._readings.move(SINK, {"number": number, "octets": size})
        return bool(rows)

    def _append(self, octets: bytes, size: int) -> int:
        """Write after ``size`` octets, whatever stands there; give the file's new size."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
            with os.fdopen(descriptor, "r+b") as file:
                if os.fstat(descriptor).st_size < size:
                    raise OSError(0, "is shorter than what was written to it; move it away")
                file.truncate(size)
                file.seek(size)
                file.write(octets)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise StorageError(
                str(self._path), str(error.strerror), "free some space, check the rights"
            ) from error
        return size + len(octets)
