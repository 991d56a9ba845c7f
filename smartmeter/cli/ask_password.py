"""A password that a person is asked for; without a terminal it is read from standard input."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click


def ask_password(text: str, twice: bool = False) -> str:
    """Ask without showing what is typed; ``twice`` for a new one.

    Asked where nothing could show it, Python warns of an echo all the same.
    """
    answer: str = click.prompt(
        text, hide_input=_has_terminal(), confirmation_prompt=twice, err=True
    )
    return answer


def _has_terminal() -> bool:
    """Tell whether somebody types: at standard input, or at the terminal of this process."""
    if sys.stdin.isatty():
        return True
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR))
        return True
    return False
