"""``smartmeter tms retire|return``: meters of a running TMS out of service, and into it again."""

from __future__ import annotations

from urllib.parse import quote

import click

from smartmeter.cli.tms_client import TmsClient, client_options


@click.command()
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@click.option("--replaced-by", default="", metavar="ESN", help="The known meter in its place.")
@client_options
def retire(esns: tuple[str, ...], replaced_by: str, url: str, user: str) -> None:
    """Take meters out of service: nothing is due of them, nothing asked, nothing taken from them.

    What they sent stays, and is exported.  A SmartMeter that goes on sending is answered that it
    may not, and keeps what it has for the day on which it is brought back.
    """
    if replaced_by and len(esns) > 1:
        raise click.UsageError("--replaced-by takes the place of one meter")
    client = TmsClient(url, user)
    for esn in esns:
        client.post(f"/api/meters/{quote(esn, safe='')}/retire", {"replaced_by": replaced_by})
        click.echo(f"{esn} is retired")


@click.command(name="return")
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@client_options
def bring_back(esns: tuple[str, ...], url: str, user: str) -> None:
    """Put retired meters into service again."""
    client = TmsClient(url, user)
    for esn in esns:
        client.post(f"/api/meters/{quote(esn, safe='')}/return", {})
        click.echo(f"{esn} is in service")
