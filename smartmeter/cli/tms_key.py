"""``smartmeter tms change-key``: SmartMeters of a running TMS get a new key, without a gap."""

from __future__ import annotations

import click

from smartmeter.cli.tms_client import TmsClient, client_options
from smartmeter.cli.tms_orders import carry_out
from smartmeter.tms.model import Kind


@click.command(name="change-key")
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@client_options
def command(esns: tuple[str, ...], url: str, user: str) -> None:
    """Draw a new key for each SmartMeter, and wait until it has it.

    The old key counts until the new one has been used, and is refused from then on.  The key of
    the shipment file stays the root: a module registers under it, and is given a new key under
    it when one was lost.
    """
    carry_out(TmsClient(url, user), esns, Kind.KEY, "the key was not changed of")
