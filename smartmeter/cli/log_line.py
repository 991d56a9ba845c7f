"""A line of a verb that goes on for years: what it says when it is ready, and its log."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

import click


def log_line(text: str, err: bool = False) -> None:
    """Write a line; where none can be written, as on a full disk, or unread, it is left out."""
    try:
        click.echo(text, err=err)
    except OSError:
        stream = sys.stderr if err else sys.stdout
        if stream is not None:
            _leave_out(stream)


def _leave_out(stream: TextIO) -> None:
    """Empty a stream of what it could not write: Python would fail on it once more at its end."""
    with contextlib.suppress(OSError):  # what has no descriptor keeps nothing
        number = stream.fileno()
        kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        try:
            stream.flush()
        finally:
            os.dup2(kept, number)
            os.close(kept)
            os.close(nowhere)
