"""``smartmeter read``: tables of a meter, decoded, for a person or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from ansi_tables import Snapshot, definition, name_of
from ansi_tables.meaning.notes import TOLD_BY
from protocols.errors import RemoteProtocolError, ServiceRefused, Unanswered
from protocols.transports.port import Port
from protocols.transports.pump import monotonic_us
from smartmeter.cli import overview
from smartmeter.cli.file_name import FILE
from smartmeter.cli.meter_line import MeterLine, RemoteMeter, remote_options, warn_of_password
from smartmeter.cli.tables import decoded_table, table_number, table_title, value_lines
from smartmeter.cli.terminal import ReadingProgress
from smartmeter.cli.text_file import filling
from smartmeter.meter.moving_table import read_steady

#: Tables of every meter, whether ST-00 lists them or not.
ALWAYS = (0, 1)


@click.command()
@click.argument("port")
@click.argument("tables", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@remote_options
@click.option("--record", type=FILE, help="Write all bytes to this file, passwords too.")
def command(
    port: str, tables: tuple[str, ...], as_json: bool, record: str | None, **line: Any
) -> int:
    """Read TABLES (23, ST-23, MT-5 …) of the meter at PORT.

    PORT is a device, tcp:HOST:PORT, any URL that pyserial knows, sim: (or
    sim:PROFILE) for a simulated meter, or c1222://HOST[:PORT]/APTITLE for one on the network
    (c1222+udp:// over UDP, c1222+tls:// inside TLS).
    Without TABLES an overview is printed.  The password comes from a file (an empty one:
    blanks), a prompt or the variable SMARTMETER_PASSWORD (an empty one: none), keys of the
    network from a file or SMARTMETER_C1222_KEYS.
    """
    numbers = [table_number(text) for text in tables]
    meter_line = MeterLine(port, **line)
    if record and meter_line.is_network:
        raise click.UsageError("--record is for a port; a network is captured with --pcap FILE")
    with ExitStack() as stack:
        if record:
            meter_line.wrap = _recorder(record, stack)
        meter = stack.enter_context(meter_line.meter())
        progress = stack.enter_context(ReadingProgress())
        warn_of_password(meter)
        wanted = numbers or list(overview.TABLES)
        found = read_tables(meter, wanted, not numbers, progress, faults_end_it=False)
        if not as_json:
            add_meaning(meter, found)
    if as_json:
        click.echo(json.dumps({str(n): found.as_json(n) for n in found.wanted}, indent=1))
    elif not numbers:
        refused = {number: error.name for number, error in found.refused.items()}
        for row in overview.lines(found.snapshot, refused, datetime.now(UTC)):
            click.echo(row)
        for number in found.faulty:
            click.echo(f"wrong      {found.as_json(number)['error']['text']}")
        return 1 if found.snapshot.get(0) is None else 0
    else:
        for number in found.wanted:
            print_table(found, number)
    failed = any("error" in found.as_json(number) for number in found.wanted)
    return 1 if failed and numbers else 0


def _recorder(name: str, stack: ExitStack) -> Callable[[Port], Port]:
    """Give what records the ports that open into one file, made and emptied by the first."""
    from protocols.transports.recording import RecordingPort

    made: list[TextIO] = []

    def recorded(inner: Port) -> Port:
        if not made:
            made.append(stack.enter_context(filling("--record", name, private=True)))
        return RecordingPort(inner, made[0], monotonic_us)

    return recorded


class Found:
    """What was read: images, refusals, answers that are none, and the tables asked for."""

    def __init__(self, wanted: list[int], faults_end_it: bool) -> None:
        self.wanted, self.faults_end_it = wanted, faults_end_it
        self.snapshot = Snapshot({})
        self.refused: dict[int, ServiceRefused] = {}
        self.faulty: dict[int, RemoteProtocolError | Unanswered] = {}

    def as_json(self, number: int) -> dict[str, Any]:
        """Give one table as JSON shows it; never raises for what a meter may send."""
        refusal = self.refused.get(number)
        if refusal is not None:
            return {"error": {"code": refusal.name, "text": str(refusal)}}
        fault = self.faulty.get(number)
        if fault is not None:
            of = "" if "of table" in str(fault) else f"{name_of(number)}: "
            return {"error": {"code": type(fault).__name__, "text": f"{of}{fault}"}}
        return decoded_table(self.snapshot, number)


def read_tables(
    meter: RemoteMeter,
    wanted: list[int],
    only_listed: bool = False,
    progress: ReadingProgress | None = None,
    *,
    faults_end_it: bool = True,
) -> Found:
    """Read tables, and those that they need to be understood; refusals are kept, not raised.

    With ``only_listed``, tables that ST-00 does not list are left out, but for ALWAYS.  An
    answer that makes no sense, or does not come, is raised, or else kept too: the others are read.
    """
    found = Found(wanted, faults_end_it)
    _fetch(meter, found, 0, progress)
    general = found.snapshot.get(0) if only_listed else None
    if general is not None:
        found.wanted = [n for n in wanted if n in general.STD_TBLS_USED or n in ALWAYS]
    for number in found.wanted:
        known = definition(number)
        for needed in known.needs if known else ():
            _fetch(meter, found, needed, progress)
        _fetch(meter, found, number, progress)
    return found


def add_meaning(meter: RemoteMeter, found: Found) -> None:
    """Read what tells a person of units and times, as far as the meter has it and shows it."""
    general = found.snapshot.get(0)
    for number in found.wanted if general is not None else ():
        for telling in TOLD_BY.get(number, ()):
            if general is not None and telling in general.STD_TBLS_USED:
                _fetch(meter, found, telling)


def _fetch(
    meter: RemoteMeter, found: Found, number: int, progress: ReadingProgress | None = None
) -> None:
    """Read one table, once; a refusal is kept, and a fault if it does not end all."""
    if number in found.snapshot.images or number in found.refused or number in found.faulty:
        return
    try:
        follow = progress.of(number) if progress is not None else None
        _, steady = read_steady(meter, found.snapshot, number, follow)
        if not steady:
            fault = "moved each time that it was read: parts of it may not fit together"
            click.echo(f"{name_of(number)} {fault}", err=True)
    except ServiceRefused as error:
        found.refused[number] = error
    except (RemoteProtocolError, Unanswered) as error:
        if found.faults_end_it:
            raise
        found.faulty[number] = error


def print_table(found: Found, number: int) -> None:
    """Print one table for a person."""
    shown = found.as_json(number)
    if "error" in shown:
        click.echo(table_title(number, None))
        click.echo(f"  {shown['error']['text']}")
        return
    for line in value_lines(found.snapshot, number, shown):
        click.echo(line)
