"""The option of a calendar that meter, gateway and TMS share, and that may run faster."""

from __future__ import annotations

import click

from smartmeter.cli.given import not_empty

clock_option = click.option(
    "--clock",
    default="",
    callback=not_empty,
    metavar="EPOCH,RATE",
    help="A calendar that runs faster.",
)
