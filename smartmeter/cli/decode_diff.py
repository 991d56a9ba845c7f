"""``smartmeter decode diff``: what changed between two images of a meter, in words."""

from __future__ import annotations

import json

import click

from ansi_tables.differences import differences
from smartmeter.cli.file_name import FILE_OR_INPUT, STANDARD_STREAM
from smartmeter.cli.image_file import read_image


@click.command()
@click.argument("old", type=FILE_OR_INPUT)
@click.argument("new", type=FILE_OR_INPUT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(old: str, new: str, as_json: bool) -> int:
    """Tell in words what differs between two images of a meter.

    OLD and NEW are JSON images, as clone makes them; one of them may be -, standard input.
    """
    if old == new == STANDARD_STREAM:
        raise click.UsageError("standard input is one image, not both")
    found = differences(read_image(old), read_image(new))
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
        return 0
    for one in found:
        click.echo(str(one))
    if not found:
        click.echo("no difference")
    return 0
