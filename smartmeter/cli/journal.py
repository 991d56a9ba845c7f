"""What the bench must undo, on disk before it is done: a crash leaves no meter changed."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite
from smartmeter.base.errors import SettingsError, StorageError, told_as
from smartmeter.base.file import read_text, replacing
from smartmeter.conformance.bench import Bench

#: The originals of the tables that the bench may write.
MAX_JOURNAL_OCTETS = 64 << 20


def journal_of(serial: str) -> Path:
    """Give where the journal of a device is: in this folder, whatever its serial number holds."""
    return Path(f"conformance-{quote(serial, safe='')}.undo.json")


class FileJournal:
    """Originals of written tables, by number; written and synced before the table is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._originals: dict[int, bytes] = {}
        if path.exists():
            try:
                stored = json.loads(read_text(path, MAX_JOURNAL_OCTETS))
                self._originals = {int(n): bytes.fromhex(octets) for n, octets in stored.items()}
            except (SettingsError, ValueError, TypeError, AttributeError, RecursionError) as error:
                raise StorageError(
                    str(path), f"no undo journal: {error}", "put the device right, then remove it"
                ) from error

    def note(self, table: int, original: bytes) -> None:
        """Keep the first original of a table until it is back."""
        self._originals.setdefault(table, original)
        self._save()

    def undone(self, table: int) -> None:
        """Forget a table whose original is back."""
        self._originals.pop(table, None)
        self._save()

    def restore(self, bench: Bench) -> None:
        """Put back what an earlier run that was killed left changed."""
        for table, original in list(self._originals.items()):
            bench.session(room=True, password=bench.master)
            bench.tester.ask(FullWrite(table, original)).want(ResponseCode.ok)
            self.undone(table)

    def _save(self) -> None:
        if not self._originals:
            self._path.unlink(missing_ok=True)
            return
        originals = {str(n): octets.hex() for n, octets in self._originals.items()}
        told = told_as(StorageError, self._path, "run in a folder of yours")
        with told, replacing(self._path) as beside:
            beside.write_text(json.dumps(originals), encoding="ascii")
