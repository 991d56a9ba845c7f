"""``smartmeter tms upgrade key|image|send|withdraw|status``: new versions for SmartMeters."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import click

from ansi_tables.rendering import text_shown
from smartmeter.base.errors import SettingsError, told_as
from smartmeter.base.file import read_file, write_new
from smartmeter.base.instant import utc_second
from smartmeter.cli.esn_list import named_esns
from smartmeter.cli.file_name import NAME, file_option
from smartmeter.cli.given import not_empty
from smartmeter.cli.tms_client import TmsClient, client_options, first_of
from smartmeter.cli.tms_orders import carry_out
from smartmeter.tms.model import Kind

MAX_FILE_OCTETS = 1 << 24
PAGE = 200


@click.group(name="upgrade")
def command() -> None:
    """New versions for SmartMeters: make, sign, send, follow them."""


@command.command()
@click.argument("file", type=NAME)
def key(file: str) -> None:
    """Make a key that signs images.

    FILE is to be kept safe; FILE.pub is for the SmartMeters.  Of a FILE that is there without
    it, as one whose making was cut off, FILE.pub is made.
    """
    from smartmeter.base import signing

    public = Path(f"{file}.pub")
    if public.exists():
        raise SettingsError(str(public), "is there already", "choose another name")
    if Path(file).exists():
        _write(public, signing.public_key(_private_key(file)).hex() + "\n", 0o644)
        click.echo(f"wrote {public}, of the key in {file}")
        return
    private = os.urandom(signing.KEY_OCTETS)
    _write(Path(file), private.hex() + "\n", 0o600)
    _write(public, signing.public_key(private).hex() + "\n", 0o644)
    click.echo(f"wrote {file} (mode 0600) and {public}")


@command.command()
@click.argument("file", type=NAME)
@file_option("--key", "key_file", required=True, help="The key that signs.")
@file_option("--out", required=True, help="Where the image is written.")
@click.option("--model", default="", help="Of the modules; without: FILE is a wheel, for gateways.")
@click.option("--version", default="", help="Of the image, with --model; a wheel tells its own.")
def image(file: str, key_file: str, out: str, model: str, version: str) -> None:
    """Make a signed image of FILE.

    That is a wheel of SmartMeter, or with --model any octets.
    """
    from smartmeter.tms.upgrades import make_image, wheel_image

    if bool(model) != bool(version):
        raise click.UsageError("give --model and --version, or neither for a wheel")
    payload, key = read_file(Path(file), MAX_FILE_OCTETS), _private_key(key_file)
    made = make_image(payload, model, version, key) if model else wheel_image(payload, key, file)
    _write(Path(out), made.file(), 0o644)
    told = made.value
    click.echo(f"wrote {out}: {told['MODEL']} {told['VERSION']}, {len(made.octets)} octets")


@command.command()
@click.argument("file", type=NAME)
@click.argument("esns", nargs=-1, metavar="[ESN]...")
@file_option("--list", "list_file", help="ESNs, one a line.")
@click.option(
    "--at",
    default="",
    callback=not_empty,
    metavar="TIME",
    help="UTC, 2026-12-01T02:00; without: at once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@client_options
def send(
    file: str,
    esns: tuple[str, ...],
    list_file: str | None,
    at: str,
    as_json: bool,
    url: str,
    user: str,
) -> None:
    """Send the image FILE to SmartMeters, for a set time."""
    named = named_esns(esns, list_file)
    if not named:
        raise click.UsageError("name SmartMeters, or give --list FILE")
    asked = {
        "esns": named,
        "image": base64.b64encode(read_file(Path(file), MAX_FILE_OCTETS)).decode(),
        "activation_s": utc_second(at, "--at") if at else 0,
    }
    begun = TmsClient(url, user).post("/api/upgrades", asked)
    if as_json:
        click.echo(json.dumps(begun, indent=1))
    else:
        click.echo(f"{begun['version']} is on its way to {len(begun['jobs'])} SmartMeters")
    if begun["busy"]:
        remedy = "to send this one, end that: smartmeter tms cancel --kind upgrade ESN"
        raise click.ClickException(
            f"an upgrade waits or is under way at {first_of(begun['busy'])}; {remedy}"
        )


@command.command()
@click.argument("esns", nargs=-1, metavar="[ESN]...")
@file_option("--list", "list_file", help="ESNs, one a line.")
@client_options
def withdraw(esns: tuple[str, ...], list_file: str | None, url: str, user: str) -> None:
    """Have SmartMeters forget an image that they have not started yet.

    What is still being sent is cancelled first.
    """
    named = named_esns(esns, list_file)
    if not named:
        raise click.UsageError("name SmartMeters, or give --list FILE")
    carry_out(TmsClient(url, user), named, Kind.WITHDRAW, "no image was withdrawn at")


@command.command()
@click.argument("esn", default="")
@click.option("--json", "as_json", is_flag=True, help="A list, one object a SmartMeter.")
@client_options
def status(esn: str, as_json: bool, url: str, user: str) -> None:
    """Tell how far upgrades are, as each module last said."""
    client = TmsClient(url, user)
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["esn"] if found else ""
        page = client.get("/api/upgrades", esn=esn, after=after, limit=PAGE)["upgrades"]
        found += page
        if len(page) < PAGE:
            break
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for one in found:
        click.echo(text_shown(_line(one)))  # a module may tell any text for its version
    if not found:
        click.echo("no upgrade was begun")


def _line(one: dict[str, Any]) -> str:
    text = f"{one['esn']:16} {one['image']}: {one['state']}"
    if one["cause"]:
        text += f" ({one['cause']})"
    module = one["module"]
    if module is None:
        return text
    text += f"; runs {module['running_version']}, {module['state']}"
    if module["last_result"] != "none":
        text += f", last upgrade: {module['last_result']}"
    return text


def _private_key(name: str) -> bytes:
    from smartmeter.base import signing

    try:
        octets = bytes.fromhex(read_file(Path(name), MAX_FILE_OCTETS).decode("ascii"))
    except ValueError:
        octets = b""
    if len(octets) != signing.KEY_OCTETS:
        raise SettingsError(name, "is no key", "make one with: smartmeter tms upgrade key")
    return octets


def _write(path: Path, content: str | bytes, mode: int) -> None:
    """Write a new file; one that is there is not replaced."""
    with told_as(SettingsError, path, "choose another name"):
        write_new(path, content.encode() if isinstance(content, str) else content, mode)
