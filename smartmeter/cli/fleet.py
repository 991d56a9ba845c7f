"""``smartmeter fleet``: a simulated fleet in virtual time, deterministic by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace

import click

from protocols.transports.capture import active
from smartmeter.cli.file_name import NAME_OR_OUTPUT, STANDARD_STREAM, file_option
from smartmeter.cli.fleet_serve import serve
from smartmeter.cli.given import refuse_given, refuse_others
from smartmeter.cli.terminal import CountedProgress
from smartmeter.cli.text_file import filling
from smartmeter.network.link import LinkSettings

MAX_METERS, MAX_DAYS, MAX_RELAYS = 100_000, 3660, 1000
LINK_NAMES = tuple(one.name for one in fields(LinkSettings))
MAX_PERCENT, MAX_DIGITS = 90, 12


@click.group(invoke_without_command=True)
@click.option("--meters", default=10, show_default=True, type=click.IntRange(1, MAX_METERS))
@click.option("--days", default=2, show_default=True, type=click.IntRange(1, MAX_DAYS))
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, (1 << 63) - 1),
    help="Which fleet and which faults.",
)
@click.option(
    "--relays",
    default=0,
    show_default=True,
    type=click.IntRange(0, MAX_RELAYS),
    help="Relays between, each with its share of the meters.",
)
@click.option(
    "--link",
    "link",
    multiple=True,
    metavar="NAME=NUMBER",
    help=f"How bad each meter's link is: {', '.join(LINK_NAMES)}.",
)
@click.option("--backhaul", multiple=True, metavar="NAME=NUMBER", help="The same of relays' links.")
@file_option(
    "--dot",
    type=NAME_OR_OUTPUT,
    help="Draw the network for Graphviz, and run nothing; - is standard output.",
)
@click.option("--quiet", is_flag=True, help="A world without faults.")
@click.option("--json", "as_json", is_flag=True, help="Print what it came to as one JSON object.")
@file_option("--trace", help="Write a line for each message and each fault.")
@click.pass_context
def command(
    context: click.Context,
    meters: int,
    days: int,
    seed: int,
    relays: int,
    link: tuple[str, ...],
    backhaul: tuple[str, ...],
    dot: str | None,
    quiet: bool,
    as_json: bool,
    trace: str | None,
) -> None:
    """Run meters, modules, network and TMS in virtual time, with the seed's own faults."""
    if context.invoked_subcommand is not None:
        refuse_others(("pcap",), "is not for serve, whose options follow it")
        return
    from smartmeter.cli.demo import sentence
    from smartmeter.simulation.fleet import Fleet, FleetFailure, FleetSettings, run_fleet

    if backhaul and not relays:
        raise click.UsageError("--backhaul: there are no relays; give --relays")
    if dot is not None:
        refuse_given(("as_json", "trace", "pcap"), "is of a run, and --dot runs nothing")
    settings = FleetSettings(meters, days, seed, faults=not quiet, relays=relays)
    settings = replace(
        settings,
        link=_changed(settings.link, "--link", link),
        backhaul=_changed(settings.backhaul, "--backhaul", backhaul),
    )
    if dot is not None:
        _draw(dot, Fleet(settings).topology().dot(f"fleet of {meters}, seed {seed}"))
        return
    with ExitStack() as stack:
        line = stack.enter_context(_trace_to(trace))
        progress = stack.enter_context(CountedProgress("days", days))
        try:
            count = run_fleet(settings, line, progress.reach, active())
        except FleetFailure as failure:
            if as_json:
                click.echo(failure.count.json())
            raise click.ClickException(str(failure)) from failure
    click.echo(count.json() if as_json else sentence(count))


command.add_command(serve)


def _changed(link: LinkSettings, option: str, changes: tuple[str, ...]) -> LinkSettings:
    """Give a link with what the command line says of it."""
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in LINK_NAMES or not text.isdecimal() or len(text) > MAX_DIGITS:
            raise click.UsageError(
                f"{option} {change}: write one of {', '.join(LINK_NAMES)} with a whole number,"
                " loss_percent=10"
            )
        if name.endswith("_percent") and int(text) > MAX_PERCENT:
            raise click.UsageError(f"{option} {change}: at most {MAX_PERCENT} of a hundred")
        values[name] = int(text)
    changed = replace(link, **values)
    period_us, open_us = changed.duty_period_us, changed.duty_open_us
    if (period_us or open_us) and not 0 < open_us <= period_us:
        raise click.UsageError(f"{option}: duty_open_us is 1 to duty_period_us")
    if changed.queue_octets and not changed.rate_bps:
        raise click.UsageError(
            f"{option}: queue_octets needs rate_bps: nothing queues where nothing is slow"
        )
    return changed


def _draw(name: str, text: str) -> None:
    if name == STANDARD_STREAM:
        click.echo(text, nl=False)
        return
    with filling("--dot", name) as file:
        file.write(text)


@contextmanager
def _trace_to(name: str | None) -> Iterator[Callable[[str], None]]:
    """Give what takes the lines of a trace while a fleet runs."""
    if name is None:
        yield lambda line: None
        return
    with filling("--trace", name) as file:
        yield lambda line: print(line, file=file)
