"""One APDU of C12.22 as named values, for ``smartmeter decode frame``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.c1222.dissection import SERVICES, dissect
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import EaxPrime
from protocols.errors import LocalProtocolError
from smartmeter.base.file import read_text
from smartmeter.cli.frame_error import FrameError

#: Keys for reading captures, as ``ID=HEX`` with commas between.
KEYS_VARIABLE = "SMARTMETER_C1222_KEYS"
MAX_KEY_FILE_OCTETS = 1 << 20


@dataclass
class FrameContext:
    """What the octets alone do not tell: keys, base of relative titles, what is answered."""

    keys: dict[int, EaxPrime] = field(default_factory=dict)
    base: tuple[int, ...] = BASE_ARCS
    in_reply_to: Sequence[str] = ()
    session: tuple[int, bytes] | None = None


def make_context(
    keys: Sequence[str],
    key_file: str | None,
    base_oid: str | None,
    in_reply_to: Sequence[str],
    session: str | None,
) -> FrameContext:
    """Read the options; click.UsageError names the one that is wrong."""
    context = FrameContext()
    given = [part for part in os.environ.get(KEYS_VARIABLE, "").split(",") if part.strip()]
    for source, texts in (
        (KEYS_VARIABLE, given),
        ("--key-file", _lines(key_file) if key_file else []),
        ("--key", keys),
    ):
        for text in texts:
            key_id, octets = _numbered(source, text, 16)
            context.keys[key_id] = EaxPrime(octets)
    if base_oid:
        context.base = _base(base_oid)
    names = [name.strip() for text in in_reply_to for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SERVICES.values():
            known = ", ".join(sorted(set(SERVICES.values())))
            raise click.UsageError(f"--in-reply-to {name!r}: give one of {known}")
    context.in_reply_to = names
    if session:
        context.session = _numbered("--session", session, 4)
    return context


def decode_frame(octets: bytes, context: FrameContext) -> dict[str, Any]:
    """Give everything an APDU says; FrameError with one word when it must not be processed."""
    try:
        return dissect(
            octets,
            context.keys.get,
            in_reply_to=context.in_reply_to,
            session=context.session,
            base=context.base,
        )
    except ApduRejected as error:
        raise FrameError(error.reason, None, str(error)) from error


def _lines(key_file: str) -> list[str]:
    place = f"--key-file {key_file}"
    lines = read_text(Path(key_file), MAX_KEY_FILE_OCTETS, place).splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _numbered(source: str, text: str, size: int) -> tuple[int, bytes]:
    """Read ``ID=HEX``; the octets are not repeated in the error, they may be a key."""
    number, _, octets = text.strip().partition("=")
    try:
        key_id = int(number, 16 if number.lower().startswith("0x") else 10)
        found = bytes.fromhex(octets)
    except ValueError:
        key_id, found = -1, b""
    if not 0 <= key_id <= 255 or len(found) != size:
        raise click.UsageError(
            f"{source}: write ID=HEX, an id of 0 to 255 and {2 * size} hexadecimal digits"
        )
    return key_id, found


def _base(text: str) -> tuple[int, ...]:
    try:
        title = ApTitle.parse(text)
    except LocalProtocolError:
        title = ApTitle((), True)
    if title.relative:
        raise click.UsageError(f"--base-oid {text!r}: write it absolute, 2.16.124.113620.1.22.0")
    return title.arcs
