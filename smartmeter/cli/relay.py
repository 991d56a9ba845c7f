"""``smartmeter relay run``: a C12.22 relay or master relay as a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmeter.base.address import host_port, shown
from smartmeter.cli.carriers import carrier_options, make_carriers
from smartmeter.cli.stopping import on_stop
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tls import tls_files, tls_options
from smartmeter.comms.carrier import Carrier, carrying
from smartmeter.comms.event_loop import run_server
from smartmeter.comms.listener import Listener
from smartmeter.comms.tls import TlsFiles

if TYPE_CHECKING:
    from protocols.c1222.keys import KeyRing


@click.group()
def command() -> None:
    """C12.22 relays."""


@command.command()
@click.option("--listen", default="127.0.0.1:1153", show_default=True, metavar="HOST:PORT")
@click.option("--title", default=".90", show_default=True, help="The relay's own ApTitle.")
@click.option("--upstream", metavar="tcp:HOST:PORT", help="The next relay, or the TMS.")
@click.option("--master", metavar="DOMAIN", help="Register nodes; titles are given below DOMAIN.")
@click.option("--data", metavar="DIR", help="Keep registrations in this folder.")
@click.option(
    "--keys", metavar="FILE", help="CSV esn,title,key,model: nodes of --master must have a key."
)
@tls_options
@carrier_options
def run(
    listen: str,
    title: str,
    upstream: str | None,
    master: str | None,
    data: str | None,
    keys: str | None,
    call: tuple[str, ...],
    mqtt: str | None,
    mqtt_user: str,
    sms: str | None,
    modem: str | None,
    multicast: bool,
    **tls: str | None,
) -> None:
    """Forward messages by title until told to stop (Ctrl-C).

    Without --master, registrations go upstream too.  A master relay keeps its
    list in --data, and forgets no registration that it has answered.
    """
    if (master is None) == (upstream is None):
        raise click.UsageError("give --upstream tcp:HOST:PORT, or --master DOMAIN for the top")
    if master is not None and data is None:
        raise click.UsageError("--master needs --data DIR: registrations must outlive a restart")
    if keys is not None and master is None:
        raise click.UsageError("--keys goes with --master: a plain relay registers nobody")
    ring = _ring(keys) if keys is not None else None
    host, port = host_port("--listen", listen, "127.0.0.1:1153")
    files = tls_files(**tls)

    def carriers(listener: Listener) -> list[Carrier]:
        return make_carriers(listener, files, call, mqtt, mqtt_user, sms, modem)

    run_server(_run(host, port, title, upstream, master, data, ring, files, carriers, multicast))


def _ring(name: str) -> KeyRing:
    from protocols.c1222.ap_title import ApTitle
    from protocols.c1222.keys import TitleKeys
    from smartmeter.tms.shipment import read_shipment

    ring = TitleKeys()
    for node in read_shipment(text_of("--keys", name), f"--keys {name}"):
        ring.add(ApTitle.parse(node.title), node.key)
    return ring


async def _run(
    host: str,
    port: int,
    title: str,
    upstream: str | None,
    master: str | None,
    data: str | None,
    keys: KeyRing | None,
    tls: TlsFiles,
    carriers: Callable[[Listener], list[Carrier]],
    multicast: bool,
) -> None:
    from protocols.c1222.ap_title import ApTitle
    from smartmeter.comms.relay_host import RelayHost

    stop = asyncio.Event()
    on_stop(stop.set)
    relay = RelayHost(
        ApTitle.parse(title),
        upstream,
        ApTitle.parse(master) if master is not None else None,
        Path(data) if data is not None else None,
        tls,
        listen_tls=tls.certificate is not None,
        keys=keys,
    )
    await relay.start(host, port)
    try:
        async with carrying(carriers(relay.listener), relay):
            real_host, real_port = relay.address
            if multicast:
                await relay.listener.listen_groups(real_port)
            kind = "tcp" if tls.certificate is None else "tls"
            click.echo(f"ready {kind}:{shown(real_host, real_port)} relay {title}")
            await stop.wait()
    finally:
        await relay.stop()
        told = ", ".join(f"{what} {count}" for what, count in sorted(relay.counts.items()))
        click.echo(f"stopped; {told or 'nothing passed'}", err=True)
