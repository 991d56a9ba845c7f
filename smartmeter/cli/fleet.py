"""``smartmeter fleet``: a simulated fleet in virtual time, deterministic by seed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from smartmeter.base.clock import monotonic_us
from smartmeter.cli.fleet_serve import serve

MAX_METERS, MAX_DAYS = 100_000, 3660


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
@click.option("--quiet", is_flag=True, help="A world without faults.")
@click.option("--json", "as_json", is_flag=True, help="Print what it came to as one JSON object.")
@click.option("--trace", metavar="FILE", help="Write a line for each message and each fault.")
@click.pass_context
def command(
    context: click.Context,
    meters: int,
    days: int,
    seed: int,
    quiet: bool,
    as_json: bool,
    trace: str | None,
) -> None:
    """Run meters, modules, network and TMS in virtual time, with the seed's own faults."""
    if context.invoked_subcommand is not None:
        return
    from smartmeter.cli.demo import sentence
    from smartmeter.simulation.fleet import FleetFailure, FleetSettings, run_fleet

    settings = FleetSettings(meters, days, seed, faults=not quiet)
    with ExitStack() as stack:
        line = _trace_to(trace, stack)
        progress = stack.enter_context(
            Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
        )
        task = progress.add_task("days", total=days)
        try:
            count = run_fleet(
                settings, monotonic_us, line, lambda day: progress.update(task, completed=day)
            )
        except FleetFailure as failure:
            raise click.ClickException(str(failure)) from failure
    click.echo(count.json() if as_json else sentence(count))


command.add_command(serve)


def _trace_to(name: str | None, stack: ExitStack) -> Callable[[str], None]:
    if name is None:
        return lambda line: None
    try:
        file = Path(name).open("w", encoding="utf-8", newline="\n")  # noqa: SIM115 - the stack's
    except OSError as error:
        raise click.ClickException(f"--trace {name}: {error.strerror}; choose another") from error
    stack.enter_context(file)
    return lambda line: print(line, file=file)
