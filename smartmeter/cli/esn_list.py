"""Meters as verbs name them: by arguments, or by a file with one ESN a line."""

from __future__ import annotations

from pathlib import Path

from smartmeter.base.file import read_file

MAX_FILE_OCTETS = 1 << 24


def named_esns(esns: tuple[str, ...], list_file: str | None) -> tuple[str, ...]:
    """Give all that are named, by either way."""
    if list_file is None:
        return esns
    text = read_file(Path(list_file), MAX_FILE_OCTETS).decode("utf-8", "replace")
    return (*esns, *(line.strip() for line in text.splitlines() if line.strip()))
