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
def whole_file(option: str, name: str) -> Iterator[TextIO]:
    """Give where to write UTF-8 text; lines end alike on every system.

    It is written beside the name, synchronised, and renamed when the block has
    ended without an error: what stood there stays until then, or for good.  Only
    its owner may read it.  SettingsError names the option.
    """
    if name == STANDARD_OUTPUT:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(name)
    if path.exists() and not path.is_file():
        raise SettingsError(f"{option} {name}", "is no file", "choose another name, or -")
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(f"{option} {name}", str(error.strerror), "choose another") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
