"""What a wheel says of itself: the name and the version in its metadata."""

from __future__ import annotations

import io
import zlib
from email.parser import BytesParser
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from smartmeter.base.errors import SettingsError

#: The distribution that a gateway's image must hold.
PACKAGE = "smartmeter"
MAX_METADATA_OCTETS = 1 << 16
#: What ``zipfile`` raises for octets that are no archive, are damaged or packed in an unknown way.
UNREADABLE = (BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError)


def members(wheel: ZipFile) -> list[ZipInfo]:
    """Give what a wheel holds; ValueError when some is packed otherwise than wheels are.

    What LZMA unpacks may ask for gigabytes of memory before the first octet.
    """
    found = wheel.infolist()
    if any(one.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for one in found):
        raise ValueError("is packed otherwise than wheels are")
    return found


def wheel_identity(octets: bytes, place: str = "wheel") -> tuple[str, str]:
    """Give name and version of the wheel that ``place`` names; SettingsError when it is none."""
    try:
        with ZipFile(io.BytesIO(octets)) as wheel:
            names = [one.filename for one in members(wheel)]
            [name] = [one for one in names if one.endswith(".dist-info/METADATA")]
            with wheel.open(name) as file:
                metadata = BytesParser().parsebytes(file.read(MAX_METADATA_OCTETS))
    except UNREADABLE as error:
        fault = str(error) if isinstance(error, BadZipFile) else "has no metadata of a wheel"
        raise SettingsError(place, fault, "give a file made by: pip wheel") from error
    return str(metadata["Name"]), str(metadata["Version"])
