"""``smartmeter decode frame``: one frame of a protocol to its fields, without a meter."""

from __future__ import annotations

import json
from typing import Any

import click

from ansi_tables.rendering import text_shown
from smartmeter.cli.file_name import FILE_OR_INPUT, FILE_THERE
from smartmeter.cli.frame_error import FrameError
from smartmeter.cli.given import refuse_given
from smartmeter.cli.image_file import octets_of

#: Options that say what an APDU of C12.22 does not say itself.
_CONTEXT_OPTIONS = (
    click.option(
        "--key",
        "keys",
        multiple=True,
        metavar="ID=HEX",
        help="C12.22: a key; nodes may differ under one id.",
    ),
    click.option("--key-file", type=FILE_THERE, help="ID=HEX lines, or CSV esn,title,key,model."),
    click.option("--base-oid", metavar="OID", help="C12.22: base of relative titles."),
    click.option(
        "--in-reply-to", multiple=True, metavar="SERVICE", help="C12.22: what this answers."
    ),
    click.option(
        "--session", metavar="ID=IV", help="C12.22: key id and IV of the session's logon."
    ),
)
#: How the JSON of a capture begins.
_FRAMES = '{"frames": ['


def _with_context(function: Any) -> Any:
    for option in reversed(_CONTEXT_OPTIONS):
        function = option(function)
    return function


@click.command()
@click.argument("hex_octets", metavar="[HEX]...", nargs=-1)
@click.option(
    "--protocol", type=click.Choice(["c1218", "c1222"]), default="c1218", show_default=True
)
@_with_context
@click.option("--pcap", type=FILE_OR_INPUT, help="All frames of a capture; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def frame(
    hex_octets: tuple[str, ...], protocol: str, pcap: str | None, as_json: bool, **context: Any
) -> int:
    """Decode a frame, or each one of a capture.

    A frame is given as HEX; a capture may hold both protocols.  A frame that a receiver must not
    process gives the reason, and exit status 1.  Keys may also stand in the variable
    SMARTMETER_C1222_KEYS, with commas between.
    """
    if (pcap is None) == (not hex_octets):
        raise click.UsageError("give the frame as HEX, or --pcap FILE")
    if pcap is not None:
        refuse_given(("protocol",), "is of HEX: in a capture each frame tells its own")
        return _capture(pcap, context, as_json)
    octets = octets_of("".join(hex_octets))
    shown: dict[str, Any]
    try:
        shown = {"ok": True, "decoded": _decoded(octets, protocol, context)}
    except FrameError as error:
        shown = {"ok": False, "reason": error.reason}
        shown |= {"detail": error.detail} if error.detail else {}
        shown |= {"decoded": error.decoded} if error.decoded else {}
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    else:
        say(shown)
    return 0 if shown["ok"] else 1


def _capture(name: str, context: dict[str, Any], as_json: bool) -> int:
    """Show the frames of a capture as they come; 1 when one must not be processed."""
    from smartmeter.cli.decode_pcap import CaptureReader
    from smartmeter.cli.frame_c1222 import make_context

    ok, number = True, 0
    reader = CaptureReader(name, make_context(**context))
    for number, shown in enumerate(reader.frames(), 1):
        ok = ok and shown["ok"]
        if as_json:  # each by itself: a capture may hold millions
            click.echo(
                f"{_FRAMES if number == 1 else ','}\n{json.dumps(shown, indent=1)}", nl=False
            )
            continue
        ends = [shown[key] for key in ("source", "destination", "direction") if key in shown]
        click.secho(f"{shown['packet']}  {shown['protocol']}  {' > '.join(ends)}", bold=True)
        say(shown)
        if whole := shown.get("whole"):
            click.secho("the whole message:", bold=True)
            say(whole)
    left_out, others = reader.left_out(), reader.others()
    if as_json:
        rest = json.dumps({"ok": ok, "left_out": left_out, "others": others}, indent=1)
        click.echo(f"{'' if number else _FRAMES}],{rest[1:]}")
    for told in left_out:
        click.echo(f"{name}: left out {told}", err=True)
    for told in others:
        click.echo(f"{name}: beside, {told}", err=True)
    return 0 if ok and not left_out else 1


def _decoded(octets: bytes, protocol: str, context: dict[str, Any]) -> dict[str, Any]:
    """Decode with the module of the protocol, loaded only when it is used."""
    if protocol == "c1222":
        from smartmeter.cli import frame_c1222

        return frame_c1222.decode_frame(octets, frame_c1222.make_context(**context))
    if any(context.values()):
        raise click.UsageError("keys, titles and sessions are C12.22's: give --protocol c1222")
    from smartmeter.cli import frame_c1218

    return frame_c1218.decode_frame(octets)


def say(shown: dict[str, Any]) -> None:
    """Print a frame for a person: a line a field, services one below the other."""
    for name, value in shown.get("decoded", {}).items():
        if name != "services":
            click.echo(f"{name:24s}  {value}")
            continue
        for service in value:
            rest = dict(service)
            title = f"{rest.pop('code')} {rest.pop('service', rest.pop('response', ''))}"
            click.echo(f"{title:24s}  " + "  ".join(f"{k}={_text(v)}" for k, v in rest.items()))
    if not shown["ok"]:
        click.echo(f"not to be processed: {shown.get('detail', shown['reason'])}", err=True)


def _text(value: object) -> str:
    """Give a value in one line; names and passwords are what the sender likes."""
    return text_shown(value) if isinstance(value, str) else str(value)
