"""``smartmeter tms run|upgrade``: the head-end as a process of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import click

from smartmeter.base.address import host_port, shown
from smartmeter.base.clock import monotonic_us, shared_calendar, wall_utc_us
from smartmeter.cli import tms_polled, tms_upgrade
from smartmeter.cli.carriers import carrier_options, make_carriers
from smartmeter.cli.metrics import metrics_option, serving_metrics
from smartmeter.cli.stopping import on_stop
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tls import tls_files, tls_options
from smartmeter.comms.carrier import Bell, Carrier, carrying
from smartmeter.comms.event_loop import run_server
from smartmeter.comms.listener import Listener
from smartmeter.comms.tls import TlsFiles, server_tls


@click.group()
def command() -> None:
    """The Transaction Management System."""


command.add_command(tms_upgrade.command)
command.add_command(tms_polled.command)


@command.command()
@click.option("--data", required=True, metavar="DIR", help="Folder of the database.")
@click.option("--listen", default="127.0.0.1:1153", show_default=True, metavar="HOST:PORT")
@click.option("--web", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT|off")
@click.option(
    "--shipment",
    metavar="FILE",
    help="CSV of SmartMeters: esn,title,key,model, and wake if short messages wake them.",
)
@click.option(
    "--poll",
    metavar="FILE",
    help="CSV of plain C12.18 meters to poll: esn,address,user_id,password,model.",
)
@click.option("--template", metavar="FILE", help="JSON of what to provision; without: the default.")
@click.option("--clock", default="", metavar="EPOCH,RATE", help="A calendar that runs faster.")
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
    metrics: str | None,
    call: tuple[str, ...],
    mqtt: str | None,
    mqtt_user: str,
    sms: str | None,
    modem: str | None,
    multicast: bool,
    **tls: str | None,
) -> None:
    """Run the TMS until told to stop (Ctrl-C)."""
    files = tls_files(**tls)

    def carriers(listener: Listener) -> list[Carrier]:
        return make_carriers(listener, files, call, mqtt, mqtt_user, sms, modem)

    entered, shown_at = (shipment, poll), (web, metrics)
    made = _run(Path(data), listen, shown_at, entered, template, clock, files, carriers, multicast)
    run_server(made)


async def _run(
    data: Path,
    listen: str,
    shown_at: tuple[str, str | None],
    entered: tuple[str | None, str | None],
    template: str | None,
    clock: str,
    tls: TlsFiles,
    carriers: Callable[[Listener], list[Carrier]],
    multicast: bool,
) -> None:
    from smartmeter.tms.metrics import tms_families
    from smartmeter.tms.polled import read_polled
    from smartmeter.tms.server import TmsServer
    from smartmeter.tms.service import Service
    from smartmeter.tms.shipment import read_shipment
    from smartmeter.tms.template import make_template, read_template

    stop = asyncio.Event()
    on_stop(stop.set)
    shipment, poll = entered
    web, metrics = shown_at
    host, port = host_port("--listen", listen, "127.0.0.1:1153")
    chosen = read_template(text_of("--template", template)) if template else make_template()
    shipped = read_shipment(text_of("--shipment", shipment), shipment) if shipment else []
    plain = read_polled(text_of("--poll", poll), poll) if poll else []
    calendar = shared_calendar(clock, wall_utc_us(), monotonic_us())
    server = TmsServer(data, calendar, chosen)
    context = server_tls(tls) if tls.certificate is not None else None
    await server.start(host, port, context)
    site = None
    try:
        if shipped:
            click.echo(f"{server.import_shipment(shipped)} of {len(shipped)} SmartMeters are new")
        if plain:
            click.echo(f"{server.import_polled(plain)} of {len(plain)} plain meters are new")
        if web != "off":
            from smartmeter.tms.users import Users
            from smartmeter.tms.web.site import Site

            web_host, web_port = host_port("--web", web, "127.0.0.1:8080, or off")
            told = Users(server.store).first(os.environ)
            if told is not None:
                click.echo(told)
            site = Site(server)
            await site.start(web_host, web_port)
            click.echo(f"page http://{shown(web_host, site.port)}/")
        made = carriers(server.listener)
        bells = [one for one in made if isinstance(one, Bell)]
        server.head_end.waking.bell = bells[0] if bells else None
        service = Service(server)
        telling = serving_metrics(metrics, lambda: tms_families(service))
        async with carrying(made, server), telling:
            real_host, real_port = server.address
            if multicast:
                await server.listener.listen_groups(real_port)
            kind = "tcp" if context is None else "tls"
            click.echo(f"ready {kind}:{shown(real_host, real_port)} data {data}")
            await stop.wait()
    finally:
        if site is not None:
            await site.stop()
        await server.stop()
        click.echo("stopped", err=True)
