"""``smartmeter procedure``: what will be started, asked before, and its answer."""

from __future__ import annotations

import json
import secrets
from typing import Any

import click

from ansi_tables import TableError, TableValueError
from ansi_tables.context import Context
from ansi_tables.layout import Layout
from ansi_tables.procedures import (
    Initiate,
    Outcome,
    all_procedures,
    decode_response,
    encode_initiate,
    procedure,
    procedure_name,
)
from ansi_tables.rendering import to_json_value
from smartmeter.cli.consent import agree
from smartmeter.cli.given import not_empty
from smartmeter.cli.members import set_members
from smartmeter.cli.meter_line import MeterLine, RemoteMeter, remote_options, warn_of_password
from smartmeter.cli.read import read_tables

#: Standard procedures that reset, clear or switch nothing: a plain yes is enough.
HARMLESS = frozenset((2, 5, 10, 11, 16, 18, 19, 20))
MAX_NUMBER = 2047


@click.command()
@click.argument("port")
@click.argument("which", metavar="PROCEDURE")
@click.argument("parameters", nargs=-1)
@click.option("--yes", is_flag=True, help="Ask nothing: for scripts.")
@click.option("--serial-number", default="", callback=not_empty, help="Run it in this meter only.")
@click.option("--no-answer", is_flag=True, help="Do not ask for ST-08.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@remote_options
def command(
    port: str,
    which: str,
    parameters: tuple[str, ...],
    yes: bool,
    serial_number: str,
    no_answer: bool,
    as_json: bool,
    **line: Any,
) -> int:
    """Run PROCEDURE (9, SP-9, REMOTE_RESET, MP-3 …) in the meter at PORT.

    PARAMETERS are NAME=VALUE for a procedure whose parameters are known, or HEX.
    PORT is what ``smartmeter read`` takes, c1222://HOST[:PORT]/APTITLE too.
    """
    number, manufacturer = procedure_number(which)
    with MeterLine(port, **line).meter() as meter:
        warn_of_password(meter)
        context = context_of(meter)
        call = make_call(number, manufacturer, parameters, context)
        asked = not no_answer
        return run_agreed(
            meter, call, context, yes=yes, expected=serial_number, ask=asked, as_json=as_json
        )


def run_agreed(
    meter: RemoteMeter,
    call: Initiate,
    context: Context,
    *,
    yes: bool,
    expected: str = "",
    ask: bool = True,
    as_json: bool = False,
) -> int:
    """Show a call, let a person agree, run it and tell its answer; give the exit status."""
    image = encode_initiate(call, context)
    name = procedure_name(call.number, call.manufacturer)
    click.echo(f"{name}: ST-07 will be {image.hex(' ')}", err=True)
    grave = call.manufacturer or call.number not in HARMLESS
    agree(meter, "Run it?", grave=grave, expected=expected, yes=yes)
    answer = meter.procedure(image, ask)
    if not ask:
        click.echo(json.dumps({"procedure": name}) if as_json else f"{name} was started")
        return 0
    return _tell(name, decode_response(answer, context), as_json)


def procedure_number(text: str) -> tuple[int, bool]:
    """Give number and whether it is a manufacturer's, of what a person names."""
    name = text.upper()
    for known in all_procedures():
        if known.name == name:
            return known.number, known.manufacturer
    bare = name.replace("-", "")
    manufacturer = bare.startswith("MP")
    digits = bare[2:] if bare[:2] in ("SP", "MP") else bare
    if not digits.isdecimal() or int(digits) > MAX_NUMBER:
        raise click.UsageError(f"{text!r} is no procedure; write 9, SP-9, MP-3 or REMOTE_RESET")
    return int(digits), manufacturer


def context_of(meter: RemoteMeter) -> Context:
    """Give what a meter's ST-00 says of its formats."""
    return read_tables(meter, [1]).snapshot.context


def make_call(
    number: int, manufacturer: bool, parameters: tuple[str, ...], context: Context
) -> Initiate:
    """Give the call, its parameters set by name or given as octets."""
    sequence = secrets.randbelow(256)
    known = procedure(number, manufacturer)
    try:
        if known is not None and all("=" in text for text in parameters):
            layout = Layout(7, known.name, known.parameters(context))
            blank, _ = layout.decode_with_trailing(bytes(layout.size or 0))
            values: Any = set_members(blank, parameters)
            _refuse_gaps(known.name, blank, parameters)
            return Initiate(number, sequence, layout.decode(layout.encode(values)), manufacturer)
        octets = bytes.fromhex("".join(parameters))
        if known is None:
            return Initiate(number, sequence, octets, manufacturer)
        layout = Layout(7, known.name, known.parameters(context))
        values, surplus = layout.decode_with_trailing(octets)
        if surplus:
            raise TableValueError(f"{len(surplus)} octets more than it takes")
        return Initiate(number, sequence, values, manufacturer)
    except ValueError:
        raise click.UsageError(
            "PARAMETERS: NAME=VALUE, or two hexadecimal digits an octet"
        ) from None
    except TableError as error:
        raise click.UsageError(
            f"parameters of {procedure_name(number, manufacturer)}: {error}"
        ) from error


def _refuse_gaps(name: str, blank: Any, assignments: tuple[str, ...]) -> None:
    """Let no number or time be zero because nobody gave it; flags left out ask for nothing."""
    given = {text.partition("=")[0].partition(".")[0] for text in assignments}
    asked = [
        one
        for one, zero in blank.items()
        if not isinstance(zero, dict | frozenset) and zero not in ([], b"")
    ]
    if missing := [one for one in asked if one not in given]:
        raise click.UsageError(f"{name}: give {', '.join(missing)} too, each as NAME=VALUE")


def _tell(name: str, outcome: Outcome, as_json: bool) -> int:
    result = outcome.result
    shown = to_json_value(result) if result else None
    if as_json:
        told = {"procedure": name, "result_code": outcome.result_code, "text": outcome.text}
        click.echo(json.dumps({**told, "result": shown}))
    else:
        click.echo(f"{name}: {outcome.text}" + (f", {json.dumps(shown)}" if shown else ""))
    return 0 if outcome.completed else 1
