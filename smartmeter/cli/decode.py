"""``smartmeter decode``: octets to text, without a meter; one file each for what it decodes."""

from __future__ import annotations

import click

from smartmeter.cli.decode_diff import diff
from smartmeter.cli.decode_frame import frame
from smartmeter.cli.decode_table import table


@click.group()
def command() -> None:
    """Bytes to text, offline."""


command.add_command(table)
command.add_command(frame)
command.add_command(diff)
