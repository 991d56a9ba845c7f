"""The two slots of a gateway: an image is a wheel of SmartMeter, unpacked into the other slot.

Slot 0 is the program that was installed, until an image is put into it; each
slot that holds an image is a folder that goes before the installed program on
Python's path.  A folder takes its name in one step, after all that it holds is
on the medium, and is compared with the wheel's own record at every start: a
slot is there whole, or it is given up for the installed program.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import marshal
import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from ansi_tables.ssi_tables import UpgradeResult
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import Nvram
from smartmeter.base.wheel import PACKAGE, UNREADABLE, members, wheel_identity
from smartmeter.ssi import boot as loader
from smartmeter.ssi.boot import MAX_UNPACKED_OCTETS, Boot
from smartmeter.ssi.upgrade import UPGRADE_PAGE, version_order
from smartmeter.version import VERSION

MAX_FILES = 5000
#: Holds the digest of the image that a slot was made from.
MARK = "image.sha256"
#: What stands before the code in a compiled file (PEP 552).
_PYC_HEAD_OCTETS = 16


class Slots:
    """The folders ``0`` and ``1`` below ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def folder(self, slot: int) -> Path:
        """Give the folder of a slot."""
        return self._home / str(slot)

    def holds(self, slot: int, digest: str = "") -> bool:
        """Tell whether a slot holds an image whole; with ``digest``, that image."""
        folder = self.folder(slot)
        try:
            if digest and (folder / MARK).read_text() != digest:
                return False
            [record] = folder.glob("*.dist-info/RECORD")
            rows = csv.reader(record.read_text(encoding="utf-8").splitlines())
            told = {name: hashed for name, hashed, _ in rows}
            # Before a file is opened: it is one of this folder.
            return told.keys() == _files(folder) and all(
                _is_as_recorded(folder / name, hashed) for name, hashed in told.items()
            )
        except (OSError, ValueError, csv.Error):
            return False

    def install(self, slot: int, image: bytes, version: str) -> UpgradeResult | None:
        """Unpack an image into a slot; what is wrong with it, or None."""
        try:
            if wheel_identity(image) != (PACKAGE, version):
                return UpgradeResult.SELF_TEST_FAILED
            fresh = self._home / f"{slot}.new"
            self._home.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            _unpack(image, fresh)
            (fresh / MARK).write_text(hashlib.sha256(image).hexdigest())
            # All of it is on the medium before it takes the slot's name.
            os.sync()
            shutil.rmtree(self.folder(slot), ignore_errors=True)
            fresh.rename(self.folder(slot))
            os.sync()
        except (SettingsError, *UNREADABLE):
            return UpgradeResult.NOT_UNPACKED
        if self.holds(slot):
            return None
        shutil.rmtree(self.folder(slot), ignore_errors=True)
        return UpgradeResult.IMAGE_CORRUPT

    def remove_cut_off(self, slot: int) -> None:
        """Remove what Python compiled into a slot while the disk was full.

        It takes no notice that its file was cut off, and never starts with it again.
        """
        for compiled in self.folder(slot).rglob("__pycache__/*.pyc"):
            try:
                marshal.loads(compiled.read_bytes()[_PYC_HEAD_OCTETS:])
            except (OSError, EOFError, ValueError, TypeError):
                with suppress(OSError):
                    compiled.unlink()

    def clear(self) -> None:
        """Forget both slots; nothing of them is on the medium any more."""
        for slot in (0, 1):
            shutil.rmtree(self.folder(slot), ignore_errors=True)
        os.sync()


def choose(nvram: Nvram, slots: Slots) -> Boot:
    """Decide what to start, and make its slot ready.

    An image on trial is unpacked when it is not yet; the boot loader of
    ``smartmeter.ssi.boot`` counts its starts.  The installed program runs when
    it is newer than the slots, when the slot that should run is damaged, or when
    the memory tells of no image.
    """
    boot = _begun(nvram, slots)
    slots.remove_cut_off(boot.slot)
    return boot


def _begun(nvram: Nvram, slots: Slots) -> Boot:
    """Count a start, and give what is started: its slot is whole."""
    boot = loader.read_boot(nvram)
    if boot.trial and not slots.holds(boot.slot, boot.digest):
        fault = loader.image_fault(nvram, boot)
        if fault is None:
            image = b"".join(loader.pieces(nvram, boot.slot, boot.octets))
            fault = slots.install(boot.slot, image, boot.version)
        if fault is not None:
            nvram.commit(boot.back(fault).page())
    boot = loader.start(nvram)
    if boot.trial:
        return boot
    if version_order(boot.version) < version_order(VERSION):
        return _installed(nvram, slots, boot.result)
    if boot.slot == 0 and boot.version == VERSION:
        # Under this number an image would run; the memory may know nothing of it.
        return _installed(nvram, slots, boot.result) if slots.folder(0).exists() else boot
    if not slots.holds(boot.slot):
        return _installed(nvram, slots, UpgradeResult.IMAGE_CORRUPT)
    if pieces := loader.erased(nvram, boot.slot):
        nvram.commit(pieces)  # the folder has taken their place
    return boot


def give_up(nvram: Nvram) -> None:
    """Leave a version on trial that does nothing at all."""
    boot = loader.read_boot(nvram)
    if boot.trial:
        nvram.commit(boot.back(UpgradeResult.ROLLED_BACK).page())


def _installed(nvram: Nvram, slots: Slots, result: int) -> Boot:
    """Go back to the installed program, with nothing left of any image.

    The folders go before the page, which says that there are none.
    """
    slots.clear()
    boot = Boot(result=result)
    images = {**loader.erased(nvram, 0), **loader.erased(nvram, 1)}
    nvram.commit({**boot.page(), **images, UPGRADE_PAGE: None})
    return boot


def _unpack(image: bytes, folder: Path) -> None:
    """Unpack a wheel; ValueError when it is too large or has names that lead elsewhere."""
    with ZipFile(io.BytesIO(image)) as wheel:
        found = members(wheel)
        if len(found) > MAX_FILES or sum(m.file_size for m in found) > MAX_UNPACKED_OCTETS:
            raise ValueError("is too large")
        for member in found:
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"holds the name {member.filename!r}")
            wheel.extract(member, folder)


def _files(folder: Path) -> set[str]:
    """Give the names of the files that came with a wheel: not the mark, nor what Python makes."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)) for path in found if path.parent.name != "__pycache__"}
    return names - {MARK}


def _is_as_recorded(file: Path, told: str) -> bool:
    """Compare one file with its hash in RECORD; RECORD has none itself."""
    if not told:
        return True
    digest = hashlib.sha256(file.read_bytes()).digest()
    return told == "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
