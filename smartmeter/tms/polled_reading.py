"""What is read of a plain meter, as scripts: context, tables, the new blocks of its load profile.

The scripts are those of ``tms.exchanges``: services out, responses in.  Values
come as the store keeps them for SmartMeters: raw integers, UTC ends, identity
by block sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.meaning.load_profile import LoadProfile
from ansi_tables.profile_blocks import ProfileShape, shape_of
from ansi_tables.ssi_tables import CONTEXT_TABLES, context_id
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead, OffsetRead
from smartmeter.tms.exchanges import Exchange, ExchangeFailed, image_of
from smartmeter.tms.polled import PollSchedule

GENERAL, PROFILE_STATUS, PROFILE, EVENT_LOG = 0, 63, 64, 76
SET = 1
#: A load profile that moves while it is read is read again so often.
ATTEMPTS = 3


@dataclass(frozen=True)
class PlainReading:
    """What a poll brought.  ``context`` is empty where the known one still holds.

    ``anew`` tells that the ring ends before what is known of it: it was cleared.
    """

    context_id: int
    context: Mapping[int, bytes] = field(repr=False)
    images: Mapping[int, bytes] = field(repr=False)
    profile: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    anew: bool = False


@dataclass(frozen=True)
class Known:
    """What the store has already: the context's images, and which intervals are missing."""

    context: Mapping[int, bytes]
    gaps: Sequence[tuple[int, int | None]]


def poll(schedule: PollSchedule, known: Known) -> Exchange[PlainReading]:
    """Read what a schedule asks for; a table that the meter lacks or refuses is left out."""
    fresh: dict[int, bytes] = {}
    general = yield from _tables((GENERAL,))
    if GENERAL not in general:
        raise ExchangeFailed("the meter refuses ST-00")
    used = _used(general[GENERAL])
    context = dict(known.context)
    if context.get(GENERAL) != general[GENERAL] or schedule.tables:
        others = tuple(table for table in CONTEXT_TABLES if table in used and table != GENERAL)
        fresh = {**general, **(yield from _tables(others))}
        context = fresh
    # The rules of its clock, so that its times become UTC.
    wanted = {table for table in (*schedule.tables, 52, 53, 54, 55) if table in used}
    images = yield from _tables(tuple(sorted(wanted)))
    profile: tuple[Mapping[str, Any], ...] = ()
    anew = False
    name = context_id(context)
    if schedule.load_profile and {PROFILE_STATUS, PROFILE} <= used:
        profile, anew = yield from _profile({**context, **images}, known.gaps, name)
    events: tuple[Mapping[str, Any], ...] = ()
    if schedule.event_log and EVENT_LOG in used:
        log = yield from _tables((EVENT_LOG,))
        events = _events({**context, **images, **log})
    return PlainReading(name, fresh, images, profile, events, anew)


def _tables(numbers: tuple[int, ...]) -> Exchange[dict[int, bytes]]:
    if not numbers:
        return {}
    answers = yield [encode_request(FullRead(table)) for table in numbers]
    return {
        table: image_of(answer, f"ST-{table}")
        for table, answer in zip(numbers, answers, strict=True)
        if answer[:1] == b"\0"
    }


def _used(general: bytes) -> frozenset[int]:
    try:
        return frozenset(Snapshot({GENERAL: general})[GENERAL].STD_TBLS_USED)
    except TableError as error:
        raise ExchangeFailed(f"ST-00 of the meter: {error}") from error


def _profile(
    images: dict[int, bytes], gaps: Sequence[tuple[int, int | None]], name: int
) -> Exchange[tuple[tuple[Mapping[str, Any], ...], bool]]:
    """Read the intervals that are missing; give runs of them, and whether the ring began anew."""
    for _ in range(ATTEMPTS):
        before = yield from _tables((PROFILE_STATUS,))
        if PROFILE_STATUS not in before:
            return (), False
        try:
            tables = Snapshot({**images, **before})
            anew = _began_anew(tables, gaps)
            data = yield from _ring(tables, [] if anew else gaps)
            read = Snapshot({**tables.images, PROFILE: data}).load_profile(SET)
        except TableError as error:
            raise ExchangeFailed(f"the load profile of the meter: {error}") from error
        after = yield from _tables((PROFILE_STATUS,))
        if after == before:
            extended = tables.layout(PROFILE).has("LP_DATA_SET1.0.LP_INT.0.EXTENDED_INT_STATUS")
            missing = [(0, None)] if anew else gaps
            return tuple(_runs(read, missing, name, extended)), anew
    raise ExchangeFailed("the load profile moved each time that it was read")


def _began_anew(tables: Snapshot, gaps: Sequence[tuple[int, int | None]]) -> bool:
    """Tell whether the ring ends before what is known of it."""
    shape = shape_of(tables.layout(PROFILE), SET)
    status = tables[PROFILE_STATUS].LP_STATUS_SET1
    if shape is None or not gaps:
        return False
    following = status.LAST_BLOCK_SEQ_NBR * shape.intervals + status.NBR_VALID_INT
    return bool(gaps[-1][0] > following)


def _ring(tables: Snapshot, gaps: Sequence[tuple[int, int | None]]) -> Exchange[bytes]:
    """Give the image of ST-64, of which only the blocks with gaps were read; all for no gaps.

    All of it is read, too, where the pointers are not plain: another order, or a
    newest block without a time.
    """
    layout = tables.layout(PROFILE)
    shape, status = shape_of(layout, SET), tables[PROFILE_STATUS].LP_STATUS_SET1
    element, newest = status.LAST_BLOCK_ELEMENT, status.LAST_BLOCK_SEQ_NBR
    plain = bool(gaps) and not status.LP_SET_STATUS_FLAGS.ORDER
    if shape is None or layout.size is None or not plain or element >= shape.blocks:
        return (yield from _whole())
    held = min(status.NBR_VALID_BLOCKS, shape.blocks)
    blocks = range(newest - held + 1, newest + 1)
    wanted = [one for one in blocks if one == newest or _is_missing(one, shape, gaps)]
    if 2 * len(wanted) > held:
        return (yield from _whole())
    image = bytearray(layout.size)
    begin = layout.field("LP_DATA_SET1.0")[0]
    for block in wanted:
        at = begin + (element - (newest - block)) % shape.blocks * shape.block_octets
        [answer] = yield [encode_request(OffsetRead(PROFILE, at, shape.block_octets))]
        octets = image_of(answer, "ST-64")
        if len(octets) != shape.block_octets:
            raise ExchangeFailed(f"ST-64 gave {len(octets)} octets of {shape.block_octets}")
        image[at : at + shape.block_octets] = octets
        if block == newest and shape.end_value(octets[: shape.end_octets]) is None:
            return (yield from _whole())
    return bytes(image)


def _whole() -> Exchange[bytes]:
    [answer] = yield [encode_request(FullRead(PROFILE))]
    return image_of(answer, "ST-64")


def _is_missing(block: int, shape: ProfileShape, gaps: Sequence[tuple[int, int | None]]) -> bool:
    first, end = block * shape.intervals, (block + 1) * shape.intervals
    return any(begin < end and (until is None or until > first) for begin, until in gaps)


def _runs(
    read: LoadProfile, gaps: Sequence[tuple[int, int | None]], name: int, extended: bool
) -> Iterator[dict[str, Any]]:
    """Give intervals as LOAD_PROFILE_PART has them, each run without a jump in sequence."""
    run: dict[str, Any] = {}
    for row, sequence in enumerate(read.sequences):
        if not any(begin <= sequence and (end is None or sequence < end) for begin, end in gaps):
            continue
        if not run or sequence != run["FIRST_SEQUENCE"] + len(run["INTERVALS"]):
            if run:
                yield run
            run = {"SET": SET, "FIRST_SEQUENCE": sequence, "INT_LENGTH_S": read.interval_s}
            run |= {"CONTEXT_ID": name, "INTERVALS": []}
        values = [_number(channel.raw[row]) for channel in read.channels]
        status = _status(read, row) if extended else bytes([read.valid[row]])
        end_s = read.ends_utc_s[row]
        run["INTERVALS"].append({"END_TIME": end_s, "STATUS": status, "VALUES": values})
    if run:
        yield run


def _number(raw: object) -> int:
    """Give a raw count; the store keeps integers only."""
    if isinstance(raw, int | Decimal | float) and raw == int(raw):
        return int(raw)
    raise ExchangeFailed(f"the load profile holds {raw}, which is no whole count")


def _status(read: LoadProfile, row: int) -> bytes:
    """Give the valid flag and EXTENDED_INT_STATUS: common flags, then a code a channel."""
    nibbles = [read.common[row], *(channel.status_codes[row] for channel in read.channels)]
    nibbles += [0] * (len(nibbles) % 2)
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return bytes([read.valid[row]]) + bytes(high << 4 | low for high, low in pairs)


def _events(images: Mapping[int, bytes]) -> tuple[Mapping[str, Any], ...]:
    try:
        log = Snapshot(dict(images)).events()
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
