"""One APDU of C12.22 as named values, for ``smartmeter decode frame``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.c1222.dissection import SERVICES, dissect
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError
from smartmeter.cli.frame_error import FrameError
from smartmeter.cli.known_keys import KnownKeys, numbered, read_keys


@dataclass
class FrameContext:
    """What the octets alone do not tell: keys, base of relative titles, what is answered."""

    keys: KnownKeys = field(default_factory=KnownKeys)
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
    context = FrameContext(read_keys(keys, key_file))
    if base_oid:
        context.base = _base(base_oid)
    names = [name.strip() for text in in_reply_to for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SERVICES.values():
            known = ", ".join(sorted(set(SERVICES.values())))
            raise click.UsageError(f"--in-reply-to {name!r}: give one of {known}")
    context.in_reply_to = names
    if session:
        context.session = numbered("--session", session, 4)
    return context


def decode_frame(octets: bytes, context: FrameContext) -> dict[str, Any]:
    """Give everything an APDU says; FrameError with one word when it must not be processed."""
    fault: ApduRejected | None = None
    titles = titles_between(octets, context.base) if context.keys.by_title else frozenset()
    for keys in context.keys.attempts(titles):
        try:
            return dissect(
                octets,
                keys.get,
                in_reply_to=context.in_reply_to,
                session=context.session,
                base=context.base,
            )
        except ApduRejected as error:
            fault = fault or error
            if error.reason != "mac-mismatch":
                break
    assert fault is not None
    raise FrameError(fault.reason, None, str(fault)) from fault


def titles_between(octets: bytes, base: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    """Give the absolute titles that a message goes between; none of one that is no message."""
    try:
        apdu = decode_apdu(octets)
    except ApduRejected:
        return frozenset()
    return frozenset(one.based(base) for one in (apdu.calling, apdu.called) if one is not None)


def _base(text: str) -> tuple[int, ...]:
    try:
        title = ApTitle.parse(text)
    except LocalProtocolError:
        title = ApTitle((), True)
    if title.relative:
        raise click.UsageError(f"--base-oid {text!r}: write it absolute, 2.16.124.113620.1.22.0")
    return title.arcs
