"""A file that stands under its name only when it is whole; ``-`` is standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from smartmeter.base.errors import SettingsError

STANDARD_OUTPUT = "-"


@contextmanager
def whole_path(option: str, name: str) -> Iterator[Path]:
    """Give a new, empty file to fill, which only its owner may read.

    It stands beside the name, and is synchronised and renamed when the block has
    ended without an error: what stood there stays until then, or for good.
    SettingsError names the option.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        raise SettingsError(f"{option} {name}", "is no file", "choose another name")
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(f"{option} {name}", str(error.strerror), "choose another") from error
    try:
        yield beside
        os.fsync(descriptor)
        beside.replace(path)
    finally:
        os.close(descriptor)
        beside.unlink(missing_ok=True)


@contextmanager
def whole_file(option: str, name: str) -> Iterator[TextIO]:
    """Give where to write UTF-8 text, as ``whole_path`` does; lines end alike on every system."""
    if name == STANDARD_OUTPUT:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    with whole_path(option, name) as path, path.open("w", encoding="utf-8", newline="\n") as out:
        yield out
        out.flush()
