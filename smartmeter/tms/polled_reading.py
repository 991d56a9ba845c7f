"""What is read of a plain meter, as scripts: context, tables, load profile, event log.

The scripts are those of ``tms.exchanges``: services out, responses in.  Values
come as the store keeps them for SmartMeters: raw integers, UTC ends, identity
by block sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ansi_tables import Snapshot
from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.errors import MissingContextError, TableError
from ansi_tables.meaning.identity import IDENTITY
from ansi_tables.ssi_tables import CONTEXT_TABLES, context_id
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead
from smartmeter.tms.exchanges import Exchange, ExchangeFailed, ExchangeRefused, image_of
from smartmeter.tms.poll_plan import PollSchedule
from smartmeter.tms.polled_profile import EVERYTHING, PROFILE_STATUS, PolledRing, is_busy
from smartmeter.tms.store.queries import Gaps
from smartmeter.tms.taking_over import TakenOver, identity_in, log_before, of_this_place

T = TypeVar("T")
GENERAL, EVENT_LOG = 0, 76


@dataclass(frozen=True)
class PlainReading:
    """What a poll brought.  ``context`` is empty where the known one still holds.

    ``profile`` has runs of intervals, ``anew`` the sets whose ring ends before what is known
    of it (it was cleared).  Where another meter has ``taken_over``, that tells where its rings
    begin; ``cut`` gives the first interval of those that it had refused since.
    """

    context_id: int
    context: Mapping[int, bytes] = field(repr=False)
    images: Mapping[int, bytes] = field(repr=False)
    profile: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    anew: frozenset[int] = frozenset()
    taken_over: TakenOver | None = None
    cut: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What the store has already: the context's images, what is missing of each set, and ST-01.

    ``heard_s`` is when the meter answered last, and ``now_s`` gives the present, both in UTC
    seconds; of its log the entries up to ``log_before`` are of another place, and of the sets that
    are ``uncut`` the intervals up to a UTC second.
    """

    context: Mapping[int, bytes]
    gaps: Mapping[int, Gaps]
    identity: bytes | None = None
    heard_s: int = 0
    now_s: Callable[[], int] = lambda: 0
    log_before: int | None = None
    uncut: Mapping[int, int] = field(default_factory=dict)


def poll(schedule: PollSchedule, known: Known) -> Exchange[PlainReading]:
    """Read what a schedule asks for; a table that the meter lacks or refuses is left out.

    ExchangeFailed where nothing else was asked for than a load profile whose data are refused,
    and where it is not one meter that answers to the end.
    """
    return (yield from _of_one_meter(_poll(schedule, known)))


def _of_one_meter(script: Exchange[T]) -> Exchange[T]:
    """Ask for ST-01 with each message: each is a session, and its line may lead elsewhere."""
    asked, first = encode_request(FullRead(IDENTITY)), b""
    services = next(script)
    while True:
        is_asked = asked in services
        answers = yield services if is_asked else [asked, *services]
        told = answers[services.index(asked) if is_asked else 0]
        if told[:1] == b"\0":
            if first not in (b"", told):
                raise ExchangeFailed("another meter answered amid the poll")
            first = told
        try:
            services = script.send(answers if is_asked else answers[1:])
        except StopIteration as stop:
            value: T = stop.value
            return value


def _poll(schedule: PollSchedule, known: Known) -> Exchange[PlainReading]:
    identity = yield from _tables((GENERAL, IDENTITY))
    if GENERAL not in identity:
        raise ExchangeFailed("the meter refuses ST-00")
    general = identity.pop(GENERAL)
    used = _used(general)
    changed = _changed(general, identity.get(IDENTITY), known)
    is_another = changed is not None
    since_s = (known.heard_s or known.now_s()) if is_another else None
    fresh: dict[int, bytes] = {}
    if known.context.get(GENERAL) != general or schedule.tables or is_another:
        others = tuple(table for table in CONTEXT_TABLES if table in used and table != GENERAL)
        fresh = {GENERAL: general, **(yield from _tables(others))}
    context = fresh or known.context
    # The rules of its clock, so that its times become UTC.
    wanted = {table for table in (*schedule.tables, 52, 53, 54, 55) if table in used}
    images = {**identity, **(yield from _tables(tuple(sorted(wanted - {IDENTITY}))))}
    tables, name = {**context, **images}, context_id(context)
    # The poll that sees another meter first finds where its lists begin, whatever it was for.
    rings: list[PolledRing] = []
    if (schedule.load_profile or is_another) and PROFILE_STATUS in used:
        sets = [one for one in SETS if PROFILE_STATUS + one in used]
        rings = [PolledRing(one, tables, known.gaps.get(one, EVERYTHING)) for one in sets]
    profile: list[Mapping[str, Any]] = []
    cuts = known.uncut if since_s is None else {ring.set_nbr: since_s for ring in rings}
    for ring in rings:
        try:
            profile += yield from ring.read(name, cuts.get(ring.set_nbr), known.now_s)
        except ExchangeRefused as error:
            # Another meter has taken over all the same, and the next poll tells of this.
            if not (is_another or schedule.tables or schedule.event_log):
                raise ExchangeFailed(str(error)) from error
    events: tuple[Mapping[str, Any], ...] = ()
    log_end = known.log_before
    if (schedule.event_log or is_another) and EVENT_LOG in used:
        entries = _events({**tables, **(yield from _tables((EVENT_LOG,), is_another))})
        log_end = log_end if since_s is None else log_before(entries, since_s)
        events = of_this_place(entries, log_end)
    anew = frozenset(ring.set_nbr for ring in rings if ring.anew and ring.set_nbr not in cuts)
    begins = {ring.set_nbr: ring.begin for ring in rings if ring.begin is not None}
    uncut = {one: cut_s for one, cut_s in cuts.items() if one not in begins}
    taken = TakenOver(*changed, begins, log_end, uncut) if changed else None
    cut = {} if changed else begins
    return PlainReading(name, fresh, images, tuple(profile), events, anew, taken, cut)


def _changed(general: bytes, identity: bytes | None, known: Known) -> tuple[str, str] | None:
    """Give the serial numbers of who was known here and who answers, where that is another."""
    old = {GENERAL: known.context.get(GENERAL, general), IDENTITY: known.identity or b""}
    before, found = identity_in(old), identity_in({GENERAL: general, IDENTITY: identity or b""})
    if before is None or found is None or before.mark == found.mark:
        return None
    return before.serial, found.serial


def _tables(numbers: tuple[int, ...], now: bool = False) -> Exchange[dict[int, bytes]]:
    """Read tables; what is refused is left out, but for what a busy meter is to give ``now``."""
    if not numbers:
        return {}
    answers = yield [encode_request(FullRead(table)) for table in numbers]
    return {
        table: image_of(answer, f"ST-{table}")
        for table, answer in zip(numbers, answers, strict=True)
        if answer[:1] == b"\0" or (now and is_busy(answer))
    }


def _used(general: bytes) -> frozenset[int]:
    try:
        return frozenset(Snapshot({GENERAL: general})[GENERAL].STD_TBLS_USED)
    except TableError as error:
        raise ExchangeFailed(f"ST-00 of the meter: {error}") from error


def _events(images: Mapping[int, bytes]) -> tuple[Mapping[str, Any], ...]:
    try:
        log = Snapshot(dict(images)).events()
    except MissingContextError:
        return ()  # the meter refuses the log, or what its form follows from
    except TableError as error:
        raise ExchangeFailed(f"the event log of the meter: {error}") from error
    return tuple(
        {
            "SEQUENCE": one.sequence or 0,
            "TIME": _utc_s(one.time),
            "CODE": one.code,
            "USER_ID": one.user,
            "ARGUMENT": one.argument,
        }
        for one in log
    )


def _utc_s(time: datetime | None) -> int:
    return 0 if time is None else int(time.timestamp())
