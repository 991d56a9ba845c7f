"""What ``gateway check`` says of the places that a gateway takes: folders, files, addresses.

Nothing is made: who checks as root must not leave folders that the gateway's
own user cannot write.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from smartmeter.base.errors import StorageError
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.base.nvram import MemoryNvram
from smartmeter.gateway.database import database_files
from smartmeter.gateway.flash_file import read_pages
from smartmeter.gateway.set_aside import aside
from smartmeter.gateway.settings import GatewaySettings, SeatSettings
from smartmeter.gateway.sinks.csv_file import holds_lines
from smartmeter.ssi.factory import FACTORY_PAGE, load_factory
from smartmeter.tms.store.sqlite import FILE_NAME

MIN_FREE_OCTETS = 64 << 20


def check_places(settings: GatewaySettings) -> Iterator[Finding]:
    """Look whether everything can be written where the settings say."""
    folders = {settings.data, settings.socket.parent, *(s.state.parent for s in settings.seats)}
    if settings.upgrade is not None:
        folders.add(settings.upgrade.slots)
    if settings.sinks.csv is not None:
        folders.add(settings.sinks.csv.parent)
    for folder in sorted(folders):
        yield _folder(folder)
    for seat in settings.seats:
        yield from _state(seat)
        yield from _shown(seat.private_files)
    if settings.sinks.csv is not None:
        yield from _csv(settings.sinks.csv, settings.readings)
    yield from _closed(settings.local_tms)
    for database in (settings.readings, settings.local_tms / FILE_NAME):
        yield from _closed(*database_files(database))
        for path in aside(database):
            remedy = "look at its medium; sqlite3 FILE .recover reads what is left, or remove it"
            yield well(str(path), "was damaged, and set aside", remedy)
    yield from _socket(settings.socket)


def _folder(folder: Path) -> Finding:
    there = folder
    try:
        while not (there.exists() or there.is_symlink()) and there != there.parent:
            there = there.parent
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = os.statvfs(there)
    except OSError as error:
        fault = str(error.strerror) if there == folder else f"cannot be made: {error.strerror}"
        return wrong(str(folder), fault, "make it, or change its owner")
    octets = free.f_bavail * free.f_frsize
    if octets < MIN_FREE_OCTETS:
        return wrong(str(folder), f"{octets >> 20} MB are free", "make room")
    can = "can be written" if there == folder else "will be made"
    return well(str(folder), f"{can}, {octets >> 20} MB are free")


def _state(seat: SeatSettings) -> Iterator[Finding]:
    esn = seat.factory.esn
    try:
        pages = MemoryNvram(read_pages(seat.state))
        owner = esn if pages.get(FACTORY_PAGE) is None else load_factory(pages).esn
    except StorageError as error:
        yield wrong(error.place, error.fault, error.remedy)
        return
    yield from _closed(seat.state)
    if owner != esn:
        fault = f"belongs to module {owner}, not to {esn}"
        yield wrong(str(seat.state), fault, "move it away, or mend the ESN")


def _shown(files: Iterable[Path]) -> Iterator[Finding]:
    """Tell of files with secrets that everybody on this computer may read; they work so, too."""
    for path in files:
        with suppress(OSError):
            if path.stat().st_mode & stat.S_IROTH:
                fault = "holds a secret, and everybody on this computer may read it"
                yield well(str(path), fault, f"chmod o= {path}")


def _closed(*files: Path) -> Iterator[Finding]:
    """Tell of files and folders that are there and that this user cannot read and write."""
    for path in files:
        if os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK):
            yield wrong(str(path), "no permission", "change its owner")


def _socket(path: Path) -> Iterator[Finding]:
    try:
        fault = "is no socket" if path.exists() and not path.is_socket() else ""
    except OSError as error:  # its folder is closed to this user, or the name is too long
        fault = str(error.strerror)
    if fault:
        yield wrong(str(path), fault, 'give [gateway] another "socket"')


def _csv(path: Path, readings: Path) -> Iterator[Finding]:
    try:
        if path.exists() and not path.is_file():
            yield wrong(str(path), "is no file", "give [csv] another name")
        elif closed := list(_closed(path)):
            yield from closed
        elif holds_lines(path) and not readings.exists():
            yield wrong(str(path), "is there already, of other readings", "move it away")
    except OSError as error:
        yield wrong(str(path), str(error.strerror), "give [csv] another name")
