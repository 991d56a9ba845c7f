"""``smartmeter tms polled list|add|remove``: plain meters that a running TMS polls itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from smartmeter.cli.file_name import NAME
from smartmeter.cli.text_file import text_of
from smartmeter.cli.tms_client import TmsClient, client_options, for_each


@click.group(name="polled")
def command() -> None:
    """Plain meters behind TCP serial servers, which the TMS polls."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="A list, one object a meter.")
@client_options
def list_all(as_json: bool, url: str, user: str) -> None:
    """Tell which are polled, where, and how they do."""
    client, found = TmsClient(url, user), list[Any]()
    while page := client.get("/api/polled", after=found[-1]["esn"] if found else ""):
        found += page
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for one in found:
        cause = f" ({one['cause']})" if one["cause"] else ""
        click.echo(f"{one['esn']:16} {one['address']}: {one['state']}{cause}")
    if not found:
        click.echo("no plain meter is polled")


@command.command()
@click.argument("file", type=NAME)
@client_options
def add(file: str, url: str, user: str) -> None:
    """Enter those of FILE, to be polled.

    It is CSV: esn,address,user_id,password,model, as for tms run --poll.
    """
    told = TmsClient(url, user).post_text("/api/polled", text_of("FILE", file))
    click.echo(f"{told['new']} of {told['read']} plain meters are new")


@command.command()
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@client_options
def remove(esns: tuple[str, ...], url: str, user: str) -> None:
    """Poll them no more.

    Their addresses and passwords are forgotten; what they told stays.

    Take them out of the file of tms run --poll too: a start would enter them again, but those
    that another meter has replaced.
    """
    client = TmsClient(url, user)

    def act(esn: str) -> str:
        client.delete(f"/api/polled/{quote(esn, safe='')}")
        return f"{esn} is polled no more"

    for_each(esns, act)
