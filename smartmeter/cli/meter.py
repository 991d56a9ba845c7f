"""``smartmeter meter serve``: simulated meters and twins on a pty, a serial line or TCP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from protocols.transports import serving
from smartmeter.base.address import MAX_PORT, host_port
from smartmeter.base.clock import US_PER_S, monotonic_us
from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_text
from smartmeter.cli.cloned_file import read_cloned
from smartmeter.cli.fast_calendar import clock_option
from smartmeter.cli.file_name import FILE_THERE, file_option, folder_option
from smartmeter.cli.given import not_empty, refuse_given
from smartmeter.cli.log_line import log_line
from smartmeter.cli.meter_show import show
from smartmeter.cli.served_meters import Served, ServedOptions, on_telephone, served_meter
from smartmeter.cli.stopping import on_stop
from smartmeter.meter.profiles import profile_named
from smartmeter.simulation.control import Control, Controlled
from smartmeter.simulation.scenario import Scenario

MAX_COUNT = 1000
#: With it a serial number of the last of them fits into 16 characters.
MAX_SEED = 10**14 - MAX_COUNT
MAX_SCENARIO_OCTETS = 8 << 20
#: How long a scenario sleeps at most before it looks at the clock again.
MAX_SLEEP_S = 0.2


@click.group()
def command() -> None:
    """Simulated meters."""


command.add_command(show)


@command.command()
@click.option(
    "--pty", "pty_link", callback=not_empty, metavar="LINK", help="Make a pty and link it at LINK."
)
@click.option(
    "--serial", "serial_device", callback=not_empty, metavar="DEV", help="Serve on a serial line."
)
@click.option("--tcp", metavar="HOST:PORT", help="Serve on TCP; port 0 takes a free one.")
@click.option(
    "--modem", callback=not_empty, metavar="DEV", help="Answer calls by the modem there (C12.21)."
)
@click.option(
    "--identity", default=0, type=click.IntRange(0, 255), help="With --modem: address in calls."
)
@file_option("--image", help="Answer like the meter that was cloned to FILE.")
@click.option("--live", is_flag=True, help="With --image: clock, registers and profile run on.")
@click.option("--count", default=1, show_default=True, help="Serve so many; see above.")
@click.option("--profile", default="residential", show_default=True, help="A kind of device.")
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, MAX_SEED),
    help="Which household it measures.",
)
@click.option(
    "--serial-number",
    default="",
    callback=not_empty,
    help="Up to 16 characters; from the seed if left out.",
)
@click.option("--interval", type=int, help="Load-profile interval in minutes, if not its own.")
@folder_option("--state", help="Keep the non-volatile memory in this folder.")
@clock_option
@click.option(
    "--scenario",
    metavar="FILE",
    type=FILE_THERE,
    help="What happens to them, and when: actions of --control, as JSON.",
)
@click.option("--control", metavar="HOST:PORT", help="HTTP interface to break them (OpenAPI).")
def serve(
    pty_link: str | None,
    serial_device: str | None,
    tcp: str | None,
    modem: str | None,
    identity: int,
    image: str | None,
    live: bool,
    count: int,
    profile: str,
    seed: int,
    serial_number: str,
    interval: int | None,
    state: str | None,
    clock: str,
    control: str | None,
    scenario: str | None,
) -> None:
    """Serve simulated meters until told to stop (Ctrl-C).

    With --count N the ports are LINK-1 to LINK-N, or PORT to PORT+N-1, and the
    seeds, serial numbers and state folders follow each other likewise; each meter prints a ready
    line of its own.

    --profile is one of residential, residential-tou, commercial, industrial,
    bcd-1997 and unusual, or random: a legal device drawn from --seed.
    """
    if [pty_link, serial_device, tcp, modem].count(None) != 3:
        raise click.UsageError("give one of --pty LINK, --serial DEV, --tcp HOST:PORT, --modem DEV")
    if modem is not None and (image, control, scenario, count) != (None, None, None, 1):
        raise click.UsageError("--modem is for one simulated meter that nobody breaks")
    if interval is not None and (not 1 <= interval <= 60 or 60 % interval):
        raise click.UsageError(f"--interval {interval}: give a divisor of 60")
    if not 1 <= count <= MAX_COUNT or (count > 1 and serial_device is not None):
        raise click.UsageError(f"--count is 1 to {MAX_COUNT}, and 1 on a serial line")
    if live and image is None:
        raise click.UsageError("--live goes with --image FILE; a simulated meter is always live")
    if image is not None:
        own = ("profile", "serial_number", "interval", "state", "scenario")
        refuse_given(own, "is for simulated meters, not for --image FILE")
        if not live:
            refuse_given(
                ("clock", "seed"), "moves nothing in a meter that stands: give --live, too"
            )
    if modem is None:
        refuse_given(("identity",), "is of calls: give --modem, too")
    if serial_number and not _fits(serial_number, count):
        raise click.UsageError("--serial-number: up to 16 printable ASCII characters, of one meter")
    try:
        profile_named(profile, seed)
    except SettingsError as error:
        raise click.UsageError(f"--profile: {error}") from None
    cloned = read_cloned(Path(image)) if image else None
    controlled = control is not None or scenario is not None
    options = ServedOptions(
        profile, seed, serial_number, interval, state, clock, cloned, live, controlled
    )
    ports = [("modem", modem)] if modem else _ports(pty_link, serial_device, tcp, count)
    served = [served_meter(options, number) for number in range(count)]
    if modem is not None:
        served = [on_telephone(served[0], identity)]
    work = [_serving(meter, *port) for meter, port in zip(served, ports, strict=True)]
    controls = [meter.control for meter in served if meter.control is not None]
    if scenario is not None:
        played = Scenario.from_json(read_text(Path(scenario), MAX_SCENARIO_OCTETS), scenario, count)
        director = Control(controls, monotonic_us())
        work.append(lambda: _play(played, director))
    asyncio.run(_until_told(_all(work, controls, control)))


async def _play(scenario: Scenario, control: Control) -> None:
    """Do what a scenario says, each step when its time has come."""
    while (due_us := scenario.deadline_us(control)) is not None:
        # The clock of a meter may be set meanwhile: look again from time to time.
        await asyncio.sleep(max(0.0, min(MAX_SLEEP_S, (due_us - monotonic_us()) / US_PER_S)))
        for done in scenario.expire(control, monotonic_us()):
            click.echo(done, err=True)


def _fits(serial_number: str, count: int) -> bool:
    plain = serial_number.isascii() and serial_number.isprintable()
    return plain and len(serial_number) <= 16 and count == 1


def _ports(
    pty_link: str | None, serial_device: str | None, tcp: str | None, count: int
) -> list[tuple[str, str]]:
    """Give kind and name of the port of each meter."""
    if pty_link is not None:
        names = [pty_link] if count == 1 else [f"{pty_link}-{n + 1}" for n in range(count)]
        return [("pty", name) for name in names]
    if serial_device is not None:
        return [("serial", serial_device)]
    name = tcp or ""
    _, port = host_port("--tcp", name, "127.0.0.1:2000")
    host = name.rpartition(":")[0]
    if port + count - 1 > MAX_PORT:
        raise SettingsError("--tcp", f"{count} ports from {port} on", "choose a lower port")
    return [("tcp", f"{host}:{port and port + n}") for n in range(count)]


def _serving(served: Served, kind: str, name: str) -> Callable[[], Awaitable[None]]:
    if kind == "pty":
        link = Path(name)
        return lambda: serving.serve_pty(served.machine, link, lambda: _ready(served, name))
    if kind == "serial":
        return lambda: serving.serve_serial(served.machine, name, lambda: _ready(served, name))
    if kind == "modem":  # which is told much that is no C12.18
        return lambda: serving.serve_serial(
            served.machine, name, lambda: _ready(served, name), captured=False
        )
    host, _, port = name.rpartition(":")
    return lambda: serving.serve_tcp(
        served.machine,
        host.strip("[]"),
        int(port),
        lambda real: _ready(served, f"tcp:{host}:{real}"),
    )


def _ready(served: Served, port: str) -> None:
    """Print the one line that programs wait for."""
    text = served.text
    if served.control is not None:
        served.control.port = port
        text = f"{text}; control {served.control.url}" if served.control.url else text
    log_line(f"ready {port} {text}")


async def _all(
    work: list[Callable[[], Awaitable[None]]], controls: list[Controlled], address: str | None
) -> None:
    """Serve all meters, and the interface to break them; when one cannot be served, none is."""

    async def one(serve_it: Callable[[], Awaitable[None]]) -> None:
        await serve_it()

    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            if address is not None:
                from smartmeter.cli.control_http import controlled

                url = await stack.enter_async_context(controlled(Control(controls), address))
                for number, each in enumerate(controls):
                    each.url = f"{url}/meters/{number}"
            for serve_it in work:
                group.create_task(one(serve_it))
    except ExceptionGroup as failed:  # in except* Python 3.11.2 (Debian 12) would group it again
        raise failed.exceptions[0] from None


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGINT or SIGTERM, then let the ports go."""
    task = asyncio.ensure_future(work)
    on_stop(task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
        return
    log_line("stopped", err=True)
