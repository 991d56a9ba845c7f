"""What the module reads from the meter, as C12.18 scripts: context, clock, intervals, log.

The meter's lists are read by the module's own cursors.  A list that moves
while it is read is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ansi_tables import Context, Layout, Snapshot, layout_for
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.meaning.load_profile import CommonStatus
from ansi_tables.ssi_tables import CONTEXT_TABLES, context_id
from ansi_tables.values import TableTime
from protocols.c1218.client import ClientLimits
from protocols.c1218.scripts import Script, read_part, read_table
from protocols.errors import RemoteProtocolError, ServiceRefused

CLOCK_TABLE, PROFILE_STATUS, PROFILE_DATA, EVENT_LOG = 52, 63, 64, 76
MINUTE_S = 60
#: All blocks are alike: what is said of one by its path is said of the first.
_BLOCK = "LP_DATA_SET1.0"
MAX_BLOCK_FORMS = 256
READ_ATTEMPTS = 3
#: Standard events.
DST_ON, DST_OFF = 22, 23
#: Octets between two pieces of a block that cost less on the line than a read of their own.
WORTH_A_READ = 40


@dataclass
class MeterContext:
    """What is needed to understand the meter's tables: images, decoded, and their name.

    ``rules`` make instants of the meter's times; they follow its clock's flags.
    """

    images: dict[int, bytes]
    context: Context
    id: int
    rules: ClockRules


@dataclass(frozen=True)
class Interval:
    """One interval as the meter holds it; ``status`` is a valid flag, then the extended status."""

    sequence: int
    end_s: int
    status: bytes
    values: tuple[int, ...]


@dataclass(frozen=True)
class ProfileRead:
    """Intervals in sequence, and what the ring holds: sequences [oldest, following)."""

    intervals: tuple[Interval, ...]
    oldest: int
    following: int
    interval_s: int


@dataclass(frozen=True)
class LogEntry:
    """One entry of the event log; sequence counted without wrapping."""

    sequence: int
    time_s: int
    user_id: int
    code: int
    manufacturer: bool
    argument: bytes


@dataclass(frozen=True)
class LogRead:
    """New entries in order, the sequence of the newest, and how many were overwritten unread."""

    entries: tuple[LogEntry, ...]
    last: int
    missed: int


@dataclass(frozen=True)
class _Block:
    """Some intervals of a block: the end of its newest one, who is valid, and their records."""

    end: TableTime
    simple: Any
    entries: list[Any]


def utc_seconds(stored: TableTime, rules: ClockRules, saving: bool | None = None) -> int:
    """Give a table's date and time as UTC seconds, 0 when not set.

    ``saving`` tells whether daylight saving was in force, where the meter says
    it; without, an hour that comes twice is taken as the first.
    """
    if rules.zone_applied or rules.dst_applied:
        return rules.utc_s(stored, saving) or 0
    value = stored.value
    if not isinstance(value, datetime):
        return 0
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def read_context(limits: ClientLimits) -> Script[MeterContext]:
    """Read ST-00 and the tables that a receiver needs to decode all others."""
    images = {0: (yield from read_table(0, limits))}
    used = Context.from_images(images).fmt.std_tbls_used
    for number in CONTEXT_TABLES:
        if number in used and number != 0:
            try:
                images[number] = yield from read_table(number, limits)
            except ServiceRefused:
                continue  # without it, some tables stay octets
    clock = {}
    if CLOCK_TABLE in used:
        clock[CLOCK_TABLE] = yield from read_table(CLOCK_TABLE, limits)
    rules = clock_rules(Snapshot({**images, **clock}))
    return MeterContext(images, Context.from_images(images), context_id(images), rules)


def read_clock(meter: MeterContext, limits: ClientLimits) -> Script[int]:
    """Read the meter's clock as UTC seconds; RemoteProtocolError when it is not set."""
    image = yield from read_table(CLOCK_TABLE, limits)
    clock = layout_for(CLOCK_TABLE, meter.context).decode(image)
    saving = bool(clock.TIME_DATE_QUAL.DST_FLAG)
    if saving != meter.rules.dst_now:
        meter.rules = replace(meter.rules, dst_now=saving)
    second = utc_seconds(clock.CLOCK_CALENDAR, meter.rules, saving)
    if not second:
        raise RemoteProtocolError("the meter's clock is not set")
    return second


def read_profile(
    meter: MeterContext, first: int | None, count: int, limits: ClientLimits
) -> Script[ProfileRead]:
    """Read up to ``count`` intervals of set 1 from a sequence on; None: from the oldest.

    Only ascending rings are read in this edition; another order is an error
    that says so.
    """
    for _ in range(READ_ATTEMPTS):
        image = yield from read_table(PROFILE_STATUS, limits)
        status = _set_status(meter, image)
        found = yield from _read_ring(meter, status, first, count, limits)
        after = yield from read_table(PROFILE_STATUS, limits)
        if after == image or _set_status(meter, after) == status:
            return found
    raise RemoteProtocolError("the load profile moved each time that it was read")


def _set_status(meter: MeterContext, image: bytes) -> dict[str, Any]:
    status: dict[str, Any] = layout_for(PROFILE_STATUS, meter.context).decode(image).LP_STATUS_SET1
    return status


def _read_ring(
    meter: MeterContext,
    status: dict[str, Any],
    first: int | None,
    count: int,
    limits: ClientLimits,
) -> Script[ProfileRead]:
    dims = meter.context.table(61)
    per_block, blocks = dims.NBR_BLK_INTS_SET1, dims.NBR_BLKS_SET1
    flags = status["LP_SET_STATUS_FLAGS"]
    if flags["ORDER"] or flags["INTERVAL_ORDER"]:
        raise RemoteProtocolError("a load profile in descending order is not read yet")
    newest, valid = status["LAST_BLOCK_SEQ_NBR"], status["NBR_VALID_INT"]
    held = min(status["NBR_VALID_BLOCKS"], blocks)
    following = newest * per_block + valid if held else newest * per_block
    oldest = (newest - held + 1) * per_block if held else following
    begin = oldest if first is None else max(first, oldest)
    end = min(following, begin + count)
    intervals: list[Interval] = []
    while begin < end:
        block = begin // per_block
        until = min(end, (block + 1) * per_block)
        element = (status["LAST_BLOCK_ELEMENT"] - (newest - block)) % blocks
        used = valid if block == newest else per_block
        span = range(begin - block * per_block, until - block * per_block)
        held_block = yield from _read_block(meter, element, span.start, span.stop, limits)
        intervals += _intervals(meter, held_block, block, used, span)
        begin = until
    return ProfileRead(tuple(intervals), oldest, following, dims.MAX_INT_TIME_SET1 * MINUTE_S)


@dataclass(frozen=True)
class _BlockForm:
    """Where things lie in the blocks of a device's ST-64; slices are of a block's head."""

    offset: int
    octets: int
    head_octets: int
    interval_octets: int
    end_time: slice
    simple_status: slice | None


@lru_cache(maxsize=MAX_BLOCK_FORMS)
def _block_form(layout: Layout) -> _BlockForm:
    offset, octets = layout.field(_BLOCK)

    def within(name: str) -> slice:
        at, width = layout.field(f"{_BLOCK}.{name}")
        return slice(at - offset, at - offset + width)

    first = within("LP_INT.0")
    simple = within("SIMPLE_INT_STATUS") if layout.has(f"{_BLOCK}.SIMPLE_INT_STATUS") else None
    return _BlockForm(
        offset, octets, first.start, first.stop - first.start, within("BLK_END_TIME"), simple
    )


def _read_block(
    meter: MeterContext, element: int, first: int, until: int, limits: ClientLimits
) -> Script[_Block]:
    """Read a block's head and the intervals [first, until) of it, and no more than that.

    Head and intervals come in one read when what lies between is not worth a second one.
    """
    layout = layout_for(PROFILE_DATA, meter.context)
    form = _block_form(layout)
    head_octets, one = form.head_octets, form.interval_octets
    offset = form.offset + element * form.octets
    begin = offset + head_octets + first * one
    octets_wanted = (until - first) * one
    if begin - (offset + head_octets) <= WORTH_A_READ:
        octets = yield from _read_exactly(offset, begin - offset + octets_wanted, limits)
        head, intervals = octets[:head_octets], octets[begin - offset :]
    else:
        head = yield from _read_exactly(offset, head_octets, limits)
        intervals = yield from _read_exactly(begin, octets_wanted, limits)
    end_time = layout.value_at(f"{_BLOCK}.BLK_END_TIME", head[form.end_time])
    simple = None
    if form.simple_status is not None:
        simple = layout.value_at(f"{_BLOCK}.SIMPLE_INT_STATUS", head[form.simple_status])
    entries = [
        layout.value_at(f"{_BLOCK}.LP_INT.0", intervals[n : n + one])
        for n in range(0, octets_wanted, one)
    ]
    return _Block(end_time, simple, entries)


def _read_exactly(offset: int, count: int, limits: ClientLimits) -> Script[bytes]:
    octets = yield from read_part(PROFILE_DATA, offset, count, limits)
    if len(octets) != count:
        raise RemoteProtocolError(f"ST-64 gave {len(octets)} octets of {count}")
    return octets


def _intervals(
    meter: MeterContext, block: _Block, number: int, used: int, span: range
) -> list[Interval]:
    dims = meter.context.table(61)
    per_block, step_s = dims.NBR_BLK_INTS_SET1, dims.MAX_INT_TIME_SET1 * MINUTE_S
    end_s = utc_seconds(block.end, meter.rules, _saving_at_end(block, span.stop == used))
    found = []
    for index, entry in zip(span, block.entries, strict=True):
        status = bytes([block.simple is None or index in block.simple])
        for octet in entry.get("EXTENDED_INT_STATUS", ()):
            status += bytes([octet["HIGH_NIBBLE"] << 4 | octet["LOW_NIBBLE"]])
        values = tuple(int(value) for value in entry["INT_DATA"])
        # The block's time is that of its newest interval; those before it lie a step apart.
        at_s = end_s - (used - 1 - index) * step_s
        found.append(Interval(number * per_block + index, at_s, status, values))
    return found


def _saving_at_end(block: _Block, has_newest: bool) -> bool | None:
    """Tell what the newest interval of a block says of daylight saving, where it was read."""
    status = block.entries[-1].get("EXTENDED_INT_STATUS") if has_newest else None
    return bool(status[0]["HIGH_NIBBLE"] & CommonStatus.DAYLIGHT_SAVING) if status else None


def read_log(meter: MeterContext, after: int | None, limits: ClientLimits) -> Script[LogRead]:
    """Read the entries of ST-76 after a sequence; None: all that are there."""
    layout = layout_for(EVENT_LOG, meter.context)
    head_octets, entry_octets = layout.field("ENTRIES.0")
    for _ in range(READ_ATTEMPTS):
        octets = yield from read_part(EVENT_LOG, 0, head_octets, limits)
        head = _log_head(layout, octets)
        capacity = meter.context.table(71).NBR_EVENT_ENTRIES
        held = min(head["NBR_VALID_ENTRIES"], capacity)
        last = head["LAST_ENTRY_SEQ_NBR"]
        # A sequence below the cursor: the log began anew.
        begin = last - held if after is None or after > last else after
        missed = max(0, last - held - begin)
        entries = []
        saving: bool | None = None
        for sequence in range(max(begin, last - held) + 1, last + 1):
            element = (head["LAST_ENTRY_ELEMENT"] - (last - sequence)) % capacity
            at = head_octets + element * entry_octets
            piece = yield from read_part(EVENT_LOG, at, entry_octets, limits)
            entry = layout.value_at(f"ENTRIES.{element}", piece)
            saving = _saving_from(entry["EVENT_CODE"], saving)
            entries.append(_log_entry(sequence, entry, meter.rules, saving))
        if (yield from read_part(EVENT_LOG, 0, head_octets, limits)) == octets:
            return LogRead(tuple(entries), last, missed)
    raise RemoteProtocolError("the event log moved each time that it was read")


def read_log_end(meter: MeterContext, limits: ClientLimits) -> Script[LogRead]:
    """Read no entry, only where the event log ends."""
    layout = layout_for(EVENT_LOG, meter.context)
    head_octets, _ = layout.field("ENTRIES.0")
    octets = yield from read_part(EVENT_LOG, 0, head_octets, limits)
    return LogRead((), _log_head(layout, octets)["LAST_ENTRY_SEQ_NBR"], 0)


def _log_head(layout: Any, octets: bytes) -> dict[str, Any]:
    head = {}
    for name in ("NBR_VALID_ENTRIES", "LAST_ENTRY_ELEMENT", "LAST_ENTRY_SEQ_NBR"):
        offset, width = layout.field(name)
        head[name] = layout.value_at(name, octets[offset : offset + width])
    return head


def _saving_from(code: dict[str, Any], before: bool | None) -> bool | None:
    """Tell what is known of daylight saving from an entry on; None: the dates of ST-54 tell."""
    if code["STD_VS_MFG_FLAG"]:
        return before
    return {DST_ON: None, DST_OFF: False}.get(code["TBL_PROC_NBR"], before)


def _log_entry(
    sequence: int, entry: dict[str, Any], rules: ClockRules, saving: bool | None
) -> LogEntry:
    code = entry["EVENT_CODE"]
    return LogEntry(
        sequence,
        utc_seconds(entry["EVENT_TIME"], rules, saving),
        entry["USER_ID"],
        code["TBL_PROC_NBR"],
        bool(code["STD_VS_MFG_FLAG"]),
        entry["EVENT_ARGUMENT"],
    )
