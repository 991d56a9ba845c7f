"""A line of the log of a verb that goes on for years."""

from __future__ import annotations

import click


def log_line(text: str, err: bool = False) -> None:
    """Write a line; a log that takes nothing, as on a full disk, ends nothing.

    BrokenPipeError where nobody reads any more.
    """
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # there is nowhere to tell it
