"""``smartmeter tms run``: the head-end as a process of its own, and the group of its verbs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmeter.base.address import host_port, listening_place, shown
from smartmeter.base.clock import Calendar, follow_wall, monotonic_us, shared_calendar, wall_utc_us
from smartmeter.cli import (
    tms_backup,
    tms_cancel,
    tms_export,
    tms_key,
    tms_polled,
    tms_retire,
    tms_upgrade,
    tms_user,
)
from smartmeter.cli.carriers import CarrierOptions, carrier_options, reached, tell
from smartmeter.cli.fast_calendar import clock_option
from smartmeter.cli.file_name import file_option, folder_option
from smartmeter.cli.log_line import log_line
from smartmeter.cli.metrics import metrics_option, serving_metrics
from smartmeter.cli.packages import PAGE, need
from smartmeter.cli.segments import segment_option
from smartmeter.cli.state_folder import claim
from smartmeter.cli.stopping import on_stop
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tls import tls_files, tls_options
from smartmeter.cli.tms_client import first_of
from smartmeter.comms.carrier import Bell
from smartmeter.comms.event_loop import ended, run_server
from smartmeter.comms.sockets import check_listening
from smartmeter.comms.tls import TlsFiles, server_tls
from smartmeter.comms.tls_renewal import keep_renewed

if TYPE_CHECKING:
    from smartmeter.tms.polled_list import PolledMeter
    from smartmeter.tms.server import TmsServer
    from smartmeter.tms.service import Service

#: How often it is looked whether the wall clock was set.
FOLLOW_S = 5.0


@click.group()
def command() -> None:
    """The Transaction Management System."""


command.add_command(tms_upgrade.command)
command.add_command(tms_user.command, name="user")
command.add_command(tms_polled.command)
command.add_command(tms_key.command)
command.add_command(tms_cancel.command, name="cancel")
command.add_command(tms_export.command)
command.add_command(tms_backup.command)
command.add_command(tms_retire.retire)
command.add_command(tms_retire.replace)
command.add_command(tms_retire.bring_back)


@command.command()
@folder_option("--data", required=True, help="Folder of the database.")
@click.option("--listen", default="127.0.0.1:1153", show_default=True, metavar="HOST:PORT")
@click.option("--web", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT|off")
@file_option(
    "--shipment",
    help="CSV of SmartMeters: esn,title,key,model, and wake if short messages wake them.",
)
@file_option(
    "--poll", help="CSV of plain C12.18 meters to poll: esn,address,user_id,password,model."
)
@file_option("--template", help="JSON of what to provision; without: the default.")
@clock_option
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Drop what is older, a little at a time; without: everything is kept.",
)
@segment_option
@metrics_option
@tls_options
@carrier_options
def run(
    data: str,
    listen: str,
    web: str,
    shipment: str | None,
    poll: str | None,
    template: str | None,
    clock: str,
    keep_days: int | None,
    segment: int | None,
    metrics: tuple[str, int] | None,
    reached_by: CarrierOptions,
    **tls: str | None,
) -> None:
    """Run the TMS until told to stop (Ctrl-C)."""
    need("prometheus_client", *(PAGE if web != "off" else ()))
    settings = _Settings(
        Path(data),
        listening_place("--listen", listen, "127.0.0.1:1153"),
        host_port("--web", web, "127.0.0.1:8080, or off") if web != "off" else None,
        segment,
        keep_days,
        metrics,
        reached_by,
        tls_files(**tls, dialled=reached_by.dialled, listens=True),
    )
    run_server(_run(settings, _Entries(shipment, poll, template), clock))


@dataclass(frozen=True)
class _Settings:
    """Where a TMS keeps its data, and where it is reached; ``web`` None: it has no page."""

    data: Path
    listen: tuple[str, int]
    web: tuple[str, int] | None
    segment: int | None
    keep_days: int | None
    metrics: tuple[str, int] | None
    reached_by: CarrierOptions
    tls: TlsFiles


@dataclass(frozen=True)
class _Entries:
    """Names of files whose contents are entered at the start."""

    shipment: str | None
    poll: str | None
    template: str | None


async def _run(settings: _Settings, entries: _Entries, clock: str) -> None:
    """Enter the files, all of which are read before anything is written, and serve."""
    from smartmeter.tms.polled_list import read_polled
    from smartmeter.tms.server import TmsServer
    from smartmeter.tms.service import Service
    from smartmeter.tms.shipment import read_shipment
    from smartmeter.tms.template import make_template, read_template

    stop = asyncio.Event()
    on_stop(stop.set)
    shipment, poll, template = entries.shipment, entries.poll, entries.template
    chosen = make_template()
    if template:
        chosen = read_template(text_of("--template", template), f"--template {template}")
    shipped = read_shipment(text_of("--shipment", shipment), shipment) if shipment else []
    plain = read_polled(text_of("--poll", poll), poll) if poll else []
    calendar = shared_calendar(clock, wall_utc_us(), monotonic_us())
    check_listening(
        ("--listen", settings.listen), ("--web", settings.web), ("--metrics", settings.metrics)
    )
    claim(settings.data)
    server = TmsServer(settings.data, calendar, chosen, settings.segment, tell=tell)
    service = Service(server)
    context = server_tls(settings.tls) if settings.tls.certificate is not None else None
    await server.start(*settings.listen, context)
    try:
        if shipped:
            log_line(f"{server.import_shipment(shipped)} of {len(shipped)} SmartMeters are new")
        if plain:
            _enter_plain(server, plain, f"--poll {poll}")
        async with (
            _beside(_follow(calendar, clock)),
            _beside(server.keep_for(settings.keep_days) if settings.keep_days else None),
            _beside(keep_renewed(context, settings.tls, tell) if context else None),
            _reached(server, service, settings),
            _page(server, service, settings.web),
        ):
            kind = "tcp" if context is None else "tls"
            log_line(f"ready {kind}:{shown(*server.address)} data {settings.data}")
            await stop.wait()
    finally:
        await server.stop()
        log_line("stopped", err=True)


def _enter_plain(server: TmsServer, plain: list[PolledMeter], place: str) -> None:
    """Enter plain meters, without those that were removed and replaced: the list may be older."""
    replaced = server.replaced(plain)
    if replaced:
        why = "removed, with another meter in the place; tms polled add enters it all the same"
        tell(f"{place}: left out {first_of(replaced)}: {why}")
    gone = set(replaced)
    entered = [one for one in plain if one.esn not in gone]
    log_line(f"{server.import_polled(entered)} of {len(entered)} plain meters are new")


async def _follow(calendar: Calendar, clock: str) -> None:
    """Let the calendar follow the wall clock where that is set, or the computer has slept."""
    while True:
        await asyncio.sleep(FOLLOW_S)
        follow_wall(calendar, clock, wall_utc_us(), monotonic_us())


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None] | None) -> AsyncIterator[None]:
    """Let work without an end go on beside the server; None: there is none."""
    if work is None:
        yield
        return
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await ended(task)


@asynccontextmanager
async def _page(
    server: TmsServer, service: Service, address: tuple[str, int] | None
) -> AsyncIterator[None]:
    """Show the page, and tell where it is and who may log in."""
    if address is None:
        yield
        return
    from smartmeter.tms.users import Users
    from smartmeter.tms.web.site import Site

    site = Site(server, service)
    await site.start(*address)
    try:
        told = Users(server.store).first(os.environ)
        if told is not None:
            log_line(told)
        log_line(f"page http://{shown(address[0], site.port)}/")
        yield
    finally:
        await site.stop()


@asynccontextmanager
async def _reached(server: TmsServer, service: Service, settings: _Settings) -> AsyncIterator[None]:
    """Open what reaches the TMS beside its sockets, and its figures to Prometheus."""
    from smartmeter.tms.metrics import tms_families

    def use_bell(bell: Bell | None) -> None:
        server.head_end.waking.bell = bell

    async with (
        reached(server.listener, server, settings.tls, settings.reached_by, use_bell),
        serving_metrics(settings.metrics, lambda: tms_families(service)),
    ):
        yield
