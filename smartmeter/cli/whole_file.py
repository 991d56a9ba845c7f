"""A file that stands under its name only when it is whole; ``-`` is standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import replacing

STANDARD_OUTPUT = "-"


@contextmanager
def whole_path(option: str, name: str) -> Iterator[Path]:
    """Give a file to fill that takes its name when it is whole (``smartmeter.base.file``).

    SettingsError names the option when there can be none.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        raise SettingsError(f"{option} {name}", "is no file", "choose another name")
    with ExitStack() as stack:
        try:
            beside = stack.enter_context(replacing(path))
        except OSError as error:
            raise SettingsError(
                f"{option} {name}", str(error.strerror), "choose another"
            ) from error
        yield beside


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
