"""What a report is made of: tables and parts, cut to the size of an APDU, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.errors import TableValueError
from ansi_tables.events import MANUFACTURER_EVENT
from ansi_tables.ssi_fast import raw_octets
from ansi_tables.ssi_layouts import (
    COMPACT,
    MAX_MONITORS,
    MAX_SCHEDULES,
    RAW,
)
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.psem.codec import decode_request, encode_request
from protocols.psem.services import FullWrite, OffsetWrite
from smartmeter.comms.way import MAX_REPORT_OCTETS
from smartmeter.ssi.log_reading import LogEntry, LogRead
from smartmeter.ssi.outbox import CAPACITY, LOG_SET, Draft, IntervalRange
from smartmeter.ssi.profile_reading import Interval, ProfileRead
from smartmeter.ssi.upgrade import Upgrade

#: What envelope, header table and MAC take of a report.
OVERHEAD_OCTETS = 192
ROOM_OCTETS = MAX_REPORT_OCTETS - OVERHEAD_OCTETS
#: Octets of a write service around its data.
_AROUND = 12
NO_SCHEDULE = 255
#: Intervals that one report run puts into one place of the outbox, about.
INTERVALS_PER_REPORT = 60
#: Intervals that are put into one part; a part that comes out too large is cut in halves.
MAX_PART = 1000
#: What the last demand reset has left.
PREVIOUS_RESET = 25


@dataclass(frozen=True)
class IntervalPart:
    """A service that carries intervals or entries of the log, and which."""

    service: bytes
    carried: IntervalRange


def write_own(table: SsiTable, value: Mapping[str, Any]) -> bytes:
    """Give the service that writes an SSI table."""
    octets = ssi_tables.encode(table, value)
    return encode_request(FullWrite(DEFAULT_BASE + table, octets))


def told_by(service: bytes, table: SsiTable) -> dict[str, Any] | None:
    """Give the value with which a service writes that SSI table; None: it does not."""
    request = decode_request(service)
    if not isinstance(request, FullWrite) or request.table != DEFAULT_BASE + table:
        return None
    return ssi_tables.decode(table, request.data)


def carry_table(number: int, image: bytes) -> list[bytes]:
    """Give the services that carry a meter's table: one, or pieces from offset 0 on."""
    if len(image) <= ROOM_OCTETS - _AROUND:
        return [encode_request(FullWrite(number, image))]
    return carry_part(number, 0, image)


def carry_part(number: int, offset: int, octets: bytes) -> list[bytes]:
    """Give the services that carry octets of a meter's table from an offset on."""
    room = ROOM_OCTETS - _AROUND
    return [
        encode_request(OffsetWrite(number, offset + at, octets[at : at + room]))
        for at in range(0, len(octets), room)
    ]


def interval_parts(read: ProfileRead, ring_epoch: int, context_id: int) -> list[IntervalPart]:
    """Give load-profile parts, each without a jump and small enough for an APDU."""
    waiting = [
        run[at : at + MAX_PART]
        for run in runs(read.intervals)
        for at in range(0, len(run), MAX_PART)
    ]
    parts: list[IntervalPart] = []
    while waiting:
        piece = waiting.pop(0)
        value = profile_part(read.set_nbr, piece, read.interval_s, ring_epoch, context_id)
        octets = profile_image(value)
        if len(octets) <= ROOM_OCTETS - _AROUND or len(piece) == 1:
            service = encode_request(FullWrite(DEFAULT_BASE + SsiTable.LOAD_PROFILE_PART, octets))
            first, end = piece[0].sequence, piece[-1].sequence + 1
            carried = IntervalRange(read.set_nbr, ring_epoch, first, end)
            parts.append(IntervalPart(service, carried))
        else:
            half = len(piece) // 2
            waiting[:0] = [piece[:half], piece[half:]]
    return parts


def event_parts(read: LogRead, log_epoch: int) -> list[IntervalPart]:
    """Give event parts, each small enough for an APDU."""
    pieces: list[list[LogEntry]] = []
    size = ROOM_OCTETS
    for entry in read.entries:
        one = 17 + len(entry.argument)
        if size + one > ROOM_OCTETS - _AROUND:
            pieces.append([])
            size = 0
        pieces[-1].append(entry)
        size += one
    parts = []
    for piece in pieces:
        value = {"ENTRIES": [event_value(entry) for entry in piece]}
        first, end = piece[0].sequence, piece[-1].sequence + 1
        carried = IntervalRange(LOG_SET, log_epoch, first, end)
        parts.append(IntervalPart(write_own(SsiTable.EVENT_PART, value), carried))
    return parts


def carries(service: bytes, table: int) -> bool:
    """Tell whether a service carries a table of the meter, or a part of it."""
    request = decode_request(service)
    return isinstance(request, FullWrite | OffsetWrite) and request.table == table


def runs(intervals: Sequence[Interval]) -> Iterator[Sequence[Interval]]:
    """Cut where the meter left sequences out: a part names only the first of its intervals."""
    begin = 0
    for n in range(1, len(intervals) + 1):
        if n == len(intervals) or intervals[n].sequence != intervals[n - 1].sequence + 1:
            yield intervals[begin:n]
            begin = n


def profile_part(
    set_nbr: int,
    intervals: Sequence[Interval],
    interval_s: int,
    ring_epoch: int,
    context_id: int,
) -> dict[str, Any]:
    """Give the value of LOAD_PROFILE_PART; no interval is a part too, of nothing."""
    first = intervals[0] if intervals else Interval(0, 0, b"", ())
    return {
        "SET": set_nbr,
        "RING_EPOCH": ring_epoch,
        "FIRST_SEQUENCE": first.sequence,
        "FIRST_END_TIME": first.end_s,
        "INT_LENGTH_S": interval_s,
        "ENCODING": RAW,
        "CONTEXT_ID": context_id,
        "NBR_CHNS": len(first.values),
        "STATUS_OCTETS": len(first.status),
        "INTERVALS": [
            {"END_TIME": one.end_s, "STATUS": one.status, "VALUES": list(one.values)}
            for one in intervals
        ],
    }


def profile_image(value: Mapping[str, Any]) -> bytes:
    """Encode LOAD_PROFILE_PART in the form that is smaller: differences, or raw."""
    count = len(value["INTERVALS"])
    try:
        compact = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, {**value, "ENCODING": COMPACT})
    except TableValueError:  # more values than a reader takes, or octets than its length can tell
        compact = None
    if compact and len(compact) <= raw_octets(count, value["STATUS_OCTETS"], value["NBR_CHNS"]):
        return compact
    return ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, value)


def event_value(entry: LogEntry) -> dict[str, Any]:
    """Give one entry of EVENT_PART; a manufacturer's code has bit 11 set."""
    code = entry.code | (MANUFACTURER_EVENT if entry.manufacturer else 0)
    return {
        "SEQUENCE": entry.sequence,
        "TIME": entry.time_s,
        "USER_ID": entry.user_id,
        "CODE": code,
        "ARGUMENT": entry.argument,
    }


def version_value(esn: str, upgrade: Upgrade) -> dict[str, Any]:
    """Give MODULE_VERSION."""
    return {
        "MODEL": upgrade.model,
        "ESN": esn,
        "FW_VERSION": upgrade.boot.version,
        "HW_REVISION": 0,
        "TABLES_EDITION": 1,
        "MAX_SCHEDULES": MAX_SCHEDULES,
        "MAX_MONITORS": MAX_MONITORS,
        "MAX_OUTBOX": CAPACITY,
    }


def pack(
    header: Mapping[str, Any], services: Iterable[bytes | IntervalPart], urgent: bool = False
) -> list[Draft]:
    """Share services out over as few reports as hold them, in order; at least one report."""
    drafts: list[list[bytes]] = [[]]
    carried: list[list[IntervalRange]] = [[]]
    size = 0
    for one in services:
        service = one.service if isinstance(one, IntervalPart) else one
        if drafts[-1] and size + len(service) + 3 > ROOM_OCTETS:
            drafts.append([])
            carried.append([])
            size = 0
        drafts[-1].append(service)
        size += len(service) + 3
        if isinstance(one, IntervalPart):
            _append(carried[-1], one.carried)
    return [
        Draft(header, tuple(draft), urgent, intervals)
        for draft, intervals in zip(drafts, carried, strict=True)
    ]


def _append(ranges: list[IntervalRange], carried: IntervalRange) -> None:
    """Add a range, as one with the last if that is of the same list.

    Between the two lies only what was read with them and is in no report: it is no gap of its own.
    """
    if ranges and carried == replace(ranges[-1], first=carried.first, end=carried.end):
        ranges[-1] = replace(ranges[-1], end=carried.end)
    else:
        ranges.append(carried)
