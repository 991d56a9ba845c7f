"""What every verb that talks to a meter shares: the line's options, and a session on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.transfer import Progress
from protocols.psem.codes import BAUD_CODES
from protocols.quirks import Quirk
from protocols.transports.port import Port
from protocols.transports.pump import MeterPort
from smartmeter.cli.file_name import FILE_THERE
from smartmeter.cli.logon import (
    call_conversation,
    is_call,
    is_network,
    logon_options,
    logon_settings,
    open_any_port,
)
from smartmeter.cli.probe_power import power_options
from smartmeter.cli.tls import dialling_tls_options, tls_files

if TYPE_CHECKING:
    import ssl

    from protocols.transports.network_meter import NetworkMeter
    from smartmeter.comms.tls import TlsFiles

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
PASSWORD_REFUSED = "the meter refused the password; going on without rights"
_QUIRKS = {quirk.label: quirk for quirk in Quirk}


class RemoteMeter(Protocol):
    """A meter at a port or on the network: ``MeterPort`` and ``NetworkMeter``."""

    def read(self, table: int, progress: Progress | None = None) -> bytes:
        """Give a whole table; ServiceRefused when the meter will not."""

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table."""

    def write(self, table: int, data: bytes, progress: Progress | None = None) -> None:
        """Write a whole table; OutcomeUnknown when the line fails meanwhile."""

    def write_part(self, table: int, offset: int, data: bytes) -> None:
        """Write octets of a table."""

    def procedure(self, initiate: bytes, ask: bool = True) -> bytes:
        """Run a procedure: the image of ST-07 in, the image of ST-08 out."""

    def keep_alive(self, seconds: int) -> None:
        """Keep the session for an idle time."""


def remote_options(verb: _Verb) -> _Verb:
    """Give a verb what :func:`line_options` gives, and the keys of the network."""
    return network_options(line_options(verb))


def network_options(verb: _Verb) -> _Verb:
    """Give a verb what reaches a meter on the network; :func:`network_meter` takes it."""
    for option in (
        click.option(
            "--answer-timeout",
            type=click.IntRange(1, 3600),
            metavar="SECONDS",
            help="c1222: how long an answer may take; default 15.",
        ),
        click.option(
            "--answer-port",
            type=click.IntRange(0, 65_535),
            help="c1222: take answers on connections to this port too (1153).",
        ),
        click.option(
            "--key-file", type=FILE_THERE, help="c1222: keys, ID=HEX lines or esn,title,key,model."
        ),
    ):
        verb = option(verb)
    return dialling_tls_options(verb)


@dataclass(frozen=True)
class NetworkOptions:
    """What :func:`network_options` gives; None where it is left out."""

    key_file: str | None = None
    answer_port: int | None = None
    answer_timeout: int | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> NetworkOptions:
        """Take them out of what a verb was given."""
        return cls(**{option.name: given.pop(option.name, None) for option in fields(cls)})

    def check(self, port: str) -> None:
        """Refuse what only a meter on the network has, for one at a port."""
        if is_network(port):
            self.tls_files(port)
            return
        for name, value in vars(self).items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"{option} is for c1222://HOST[:PORT]/APTITLE")

    def tls_files(self, port: str) -> TlsFiles:
        """Give the files of TLS; click.UsageError where one is missing, or none would be used."""
        return tls_files(
            self.tls_certificate, self.tls_key, self.tls_ca, [port.lower()], listens=False
        )

    def tls(self, port: str) -> ssl.SSLContext | None:
        """Give how TLS is spoken with a meter on the network, or None if it is not."""
        if not port.lower().startswith("c1222+tls:"):
            return None
        from smartmeter.comms.tls import client_tls

        return client_tls(self.tls_files(port))


def line_options(verb: _Verb) -> _Verb:
    """Give a verb the options of a line and of a logon; :class:`MeterLine` takes them."""
    quirks: dict[str, Any] = {
        "multiple": True,
        "type": click.Choice(sorted(_QUIRKS)),
        "metavar": "QUIRK",
    }
    for option in (
        click.option("--strict", **quirks, help="A quirk not to tolerate; see --assume."),
        click.option("--assume", **quirks, help="A quirk that it has, as doctor names it: echo …"),
        click.option("--baud", multiple=True, type=int, help="A speed to ask for, e.g. 57600."),
    ):
        verb = option(verb)
    return logon_options(power_options(verb))


def refuse_power(port: str, rts: bool, dtr: bool) -> None:
    """Refuse modem lines where there are none."""
    if (is_network(port) or port.startswith(("sim:", "tcp:"))) and (dtr or not rts):
        raise click.UsageError(f"{port} has no line: leave --rts and --dtr out")


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
        **rest: Any,
    ) -> None:
        for speed in baud:
            if speed not in BAUD_CODES:
                speeds = ", ".join(map(str, sorted(BAUD_CODES)))
                raise click.UsageError(f"--baud {speed}: one of {speeds}")
        self.port, self.rts, self.dtr = port, rts, dtr
        self.network = NetworkOptions.of(rest)
        if self.is_network and (baud or assume or strict):
            raise click.UsageError(f"{port} has no line: leave speeds and quirks out")
        if is_call(port) and (baud or assume or strict):
            raise click.UsageError(f"{port} is a call: leave speeds and quirks out")
        refuse_power(port, rts, dtr)
        self.network.check(port)
        #: What every opened port is put into, such as a recording.
        self.wrap: Callable[[Port], Port] = lambda port: port
        self.logon: LogonSettings = replace(logon_settings(**rest), bauds=baud)
        self.options = ClientOptions(
            assume=frozenset(_QUIRKS[label] for label in assume),
            strict=frozenset(_QUIRKS[label] for label in strict),
        )

    @property
    def is_network(self) -> bool:
        """Tell whether the meter is on the network, not at a port."""
        return is_network(self.port)

    def open_port(self, rts: bool | None = None, dtr: bool | None = None) -> Port:
        """Open the port; its modem lines as the options say, or otherwise."""
        port = open_any_port(
            self.port, self.rts if rts is None else rts, self.dtr if dtr is None else dtr
        )
        return self.wrap(port)

    def session(self) -> MeterPort:
        """Give a session, to be used with ``with``; a port that vanishes is opened again."""
        reopen = None if self.port.startswith("sim:") else self.open_port
        conversation = call_conversation(self.port, self.logon)
        port = self.open_port()
        return MeterPort(port, self.logon, self.options, reopen=reopen, conversation=conversation)

    def meter(self) -> AbstractContextManager[RemoteMeter]:
        """Give the meter, at a port or on the network, to be used with ``with``."""
        if not self.is_network:
            return self.session()
        return network_meter(self.port, self.logon, self.network)


def network_meter(name: str, logon: LogonSettings, options: NetworkOptions) -> NetworkMeter:
    """Give a meter on the network, with the keys of the options or of the environment."""
    from protocols.transports.network_meter import ANSWER_TIMEOUT_S, NetworkMeter
    from protocols.transports.network_name import parse_name
    from smartmeter.cli.known_keys import read_keys

    keys = read_keys((), options.key_file).of_node(parse_name(name).title)
    if logon.password is not None and not keys:
        click.echo("without a key the password is not sent", err=True)
    timeout_s = options.answer_timeout or ANSWER_TIMEOUT_S
    meter = NetworkMeter(
        name,
        keys,
        logon.password,
        logon.user_id,
        options.answer_port,
        timeout_s,
        logon.user,
        options.tls(name),
    )
    meter.on_password_refused = lambda: click.echo(PASSWORD_REFUSED, err=True)
    return meter


def warn_of_password(meter: RemoteMeter) -> None:
    """Say so when the meter has refused the password at its port, or the key in a call.

    And when it has no use for the key.
    """
    opened = meter.opened if isinstance(meter, MeterPort) else None
    if opened is not None and opened.password_accepted is False:
        click.echo(PASSWORD_REFUSED, err=True)
    if opened is not None and opened.key_accepted is False:
        click.echo("the meter refused the key; going on without what it opens", err=True)
    if opened is not None and opened.key_unused:
        click.echo("the meter asks for no key; going on without what it would open", err=True)
