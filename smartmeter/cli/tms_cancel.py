"""``smartmeter tms cancel``: ends what was ordered of SmartMeters of a TMS that runs."""

from __future__ import annotations

import click

from smartmeter.cli.esn_list import named_esns
from smartmeter.cli.file_name import file_option
from smartmeter.cli.given import not_empty
from smartmeter.cli.tms_client import TmsClient, client_options


@click.command()
@click.argument("esns", nargs=-1, metavar="[ESN]...")
@file_option("--list", "list_file", help="ESNs, one a line.")
@click.option(
    "--kind",
    default="",
    callback=not_empty,
    help="Only such work: upgrade, ping, provision, change key …",
)
@client_options
def command(esns: tuple[str, ...], list_file: str | None, kind: str, url: str, user: str) -> None:
    """Cancel work that people ordered and that has not ended.

    Of the meters that are named; with --kind alone, of all.  What has gone out already is not
    taken back: of an upgrade that a module has, "tms upgrade withdraw" has it forget the image.
    """
    named = named_esns(esns, list_file)
    if not named and not kind:
        raise click.UsageError("name SmartMeters, or give --list FILE or --kind")
    asked = {"kind": kind, "esns": named}
    cancelled = TmsClient(url, user).post("/api/jobs/cancel", asked)["cancelled"]
    for one in cancelled:
        click.echo(f"{one['esn']:16} {one['kind']} cancelled {one['cause']}")
    if not cancelled:
        raise click.ClickException("nothing of that is under way")
