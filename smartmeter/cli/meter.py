"""``smartmeter meter serve``: a simulated meter on a pty, a serial line or TCP."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path

import click

from protocols.transports import serving
from smartmeter.base.clock import monotonic_us, shared_calendar, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram, Nvram
from smartmeter.meter.access import PUBLIC_TABLES
from smartmeter.meter.meter import Meter, MeterSettings

#: Where passwords come from when they are not the defaults; never from the command line.
READER_VARIABLE, MASTER_VARIABLE = "SMARTMETER_READER_PASSWORD", "SMARTMETER_MASTER_PASSWORD"


@click.group()
def command() -> None:
    """Simulated meters."""


@command.command()
@click.option("--pty", "pty_link", metavar="LINK", help="Make a pty and link it at LINK.")
@click.option("--serial", "serial_device", metavar="DEV", help="Serve on a serial line.")
@click.option("--tcp", metavar="HOST:PORT", help="Serve on TCP; port 0 takes a free one.")
@click.option("--seed", default=1, show_default=True, help="Which household it measures.")
@click.option("--serial-number", default="", help="Up to 16 characters; from the seed if left out.")
@click.option("--interval", default=15, show_default=True, help="Load-profile interval, minutes.")
@click.option("--state", metavar="DIR", help="Keep the non-volatile memory in this folder.")
@click.option("--clock", default="", metavar="EPOCH,RATE", help="A calendar that runs faster.")
def serve(
    pty_link: str | None,
    serial_device: str | None,
    tcp: str | None,
    seed: int,
    serial_number: str,
    interval: int,
    state: str | None,
    clock: str,
) -> None:
    """Serve one simulated meter until told to stop (Ctrl-C)."""
    if [pty_link, serial_device, tcp].count(None) != 2:
        raise click.UsageError("give one of --pty LINK, --serial DEV and --tcp HOST:PORT")
    if not 1 <= interval <= 60 or 60 % interval:
        raise click.UsageError(f"--interval {interval}: give a divisor of 60")
    serial_number = serial_number or f"SM{seed:06d}"
    if not (serial_number.isascii() and serial_number.isprintable() and len(serial_number) <= 16):
        raise click.UsageError("--serial-number: up to 16 printable ASCII characters")
    now_us = monotonic_us()
    settings = MeterSettings(
        serial=serial_number,
        seed=seed,
        interval_min=interval,
        reader_password=os.environ.get(READER_VARIABLE, "reader").encode(),
        master_password=os.environ.get(MASTER_VARIABLE, "master").encode(),
    )
    calendar = shared_calendar(clock, wall_utc_us(), now_us)
    meter = Meter(settings, _memory(state), calendar, now_us)
    meter.expire(monotonic_us())
    asyncio.run(_until_told(_serving(meter, pty_link, serial_device, tcp)))


def _memory(state: str | None) -> Nvram:
    if state is None:
        return MemoryNvram()
    from smartmeter.gateway.flash_file import FlashFile

    return FlashFile(Path(state) / "meter.nvram")


def _serving(
    meter: Meter, pty_link: str | None, serial_device: str | None, tcp: str | None
) -> Awaitable[None]:
    if pty_link is not None:
        return serving.serve_pty(meter, Path(pty_link), lambda: _ready(meter, pty_link))
    if serial_device is not None:
        return serving.serve_serial(meter, serial_device, lambda: _ready(meter, serial_device))
    host, _, port = (tcp or "").rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError("--tcp", f"{tcp!r} is not HOST:PORT", "write 127.0.0.1:2000")
    return serving.serve_tcp(
        meter, host.strip("[]"), int(port), lambda real: _ready(meter, f"tcp:{host}:{real}")
    )


def _ready(meter: Meter, port: str) -> None:
    """Print the one line that programs wait for; passwords only while they are the defaults."""
    shown = []
    for role, variable in (("reader", READER_VARIABLE), ("master", MASTER_VARIABLE)):
        given = variable in os.environ
        shown.append(f"{role} password {'from the environment' if given else role}")
    public = " ".join(map(str, sorted(PUBLIC_TABLES)))
    click.echo(f"ready {port} meter {meter.settings.serial}; {', '.join(shown)}; public: {public}")
    sys.stdout.flush()


async def _until_told(work: Awaitable[None]) -> None:
    """Run until SIGINT or SIGTERM, then let the port go."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    if os.name == "posix":  # elsewhere Ctrl-C raises KeyboardInterrupt by itself
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        click.echo("stopped", err=True)
