"""``smartmeter read``: tables of a meter, decoded, for a person or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ansi_tables import Snapshot, definition
from protocols.c1218.scripts import LogonSettings
from protocols.errors import ServiceRefused
from protocols.transports.port import Port
from protocols.transports.pump import MeterPort, monotonic_us, open_port
from smartmeter.cli import overview
from smartmeter.cli.tables import decoded_table, table_number, table_title

PASSWORD_VARIABLE = "SMARTMETER_PASSWORD"
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def logon_options(verb: _Verb) -> _Verb:
    """Give a verb the options of a logon; :func:`logon_settings` takes them."""
    for option in (
        click.option("--ask-password", is_flag=True, help="Ask for the password."),
        click.option(
            "--password-file", type=click.Path(exists=True, dir_okay=False), help="A file."
        ),
        click.option("--user", default="", help="User name of the logon, up to 10 characters."),
        click.option("--user-id", default=0, show_default=True, help="User id of the logon."),
    ):
        verb = option(verb)
    return verb


def logon_settings(
    user_id: int, user: str, password_file: str | None, ask_password: bool
) -> LogonSettings:
    """Give the logon that the options ask for."""
    if not 0 <= user_id <= 0xFFFF or len(user.encode()) > 10:
        raise click.UsageError("--user-id is 0 to 65535, --user up to 10 characters")
    return LogonSettings(user_id, user.encode(), _password(password_file, ask_password))


@click.command()
@click.argument("port")
@click.argument("tables", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@logon_options
@click.option("--record", type=click.Path(dir_okay=False), help="Write all bytes to this file.")
def command(
    port: str,
    tables: tuple[str, ...],
    as_json: bool,
    record: str | None,
    **logon: Any,
) -> int:
    """Read TABLES (23, ST-23, MT-5 …) of the meter at PORT.

    PORT is a device, tcp:HOST:PORT, any URL that pyserial knows, or sim: (or
    sim:PROFILE) for a simulated meter.  Without TABLES an overview is printed.  The password comes
    from a file, a prompt or the variable SMARTMETER_PASSWORD.
    """
    numbers = [table_number(text) for text in tables]
    settings = logon_settings(**logon)
    opened, out = open_any_port(port), None
    if record:
        from protocols.transports.recording import RecordingPort

        out = Path(record).open("w", encoding="ascii")  # noqa: SIM115 - closed below
        opened = RecordingPort(opened, out, monotonic_us)
    try:
        with MeterPort(opened, settings) as meter:
            if meter.opened is not None and meter.opened.password_accepted is False:
                click.echo("the meter refused the password; reading what it shows", err=True)
            found = read_tables(meter, numbers or list(overview.TABLES), only_listed=not numbers)
    finally:
        if out is not None:
            out.close()
    if as_json:
        click.echo(json.dumps({str(n): found.as_json(n) for n in found.wanted}, indent=1))
    elif not numbers:
        refused = {number: error.name for number, error in found.refused.items()}
        for line in overview.lines(found.snapshot, refused, datetime.now(UTC)):
            click.echo(line)
    else:
        for number in found.wanted:
            print_table(found, number)
    failed = any("error" in found.as_json(number) for number in found.wanted)
    return 1 if failed and numbers else 0


def _password(password_file: str | None, ask: bool) -> bytes | None:
    if ask:
        text = click.prompt("Password", hide_input=True, err=True)
    elif password_file is not None:
        text = Path(password_file).read_text().rstrip("\r\n")
    else:
        text = os.environ.get(PASSWORD_VARIABLE, "")
        return text.encode() if PASSWORD_VARIABLE in os.environ else None
    return str(text).encode()


def open_any_port(port: str) -> Port:
    """Open a port by its name; ``sim:`` is a simulated meter in this process."""
    if not port.startswith("sim:"):
        return open_port(port)
    from protocols.transports.capture import captured
    from protocols.transports.memory import MachinePort
    from smartmeter.base.clock import wall_utc_us
    from smartmeter.meter.meter import MeterSettings
    from smartmeter.meter.profiles import profile_named
    from smartmeter.meter.sample import measured_meter

    profile = profile_named(port.removeprefix("sim:") or "residential")
    meter = measured_meter(MeterSettings(profile=profile), wall_utc_us(), monotonic_us())
    return captured(MachinePort(meter, monotonic_us))


class Found:
    """What was read: images, refusals, and the tables that were asked for."""

    def __init__(self, wanted: list[int]) -> None:
        self.wanted = wanted
        self.snapshot = Snapshot({})
        self.refused: dict[int, ServiceRefused] = {}

    def as_json(self, number: int) -> dict[str, Any]:
        """Give one table as JSON shows it; never raises for what a meter may send."""
        refusal = self.refused.get(number)
        if refusal is not None:
            return {"error": {"code": refusal.name, "text": str(refusal)}}
        return decoded_table(self.snapshot, number)


def read_tables(meter: MeterPort, wanted: list[int], *, only_listed: bool = False) -> Found:
    """Read tables, and those that they need to be understood; refusals are kept, not raised.

    With ``only_listed``, tables that ST-00 does not list are left out.
    """
    found = Found(wanted)

    def fetch(number: int) -> None:
        if number in found.snapshot.images or number in found.refused:
            return
        try:
            found.snapshot.images[number] = meter.read(number)
        except ServiceRefused as error:
            found.refused[number] = error

    fetch(0)
    general = found.snapshot.get(0) if only_listed else None
    if general is not None:
        found.wanted = [n for n in wanted if n in general.STD_TBLS_USED]
    for number in found.wanted:
        known = definition(number)
        for needed in known.needs if known else ():
            fetch(needed)
        fetch(number)
    return found


def print_table(found: Found, number: int) -> None:
    """Print one table for a person."""
    shown = found.as_json(number)
    size = None if "error" in shown else found.snapshot.layout(number).size
    click.echo(table_title(number, size))
    if "error" in shown:
        click.echo(f"  {shown['error']['text']}")
        return
    for line in found.snapshot.listing(number):
        click.echo(line)
