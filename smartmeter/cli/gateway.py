"""``smartmeter gateway run``: the SSI module on this board."""

from __future__ import annotations

import asyncio
import os
import signal
from fractions import Fraction
from pathlib import Path

import click

from smartmeter.base.clock import monotonic_us, shared_calendar, wall_utc_us


@click.group()
def command() -> None:
    """The SSI module beside a real meter."""


@command.command()
@click.option("--settings", "name", required=True, metavar="FILE", help="TOML: module, meter, tms.")
@click.option("--clock", default="", metavar="EPOCH,RATE", help="A calendar that runs faster.")
def run(name: str, clock: str) -> None:
    """Run the module until told to stop (Ctrl-C)."""
    from smartmeter.gateway.settings import read_settings

    settings = read_settings(Path(name), os.environ)
    rate = shared_calendar(clock, wall_utc_us(), monotonic_us()).rate if clock else Fraction(1)
    asyncio.run(_run(settings, rate))


async def _run(settings: object, rate: Fraction) -> None:
    from smartmeter.gateway.service import run_gateway
    from smartmeter.gateway.settings import GatewaySettings

    assert isinstance(settings, GatewaySettings)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    click.echo(f"ready module {settings.factory.esn} title {settings.factory.title}")
    await run_gateway(settings, rate, click.echo, stop)
    click.echo("stopped", err=True)
