"""``smartmeter relay run``: a C12.22 relay or master relay as a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmeter.base.address import listening_place, shown
from smartmeter.base.errors import SettingsError
from smartmeter.cli.carriers import CarrierOptions, carrier_options, reached, tell
from smartmeter.cli.file_name import file_option, folder_option
from smartmeter.cli.log_line import log_line
from smartmeter.cli.metrics import metrics_option, serving_metrics
from smartmeter.cli.packages import need
from smartmeter.cli.segments import segment_option
from smartmeter.cli.state_folder import claim
from smartmeter.cli.stopping import on_stop
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tls import tls_files, tls_options
from smartmeter.comms.carrier import Bell
from smartmeter.comms.event_loop import run_server
from smartmeter.comms.way_finder import Ring

if TYPE_CHECKING:
    from protocols.c1222.keys import KeyRing
    from smartmeter.comms.metrics import Family
    from smartmeter.comms.relay_host import RelayHost

#: Nodes of one relay that are woken.
MAX_WOKEN = 100_000


@click.group()
def command() -> None:
    """C12.22 relays."""


@command.command()
@click.option("--listen", default="127.0.0.1:1153", show_default=True, metavar="HOST:PORT")
@click.option("--title", default=".90", show_default=True, help="The relay's own ApTitle.")
@click.option("--upstream", metavar="tcp:HOST:PORT", help="The next relay, or the TMS.")
@click.option("--master", metavar="DOMAIN", help="Register nodes; titles are given below DOMAIN.")
@folder_option(
    "--data", help="Keep registrations, or with --upstream the ways to nodes over UDP, here."
)
@file_option("--keys", help="CSV esn,title,key,model: nodes of --master must have a key.")
@file_option("--wake", help="CSV title,number: nodes that a short message wakes (--sms).")
@segment_option
@metrics_option
@tls_options
@carrier_options
def run(
    listen: str,
    title: str,
    upstream: str | None,
    master: str | None,
    data: str | None,
    keys: str | None,
    wake: str | None,
    segment: int | None,
    metrics: tuple[str, int] | None,
    reached_by: CarrierOptions,
    **tls: str | None,
) -> None:
    """Forward messages by title until told to stop (Ctrl-C).

    Without --master, registrations go upstream too.  A master relay keeps its
    list in --data, and forgets no registration that it has answered; another keeps
    there where it has heard the nodes over UDP, who do not notice a restart.  A node that
    has no connection is reached at the address that it registered, or woken.
    """
    _refuse_halves(upstream, master, data, keys, wake, reached_by)
    if metrics is not None:
        need("prometheus_client")
    from smartmeter.base.title import node_title
    from smartmeter.comms.bearers import check_address
    from smartmeter.comms.relay_host import RelayHost
    from smartmeter.comms.sockets import check_listening

    files = tls_files(**tls, dialled=(upstream, *reached_by.dialled), listens=True)
    address = listening_place("--listen", listen, "127.0.0.1:1153")
    numbers = _numbers(wake) if wake is not None else {}
    ring = _ring(keys) if keys is not None else None
    own = node_title("--title", title)
    domain = node_title("--master", master) if master is not None else None
    if upstream is not None:
        check_address(upstream)
    check_listening(("--listen", address), ("--metrics", metrics))
    if data is not None:
        claim(Path(data))
    relay = RelayHost(
        own,
        upstream,
        domain,
        Path(data) if data is not None else None,
        files,
        listen_tls=files.certificate is not None,
        segment_octets=segment,
        keys=ring,
        tell=tell,
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        def use_bell(bell: Bell | None) -> None:
            relay.finder.ring = Ring(bell, numbers) if bell is not None else None

        async with (
            reached(relay.listener, relay, files, reached_by, use_bell),
            serving_metrics(metrics, lambda: _families(relay)),
        ):
            yield

    kind = "tcp" if files.certificate is None else "tls"
    run_server(_run(relay, address, opened, kind))


def _refuse_halves(
    upstream: str | None,
    master: str | None,
    data: str | None,
    keys: str | None,
    wake: str | None,
    reached_by: CarrierOptions,
) -> None:
    """Refuse options that want another one, or stand against it."""
    if (master is None) == (upstream is None):
        raise click.UsageError("give --upstream tcp:HOST:PORT, or --master DOMAIN for the top")
    if master is not None and data is None:
        raise click.UsageError("--master needs --data DIR: registrations must outlive a restart")
    if keys is not None and master is None:
        raise click.UsageError("--keys goes with --master: a plain relay registers nobody")
    if wake is not None and reached_by.sms is None:
        raise click.UsageError("--wake needs the modem that sends the short messages: --sms PORT")


def _numbers(name: str) -> dict[tuple[int, ...], str]:
    """Read who is woken by which number; SettingsError names the line."""
    from protocols.c1222.ap_title import ApTitle
    from protocols.errors import LocalProtocolError
    from protocols.modem.pdu import is_number
    from smartmeter.tms.csv_list import read_rows

    found: dict[tuple[int, ...], str] = {}
    rows = read_rows(text_of("--wake", name), name, ["title", "number"], MAX_WOKEN)
    for place, (title, number) in rows:
        try:
            arcs = ApTitle.parse(title).absolute
        except LocalProtocolError as error:
            raise SettingsError(place, str(error), "mend the line") from None
        if not is_number(number):
            raise SettingsError(place, f"{number!r:.40} is no number", "write +15551234567")
        if arcs in found:
            raise SettingsError(place, f"{title} comes twice", "drop the line")
        found[arcs] = number
    return found


def _ring(name: str) -> KeyRing:
    from protocols.c1222.ap_title import ApTitle
    from protocols.c1222.keys import TitleKeys
    from smartmeter.tms.shipment import read_shipment

    ring = TitleKeys()
    for node in read_shipment(text_of("--keys", name), f"--keys {name}"):
        ring.add(ApTitle.parse(node.title), node.key)
    return ring


def _families(relay: RelayHost) -> list[Family]:
    from smartmeter.comms.metrics import Family, network_families

    known = Family("smartmeter_registrations", "Nodes on the list", [("", relay.registrations)])
    return [*network_families(relay.counts, len(relay.listener.paths)), known]


async def _run(
    relay: RelayHost,
    address: tuple[str, int],
    opened: Callable[[], AbstractAsyncContextManager[None]],
    kind: str,
) -> None:
    """Run a relay until told to stop; ``opened`` opens what reaches it beside its sockets."""
    stop = asyncio.Event()
    on_stop(stop.set)
    await relay.start(*address)
    try:
        async with opened():
            log_line(f"ready {kind}:{shown(*relay.address)} relay {relay.title}")
            await stop.wait()
    finally:
        await relay.stop()
        told = ", ".join(f"{what} {count}" for what, count in sorted(relay.counts.items()))
        log_line(f"stopped; {told or 'nothing passed'}", err=True)
