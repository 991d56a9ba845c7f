"""The modem lines that a probe may take its power from, as options of a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def power_options(verb: _Verb) -> _Verb:
    """Give a verb ``rts`` and ``dtr``."""
    verb = click.option("--dtr/--no-dtr", default=False, help="Power on DTR; default off.")(verb)
    return click.option("--rts/--no-rts", default=True, help="Power on RTS; default on.")(verb)
