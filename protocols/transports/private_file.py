"""A file of what passed a port: nobody else may read it, for passwords pass in clear."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def open_private(path: Path) -> int:
    """Give the descriptor of a file to write, emptied; OSError when there can be none.

    One that was there is its owner's alone from now on, too.  What is no file, as a pipe or
    /dev/null, stays as it is.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):  # another's file, who gave it to us to write
            os.chmod(path, 0o600)
    return descriptor
