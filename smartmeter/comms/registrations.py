"""The registrations of a master relay, durable: a journal of JSON lines, one a change.

A change is written and synchronised before its answer goes out, so that what
was acknowledged survives kill -9 and power loss.  A last line that was cut
short, or whose first octets a power cut left zeros, was not acknowledged, and is
left out.  Lapses are kept in calendar time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.native_address import decode_address
from protocols.c1222.registrar import Change, Entry
from protocols.errors import ProtocolError
from smartmeter.base.errors import StorageError, told_as
from smartmeter.base.file import replacing

MAX_FILE_OCTETS = 1 << 28
#: Lines beyond what the list holds, after which the file is written anew.
SLACK_LINES = 10_000
#: What a line is that says something else than it was written with.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, RecursionError, ProtocolError)


class RegistrationFile:
    """One journal.  ``offset_us`` is calendar time less monotonic time."""

    def __init__(self, path: Path, offset_us: int) -> None:
        self._path, self._offset_us = path, offset_us
        self._lines = 0
        self._file: BinaryIO
        #: Damaged lines that were left out.
        self.left_out = 0

    def load(self, leaves_out: bool = False) -> list[Entry]:
        """Read what was kept, write it anew without what is gone, and open it for changes.

        A damaged line is a StorageError, or is one that it ``leaves_out``.
        """
        entries: dict[str, Entry] = {}
        with told_as(StorageError, self._path, "check the folder, its rights and its space"):
            if self._path.exists():
                if not self._path.is_file():  # a pipe or a device may have no end
                    raise StorageError(str(self._path), "is no file", "move it away")
                if self._path.stat().st_size > MAX_FILE_OCTETS:
                    raise StorageError(str(self._path), "is far too large", "move it away")
                lines = self._path.read_bytes().split(b"\n")[:-1]
                if lines and b"\0" in lines[-1]:
                    lines.pop()
                for number, line in enumerate(lines, 1):
                    try:
                        self._apply(json.loads(line), entries)
                    except DAMAGES as error:
                        if not leaves_out:
                            fault = f"line {number} is damaged"
                            raise StorageError(str(self._path), fault, "move it away") from error
                        self.left_out += 1
            kept = list(entries.values())
            self._rewrite(kept)
        return kept

    def write(self, changes: Iterable[Change], entries: Iterable[Entry]) -> None:
        """Make changes durable; ``entries`` is the whole list, for when the file has grown."""
        lines = [self._line(change) for change in changes]
        if not lines:
            return
        self._lines += len(lines)
        with told_as(StorageError, self._path, "free some space"):
            if self._lines > SLACK_LINES:
                self._rewrite(list(entries))
                return
            self._file.write(b"".join(lines))
            self._file.flush()
            os.fsync(self._file.fileno())

    def clock_was_set(self, offset_us: int, entries: Iterable[Entry]) -> None:
        """Write the whole list by a calendar that was set: lines before it tell of another."""
        self._offset_us = offset_us
        with told_as(StorageError, self._path, "free some space"):
            self._rewrite(list(entries))

    def close(self) -> None:
        """End."""
        self._file.close()

    def _rewrite(self, entries: list[Entry]) -> None:
        with replacing(self._path) as fresh:
            fresh.write_bytes(b"".join(self._line(Change(entry, True)) for entry in entries))
            self._lines = SLACK_LINES  # the open file may lose its name: no change is for it
        self._file = self._path.open("ab")
        self._lines = 0

    def _apply(self, value: dict[str, Any], entries: dict[str, Entry]) -> None:
        if value["present"]:
            entries[value["title"]] = self._entry(value)
        else:
            entries.pop(value["title"], None)

    def _line(self, change: Change) -> bytes:
        entry = change.entry
        lapses = entry.lapses_us
        value = {
            "present": change.present,
            "title": str(entry.title),
            "serial": str(entry.serial) if entry.serial is not None else None,
            "node_type": entry.node_type,
            "connection_type": entry.connection_type,
            "device_class": entry.device_class.hex(),
            "address": entry.address.hex(),
            "lapses_utc_us": lapses + self._offset_us if lapses is not None else None,
            "heard_at": entry.heard_at.hex(),
        }
        return json.dumps(value).encode() + b"\n"

    def _entry(self, value: dict[str, Any]) -> Entry:
        lapses, heard_at = value["lapses_utc_us"], bytes.fromhex(value.get("heard_at", ""))
        decode_address(heard_at)
        return Entry(
            ApTitle.parse(value["title"]),
            ApTitle.parse(value["serial"]) if value["serial"] else None,
            value["node_type"],
            value["connection_type"],
            bytes.fromhex(value["device_class"]),
            bytes.fromhex(value["address"]),
            lapses - self._offset_us if lapses is not None else None,
            heard_at,
        )
