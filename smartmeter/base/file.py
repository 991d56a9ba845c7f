"""Files that a person hands over, read whole and never beyond a limit.

What a name leads to may be a device or a pipe without end, so a size that the
file system tells is not believed: no more than the limit is read.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, BinaryIO

from smartmeter.base.errors import SettingsError


def read_file(path: Path, limit: int, place: str = "") -> bytes:
    """Give the octets of a file, ``limit`` at most.

    SettingsError names ``place``, or else the file, when it cannot be read or is larger.
    """
    place = place or str(path)
    try:
        with path.open("rb") as file:
            return read_stream(file, limit, place)
    except OSError as error:
        raise SettingsError(place, str(error.strerror), "check name and rights") from error


def read_stream(stream: BinaryIO, limit: int, place: str) -> bytes:
    """Give what is left of an open stream, ``limit`` octets at most; SettingsError for more."""
    octets = stream.read(limit + 1)
    if len(octets) > limit:
        raise SettingsError(place, f"is larger than {limit} octets", "check the name")
    return octets


def read_text(path: Path, limit: int, place: str = "") -> str:
    """Give the text of a UTF-8 file, ``limit`` octets at most; SettingsError like `read_file`."""
    try:
        return read_file(path, limit, place).decode("utf-8")
    except UnicodeDecodeError as error:
        place = place or str(path)
        raise SettingsError(place, "is no UTF-8 text", "check the name") from error


def parse_toml(text: str, place: str) -> dict[str, Any]:
    """Give what a TOML text says; SettingsError names the place and what is wrong there."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = str(error)
    except RecursionError:
        fault = "is nested too deep"
    except ValueError:
        fault = "holds a number of too many digits"
    raise SettingsError(place, fault, "write TOML")
