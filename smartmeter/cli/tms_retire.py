"""``smartmeter tms retire|replace|return``: meters of a running TMS out of service, and back."""

from __future__ import annotations

from urllib.parse import quote

import click

from smartmeter.base.instant import utc_second
from smartmeter.cli.given import not_empty
from smartmeter.cli.tms_client import TmsClient, client_options, for_each


@click.command()
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@click.option(
    "--replaced-by",
    default="",
    callback=not_empty,
    metavar="ESN",
    help="The known meter in its place.",
)
@client_options
def retire(esns: tuple[str, ...], replaced_by: str, url: str, user: str) -> None:
    """Take meters out of service.

    Nothing is due of them, nothing asked, nothing taken from them.  What they sent stays, and is
    exported.  A SmartMeter that goes on sending is answered that it may not, and keeps what it has
    for the day on which it is brought back.
    """
    if replaced_by and len(esns) > 1:
        raise click.UsageError("--replaced-by takes the place of one meter")
    client = TmsClient(url, user)

    def act(esn: str) -> str:
        client.post(f"/api/meters/{quote(esn, safe='')}/retire", {"replaced_by": replaced_by})
        return f"{esn} is retired"

    for_each(esns, act)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--at",
    default="",
    callback=not_empty,
    metavar="TIME",
    help="When it was done, UTC; without: now.",
)
@client_options
def replace(old: str, new: str, at: str, url: str, user: str) -> None:
    """Put the meter NEW, which is known, in the place of OLD.

    OLD is retired.  What was measured at that place goes on with NEW: see --place of tms export.
    """
    if at:
        utc_second(at, "--at")
    body = {"by": new, "at": at}
    TmsClient(url, user).post(f"/api/meters/{quote(old, safe='')}/replace", body)
    click.echo(f"{new} is in the place of {old}")


@click.command(name="return")
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@client_options
def bring_back(esns: tuple[str, ...], url: str, user: str) -> None:
    """Put retired meters into service again."""
    client = TmsClient(url, user)

    def act(esn: str) -> str:
        client.post(f"/api/meters/{quote(esn, safe='')}/return", {})
        return f"{esn} is in service"

    for_each(esns, act)
