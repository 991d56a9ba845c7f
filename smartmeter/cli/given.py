"""Options that would have no effect beside others are refused, and not passed over.

Whoever gives one must not believe that it did something.  Nor is an empty text taken for an
option left out: a script gives it for a variable that it has not set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import click
from click.core import ParameterSource


def not_empty(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Take what was given for an option, or the default; the ``callback`` of one."""
    if not text and context.get_parameter_source(option.name or "") is not ParameterSource.DEFAULT:
        raise click.BadParameter("is empty; give a value, or leave it out", context, option)
    return text


def refuse_given(names: Iterable[str], why: str) -> None:
    """Raise click.UsageError for the first of a verb's parameters that was given.

    ``why`` goes on behind its name: what it is for, and what would help.
    """
    context = click.get_current_context()
    named = {one.name: one for one in context.command.params}
    for name in names:
        one = named.get(name)  # a verb that is called by itself has no --pcap
        if one and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            shown = one.opts[0] if isinstance(one, click.Option) else one.human_readable_name
            raise click.UsageError(f"{shown} {why}")


def refuse_others(kept: Collection[str], why: str) -> None:
    """Do the same for all parameters of a verb but some."""
    every = (one.name or "" for one in click.get_current_context().command.params)
    refuse_given((name for name in every if name not in kept), why)
