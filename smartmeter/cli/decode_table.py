"""``smartmeter decode table``: one table, its layout, or a whole meter, without the meter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import click

from ansi_tables import Snapshot, TableError
from ansi_tables.description import Member, member_path
from ansi_tables.rendering import width_of
from ansi_tables.words import member_meaning
from smartmeter.cli import meter_report
from smartmeter.cli.file_name import FILE_OR_INPUT, STANDARD_STREAM
from smartmeter.cli.image_file import read_image, read_octets, read_overrides
from smartmeter.cli.tables import (
    decoded_table,
    error_shown,
    table_name,
    table_number,
    table_title,
    value_lines,
)

#: Offset, width, name, type, condition and meaning of a field, as text.
_Line: TypeAlias = tuple[str, str, str, str, str, str]
#: The widest column of a layout's listing.
MAX_COLUMN = 64


@click.command()
@click.argument("number", required=False)
@click.argument("hex_octets", metavar="[HEX]", required=False)
@click.option("--file", "file_name", type=FILE_OR_INPUT, help="Octets.")
@click.option("--image", type=FILE_OR_INPUT, help="A meter's JSON image.")
@click.option("--layout", "layout_only", is_flag=True, help="Where each field lies, no values.")
@click.option("--all", "all_tables", is_flag=True, help="The whole meter of the image.")
@click.option("--override", metavar="TEXT", help="What to believe instead: 'ge-kv, edition=1'.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table(
    number: str | None,
    hex_octets: str | None,
    file_name: str | None,
    image: str | None,
    layout_only: bool,
    all_tables: bool,
    override: str | None,
    as_json: bool,
) -> int:
    """Decode a table, given as octets or in a meter's image.

    Its octets are HEX, those of --file, or those of --image at NUMBER.  What ST-00
    and the dimension tables say comes from --image.  --layout lists
    offset, width, name, type, condition and meaning of each field on that meter;
    --all prints the whole meter.  --override names ways of a maker, or an edition
    of the standard, that the tables do not declare; a wrong name lists all.
    The name - is standard input.
    """
    if file_name == image == STANDARD_STREAM:
        raise click.UsageError("standard input is the table (--file -) or the image, not both")
    overrides = read_overrides(override)
    tables = read_image(image, overrides) if image else Snapshot({}, overrides=overrides)
    if all_tables:
        if layout_only:
            raise click.UsageError("--layout is of one table, --all of the whole meter")
        if not image:
            raise click.UsageError("--all needs --image FILE")
        if number or file_name:
            raise click.UsageError("--all prints every table of the image; leave the number out")
        return _whole_meter(tables, as_json)
    if number is None:
        raise click.UsageError("give the table's number, or --all with --image FILE")
    wanted = table_number(number)
    octets = read_octets(hex_octets, file_name)
    if octets is not None:
        tables.images[wanted] = octets
    elif wanted not in tables and not layout_only:
        raise click.UsageError("give the octets: HEX, --file or an --image that holds them")
    if layout_only:
        shown = table_layout(tables, wanted)
        lines = _layout_lines(tables, wanted, shown)
    else:
        shown = decoded_table(tables, wanted)
        lines = value_lines(tables, wanted, shown)
    if as_json:
        click.echo(json.dumps({str(wanted): shown}, indent=1))
    elif "error" in shown:
        click.echo(f"smartmeter: {shown['error']['text']}", err=True)
    else:
        for line in lines:
            click.echo(line)
    return 1 if "error" in shown else 0


def _whole_meter(tables: Snapshot, as_json: bool) -> int:
    shown = {str(number): decoded_table(tables, number) for number in tables}
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    else:
        for line in meter_report.lines(tables):
            click.echo(line)
    for one in shown.values() if not as_json else ():
        if "error" in one:
            click.echo(f"smartmeter: {one['error']['text']}", err=True)
    return 1 if any("error" in one for one in shown.values()) else 0


def table_layout(tables: Snapshot, number: int) -> dict[str, Any]:
    """Give the layout of a table on a meter: fields, and members that this meter lacks."""
    try:
        layout, members = tables.layout(number), tables.members(number)
    except TableError as error:
        return {"name": table_name(number), "error": error_shown(number, error)}
    by_path = {member.path: member for member in members}
    fields = [
        {**vars(field), **_described(by_path.get(member_path(field.path)))}
        for field in layout.listing()
    ]
    absent = [
        {"path": member.path, "type_name": member.type_name, **_described(member)}
        for member in members
        if not member.present
    ] + [
        {"path": member.path, "type_name": member.type_name, "meaning": member.meaning}
        | {"condition": f"{member.counted_by} > 0"}
        for member in members
        if member.present and member.count == 0
    ]
    name = table_name(number)
    return {"name": name, "size": layout.size, "layout": fields, "absent": absent}


def _described(member: Member | None) -> dict[str, Any]:
    if member is None:
        return {"condition": "", "meaning": ""}
    bits = {"bits": {n: list(b) for n, b in member.bits.items()}} if member.bits else {}
    return {"condition": member.condition, "meaning": member.meaning, **bits}


def _layout_lines(tables: Snapshot, number: int, shown: dict[str, Any]) -> Iterator[str]:
    yield table_title(number, tables.layout(number).size)
    lines: list[_Line] = [("offset", "width", "name", "type", "condition", "meaning")]
    described: set[str] = set()
    for field in shown["layout"]:
        place = (str(field["offset"]), str(field["width"]))
        lines.append((*place, field["path"], field["type_name"], *_why(field)))
        where = member_path(field["path"])
        if where not in described:
            described.add(where)
            lines += _bit_lines(number, field.get("bits", {}))
    for member in shown["absent"]:
        lines.append(("-", "absent", member["path"], member["type_name"], *_why(member)))
    widths = [width_of((line[column] for line in lines), MAX_COLUMN) for column in range(5)]
    for line in lines:
        places = f"{line[0]:>{widths[0]}s}  {line[1]:>{widths[1]}s}"
        names = f"{line[2]:{widths[2]}s}  {line[3]:{widths[3]}s}"
        yield f"{places}  {names}  {line[4]:{widths[4]}s}  {line[5]}".rstrip()


def _why(field: dict[str, Any]) -> tuple[str, str]:
    return (f"if {field['condition']}" if field["condition"] else "", field["meaning"])


def _bit_lines(number: int, bits: dict[str, list[int]]) -> Iterator[_Line]:
    for name, (low, high) in bits.items():
        place = f"bit {low}" if low == high else f"bits {low}..{high}"
        yield ("", "", f"  {name}", place, "", member_meaning(number, name))
