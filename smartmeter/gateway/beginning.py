"""How a gateway's program knows who started it, and begins again: small, as it stays in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, cast

#: Tells a program that the launcher started it; "trial" while it has to prove itself.
SLOT_VARIABLE, TRIAL, STAYS = "SMARTMETER_SLOT", "trial", "stays"


def command_of(arguments: Sequence[str]) -> list[str]:
    """Give the command that runs ``smartmeter`` from Python's path, not from this folder."""
    return [sys.executable, "-P", "-m", "smartmeter", *arguments]


def launched() -> bool:
    """Tell whether the launcher started this program."""
    return SLOT_VARIABLE in os.environ


def begin_again(arguments: Sequence[str]) -> None:
    """Let the launcher decide again; a version on trial need only end."""
    kind = os.environ.get(SLOT_VARIABLE)
    if kind == TRIAL:
        return
    environment = dict(os.environ)
    if kind is not None:
        del environment[SLOT_VARIABLE]
        rest = environment["PYTHONPATH"].partition(os.pathsep)[2]
        environment["PYTHONPATH"] = rest
    os.execve(sys.executable, command_of(arguments), environment)


def leave_tls_out() -> None:
    """Keep TLS out of memory: asyncio would load it for nothing, four megabytes of a small board.

    It does without, as on a Python that was built without TLS; to be called before it is imported.
    """
    cast(dict[str, Any], sys.modules).setdefault("ssl", None)
