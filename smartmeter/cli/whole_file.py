"""A file that stands under its name only when it is whole; ``-`` is standard output."""

from __future__ import annotations

import errno
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from smartmeter.base.errors import SettingsError, told_as
from smartmeter.base.file import replacing
from smartmeter.cli.file_name import STANDARD_STREAM

#: What a file system says that has no room, for all or for this user.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_path(option: str, name: str) -> Iterator[Path]:
    """Give a file to fill that takes its name when it is whole (``smartmeter.base.file``).

    SettingsError names the option when there can be none.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        raise SettingsError(f"{option} {name}", "is no file", "choose another name")
    with ExitStack() as stack:
        with told_as(SettingsError, f"{option} {name}", "choose another"):
            beside = stack.enter_context(replacing(path))
        yield beside


@contextmanager
def whole_file(option: str, name: str) -> Iterator[TextIO]:
    """Give where to write UTF-8 text, as ``whole_path`` does; lines end alike on every system."""
    if name == STANDARD_STREAM:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    with whole_path(option, name) as path, path.open("w", encoding="utf-8", newline="\n") as out:
        yield out
        out.flush()


def save_whole(path: Path, octets: bytes) -> None:
    """Write what a long run came to; OSError where there is no room, and what stood there stays.

    A device, and a file in a folder that takes no other, is filled as it is: the work is not lost.
    Who may read what stood there may read the new file, and nobody else.
    """
    is_there = path.exists()
    if not is_there or path.is_file():
        try:
            mode = stat.S_IMODE(path.stat().st_mode) if is_there else 0o666
            with replacing(path, mode) as beside:
                beside.write_bytes(octets)
            return
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
    path.write_bytes(octets)
