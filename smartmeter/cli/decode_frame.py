"""``smartmeter decode frame``: one frame of a protocol to its fields, without a meter."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import click

#: protocol -> module in this package.  Each has ``decode_frame(octets) -> dict`` and
#: ``FrameError`` with what could still be read in ``decoded``.
PROTOCOLS = {"c1218": "frame_c1218"}


@click.command()
@click.argument("hex_octets", metavar="HEX...", nargs=-1, required=True)
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="c1218", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def frame(hex_octets: tuple[str, ...], protocol: str, as_json: bool) -> int:
    """Decode one frame, given as HEX.

    A frame that a receiver must not process gives the reason, and exit status 1.
    """
    try:
        octets = bytes.fromhex("".join(hex_octets))
    except ValueError:
        raise click.UsageError("HEX: two hexadecimal digits an octet") from None
    module = import_module(f"smartmeter.cli.{PROTOCOLS[protocol]}")
    shown: dict[str, Any]
    try:
        shown = {"ok": True, "decoded": module.decode_frame(octets)}
    except module.FrameError as error:
        shown = {"ok": False, "reason": str(error)}
        if error.decoded:
            shown["decoded"] = error.decoded
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    else:
        for name, value in shown.get("decoded", {}).items():
            click.echo(f"{name:12s}  {value}")
        if not shown["ok"]:
            click.echo(f"not to be processed: {shown['reason']}", err=True)
    return 0 if shown["ok"] else 1
