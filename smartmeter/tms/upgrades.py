"""Firmware images for SmartMeters: how one is made and signed, and how it is sent.

The sender is plain: one SmartMeter is one job, a list is many.  A job that was
cut off goes on where the module says that it stands.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_layouts import MAX_IMAGE_OCTETS, PIECE_OCTETS
from ansi_tables.ssi_tables import GATEWAY_MODEL, Command, SsiTable, UpgradeResult, UpgradeState
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead, FullWrite
from smartmeter.base import signing
from smartmeter.base.errors import SettingsError
from smartmeter.tms.exchanges import Exchange, ExchangeFailed, ExchangeRefused, command, read_own
from smartmeter.tms.wording import code_words

#: An image as a file: these octets, the manifest, the octets of the image.
MAGIC = b"SMFW1\n"
MANIFEST_OCTETS = 136
#: Of a model and of a version.
MAX_NAME_OCTETS = 16
#: Reasons that will be the same when an image is offered again.
_FINAL = (
    UpgradeResult.WRONG_SIGNATURE,
    UpgradeResult.WRONG_MODEL,
    UpgradeResult.NOT_NEWER,
    UpgradeResult.TOO_LARGE,
    UpgradeResult.NO_KEY,
    # It was started, which the module said in an answer that was lost, and left again.
    UpgradeResult.ROLLED_BACK,
    UpgradeResult.SELF_TEST_FAILED,
    UpgradeResult.IMAGE_CORRUPT,
    UpgradeResult.NOT_UNPACKED,
)


@dataclass(frozen=True)
class Image:
    """A signed image: the manifest as it is written, and the octets that follow in pieces."""

    manifest: bytes
    octets: bytes

    @property
    def value(self) -> dict[str, Any]:
        """Give the manifest decoded."""
        return ssi_tables.decode(SsiTable.UPGRADE_MANIFEST, self.manifest)

    @property
    def digest(self) -> bytes:
        """Give SHA-256 of the octets, by which an image is known."""
        return hashlib.sha256(self.octets).digest()

    def file(self) -> bytes:
        """Give the image as a file."""
        return MAGIC + self.manifest + self.octets


def read_image(octets: bytes, place: str) -> Image:
    """Read an image's file; SettingsError when it is none or is damaged."""
    manifest, begin = octets[len(MAGIC) :][:MANIFEST_OCTETS], len(MAGIC) + MANIFEST_OCTETS
    remedy = "make it with: smartmeter tms upgrade image"
    if octets[: len(MAGIC)] != MAGIC or len(manifest) < MANIFEST_OCTETS:
        raise SettingsError(place, "is no image", remedy)
    image = Image(manifest, octets[begin:])
    try:
        told = image.value
    except TableError as error:
        raise SettingsError(place, str(error), remedy) from error
    if (told["IMAGE_OCTETS"], told["IMAGE_DIGEST"]) != (len(image.octets), image.digest):
        raise SettingsError(place, "is cut off or changed", remedy)
    return image


def wheel_image(wheel: bytes, private_key: bytes, place: str = "wheel") -> Image:
    """Make an image for gateways of the wheel of SmartMeter at a place, of the wheel's version."""
    # What reads archives and mail headers is only for who makes an image.
    from smartmeter.base.wheel import PACKAGE, wheel_identity

    name, version = wheel_identity(wheel, place)
    if name != PACKAGE:
        raise SettingsError(place, f"is of {name}", f"give one of {PACKAGE}")
    # A wheel is compressed already.
    return make_image(wheel, GATEWAY_MODEL, version, private_key, packed=False)


def make_image(
    payload: bytes, model: str, version: str, private_key: bytes, packed: bool = True
) -> Image:
    """Pack and sign an image; SettingsError when no module could take it."""
    octets = zlib.compress(payload, 9) if packed else payload
    if not 0 < len(octets) <= MAX_IMAGE_OCTETS:
        raise SettingsError(
            "image",
            f"{len(octets)} octets; 1 to {MAX_IMAGE_OCTETS} are possible",
            "make it smaller",
        )
    for name, text in (("model", model), ("version", version)):
        if not 0 < len(text.encode()) <= MAX_NAME_OCTETS:
            raise SettingsError("image", f"{name} {text!r:.60}", f"{MAX_NAME_OCTETS} octets fit")
    value = {
        "MODEL": model,
        "VERSION": version,
        "IMAGE_OCTETS": len(octets),
        "IMAGE_DIGEST": hashlib.sha256(octets).digest(),
        "UNPACKED_OCTETS": len(payload) if packed else 0,
        "SIGNATURE": bytes(signing.SIGNATURE_OCTETS),
    }
    try:
        unsigned = ssi_tables.encode(SsiTable.UPGRADE_MANIFEST, value)
        message = unsigned[: -signing.SIGNATURE_OCTETS]
        return Image(message + signing.sign(private_key, message), octets)
    except (TableError, ValueError) as error:
        raise SettingsError("image", str(error), "check model, version and key") from error


def send(base: int, image: Image, activation_s: int) -> Exchange[dict[str, Any]]:
    """Bring an image into a module and set its activation; give UPGRADE_STATUS then.

    ``activation_s`` is a UTC second, 0 at once.  Nothing is sent twice that the
    module has; a module that runs the version already is left as it is.
    """
    status = yield from read_own(base, SsiTable.UPGRADE_STATUS)
    if status["RUNNING_VERSION"] == image.value["VERSION"]:
        return status
    if status["IMAGE_DIGEST"] != image.digest or not status["IMAGE_VERSION"]:
        status = yield from _write(base, SsiTable.UPGRADE_MANIFEST, image.manifest)
    while status["STATE"] == UpgradeState.RECEIVING:
        at = status["RECEIVED_OCTETS"]
        piece = {"OFFSET": at, "OCTETS": image.octets[at : at + PIECE_OCTETS]}
        octets = ssi_tables.encode(SsiTable.UPGRADE_PIECE, piece)
        following = yield from _write(base, SsiTable.UPGRADE_PIECE, octets)
        if following["RECEIVED_OCTETS"] <= at and following["STATE"] == UpgradeState.RECEIVING:
            raise ExchangeFailed(f"the module does not take the piece at octet {at}")
        status = following
    order = {"IMAGE_DIGEST": image.digest, "TIME": activation_s}
    return (
        yield from _write(
            base,
            SsiTable.UPGRADE_ACTIVATE,
            ssi_tables.encode(SsiTable.UPGRADE_ACTIVATE, order),
        )
    )


def withdraw(base: int, is_again: bool = False) -> Exchange[dict[str, Any]]:
    """Have a module forget an image that it has not started yet; give UPGRADE_STATUS then.

    ``is_again``: it may have been asked before, by a program that ended.
    """
    before = yield from read_own(base, SsiTable.UPGRADE_STATUS)
    cancel = command(base, Command.UPGRADE_CANCEL)
    answers = yield [cancel, encode_request(FullRead(base + SsiTable.UPGRADE_STATUS))]
    status = yield from read_own(base, SsiTable.UPGRADE_STATUS, answers[1])
    # A first answer that was lost leaves nothing for the second message to withdraw.
    had_image = is_again or before["STATE"] not in (UpgradeState.IDLE, UpgradeState.TRIAL)
    withdrawn = (status["STATE"], status["RESULT"]) == (UpgradeState.IDLE, UpgradeResult.CANCELLED)
    if answers[0][:1] != b"\0" and not (had_image and withdrawn):
        state = code_words(UpgradeState, status["STATE"])
        text = f"there is nothing to withdraw: {state}, and runs {status['RUNNING_VERSION']}"
        raise ExchangeRefused(text)
    return status


def _write(base: int, table: SsiTable, octets: bytes) -> Exchange[dict[str, Any]]:
    """Write a table of the upgrade and read the status in the same message."""
    answers = yield [
        encode_request(FullWrite(base + table, octets)),
        encode_request(FullRead(base + SsiTable.UPGRADE_STATUS)),
    ]
    status = yield from read_own(base, SsiTable.UPGRADE_STATUS, answers[1])
    if answers[0][:1] != b"\0":
        result = status["RESULT"]
        fault = f"{table.name} was refused: {code_words(UpgradeResult, result)}"
        raise ExchangeRefused(fault) if result in _FINAL else ExchangeFailed(fault)
    return status
