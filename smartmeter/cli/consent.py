"""Nothing is changed in a meter before a person has agreed, or a script has said ``--yes``."""

from __future__ import annotations

import click

from ansi_tables import Snapshot, TableError
from ansi_tables.rendering import text_shown
from protocols.errors import ServiceRefused
from smartmeter.cli.meter_line import RemoteMeter


class NotAgreed(click.ClickException):
    """The person said no, or is not there to say yes."""

    exit_code = 1


def serial_number(meter: RemoteMeter) -> str:
    """Give the meter's serial number from ST-01; empty when it does not show one."""
    try:
        tables = Snapshot({number: meter.read(number) for number in (0, 1)})
        return text_shown(tables[1].MFG_SERIAL_NUMBER)
    except (ServiceRefused, TableError, AttributeError):
        return ""


def agree(meter: RemoteMeter, question: str, *, grave: bool, expected: str, yes: bool) -> None:
    """Let a person agree; raise NotAgreed otherwise.

    What resets, clears or switches (``grave``) wants the serial number typed.  A
    script says ``yes``; where it also names the meter that it means (``expected``),
    another meter is not touched.
    """
    serial = serial_number(meter) if grave or expected else ""
    if expected and expected != serial:
        raise NotAgreed(f"this is meter {serial or 'without a number'}, not {expected}")
    if yes:
        return
    try:
        if grave and serial:
            typed = click.prompt(f"{question} Type the meter's serial number", err=True)
            if typed.strip() != serial:
                raise NotAgreed(f"{typed.strip()!r} is not this meter's number; nothing was sent")
        elif not click.confirm(question, err=True):
            raise NotAgreed("nothing was sent")
    except click.Abort:
        raise NotAgreed("nobody agreed, nothing was sent; a script says --yes") from None
