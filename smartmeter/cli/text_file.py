"""A file of text that an option names; SettingsError names both."""

from __future__ import annotations

from pathlib import Path

from smartmeter.base.file import read_text

MAX_FILE_OCTETS = 1 << 28


def text_of(option: str, name: str) -> str:
    """Read a file of UTF-8 text."""
    return read_text(Path(name), MAX_FILE_OCTETS, f"{option} {name}")
