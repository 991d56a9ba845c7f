"""``smartmeter gateway init|check|run|status``: the SSI module on this board."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmeter.base.address import host_port
from smartmeter.base.clock import monotonic_us, shared_calendar, utc_moment, wall_utc_us
from smartmeter.base.errors import SmartMeterError
from smartmeter.base.finding import Finding, wrong
from smartmeter.cli.fast_calendar import clock_option
from smartmeter.cli.file_name import file_option, folder_option
from smartmeter.cli.given import not_empty
from smartmeter.cli.log_line import log_line
from smartmeter.cli.packages import PAGE, need
from smartmeter.cli.probe_power import power_options
from smartmeter.cli.state_folder import CLAIMED, claim, claim_file, is_claimed

if TYPE_CHECKING:
    from smartmeter.gateway.settings import GatewaySettings

SETTINGS = file_option("--settings", "name", required=True, help="TOML: module, meter, tms, sinks.")
#: What of the status is a UTC second.
_MOMENTS = frozenset(("last_interval_end_s", "registers_read_s", "utc_s", "last_acknowledged_s"))


@click.group()
def command() -> None:
    """The SSI module beside a real meter."""


@command.command()
@SETTINGS
@clock_option
@click.option(
    "--with-tms",
    "page",
    metavar="HOST:PORT",
    help="Run a TMS in this process, with its page there (needs the extra [tms]).",
)
def run(name: str, clock: str, page: str | None) -> None:
    """Run until told to stop (Ctrl-C).  Without [[tms]] in the settings it needs no TMS."""
    from smartmeter.gateway.beginning import begin_again, launched, leave_tls_out
    from smartmeter.gateway.settings import read_settings

    settings = read_settings(Path(name), os.environ)
    rate = shared_calendar(clock, wall_utc_us(), monotonic_us()).rate if clock else Fraction(1)
    place = host_port("--with-tms", page, "127.0.0.1:8080") if page is not None else None
    if settings.is_plain and page is None:
        leave_tls_out()
    from smartmeter.gateway.status_socket import refuse_second

    refuse_second(settings.socket)  # before anything of what the other one works on is opened
    if settings.upgrade is not None and not launched():
        # What only a launcher needs is not in memory for years.
        from smartmeter.gateway.launcher import Launcher

        if not Launcher(settings, sys.argv[1:], log_line).run():
            return
    from smartmeter.gateway.hindrances import refuse_hindrances

    need(*_packages(settings, page is not None))
    refuse_hindrances(settings, place)
    claim(settings.data)
    if settings.runs_tms(page is not None):
        claim(settings.local_tms)  # as from a ``tms run`` that was given this folder
    for seat in settings.seats:
        claim_file(seat.state)
    import asyncio

    from smartmeter.gateway.service import run_gateway

    def ready() -> None:
        for seat in settings.seats:
            log_line(f"ready module {seat.factory.esn} title {seat.factory.title}")
        log_line(f"towards the meter: {settings.permission}")
        if page is not None and settings.bearers:
            log_line(
                "[[tms]] of the settings is not used: with --with-tms the TMS is in this process"
            )

    signals = (signal.SIGINT, signal.SIGTERM)
    if asyncio.run(run_gateway(settings, rate, log_line, ready, signals, place)):
        begin_again(sys.argv[1:])
    log_line("stopped", err=True)


def _packages(settings: GatewaySettings, has_page: bool) -> Iterator[str]:
    """Give what a gateway with these settings cannot run without."""
    if has_page:
        yield from PAGE
    brokers = [one for one in settings.bearers if one.address.startswith(("mqtt:", "mqtts:"))]
    if settings.sinks.mqtt is not None or (brokers and not has_page):
        yield "aiomqtt"
    if settings.metrics is not None:
        yield "prometheus_client"
    if settings.sinks.home_assistant is not None:
        yield "websockets"


@command.command()
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(name: str, as_json: bool) -> None:
    """Tell how the gateway that runs with these settings does."""
    from smartmeter.gateway.settings import read_socket
    from smartmeter.gateway.status_socket import ask_status

    found = ask_status(read_socket(Path(name)))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    heads = [found["tms"]] if isinstance(found["tms"], str) else found["tms"]
    click.echo(f"gateway {found['version']}, {found['permission']}, TMS {', '.join(heads)}")
    for one in found["meters"]:
        click.echo(f"{one['esn']} on {one['port']}: {one.get('text', 'begins')}")
        for bearer in one["bearers"]:
            click.echo(f"  bearer {_bearer(bearer)}")
        for key, value in one.items():
            if key not in ("esn", "port", "text", "bearers"):
                label = key.removesuffix("_s") if key in _MOMENTS else key
                click.echo(f"  {label.replace('_', ' '):22} {_shown(key, value)}")


def _shown(key: str, value: Any) -> str:
    """Give a value of the status for a person; programs get it as it is."""
    if value is None:
        return "-"
    if key in _MOMENTS:
        return utc_moment(value).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{count} {event}" for event, count in value.items()) or "-"
    return f"{value:08x}" if key == "configuration" else str(value)  # as the TMS shows it


def _bearer(one: dict[str, Any]) -> str:
    """Give one line on how a bearer does."""
    state = one["state"]
    if one["state"] == "up" and not one["works"]:
        state = "up, nothing has come yet"
    carries = "" if one["carries"] == "all" else f", {one['carries']} only"
    fault = f": {one['fault']}" if one["fault"] else ""
    return f"{one['name']} {one['address']} (cost {one['cost']}{carries}) {state}{fault}"


@command.command()
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="A list of findings.")
@click.option("--no-meter", is_flag=True, help="Do not open the meters' ports.")
def check(name: str, as_json: bool, no_meter: bool) -> None:
    """Tell what would fail with these settings, and what cannot work.  It only reads."""
    from smartmeter.gateway.checks import check_settings
    from smartmeter.gateway.settings import read_settings

    settings = read_settings(Path(name), os.environ)
    findings = [*check_settings(settings, ask_meters=not no_meter), *_claimed(settings)]
    if as_json:
        click.echo(json.dumps([one.value() for one in findings], indent=1))
    else:
        for one in findings:
            click.echo(str(one))
    if any(one.wrong for one in findings):
        raise click.exceptions.Exit(1)


def _claimed(settings: GatewaySettings) -> Iterator[Finding]:
    """Tell of what a gateway works on alone and another process has, as one with other settings."""
    from smartmeter.gateway.status_socket import answers

    if answers(settings.socket):
        return  # it is the one of these settings
    own_tms = [settings.local_tms] if settings.runs_tms(False) else []
    for path in (settings.data, *own_tms, *(seat.state for seat in settings.seats)):
        if is_claimed(path):
            yield wrong(str(path), CLAIMED, "stop it, or give another name")


@command.command()
@folder_option("--out", "folder", required=True, help="Where the files are made.")
@folder_option("--data", help="Where readings are kept; without: OUT/data.")
@click.option("--port", multiple=True, metavar="PORT", help="A port; without: those found here.")
@click.option(
    "--esn",
    default="",
    callback=not_empty,
    metavar="ESN",
    help="The module's name; without: the meter's.",
)
@click.option("--tms", "tms", metavar="tcp:HOST:PORT", help="The TMS; without: none.")
@click.option(
    "--user-id",
    type=click.IntRange(0, 65_535),
    default=2,
    show_default=True,
    help="Of the optical port.",
)
@power_options
@click.option("--yes", is_flag=True, help="Probe without asking.")
def init(
    folder: str,
    data: str | None,
    port: tuple[str, ...],
    esn: str,
    tms: str | None,
    user_id: int,
    rts: bool,
    dtr: bool,
    yes: bool,
) -> None:
    """Find a meter, and write settings, key and shipment file.

    Each port is asked for before it is probed: it may lead to a radio stick or
    an uninterruptible power supply.  A probe identifies, reads a few tables
    and writes nothing.
    """
    from smartmeter.gateway.setup import check_options, list_ports, probe, write_files

    out = Path(folder)
    check_options(out, esn, tms)
    chosen = list(port) or list_ports()
    if not chosen:
        raise SmartMeterError("ports", "none is here", "plug the probe in, or give --port")
    agreed = [one for one in chosen if yes or click.confirm(f"Probe {one}?", default=False)]
    if not agreed:
        raise click.ClickException("no port was probed: nothing was written")
    password = os.environ.get("SMARTMETER_OPTICAL_PASSWORD", "")
    found = []
    for name in agreed:
        # Told as it is known: one where nobody answers takes half a minute.
        found.append(probe(name, password, user_id, rts, dtr))
        click.echo(str(found[-1]))
    kept = Path(data) if data else out / "data"
    files = write_files(out, kept, [one for one in found if one.meter], esn, tms, user_id)
    for path in files:
        click.echo(f"wrote {path}")
    click.echo(f"next: smartmeter gateway check --settings {files[0]}")
