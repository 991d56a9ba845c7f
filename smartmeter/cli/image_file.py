"""What a person hands over to be decoded: an image, octets, a capture; ``-`` is standard input."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ansi_tables import Overrides, Snapshot, TableError
from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_file, read_stream
from smartmeter.cli.file_name import STANDARD_STREAM

MAX_FILE_OCTETS = 64 << 20
#: What stands between and before the octets of a dump.
_BESIDE_DIGITS = re.compile(r"0[xX]|\\x|[\s:,;-]+")


def given_octets(file_name: str, limit: int) -> bytes:
    """Give a file's octets or those of standard input, ``limit`` at most; SettingsError else."""
    if file_name != STANDARD_STREAM:
        return read_file(Path(file_name), limit)
    if sys.stdin is None:
        raise SettingsError("standard input", "is closed", "give a file, or send it by a pipe")
    return read_stream(sys.stdin.buffer, limit, "standard input")


def read_image(file_name: str, overrides: Overrides | None = None) -> Snapshot:
    """Read a meter's JSON image; SettingsError says what is wrong with it."""
    octets = given_octets(file_name, MAX_FILE_OCTETS)
    try:
        return Snapshot.from_json(octets.decode("utf-8-sig"), overrides=overrides)
    except UnicodeDecodeError as error:
        raise SettingsError(file_name, "is no UTF-8 text", "check the name") from error
    except TableError as error:
        raise SettingsError(
            file_name, str(error), "make one: smartmeter clone PORT FILE"
        ) from error


def read_overrides(text: str | None) -> Overrides | None:
    """Read ``--override``; None leaves it to the image."""
    try:
        return None if text is None else Overrides.of(text)
    except TableError as error:
        raise click.UsageError(f"--override: {error}") from None


def read_octets(hex_octets: str | None, file_name: str | None) -> bytes | None:
    """Give octets from hex digits or from a file; None when neither was given."""
    if hex_octets is not None and file_name is not None:
        raise click.UsageError("give HEX or --file, not both")
    if file_name is not None:
        return given_octets(file_name, MAX_FILE_OCTETS)
    return None if hex_octets is None else octets_of(hex_octets)


def octets_of(hex_octets: str) -> bytes:
    """Read hex digits as logs and programs print them: ``ee 00``, ``EE-00``, ``0xEE, 0x00``."""
    try:
        return bytes.fromhex(_BESIDE_DIGITS.sub(" ", hex_octets))
    except ValueError:
        raise click.UsageError("HEX: two hexadecimal digits an octet") from None
