"""What the module does in a session at the optical port, as C12.18 scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansi_tables.procedures import RESULT_CODES, Initiate, decode_response, encode_initiate
from protocols.c1218.client import ClientLimits
from protocols.c1218.scripts import Script, read_part, read_table, run_procedure
from protocols.errors import RemoteProtocolError, ServiceRefused
from smartmeter.ssi.meter_data import (
    EVENT_LOG,
    PROFILE_DATA,
    LogRead,
    MeterContext,
    ProfileRead,
    read_clock,
    read_context,
    read_log,
    read_profile,
)
from smartmeter.ssi.table_monitor import Span

REMOTE_RESET = 9
DEMAND_RESET_BIT, SELF_READ_BIT = 1, 2


@dataclass(frozen=True)
class Collected:
    """What a report's run read; ``restarted`` tells that the ring began anew."""

    profile: ProfileRead | None
    restarted: bool
    log: LogRead | None
    tables: dict[int, bytes]


def start(limits: ClientLimits) -> Script[tuple[MeterContext, int]]:
    """Read the context and then the clock, so that the clock is fresh."""
    meter = yield from read_context(limits)
    return meter, (yield from read_clock(meter, limits))


def collect(
    meter: MeterContext,
    profile: tuple[int | None, int] | None,
    log_after: tuple[int | None] | None,
    tables: Sequence[int],
    limits: ClientLimits,
) -> Script[Collected]:
    """Read what a report carries.

    ``profile`` is the next sequence and how many intervals at most, or None for
    none; ``log_after`` holds the last reported entry.  A meter without load
    profile or log, or one that refuses a table, gives a report without it.
    """
    found: ProfileRead | None = None
    log: LogRead | None = None
    restarted = False
    used = meter.context.fmt.std_tbls_used
    if profile is not None and PROFILE_DATA in used:
        first, count = profile
        found = yield from read_profile(meter, first, count, limits)
        if first is not None and found.following < first:
            restarted = True
            found = yield from read_profile(meter, None, count, limits)
    if log_after is not None and EVENT_LOG in used:
        log = yield from read_log(meter, log_after[0], limits)
    images = {}
    for number in tables:
        try:
            images[number] = yield from read_table(number, limits)
        except ServiceRefused:
            continue
    return Collected(found, restarted, log, images)


def watch(spans: Sequence[Span], limits: ClientLimits) -> Script[list[tuple[Span, bytes]]]:
    """Read the elements that monitors watch; what the meter refuses is left out."""
    found = []
    for span in spans:
        try:
            octets = yield from read_part(span.table, span.offset, span.count, limits)
        except ServiceRefused:
            continue
        found.append((span, octets))
    return found


def remote_reset(
    meter: MeterContext, bits: int, sequence: int, limits: ClientLimits
) -> Script[bytes]:
    """Run standard procedure 9: demand reset, self-read; RemoteProtocolError when refused."""
    flags = {
        "DEMAND_RESET_FLAG": int(bool(bits & DEMAND_RESET_BIT)),
        "SELF_READ_FLAG": int(bool(bits & SELF_READ_BIT)),
        "SEASON_CHANGE_FLAG": 0,
        "NEW_SEASON": 0,
    }
    call = Initiate(REMOTE_RESET, sequence & 0xFF, {"ACTION_FLAG": flags})
    answer = yield from run_procedure(encode_initiate(call, meter.context), limits)
    outcome = decode_response(answer, meter.context)
    if not outcome.completed:
        code = RESULT_CODES.get(outcome.result_code, str(outcome.result_code))
        raise RemoteProtocolError(f"procedure {REMOTE_RESET} ended with {code}")
    return answer
