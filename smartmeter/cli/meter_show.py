"""``smartmeter meter show``: what the meter's display would show."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import click

from protocols.transports.pump import MeterPort
from smartmeter.cli.logon import logon_options, logon_settings, open_any_port
from smartmeter.cli.meter_line import refuse_power
from smartmeter.cli.probe_power import power_options
from smartmeter.cli.read import read_tables
from smartmeter.meter.display import LISTS, TABLES, Screen, screens

#: The password of a simulated meter, whose display is its own.
SIMULATED_PASSWORD = b"reader"


@click.command()
@click.argument("port", default="sim:")
@click.option(
    "--list",
    "which",
    type=click.Choice(sorted(LISTS)),
    default="primary",
    show_default=True,
    help="Which of the meter's display lists.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@logon_options
@power_options
def show(port: str, which: str, as_json: bool, rts: bool, dtr: bool, **logon: Any) -> int:
    """Show what the display of the meter at PORT scrolls through.

    That is what ST-33 or ST-34 lists.

    First the two digits by which people know an item, then its value and unit, as on the LCD; what
    it is comes after.

    PORT is what `read` takes, but for a meter on the network; left out, it is a simulated meter.
    """
    refuse_power(port, rts, dtr)
    settings = logon_settings(**logon)
    if settings.password is None and port.startswith("sim:"):
        settings = replace(settings, password=SIMULATED_PASSWORD)
    with MeterPort(open_any_port(port, rts, dtr), settings) as meter:
        found = read_tables(meter, list(TABLES), only_listed=True)
    shown = screens(found.snapshot, which)
    if as_json:
        click.echo(json.dumps([asdict(screen) for screen in shown], indent=1))
    elif not shown:
        click.echo(f"the meter shows no {which} display list", err=True)
    for screen in shown if not as_json else ():
        click.echo(_line(screen))
    return 0 if shown else 1


def _line(screen: Screen) -> str:
    return f"{screen.code:>2s}  {screen.text:>10s} {screen.unit:5s} {screen.label}".rstrip()
