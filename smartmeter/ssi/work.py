"""What the module does in a session at the optical port, as C12.18 scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ansi_tables import layout_for
from ansi_tables.meaning.identity import Identity
from ansi_tables.procedures import RESULT_CODES, Initiate, decode_response, encode_initiate
from protocols.c1218.scripts import read_part, read_table, run_procedure
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import RemoteProtocolError, ServiceRefused
from smartmeter.ssi.identity import NOT_TOLD, AnotherContext, Lists, read_identity, read_lists
from smartmeter.ssi.log_reading import EVENT_LOG, LogRead, read_log, read_log_and_clock
from smartmeter.ssi.meter_data import ClockNotSet, MeterContext, read_clock, read_context
from smartmeter.ssi.profile_reading import DIMENSIONS, ProfileRead, read_profile
from smartmeter.ssi.table_monitor import Span

REMOTE_RESET = 9
DEMAND_RESET_BIT, SELF_READ_BIT = 1, 2
CALENDAR_TABLE, CLOCK_STATE_TABLE = 54, 55
#: What a season leaves behind and what follows: its registers, the calendar, the clock's state.
SEASON_TABLES = (24, 25, 54, 55)


class ProcedureRefused(RemoteProtocolError):
    """The meter has answered that it did not do what a procedure asks."""


@dataclass(frozen=True)
class Wanted:
    """What a report is to carry.

    ``profiles`` has the next sequence of each load-profile set (None: all that the ring
    holds), ``intervals`` says how many of each at most; ``log_after`` holds the last
    reported entry, None: no log.
    """

    profiles: Mapping[int, int | None] = field(default_factory=dict)
    intervals: int = 0
    log_after: tuple[int | None] | None = None
    tables: Sequence[int] = ()
    parts: Sequence[Span] = ()


@dataclass(frozen=True)
class Collected:
    """What a report's run read."""

    profiles: tuple[ProfileRead, ...]
    log: LogRead | None
    tables: dict[int, bytes]
    parts: list[tuple[Span, bytes]]


@dataclass(frozen=True)
class Season:
    """What ST-55 says of the season, and what ST-54 holds, shortened to a digest."""

    season: int | None
    calendar: str


@dataclass(frozen=True)
class Beginning:
    """What a module reads of its meter first; ``clock_s`` None is a clock that is not set.

    ``lists`` tells, of another meter than the one that was known, where its lists stand.
    """

    meter: MeterContext
    identity: Identity | None
    lists: Lists | None
    clock_s: int | None


def begin(
    mark: str, seen_s: int | None, known: MeterContext | None, limits: ClientLimits
) -> Script[Beginning]:
    """Read the context, who the meter is, and then the clock, so that the clock is fresh.

    ``mark`` is that of the meter that was known, and seen last at ``seen_s``; ``known`` what was
    read of it since the start.
    """
    meter = yield from read_context(limits, known)
    identity = yield from read_identity(meter, limits)
    lists = None
    if mark and identity is not None and identity.mark != mark:
        if known is not None:
            meter = yield from read_context(limits)
        lists = yield from read_lists(meter, seen_s or 0, limits)
    elif known is not None and known.id == meter.id:
        meter.pointer_ahead = known.pointer_ahead  # a ring that is full by now shows it no more
    try:
        clock_s = yield from read_clock(meter, limits)
    except (ClockNotSet, ServiceRefused):
        if known is None:
            raise
        clock_s = None
    return Beginning(meter, identity, lists, clock_s)


def collect(meter: MeterContext, wanted: Wanted, limits: ClientLimits) -> Script[Collected]:
    """Read what a report carries.

    A meter without load profile or log, or one that refuses a table, or what is needed to
    understand it, gives a report without it.
    """
    found: list[ProfileRead] = []
    log: LogRead | None = None
    used = meter.context.fmt.std_tbls_used
    for set_nbr, first in wanted.profiles.items():
        read = yield from _read_set(meter, set_nbr, first, wanted.intervals, limits)
        found += [read] if read is not None else []
    images = yield from read_tables(wanted.tables, limits)
    parts = yield from watch(wanted.parts, limits)
    if wanted.log_after is not None and EVENT_LOG in used:  # last, so that its clock is fresh
        with suppress(*NOT_TOLD):
            log = yield from read_log_and_clock(meter, wanted.log_after[0], limits)
    return Collected(tuple(found), log, images, parts)


def read_again(
    meter: MeterContext, first: int, count: int, limits: ClientLimits
) -> Script[Collected]:
    """Read entries of the log from a sequence on; what a meter refuses is left out."""
    log = None
    with suppress(*NOT_TOLD):
        log = yield from read_log(meter, first - 1, limits, count)
    return Collected((), log, {}, [])


def _read_set(
    meter: MeterContext, set_nbr: int, first: int | None, count: int, limits: ClientLimits
) -> Script[ProfileRead | None]:
    """Read what a set has from a sequence on, or from its beginning when its ring began anew.

    AnotherContext where it began anew in another shape: the meter was programmed, which its log
    need not tell.
    """
    try:
        read = yield from read_profile(meter, set_nbr, first, count, limits)
        if first is not None and read.following < first:
            if (yield from read_table(DIMENSIONS, limits)) != meter.images.get(DIMENSIONS):
                meter.old = True  # for what waits at the port behind it, too
                raise AnotherContext("the load profile began anew in another shape")
            read = yield from read_profile(meter, set_nbr, None, count, limits)
            return replace(read, anew=True)
    except NOT_TOLD:
        return None
    return read


def read_tables(tables: Iterable[int], limits: ClientLimits) -> Script[dict[int, bytes]]:
    """Read whole tables; one that the meter refuses is left out."""
    images = {}
    for number in tables:
        try:
            images[number] = yield from read_table(number, limits)
        except ServiceRefused:
            continue
    return images


def look_at_season(meter: MeterContext, limits: ClientLimits) -> Script[Season]:
    """Read which season it is, and whether the TOU calendar is still the same."""
    images = yield from read_tables((CALENDAR_TABLE, CLOCK_STATE_TABLE), limits)
    return season_of(meter, images)


def season_of(meter: MeterContext, images: Mapping[int, bytes]) -> Season:
    """Tell the season from the tables that the meter gave."""
    season = None
    if CLOCK_STATE_TABLE in images:
        layout = layout_for(CLOCK_STATE_TABLE, meter.context)
        status = layout.decode(images[CLOCK_STATE_TABLE]).STATUS
        season = int(status["SEASON"])
    calendar = hashlib.sha256(images.get(CALENDAR_TABLE, b"")).hexdigest()[:16]
    return Season(season, calendar)


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


def read_count(
    meter: MeterContext, table: int, name: str, limits: ClientLimits
) -> Script[int | None]:
    """Read a number by which the meter counts what it has done; None where it does not count."""
    if table not in meter.context.fmt.std_tbls_used:
        return None
    layout = layout_for(table, meter.context)
    if not layout.has(name):
        return None
    try:
        octets = yield from read_part(table, *layout.field(name), limits)
    except ServiceRefused:
        return None
    return int(layout.value_at(name, octets))


def remote_reset(
    meter: MeterContext, bits: int, sequence: int, limits: ClientLimits
) -> Script[bytes]:
    """Run standard procedure 9: demand reset, self-read; ProcedureRefused when it is not done."""
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
        raise ProcedureRefused(f"procedure {REMOTE_RESET} ended with {code}")
    return answer
