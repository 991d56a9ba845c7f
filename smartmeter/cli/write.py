"""``smartmeter write``: a table or a part of it, shown before and read back after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ansi_tables import TableError, definition, name_of
from ansi_tables.procedures import INITIATE
from protocols.errors import ProtocolError, ServiceRefused
from smartmeter.base.file import read_file
from smartmeter.cli.consent import agree
from smartmeter.cli.file_name import FILE_THERE
from smartmeter.cli.given import not_empty
from smartmeter.cli.members import set_members
from smartmeter.cli.meter_line import MeterLine, RemoteMeter, remote_options, warn_of_password
from smartmeter.cli.read import read_tables
from smartmeter.cli.tables import table_number

MAX_FILE_OCTETS = 1 << 24
#: Security tables: a mistake locks people out, so the serial number is asked for.
GRAVE_TABLES = frozenset((42, 43, 44, 45))
#: Octets of a table that one line shows.
SHOWN_OCTETS = 48


@click.command()
@click.argument("port")
@click.argument("table")
@click.argument("hex_octets", metavar="[HEX]", required=False)
@click.option("--file", "file_name", type=FILE_THERE, help="Octets.")
@click.option("--set", "members", multiple=True, metavar="PATH=VALUE", help="One element.")
@click.option("--offset", type=int, help="Write only the octets from here on.")
@click.option("--yes", is_flag=True, help="Ask nothing: for scripts.")
@click.option("--serial-number", default="", callback=not_empty, help="Write to this meter only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@remote_options
def command(
    port: str,
    table: str,
    hex_octets: str | None,
    file_name: str | None,
    members: tuple[str, ...],
    offset: int | None,
    yes: bool,
    serial_number: str,
    as_json: bool,
    **line: Any,
) -> int:
    """Write TABLE of the meter at PORT: HEX, the octets of a file, or elements by --set.

    Shows what will be sent and asks; then reads back what the meter holds.
    PORT is what ``smartmeter read`` takes, c1222://HOST[:PORT]/APTITLE too.
    """
    number = table_number(table)
    if number == INITIATE:
        raise click.UsageError("ST-07 starts procedures: use smartmeter procedure")
    if [hex_octets, file_name, members or None].count(None) != 2:
        raise click.UsageError("give one of HEX, --file FILE and --set PATH=VALUE")
    if offset is not None and (members or not 0 <= offset < 1 << 24):
        raise click.UsageError("--offset is 0 to 16777215, and goes with HEX or --file")
    given = given_octets(hex_octets, file_name)
    change = Change(number, given, members, offset)
    with MeterLine(port, **line).meter() as meter:
        warn_of_password(meter)
        return write_agreed(meter, change, yes=yes, expected=serial_number, as_json=as_json)


@dataclass(frozen=True)
class Change:
    """What is to be written: octets, or elements by name where ``octets`` is None."""

    number: int
    octets: bytes | None
    members: tuple[str, ...] = ()
    offset: int | None = None


def write_agreed(
    meter: RemoteMeter, change: Change, *, yes: bool, expected: str = "", as_json: bool = False
) -> int:
    """Show a change, let a person agree, write it and read it back; give the exit status."""
    number, offset = change.number, change.offset
    old = _read_back(meter, number)
    data = change.octets or _changed(meter, number, change.members)
    _show(number, old, data, offset)
    agree(meter, "Write this?", grave=number in GRAVE_TABLES, expected=expected, yes=yes)
    if offset is None:
        meter.write(number, data)
    else:
        meter.write_part(number, offset, data)
    return _verify(meter, number, data, offset or 0, as_json)


def given_octets(hex_octets: str | None, file_name: str | None = None) -> bytes | None:
    """Give the octets of HEX or of a file, None for neither; UsageError when they are none."""
    if file_name is not None:
        data = read_file(Path(file_name), MAX_FILE_OCTETS)
    elif hex_octets is not None:
        try:
            data = bytes.fromhex(hex_octets)
        except ValueError:
            raise click.UsageError("HEX: two hexadecimal digits an octet") from None
    else:
        return None
    if not data:
        raise click.UsageError("nothing to write: no octets")
    return data


def _read_back(meter: RemoteMeter, number: int) -> bytes | None:
    try:
        return meter.read(number)
    except ServiceRefused:
        return None


def _changed(meter: RemoteMeter, number: int, members: tuple[str, ...]) -> bytes:
    """Give the table with elements replaced."""
    found = read_tables(meter, [number])
    if number not in found.snapshot.images:
        raise click.ClickException(f"{name_of(number)} cannot be read, so give all its octets")
    try:
        layout, value = found.snapshot.layout(number), found.snapshot[number]
    except TableError as error:
        raise click.ClickException(str(error)) from error
    try:
        return layout.encode(set_members(value, members))
    except TableError as error:
        raise click.UsageError(str(error)) from error


def _show(number: int, old: bytes | None, data: bytes, offset: int | None) -> None:
    known = definition(number)
    at = offset or 0
    part = f" from octet {at} on" if offset is not None else ""
    title = known.title if known else "unknown table"
    click.echo(f"{name_of(number)}  {title}: {len(data)} octets{part}", err=True)
    now = "cannot be read" if old is None else _short(old[at : at + len(data)])
    click.echo(f"  now      {now}", err=True)
    click.echo(f"  will be  {_short(data)}", err=True)
    if old is not None and offset is None and len(old) != len(data):
        click.echo(f"  the meter's table has {len(old)} octets, not {len(data)}", err=True)


def _short(data: bytes) -> str:
    shown = data[:SHOWN_OCTETS].hex(" ")
    return f"{shown} ..." if len(data) > SHOWN_OCTETS else shown


def _verify(meter: RemoteMeter, number: int, data: bytes, at: int, as_json: bool) -> int:
    """Compare what the meter holds with what was sent; give the exit status.

    A line that fails now takes nothing back of what the meter has accepted.
    """
    held, fault = None, "the table cannot be read back"
    try:
        held = _read_back(meter, number)
    except ProtocolError as error:
        fault = f"the table could not be read back: {error}"
    verified = None if held is None else held[at : at + len(data)] == data
    if as_json:
        shown = {"table": number, "written": len(data), "verified": verified}
        click.echo(json.dumps(shown))
    elif verified is None:
        click.echo(f"{len(data)} octets were accepted; {fault}")
    elif verified:
        click.echo(f"{len(data)} octets written, and read back the same")
    else:
        click.echo("the meter accepted the write and holds other octets: read the table", err=True)
    return 1 if verified is False else 0
