"""A file of text that an option names; an error names both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from protocols.transports.private_file import open_private
from smartmeter.base.errors import SettingsError, StorageError, told_as
from smartmeter.base.file import read_text

MAX_FILE_OCTETS = 1 << 28


def text_of(option: str, name: str) -> str:
    """Read a file of UTF-8 text."""
    return read_text(Path(name), MAX_FILE_OCTETS, f"{option} {name}")


@contextmanager
def filling(option: str, name: str, private: bool = False) -> Iterator[TextIO]:
    """Give a file for UTF-8 text, emptied; its lines end alike on every system.

    ``private``: nobody else may read it.  StorageError when it takes no more.
    """
    place = f"{option} {name}"
    with told_as(StorageError, place, "free some space"), ExitStack() as stack:
        with told_as(SettingsError, place, "choose another"):
            target = open_private(Path(name)) if private else name
            file = stack.enter_context(open(target, "w", encoding="utf-8", newline="\n"))
        yield file
