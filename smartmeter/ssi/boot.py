"""Which of two slots a module starts from: what its boot loader decides, from the boot page.

The page changes in one commit, so that there is a slot to start from at every
moment.  A new version is on trial: when it cannot even be read, or was started
too often without reaching its TMS, the old slot is started again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace

from ansi_tables.ssi_layouts import PIECE_OCTETS
from ansi_tables.ssi_tables import UpgradeResult
from smartmeter.base.nvram import Nvram
from smartmeter.version import VERSION

BOOT_PAGE = "boot"
MAX_UNPACKED_OCTETS = 8 << 20
#: Starts of a version that has not reached its TMS yet.
TRIAL_STARTS = 3


@dataclass(frozen=True)
class Boot:
    """The running slot and version; on trial, also what to go back to.

    ``result`` tells what became of the last trial until the module has told it.
    """

    slot: int = 0
    version: str = VERSION
    trial: bool = False
    starts: int = 0
    digest: str = ""
    octets: int = 0
    unpacked_octets: int = 0
    old_slot: int = 0
    old_version: str = ""
    result: int = UpgradeResult.NONE

    def page(self) -> dict[str, bytes | None]:
        """Give the change that makes this the boot page."""
        return {BOOT_PAGE: json.dumps(asdict(self)).encode()}

    def back(self, result: UpgradeResult) -> Boot:
        """Give the way back to the old slot."""
        return Boot(self.old_slot, self.old_version, result=result)


def read_boot(nvram: Nvram) -> Boot:
    """Read the boot page; that of a factory module when there is none.

    Members that are not known here are those of a later version, and left out.  Of a page that
    cannot be read nothing is started: the factory's version runs, and says that an image is lost.
    """
    try:
        held = json.loads(nvram.get(BOOT_PAGE) or b"{}")
        return Boot(**{one.name: held[one.name] for one in fields(Boot) if one.name in held})
    except (ValueError, TypeError):
        return Boot(result=UpgradeResult.IMAGE_CORRUPT)


def start(nvram: Nvram) -> Boot:
    """Decide what to start, as a boot loader does at each start, and keep the decision."""
    boot = read_boot(nvram)
    if not boot.trial:
        return boot
    fault = image_fault(nvram, boot)
    if fault is not None:
        boot = boot.back(fault)
    elif boot.starts >= TRIAL_STARTS:
        boot = boot.back(UpgradeResult.ROLLED_BACK)
    else:
        boot = replace(boot, starts=boot.starts + 1)
    nvram.commit(boot.page())
    return boot


def image_fault(nvram: Nvram, boot: Boot) -> UpgradeResult | None:
    """Tell why the image in a slot cannot be started, or None."""
    image = b"".join(pieces(nvram, boot.slot, boot.octets))
    if len(image) != boot.octets or hashlib.sha256(image).hexdigest() != boot.digest:
        return UpgradeResult.IMAGE_CORRUPT
    if boot.unpacked_octets and not _unpacks(image, boot.unpacked_octets):
        return UpgradeResult.NOT_UNPACKED
    return None


def _unpacks(image: bytes, octets: int) -> bool:
    unpacker = zlib.decompressobj()
    try:
        return len(unpacker.decompress(image, octets + 1)) == octets and unpacker.eof
    except zlib.error:
        return False


def piece_name(slot: int, index: int) -> str:
    """Give the page's name of a piece in a slot."""
    return f"slot{slot}.{index:05d}"


def pieces(nvram: Nvram, slot: int, octets: int) -> Iterator[bytes]:
    """Give the pieces of a slot in order."""
    for index in range(-(-octets // PIECE_OCTETS)):
        yield nvram.get(piece_name(slot, index)) or b""


def erased(nvram: Nvram, slot: int) -> Mapping[str, bytes | None]:
    """Give the change that empties a slot."""
    return dict.fromkeys(nvram.names(f"slot{slot}."))
