"""``--pcap FILE`` of every verb that talks: what passes its ports, for Wireshark.

The file is made when the verb has something to say, so that a refused one makes none.
"""

from __future__ import annotations

from pathlib import Path

import click

from smartmeter.base.errors import SettingsError, told_as
from smartmeter.cli.file_name import FILE

#: Verbs that talk, and those of their verbs that do; "" is the verb itself.
TALKING = {
    "demo": (),
    "meter": ("serve", "show"),
    "read": (),
    "write": (),
    "procedure": (),
    "shell": (),
    "clone": (),
    "conformance": (),
    "gateway": ("init", "run", "check"),
    "tms": ("run",),
    "relay": ("run",),
    "fleet": ("", "serve"),
    "compare-polling": (),
    "doctor": (),
}


def add_pcap_option(verb: str, command: click.Command) -> None:
    """Give a verb the option, if it talks."""
    if verb not in TALKING:
        return
    if isinstance(command, click.Group):
        every = {**command.commands, "": command}
        leaves = [every[name] for name in TALKING[verb] if name in every]
    else:
        leaves = [command]
    for leaf in leaves:
        if not any(parameter.name == "pcap" for parameter in leaf.params):
            leaf.params.append(
                click.Option(
                    ["--pcap"],
                    type=FILE,
                    metavar="FILE",
                    expose_value=False,
                    callback=_begin,
                    help="Write what passes the ports to this pcapng file.",
                )
            )


def _begin(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is None or ctx.resilient_parsing:
        return
    from protocols.transports import capture

    with told_as(SettingsError, f"--pcap {name}", "choose another"):
        capture.intend(Path(name))
    ctx.call_on_close(capture.end)
