"""``smartmeter tms change-key``: SmartMeters of a running TMS get a new key, without a gap."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import click

from smartmeter.cli.tms_client import Refused, TmsClient, client_options
from smartmeter.tms.jobs import DONE, FAILED
from smartmeter.tms.model import Kind

LOOK_S = 0.5


@click.command(name="change-key")
@click.argument("esns", nargs=-1, required=True, metavar="ESN...")
@client_options
def command(esns: tuple[str, ...], url: str, user: str) -> None:
    """Draw a new key for each SmartMeter, and wait until it has it.

    The old key counts until the new one has been used, and is refused from then on.  The key of
    the shipment file stays the root: a module registers under it, and is given a new key under
    it when one was lost.
    """
    client = TmsClient(url, user)
    begun, failed = {}, []
    for esn in esns:
        try:
            asked = client.post(f"/api/meters/{quote(esn, safe='')}/jobs", {"kind": Kind.KEY})
            begun[esn] = asked["job"]
        except Refused as error:
            click.echo(f"{esn:16} failed: {error.fault}")
            failed.append(esn)
    for esn, number in begun.items():
        job = _ended(client, number)
        told = job["result"] if job["state"] == DONE else job["cause"]
        click.echo(f"{esn:16} {job['state']}: {told}")
        failed += [esn] * (job["state"] == FAILED)
    if failed:
        raise click.ClickException(f"the key was not changed of {', '.join(failed[:20])}")


def _ended(client: TmsClient, number: int) -> Any:
    """Wait until a job has ended; its tries and their pauses are bounded."""
    while True:
        job = client.get(f"/api/jobs/{number}")
        if job["state"] in (DONE, FAILED):
            return job
        time.sleep(LOOK_S)
