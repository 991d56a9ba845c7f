"""What every verb that talks to a meter shares: the line's options, and a session on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.psem.codes import BAUD_CODES
from protocols.quirks import Quirk
from protocols.transports.port import Port
from protocols.transports.pump import MeterPort
from smartmeter.cli.logon import logon_options, logon_settings, open_any_port

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_QUIRKS = {quirk.label: quirk for quirk in Quirk}


def line_options(verb: _Verb) -> _Verb:
    """Give a verb the options of a line and of a logon; :class:`MeterLine` takes them."""
    quirks = click.Choice(sorted(_QUIRKS))
    for option in (
        click.option("--dtr/--no-dtr", default=False, help="Power on DTR; default off."),
        click.option("--rts/--no-rts", default=True, help="Power on RTS; default on."),
        click.option("--strict", multiple=True, type=quirks, help="A quirk not to tolerate."),
        click.option("--assume", multiple=True, type=quirks, help="A quirk that the meter has."),
        click.option("--baud", multiple=True, type=int, help="A speed to ask for, e.g. 57600."),
    ):
        verb = option(verb)
    return logon_options(verb)


class MeterLine:
    """A meter that the options of the command line describe."""

    def __init__(
        self,
        port: str,
        *,
        baud: tuple[int, ...],
        assume: tuple[str, ...],
        strict: tuple[str, ...],
        rts: bool,
        dtr: bool,
        **logon: Any,
    ) -> None:
        for speed in baud:
            if speed not in BAUD_CODES:
                raise click.UsageError(f"--baud {speed}: one of {', '.join(map(str, BAUD_CODES))}")
        self.port, self.rts, self.dtr = port, rts, dtr
        #: What every opened port is put into, such as a recording.
        self.wrap: Callable[[Port], Port] = lambda port: port
        self.logon: LogonSettings = replace(logon_settings(**logon), bauds=baud)
        self.options = ClientOptions(
            assume=frozenset(_QUIRKS[label] for label in assume),
            strict=frozenset(_QUIRKS[label] for label in strict),
        )

    def open_port(self, rts: bool | None = None, dtr: bool | None = None) -> Port:
        """Open the port; its modem lines as the options say, or otherwise."""
        port = open_any_port(
            self.port, self.rts if rts is None else rts, self.dtr if dtr is None else dtr
        )
        return self.wrap(port)

    def session(self) -> MeterPort:
        """Give a session, to be used with ``with``; a port that vanishes is opened again."""
        reopen = None if self.port.startswith("sim:") else self.open_port
        return MeterPort(self.open_port(), self.logon, self.options, reopen=reopen)


def warn_of_password(meter: MeterPort) -> None:
    """Say so when the meter has refused the password."""
    if meter.opened is not None and meter.opened.password_accepted is False:
        click.echo("the meter refused the password; going on without rights", err=True)
