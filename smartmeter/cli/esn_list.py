"""Meters as verbs name them: by arguments, or by a file with one ESN a line."""

from __future__ import annotations

from pathlib import Path

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_text

MAX_FILE_OCTETS = 1 << 24


def named_esns(esns: tuple[str, ...], list_file: str | None) -> tuple[str, ...]:
    """Give all that are named, by either way; SettingsError for a file that names none.

    No meter is never taken for all of them.
    """
    if list_file is None:
        return esns
    lines = read_text(Path(list_file), MAX_FILE_OCTETS).splitlines()
    named = (*esns, *(line.strip() for line in lines if line.strip()))
    if not named:
        raise SettingsError(f"--list {list_file}", "names no meter", "write one ESN a line")
    return named
