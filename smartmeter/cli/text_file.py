"""A file of text that an option names; SettingsError names both."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from protocols.transports.private_file import open_private
from smartmeter.base.errors import SettingsError, told_as
from smartmeter.base.file import read_text

MAX_FILE_OCTETS = 1 << 28


def text_of(option: str, name: str) -> str:
    """Read a file of UTF-8 text."""
    return read_text(Path(name), MAX_FILE_OCTETS, f"{option} {name}")


def open_to_write(option: str, name: str, private: bool = False) -> TextIO:
    """Open a file for UTF-8 text, emptied; its lines end alike on every system.

    ``private``: nobody else may read it.
    """
    with told_as(SettingsError, f"{option} {name}", "choose another"):
        target = open_private(Path(name)) if private else name
        return open(target, "w", encoding="utf-8", newline="\n")
