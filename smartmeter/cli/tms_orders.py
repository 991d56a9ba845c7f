"""How a verb orders the same work of several SmartMeters of a TMS, and waits for its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import click

from ansi_tables.rendering import text_shown
from smartmeter.cli.tms_client import Refused, TmsClient, first_of
from smartmeter.tms.jobs import DONE, ENDED
from smartmeter.tms.model import Kind

LOOK_S = 0.5


def carry_out(client: TmsClient, esns: Sequence[str], kind: Kind, not_done: str) -> None:
    """Order a job of each, wait, and print what it came to.

    ClickException says ``not_done`` of those where it was refused or failed.
    """
    begun, failed = {}, []
    for esn in esns:
        try:
            asked = client.post(f"/api/meters/{quote(esn, safe='')}/jobs", {"kind": kind})
            begun[esn] = asked["job"]
        except Refused as error:
            click.echo(f"{esn:16} failed: {error.fault}")
            failed.append(esn)
    for esn, number in begun.items():
        job = _ended(client, number)
        told = text_shown(job["result"] if job["state"] == DONE else job["cause"])
        click.echo(f"{esn:16} {job['state']}: {told}" if told else f"{esn:16} {job['state']}")
        failed += [esn] * (job["state"] != DONE)
    if failed:
        raise click.ClickException(f"{not_done} {first_of(failed)}")


def _ended(client: TmsClient, number: int) -> Any:
    """Wait until a job has ended; its tries and their pauses are bounded."""
    while True:
        job = client.get(f"/api/jobs/{number}")
        if job["state"] in ENDED:
            return job
        time.sleep(LOOK_S)
