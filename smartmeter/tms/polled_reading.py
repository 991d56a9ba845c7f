"""What is read of a plain meter, as scripts: context, tables, load profile, event log.

The scripts are those of ``tms.exchanges``: services out, responses in.  Values
come as the store keeps them for SmartMeters: raw integers, UTC ends, identity
by block sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
#: By these the times of a meter's clock become UTC.
CLOCK_RULES = (52, 53, 54, 55)


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


@dataclass(frozen=True)
class _Change:
    """Another meter answers: the serial numbers of both, and since when it counts as there."""

    before: str
    serial: str
    since_s: int


@dataclass(frozen=True)
class _Profile:
    """Runs of intervals, and the sets whose ring began anew.

    Of a set whose older intervals another meter recorded elsewhere, ``begins`` has the first one
    of this place; where the set was refused, ``uncut`` has the UTC second that they are cut at.
    """

    runs: tuple[Mapping[str, Any], ...] = ()
    anew: frozenset[int] = frozenset()
    begins: Mapping[int, int] = field(default_factory=dict)
    uncut: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Log:
    """Entries, without those of another place: these are all up to the number ``before``."""

    entries: tuple[Mapping[str, Any], ...]
    before: int | None


def _poll(schedule: PollSchedule, known: Known) -> Exchange[PlainReading]:
    identity = yield from _tables((GENERAL, IDENTITY))
    if GENERAL not in identity:
        raise ExchangeFailed("the meter refuses ST-00")
    general = identity.pop(GENERAL)
    used = _used(general)
    change = _change(general, identity.get(IDENTITY), known)
    fresh: dict[int, bytes] = {}
    if known.context.get(GENERAL) != general or schedule.tables or change:
        others = tuple(table for table in CONTEXT_TABLES if table in used and table != GENERAL)
        fresh = {GENERAL: general, **(yield from _tables(others))}
    context = fresh or known.context
    wanted = {table for table in (*schedule.tables, *CLOCK_RULES) if table in used}
    images = {**identity, **(yield from _tables(tuple(sorted(wanted - {IDENTITY}))))}
    tables, name = {**context, **images}, context_id(context)
    # The poll that sees another meter first finds where its lists begin, whatever it was for.
    profile, log = _Profile(), _Log((), known.log_before)
    if (schedule.load_profile or change) and PROFILE_STATUS in used:
        sets = [one for one in SETS if PROFILE_STATUS + one in used]
        rings = [PolledRing(one, tables, known.gaps.get(one, EVERYTHING)) for one in sets]
        cuts = dict.fromkeys(sets, change.since_s) if change else known.uncut
        # Another meter has taken over all the same, and the next poll tells of the refusal.
        may_lack = bool(change or schedule.tables or schedule.event_log)
        profile = yield from _profile(rings, name, cuts, known.now_s, may_lack)
    if (schedule.event_log or change) and EVENT_LOG in used:
        log = yield from _log(tables, change, known.log_before)
    taken, cut = None, profile.begins
    if change:
        lists = profile.begins, log.before, profile.uncut
        taken, cut = TakenOver(change.before, change.serial, *lists), {}
    return PlainReading(name, fresh, images, profile.runs, log.entries, profile.anew, taken, cut)


def _change(general: bytes, identity: bytes | None, known: Known) -> _Change | None:
    """Tell whether another meter answers than was known here; None where that is not sure."""
    old = {GENERAL: known.context.get(GENERAL, general), IDENTITY: known.identity or b""}
    before, found = identity_in(old), identity_in({GENERAL: general, IDENTITY: identity or b""})
    if before is None or found is None or before.mark == found.mark:
        return None
    return _Change(before.serial, found.serial, known.heard_s or known.now_s())


def _profile(
    rings: Sequence[PolledRing],
    context: int,
    cuts: Mapping[int, int],
    now_s: Callable[[], int],
    may_lack: bool,
) -> Exchange[_Profile]:
    """Read the sets; one that is refused is left out, if the poll ``may_lack`` it."""
    runs: list[Mapping[str, Any]] = []
    for ring in rings:
        try:
            runs += yield from ring.read(context, cuts.get(ring.set_nbr), now_s)
        except ExchangeRefused as error:
            if not may_lack:
                raise ExchangeFailed(str(error)) from error
    anew = frozenset(ring.set_nbr for ring in rings if ring.anew and ring.set_nbr not in cuts)
    begins = {ring.set_nbr: ring.begin for ring in rings if ring.begin is not None}
    uncut = {one: cut_s for one, cut_s in cuts.items() if one not in begins}
    return _Profile(tuple(runs), anew, begins, uncut)


def _log(tables: Mapping[int, bytes], change: _Change | None, before: int | None) -> Exchange[_Log]:
    """Read the event log, without what another meter recorded elsewhere."""
    is_now = change is not None
    entries = _events({**tables, **(yield from _tables((EVENT_LOG,), is_now))})
    if change is not None:
        before = log_before(entries, change.since_s)
    return _Log(of_this_place(entries, before), before)


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
