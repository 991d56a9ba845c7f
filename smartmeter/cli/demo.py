"""``smartmeter demo``: a TMS with its page and a street of SmartMeters, from factory state on."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmeter.base.clock import US_PER_S, utc_moment, wall_utc_us
from smartmeter.base.errors import SettingsError, StorageError, told_as
from smartmeter.cli.file_name import folder_option
from smartmeter.cli.packages import PAGE, need
from smartmeter.cli.state_folder import claim
from smartmeter.cli.stopping import on_stop
from smartmeter.simulation.count import Count
from smartmeter.simulation.demo import Demo, DemoSettings
from smartmeter.tms.store.sqlite import FILE_NAME

if TYPE_CHECKING:
    from smartmeter.tms.web.site import Site

MAX_METERS, MAX_SPEED, MAX_RELAYS = 2000, 3600, 8


@click.command()
@click.option("--meters", default=20, show_default=True, type=click.IntRange(1, MAX_METERS))
@click.option(
    "--speed",
    default=600,
    show_default=True,
    type=click.IntRange(1, MAX_SPEED),
    help="Seconds of the meters' calendar a second.",
)
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="Of the page."
)
@click.option("--seed", default=1, show_default=True, help="Which street.")
@click.option(
    "--duration", type=click.FloatRange(1, 86_400), help="Wall seconds; without: until Ctrl-C."
)
@click.option(
    "--relays",
    default=0,
    show_default=True,
    type=click.IntRange(0, MAX_RELAYS),
    help="A chain of so many relays before the TMS; 0: it is its own master relay.",
)
@click.option("--headless", is_flag=True, help="No page.")
@click.option("--json", "as_json", is_flag=True, help="Print what it came to as one JSON object.")
@folder_option("--data", help="Folder of the TMS; default: a fresh temporary one.")
def command(
    meters: int,
    speed: int,
    port: int,
    seed: int,
    duration: float | None,
    relays: int,
    headless: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """Show everything at work: meters, modules, network and TMS in one process."""
    if duration is not None and isnan(duration):
        raise click.UsageError("--duration nan is no number of seconds")
    if headless and duration is None:
        raise click.UsageError("--headless needs --duration SECONDS")
    _refuse_clock(speed * (duration or 0.0))
    if not headless:
        need(*PAGE)
    folder = Path(data) if data else _fresh_folder()
    if (folder / FILE_NAME).exists():
        raise click.UsageError(f"--data {folder}: holds a TMS already; give a fresh folder")
    settings = DemoSettings(meters, speed, seed, duration, folder, relays)
    page = None if headless else port
    with ExitStack() as unused:
        if not data:
            unused.callback(shutil.rmtree, folder, ignore_errors=True)
        claim(folder)
        click.echo(f"data in {folder}", err=as_json)
        count = asyncio.run(_run(settings, page, as_json, unused.pop_all))
    if as_json:
        click.echo(count.json())
    else:
        click.echo(sentence(count))
    if count.intervals_stored != count.intervals_expected or count.duplicates or count.altered:
        raise click.ClickException("the TMS does not hold what the meters measured")


def _refuse_clock(run_s: float) -> None:
    """Refuse a computer whose clock shows, or will, what the meters tell as another century."""
    from ansi_tables.times import YEARS

    now_s = wall_utc_us() // US_PER_S
    for second in (now_s, now_s + int(run_s)):
        if (year := utc_moment(second).year) not in YEARS:
            fault = f"comes to {year}, and meters tell {YEARS[0]} to {YEARS[-1]}"
            raise SettingsError("this computer's clock", fault, "set it")


def _fresh_folder() -> Path:
    # All may be full or read-only, as in a container.
    with told_as(StorageError, "demo", "give a folder by --data DIR"):
        return Path(tempfile.mkdtemp(prefix="smartmeter-demo-"))


async def _run(
    settings: DemoSettings, port: int | None, quiet: bool, started: Callable[[], object]
) -> Count:
    demo = Demo(settings)
    stop = asyncio.Event()
    on_stop(stop.set)
    web = None
    try:
        await demo.start()
        if port is not None:
            web = await _page(demo, port, quiet)
        started()
        await demo.run(stop)
        click.echo("stopping: waiting for what is under way", err=True)
        return await demo.finish()
    finally:
        if web is not None:
            await web.stop()
        await demo.stop()


async def _page(demo: Demo, port: int, quiet: bool) -> Site:
    from smartmeter.tms.service import Service
    from smartmeter.tms.users import Users, first_password
    from smartmeter.tms.web.site import Site

    password = first_password()
    Users(demo.server.store).set("demo", password)
    web = Site(demo.server, Service(demo.server), demo.street)
    await web.start("127.0.0.1", port)
    click.echo(
        f"page http://127.0.0.1:{web.port}/  log in as demo with {password}  (Ctrl-C ends)",
        err=quiet,
    )
    return web


def sentence(count: Count) -> str:
    """Say for a person what a run came to."""
    return (
        f"{count.meters} SmartMeters, {count.provisioned} provisioned; in {count.seconds} s they"
        f" sent {count.reports} reports by themselves ({count.polls} polls).\n"
        f"{count.intervals_stored} of {count.intervals_expected} intervals are stored,"
        f" {count.duplicates} twice, {count.altered} altered;"
        f" {count.outages} outages and {count.restorations} restorations,"
        f" {count.silences} silences of which {count.recovered} were recovered,"
        f" {count.alarms} alarms."
    )
