"""``smartmeter decode table`` and ``frame``: octets to text, without a meter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ansi_tables import (
    Snapshot,
    TableError,
    TruncatedTableError,
    definition,
    image_from_json,
    name_of,
)
from ansi_tables.rendering import listing, to_json_value
from smartmeter.cli.decode_frame import frame
from smartmeter.cli.read import table_number

MAX_FILE_OCTETS = 64 << 20


@click.group()
def command() -> None:
    """Bytes to text, offline."""


command.add_command(frame)


@command.command()
@click.argument("number", required=False)
@click.argument("hex_octets", metavar="[HEX]", required=False)
@click.option("--file", "file_name", type=click.Path(exists=True, dir_okay=False), help="Octets.")
@click.option("--image", type=click.Path(exists=True, dir_okay=False), help="A meter's JSON image.")
@click.option("--layout", "layout_only", is_flag=True, help="Where each field lies, no values.")
@click.option("--all", "all_tables", is_flag=True, help="Every table of the image.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table(
    number: str | None,
    hex_octets: str | None,
    file_name: str | None,
    image: str | None,
    layout_only: bool,
    all_tables: bool,
    as_json: bool,
) -> int:
    """Decode table NUMBER from HEX, from a file of octets, or from a meter's image.

    What ST-00 and the dimension tables say comes from --image.
    """
    images = image_from_json(_text(image))[0] if image else {}
    if all_tables:
        if not image:
            raise click.UsageError("--all needs --image FILE")
        wanted = sorted(images)
    elif number is None:
        raise click.UsageError("give the table's number, or --all with --image FILE")
    else:
        wanted = [table_number(number)]
        octets = _octets(hex_octets, file_name)
        if octets is not None:
            images[wanted[0]] = octets
        elif wanted[0] not in images and not layout_only:
            raise click.UsageError("give the octets: HEX, --file or an --image that holds them")
    tables = Snapshot(images)
    shown: dict[str, Any] = {}
    for each in wanted:
        shown[str(each)] = _decode(tables, each, layout_only, as_json)
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    return 1 if any("error" in value for value in shown.values()) else 0


def _text(file_name: str) -> str:
    if Path(file_name).stat().st_size > MAX_FILE_OCTETS:
        raise click.UsageError(f"{file_name}: larger than {MAX_FILE_OCTETS} octets")
    try:
        return Path(file_name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file_name}: no JSON text") from None


def _octets(hex_octets: str | None, file_name: str | None) -> bytes | None:
    if file_name is not None:
        if Path(file_name).stat().st_size > MAX_FILE_OCTETS:
            raise click.UsageError(f"{file_name}: larger than {MAX_FILE_OCTETS} octets")
        return Path(file_name).read_bytes()
    if hex_octets is None:
        return None
    try:
        return bytes.fromhex(hex_octets)
    except ValueError:
        raise click.UsageError("HEX: two hexadecimal digits an octet") from None


def _decode(tables: Snapshot, number: int, layout_only: bool, as_json: bool) -> dict[str, Any]:
    known = definition(number)
    name = known.name if known else name_of(number)
    try:
        layout = tables.layout(number)
        if layout_only:
            fields = [vars(field) for field in layout.listing()]
            if not as_json:
                _say_title(number, known.title if known else "unknown table", layout.size)
                for field in layout.listing():
                    click.echo(
                        f"{field.offset:6d}  {field.width:4d}  {field.path:44s}  {field.type_name}"
                    )
            return {"name": name, "size": layout.size, "layout": fields}
        value, trailing = layout.decode_with_trailing(tables.images[number])
    except TableError as error:
        hint = "; is it whole?" if isinstance(error, TruncatedTableError) else ""
        if not as_json:
            click.echo(f"{name_of(number)}: {error}{hint}", err=True)
        return {"name": name, "error": {"code": type(error).__name__, "text": f"{error}{hint}"}}
    if not as_json:
        _say_title(number, known.title if known else "unknown table", layout.size)
        for line in listing(layout, value):
            click.echo(line.rstrip())
        if trailing:
            click.echo(f"{len(trailing)} octets follow the table: {trailing.hex()}")
    shown = {"name": name, "hex": tables.images[number].hex(), "fields": to_json_value(value)}
    return shown | ({"trailing": trailing.hex()} if trailing else {})


def _say_title(number: int, title: str, size: int | None) -> None:
    octets = f", {size} octets" if size is not None else ""
    click.secho(f"{name_of(number)}  {title}{octets}", bold=True)
