"""What a module holds when it leaves the factory: who it is, its first key, where its TMS is."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, field

from protocols.c1222.ap_title import ApTitle
from protocols.errors import LocalProtocolError
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram
from smartmeter.base.signing import KEY_OCTETS
from smartmeter.ssi.states import ErrorCode

FACTORY_PAGE = "factory"
MAX_ESN = 16
#: Arc below the C12.22 base under which the titles of modules stand.
MODULES_ARC = 7
ALPHABET = string.digits + string.ascii_uppercase
_GROUP = 5


@dataclass(frozen=True)
class TmsAddress:
    """One way to the TMS: a bearer's address ("tcp:HOST:PORT") and the host's title."""

    address: str
    title: str = ".1"


@dataclass(frozen=True)
class Factory:
    """The factory memory.  ``key`` is key id 0 of 16 octets; it is never shown."""

    esn: str
    key: bytes = field(repr=False)
    tms: tuple[TmsAddress, ...]
    optical_user_id: int = 1
    optical_user: str = "SSI"
    optical_password: bytes = field(default=b"", repr=False)
    #: 0 none, 1 the integrator's, 2 the utility's quality control was passed.
    quality: int = 2
    #: Ed25519 public key that signs firmware images; empty: this module takes no upgrade.
    upgrade_key: bytes = b""
    #: A static title of a network that has its own plan; empty: it follows from the ESN.
    own_title: str = ""

    @property
    def title(self) -> ApTitle:
        """Give the static title: as a rule the relative one that follows from the ESN."""
        return ApTitle.parse(self.own_title) if self.own_title else relative_title(self.esn)

    def check(self) -> Factory:
        """Refuse what no module may have; StorageError names it."""
        fault = self._fault()
        if fault:
            raise StorageError("the module's factory memory", fault, "write it again")
        return self

    def _fault(self) -> str:
        """Give what no module may have; empty where all is well."""
        if not 0 < len(self.esn) <= MAX_ESN or not set(self.esn) <= set(ALPHABET):
            return f"ESN {self.esn!r:.80} is not 1..{MAX_ESN} digits and capital letters"
        if len(self.key) != 16:
            return f"key of {len(self.key)} octets, must be 16"
        if not self.tms:
            return "no TMS address"
        if len(self.upgrade_key) not in (0, KEY_OCTETS):
            return f"upgrade key of {len(self.upgrade_key)} octets, must be {KEY_OCTETS} or none"
        if self.quality not in (0, 1, 2):
            return f"quality {self.quality}, must be 0, 1 or 2"
        try:
            for title in (*(one.title for one in self.tms), str(self.title)):
                ApTitle.parse(title)
        except LocalProtocolError as error:
            return str(error)
        return ""

    def page(self) -> bytes:
        """Give the factory memory as a page."""
        value = {
            "esn": self.esn,
            "key": self.key.hex(),
            "tms": [[one.address, one.title] for one in self.tms],
            "optical_user_id": self.optical_user_id,
            "optical_user": self.optical_user,
            "optical_password": self.optical_password.hex(),
            "quality": self.quality,
            "upgrade_key": self.upgrade_key.hex(),
            "title": self.own_title,
        }
        return json.dumps(value).encode()


def relative_title(esn: str) -> ApTitle:
    """Give ``.7.a.b...``: groups of five characters, each a number below 2**28."""
    arcs = [MODULES_ARC]
    for at in range(0, len(esn), _GROUP):
        arc = 0
        for character in esn[at : at + _GROUP]:
            # 37 values a character, 0 being none: no two ESNs give one title.
            arc = arc * 37 + ALPHABET.index(character) + 1
        arcs.append(arc)
    return ApTitle(tuple(arcs), True)


class CommonAreaDamaged(StorageError):
    """Factory memory that cannot be read: error 2 of the module's display."""

    code = ErrorCode.COMMON_AREA


def load_factory(nvram: Nvram) -> Factory:
    """Read and check the factory memory; CommonAreaDamaged when it is missing or unreadable."""
    page = nvram.get(FACTORY_PAGE)
    if page is None:
        raise CommonAreaDamaged("the module's factory memory", "is empty", "write it first")
    try:
        value = json.loads(page)
        factory = Factory(
            esn=value["esn"],
            key=bytes.fromhex(value["key"]),
            tms=tuple(TmsAddress(address, title) for address, title in value["tms"]),
            optical_user_id=value["optical_user_id"],
            optical_user=value["optical_user"],
            optical_password=bytes.fromhex(value["optical_password"]),
            quality=value["quality"],
            upgrade_key=bytes.fromhex(value.get("upgrade_key", "")),
            own_title=value.get("title", ""),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CommonAreaDamaged(
            "the module's factory memory", f"cannot be read: {error!r}", "write it again"
        ) from error
    return factory.check()
