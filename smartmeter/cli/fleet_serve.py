"""``smartmeter fleet serve``: simulated meters for a head-end that is not ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from protocols.c1222.native_address import DEFAULT_PORT
from smartmeter.base.address import listening_place, shown
from smartmeter.base.clock import Calendar, monotonic_us, shared_calendar, wall_utc_us
from smartmeter.base.errors import SettingsError, told_as
from smartmeter.base.file import write_new
from smartmeter.cli.fast_calendar import clock_option
from smartmeter.cli.file_name import NAME, file_option, folder_option
from smartmeter.cli.given import refuse_given
from smartmeter.cli.log_line import log_line
from smartmeter.cli.segments import segment_option
from smartmeter.cli.state_folder import claim
from smartmeter.cli.stopping import on_stop
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tls import tls_files, tls_options
from smartmeter.comms.event_loop import allow_sockets, ended
from smartmeter.comms.sockets import check_listening
from smartmeter.comms.tls import server_tls
from smartmeter.ssi.states import ErrorCode

if TYPE_CHECKING:
    from smartmeter.base.nvram import Nvram
    from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings
    from smartmeter.tms.shipment import Shipped
    from smartmeter.tms.template import Template

MAX_COUNT = 10_000
LISTEN_EXAMPLE = "127.0.0.1:1153"
#: When nobody has answered by then, it is said.
PATIENCE_S = 5.0
#: Meters that are named for one cause.
MAX_NAMED = 5


@click.command()
@click.option(
    "--count", default=10, show_default=True, type=click.IntRange(1, MAX_COUNT), help="How many."
)
@click.option(
    "--connect",
    required=True,
    metavar="HOST[:PORT]",
    help="The head-end; also tcp:, tls: or udp: before it.  Port 1153 if left out.",
)
@file_option(
    "--keys",
    required=True,
    help="CSV esn,title,key,model of the meters; made from --seed if it is not there.",
)
@click.option(
    "--listen", metavar="HOST:PORT", help="Reach the meters here, by their titles (TCP and UDP)."
)
@click.option("--control", metavar="HOST:PORT", help="HTTP interface to break them (OpenAPI).")
@click.option("--plain", is_flag=True, help="Plain C12.22 meters: no SSI module.")
@click.option(
    "--register",
    type=click.Choice(["secured", "clear", "off"]),
    default="secured",
    show_default=True,
    help="How plain meters register.",
)
@click.option(
    "--notify",
    default=15,
    show_default=True,
    type=click.IntRange(0, 1440),
    help="Minutes between notifications of a plain meter; 0: none.",
)
@click.option("--profile", default="residential", show_default=True, help="A kind of device.")
@click.option(
    "--template",
    metavar="FILE|default",
    type=NAME,
    help="The modules come provisioned with this (as tms run --template); without: with nothing.",
)
@click.option("--host-title", default=".1", show_default=True, help="The head-end's ApTitle.")
@click.option("--seed", default=1, show_default=True, help="Which households, and which chance.")
@folder_option("--state", help="Keep the meters' non-volatile memories here.")
@clock_option
@segment_option
@tls_options
def serve(
    count: int,
    connect: str,
    keys: str,
    listen: str | None,
    control: str | None,
    plain: bool,
    register: str,
    notify: int,
    profile: str,
    template: str | None,
    host_title: str,
    seed: int,
    state: str | None,
    clock: str,
    segment: int | None,
    **tls: str | None,
) -> None:
    """Let meters report to a head-end of any make.

    It goes on until told to stop (Ctrl-C).  Each meter opens its own connection, registers and
    reports; what they send is in docs/reports.rst.
    """
    from smartmeter.base.title import node_title
    from smartmeter.cli.control_http import control_place
    from smartmeter.comms.bearer import BearerSettings
    from smartmeter.meter.profiles import profile_named
    from smartmeter.simulation.plain_meter import Registering
    from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings

    if plain:
        refuse_given(("template",), "is for SSI modules, which --plain leaves out")
    else:
        refuse_given(("register", "notify"), "is for plain meters: give --plain, too")
    files = tls_files(**tls, dialled=(connect,), listens=listen is not None)
    node_title("--host-title", host_title)
    profile_named(profile, seed)
    settings = ServedSettings(
        BearerSettings("head-end", _address(connect), tls=files, segment_octets=segment),
        host_title,
        seed,
        plain,
        Registering(register),
        notify,
        profile,
        _template(template),
    )

    def new_calendar() -> Calendar:
        return shared_calendar(clock, wall_utc_us(), monotonic_us())

    # What is wrong of these is said before a key file is made.
    new_calendar()
    own = listening_place("--listen", listen, LISTEN_EXAMPLE) if listen is not None else None
    breaking = control_place(control) if control is not None else None
    check_listening(("--listen", own), ("--control", breaking))
    context = server_tls(files) if files.certificate is not None else None
    shipped = _keys(Path(keys), count, settings)
    memories = _memories(Path(state)) if state is not None else None
    fleet = ServedFleet(shipped, settings, new_calendar, memories)
    asyncio.run(_run(fleet, settings, listen, control, context))


def _address(text: str) -> str:
    """Give a bearer's address; click.UsageError when it is none."""
    from smartmeter.comms.bearer import ip_address

    kind, colon, rest = text.partition(":")
    if colon and kind in ("mqtt", "mqtts"):
        return text  # checked with all others when its bearer is made
    if kind not in ("tcp", "tls", "udp") or not colon:
        kind, rest = "tcp", text
    bare = rest.rpartition("]")[2] if rest.startswith("[") else rest
    address = f"{kind}:{rest}" if ":" in bare else f"{kind}:{rest}:{DEFAULT_PORT}"
    try:
        ip_address(address)
    except SettingsError as error:
        raise click.UsageError(f"--connect {text}: write HOST:PORT, 192.0.2.1:1153") from error
    return address


def _template(name: str | None) -> Template | None:
    from smartmeter.tms.template import make_template, read_template

    if name is None:
        return None
    if name == "default":
        return make_template()
    return read_template(text_of("--template", name), f"--template {name}")


def _keys(path: Path, count: int, settings: ServedSettings) -> list[Shipped]:
    """Read the key file, or make it: readable by its owner only."""
    from smartmeter.simulation.fleet_keys import key_text, made_keys, read_keys

    if path.exists():
        return read_keys(text_of("--keys", str(path)), f"--keys {path}", count)
    made = made_keys(count, settings.seed, settings.plain)
    with told_as(SettingsError, f"--keys {path}", "choose another"):
        write_new(path, key_text(made).encode())
    click.echo(f"made {path}: give these keys to the head-end", err=True)
    return made


def _memories(folder: Path) -> Callable[[str], tuple[Nvram, Nvram]]:
    """Give where each meter keeps its two memories; only who serves the fleet may read them."""
    from smartmeter.gateway.flash_file import FlashFile, WriteBudget

    claim(folder)

    def of(esn: str) -> tuple[Nvram, Nvram]:
        names = f"{esn}.module", f"{esn}.meter"
        module, meter = (
            FlashFile(folder / name, budget=WriteBudget(monotonic_us)) for name in names
        )
        return module, meter

    return of


async def _run(
    fleet: ServedFleet,
    settings: ServedSettings,
    listen: str | None,
    control: str | None,
    context: ssl.SSLContext | None,
) -> None:
    from smartmeter.cli.control_http import controlled
    from smartmeter.simulation.fleet_control import FleetControl

    allow_sockets()
    stop = asyncio.Event()
    on_stop(stop.set)
    told = [f"ready {settings.connect.address} {len(fleet.members)} meters"]
    async with AsyncExitStack() as stack:
        if listen is not None:
            host, port = listening_place("--listen", listen, LISTEN_EXAMPLE)
            await fleet.listen(host, port, context)
            real_host, real_port = fleet.listener.tcp_address
            told.append(f"listen {'tls' if context else 'tcp'}:{shown(real_host, real_port)}")
        if control is not None:
            actions = FleetControl(fleet.members, fleet.network_events)
            url = await stack.enter_async_context(controlled(actions, control))
            told.append(f"control {url}")
        running = asyncio.create_task(fleet.run())
        patience = asyncio.create_task(_tell_when_nobody_answers(fleet, settings))
        hindrances = asyncio.create_task(tell_hindrances(fleet))
        log_line("; ".join(told))
        await stop.wait()
        await ended(patience, hindrances, running)
    log_line("stopped", err=True)


async def _tell_when_nobody_answers(fleet: ServedFleet, settings: ServedSettings) -> None:
    await asyncio.sleep(PATIENCE_S)
    if not any(member.line.counts["in"] for member in fleet.members):
        [bearer] = fleet.members[0].host.bearers()
        why = f" ({bearer['fault']})" if bearer["fault"] else ""
        log_line(
            f"{settings.connect.address}: nobody has answered yet{why}; is the head-end listening,"
            " and does it know the keys?  The meters go on trying",
            err=True,
        )


async def tell_hindrances(fleet: ServedFleet) -> None:
    """Say once of each meter why its module waits for it; of many together by cause."""
    told: set[str] = set()
    while True:
        await asyncio.sleep(PATIENCE_S)
        by_cause: dict[str, list[str]] = {}
        for member in fleet.members:
            if member.hindrance and member.shipped.esn not in told:
                told.add(member.shipped.esn)
                by_cause.setdefault(member.hindrance, []).append(member.shipped.esn)
        for cause, esns in by_cause.items():
            more = f" and {len(esns) - MAX_NAMED} more" if len(esns) > MAX_NAMED else ""
            log_line(
                f"{', '.join(esns[:MAX_NAMED])}{more}: the module waits for its meter and reports"
                f" nothing (error {ErrorCode.CONFIGURATION_FAILED}): {cause}; another --seed or"
                " --profile makes another meter",
                err=True,
            )
