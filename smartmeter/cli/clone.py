"""``smartmeter clone``: a whole meter to one image, by reading only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import click

from ansi_tables.ids import name_of
from protocols.c1218.scripts import LogonSettings, close_session
from protocols.c1218.steps import ClientLimits
from protocols.datalink.packet import ACK, STP
from protocols.errors import LinkError, PortError, PortNameError, ProtocolError
from protocols.transports.port import Port
from protocols.transports.pump import MeterPort, monotonic_us
from smartmeter.base.errors import SettingsError, SmartMeterError, told_as
from smartmeter.base.file import replacing
from smartmeter.cli.cloned_file import read_cloned
from smartmeter.cli.file_name import FILE
from smartmeter.cli.given import refuse_given
from smartmeter.cli.logon import (
    call_conversation,
    is_call,
    is_network,
    logon_options,
    logon_settings,
    open_any_port,
)
from smartmeter.cli.meter_line import NetworkOptions, network_meter, network_options, refuse_power
from smartmeter.cli.probe_power import power_options
from smartmeter.cli.terminal import CountedProgress
from smartmeter.meter.blanking import shareable, without_secrets
from smartmeter.meter.cloning import CloneSettings, Cloning, Exchange, NetworkCloning
from smartmeter.meter.image import MeterImage

#: How often what is known is saved while reading, how often a lost line is taken up again
#: without progress, and how long a meter needs to forget a session that was lost.
SAVE_EVERY_S = 1.0
LOST_LINES = 3
FORGET_S = 6.5


class ObservedPort:
    """A port that notes how long the meter takes to acknowledge, and then to answer."""

    def __init__(self, inner: Port) -> None:
        self._inner = inner
        self._asked_us: int | None = None
        self._acknowledged_us: int | None = None
        self._found: list[Exchange] = []

    def take(self) -> list[Exchange]:
        """Give the exchanges observed since the last call."""
        found, self._found = self._found, []
        return found

    def read(self, timeout_s: float) -> bytes:
        """Read, and note when the ACK and the answer began."""
        data = self._inner.read(timeout_s)
        if data and self._asked_us is not None:
            now_us, rest = monotonic_us(), data
            if self._acknowledged_us is None and data[0] == ACK:
                self._acknowledged_us, rest = now_us, data[1:]
            if self._acknowledged_us is not None and rest[:1] == bytes([STP]):
                waited_us = self._acknowledged_us - self._asked_us
                self._found.append((waited_us, now_us - self._acknowledged_us))
                self._asked_us = None
        return data

    def write(self, data: bytes) -> None:
        """Write; a packet of ours begins an exchange."""
        self._inner.write(data)
        if bytes([STP]) in data[:2]:
            self._asked_us, self._acknowledged_us = monotonic_us(), None

    def set_baud(self, baud: int) -> None:
        """Change the speed of the port inside."""
        self._inner.set_baud(baud)

    def close(self) -> None:
        """Let the port inside go."""
        self._inner.close()


@click.command()
@click.argument("port")
@click.argument("file", type=FILE)
@network_options
@logon_options
@power_options
@click.option("--with-secrets", is_flag=True, help="Keep passwords and keys in the image.")
@click.option("--share", is_flag=True, help="Blank identity and customer data, to show the image.")
@click.option("--no-bauds", is_flag=True, help="Do not ask which baud rates the meter can do.")
def command(
    port: str,
    file: str,
    with_secrets: bool,
    share: bool,
    no_bauds: bool,
    rts: bool,
    dtr: bool,
    **rest: Any,
) -> int:
    """Save all readable tables of the meter at PORT, and how it behaves, to FILE.

    Nothing is written to the meter.  What was refused is tried again with the
    password, if you give one.  An interrupted clone goes on where it stopped:
    give the same command again.  `smartmeter meter serve --image FILE` then
    answers like the meter.  Over the network (c1222://HOST[:PORT]/APTITLE) the
    tables are read; how its optical port behaves is not seen.
    """
    if with_secrets and share:
        raise click.UsageError("--share leaves secrets out: give it, or --with-secrets")
    network = NetworkOptions.of(rest)
    network.check(port)
    refuse_power(port, rts, dtr)
    if is_network(port) or is_call(port):
        refuse_given(("no_bauds",), f"is of a line: {port} has no speed to ask for")
    settings = logon_settings(**rest)
    way: _Way
    if is_network(port):
        way = _Network(port, settings, network)
    else:
        way = _Line(lambda: open_any_port(port, rts, dtr), port, settings, not no_bauds)
    target = _Target(Path(file), settings, with_secrets, share)
    cloning = _clone(way, target)
    image = cloning.image()
    if cloning.password_accepted is False:
        click.echo("the meter refused the password; cloned what it shows", err=True)
    target.save(image)
    for number, fault in sorted(cloning.faults.items()):
        click.echo(f"{name_of(number)} left out: {fault}", err=True)
    if image.missing:
        shown = ", ".join(map(str, image.missing[:8]))
        click.echo(
            f"{len(image.missing)} tables missing ({shown}); give the same command again", err=True
        )
        return 1
    refused = ", ".join(f"{n} {code.name}" for n, code in sorted(image.refused.items()))
    click.echo(f"{len(image.tables)} tables in {file}; refused: {refused or 'none'}")
    return 0


class _Way(Protocol):
    """How a meter is reached; ``kind`` makes what clones it there."""

    kind: type[Cloning]
    settings: CloneSettings

    def exchanges(self) -> list[Exchange]:
        """Give what was observed of the meter's delays since the last call."""

    def session(self, cloning: Cloning) -> None:
        """Run one session."""


class _Line:
    """A meter at a port, or in a call."""

    kind: type[Cloning] = Cloning

    def __init__(
        self, open_it: Callable[[], Port], port: str, logon: LogonSettings, try_bauds: bool
    ) -> None:
        self._open_it, self._name = open_it, port
        self.settings = CloneSettings(logon, try_bauds)
        call = call_conversation(port, logon)
        if call is not None:  # the speed is the modems' there
            self.settings = CloneSettings(logon, False, call.authenticate)
        self._port: ObservedPort | None = None

    def exchanges(self) -> list[Exchange]:
        return self._port.take() if self._port is not None else []

    def session(self, cloning: Cloning) -> None:
        port = self._port = ObservedPort(self._open_it())
        call = call_conversation(self._name, self.settings.logon)
        # The script opens its session itself, because Negotiate is part of what it learns.
        meter = MeterPort(port, self.settings.logon, conversation=call)
        try:
            meter.run(cloning.script(meter.client.limits))
            meter.run(call.close() if call is not None else close_session())
        finally:
            port.close()


class _Network:
    """A meter on the network; without a key no password is given."""

    kind: type[Cloning] = NetworkCloning

    def __init__(self, name: str, logon: LogonSettings, options: NetworkOptions) -> None:
        from protocols.transports.network_meter import read_table

        # The password is what the script gives, after all that is shown without it.
        without = replace(logon, password=None)
        self._meter = network_meter(name, without, options)
        if logon.password is not None and not self._meter.is_secured:
            click.echo("without a key the password is not sent", err=True)
            logon = without
        self.settings = CloneSettings(logon, False, read=lambda table, _: read_table(table))

    def exchanges(self) -> list[Exchange]:
        return []  # the delays are the network's

    def session(self, cloning: Cloning) -> None:
        with self._meter as meter:
            meter.run(cloning.script(ClientLimits()))


def _clone(way: _Way, target: _Target) -> Cloning:
    """Read in as many sessions as it takes; a table that loses the line twice is left out."""
    lost_at: dict[int | None, int] = {}
    saved_s = time.monotonic()
    with CountedProgress("tables") as progress:

        def step(done: int, total: int) -> None:
            nonlocal saved_s
            target.check_meter(cloning.tables)
            progress.reach(done, total)
            if time.monotonic() - saved_s >= SAVE_EVERY_S:
                target.save_part(cloning.image())
                saved_s = time.monotonic()

        begun = target.earlier(), str(target.part)
        cloning = way.kind(way.settings, way.exchanges, step, *begun)
        while True:
            try:
                way.session(cloning)
                return cloning
            except PortNameError:
                raise
            except (LinkError, PortError) as error:
                target.save_part(cloning.image())
                lost_at[cloning.reading] = lost_at.get(cloning.reading, 0) + 1
                if cloning.reading is None or sum(lost_at.values()) > LOST_LINES:
                    again = "; give the same command again" if cloning.tables else ""
                    raise ProtocolError(f"{error}{again}") from error
                if lost_at[cloning.reading] > 1:
                    cloning.skipped.add(cloning.reading)
                click.echo(f"line lost ({error}); going on", err=True)
                time.sleep(FORGET_S)
            except SmartMeterError:
                raise  # it is another meter: what was kept stays as it is
            except BaseException:
                target.save_part(cloning.image())
                raise


class _Target:
    """The file, and FILE.part while tables are missing; both are the owner's only."""

    def __init__(self, path: Path, logon: LogonSettings, with_secrets: bool, share: bool) -> None:
        self._path = path
        #: What there is while tables are missing.
        self.part = path.with_name(path.name + ".part")
        self._logon = logon
        self._with_secrets = with_secrets
        self._share = share
        if not path.parent.is_dir():
            raise SettingsError(str(path), "its folder is not there", f"mkdir -p {path.parent}")
        if path.exists() and not path.is_file():
            raise SettingsError(str(path), "is no file", "choose another name")
        #: What the file holds already: an older clone of the same meter, or nothing.
        self._former = read_cloned(path) if path.exists() else None

    def earlier(self) -> MeterImage | None:
        """Give what an interrupted clone left."""
        return read_cloned(self.part) if self.part.exists() else None

    def check_meter(self, tables: Mapping[int, bytes]) -> None:
        """Raise SmartMeterError where the file holds the clone of another meter."""
        former = self._former.tables.get(1) if self._former is not None else None
        if former is None or 1 not in tables:
            return
        own = MeterImage({n: tables[n] for n in (0, 1)})
        if former not in (tables[1], shareable(own).tables[1]):
            text = "holds the clone of another meter"
            raise SmartMeterError(str(self._path), text, "choose another file, or remove this one")

    def save_part(self, image: MeterImage) -> None:
        """Keep an unfinished clone, where there is something to keep."""
        if 0 in image.tables:
            _write(self.part, self._blanked(image, share=False))

    def save(self, image: MeterImage) -> None:
        """Keep a clone: under its name when it is whole."""
        if image.missing:
            self.save_part(image)
            return
        _write(self._path, self._blanked(image, self._share))
        self.part.unlink(missing_ok=True)

    def _blanked(self, image: MeterImage, share: bool) -> MeterImage:
        if share:
            return shareable(image)
        if not self._with_secrets:
            return without_secrets(image)
        password = self._logon.password
        return replace(image, passwords=() if password is None else (password,))


def _write(path: Path, image: MeterImage) -> None:
    """Write the file as a whole: a crash leaves the old one or the new one."""
    with told_as(SmartMeterError, path, "choose another file"), replacing(path) as beside:
        beside.write_text(image.to_json(), encoding="ascii")
