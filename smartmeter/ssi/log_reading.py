"""The event log (ST-76), read by the module's own cursor, whichever way it runs.

Times of a meter on local time: of the hour that comes twice in autumn, an entry
is taken as the first, unless the log tells that it is the second: by an entry
before it that daylight saving ended, or by one that is later than the first
would be.  A meter that logs neither leaves it open; its entries of the second
hour are then an hour early.

A meter that tells no dates of daylight saving tells only what is in force now:
that is asked before its log is read, and the changes in the log tell the rest.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansi_tables import Layout, layout_for
from ansi_tables.errors import TableError
from ansi_tables.meaning.clock import ClockRules
from ansi_tables.meaning.logs import is_unwritten
from ansi_tables.values import Record
from protocols.c1218.scripts import read_part
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import RemoteProtocolError, ServiceRefused
from smartmeter.ssi.meter_data import (
    ClockNotSet,
    MeterContext,
    read_clock,
    read_saving,
    utc_seconds,
)
from smartmeter.ssi.moving_list import read_moving

EVENT_LOG = 76
#: Standard events.
POWER_DOWN, POWER_UP, DST_ON, DST_OFF = 1, 2, 22, 23
#: The clock was set: an entry bears the old time or the new one, and may tell the other as well.
CLOCK_SET = frozenset((3, 4, 5, 6))
DEMAND_RESET, SELF_READ = 20, 21
_LOGGED = ((75, "STD_EVENTS_MONITORED_FLAGS"), (72, "STD_EVENTS_SUPPORTED"))
#: Entries that are read between two looks at the head of the log.
ENTRIES_A_LOOK = 32
#: Entries before the cursor that are read to know which of two equal hours it is.
MAX_LOOK_BACK = 16


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
    """New entries in order, the sequence of the newest, and how many were overwritten unread.

    ``clock_s`` is the meter's clock, UTC seconds, where that was read right after the log.
    """

    entries: tuple[LogEntry, ...]
    last: int
    missed: int
    clock_s: int | None = None


@dataclass(frozen=True)
class _Head:
    """What the log says of itself; ``older`` is the step from an entry to the one before it."""

    capacity: int
    held: int
    last_element: int
    last: int
    older: int

    def place(self, sequence: int) -> int | None:
        """Give the element of an entry; None when the log does not hold it."""
        age = self.last - sequence
        if not 0 <= age < self.held:
            return None
        return (self.last_element + age * self.older) % self.capacity


def read_log(
    meter: MeterContext, after: int | None, limits: ClientLimits, count: int | None = None
) -> Script[LogRead]:
    """Read the entries of ST-76 after a sequence, ``count`` of them; None: all that are there.

    RemoteProtocolError when they moved each time that they were read.
    """
    layout = layout_for(EVENT_LOG, meter.context)
    look = partial(_look, meter, layout, limits)
    read = partial(_read_entry, layout, limits)
    if meter.rules.tells_only_now:
        # Before the log: a change that comes after this one is in what is read of it.
        yield from read_saving(meter, limits)
    head = yield from look()
    # A sequence below the cursor: the log began anew.
    begin = head.last - head.held if after is None or after > head.last else after
    wanted = range(max(begin, head.last - head.held) + 1, head.last + 1)
    if not meter.rules.tells_only_now:  # or the changes in what follows are needed, too
        wanted = wanted[:count]
    found = yield from read_moving(look, read, head, wanted, ENTRIES_A_LOOK)
    if found.moved and not found.items:
        raise RemoteProtocolError("the event log moved each time that it was read")
    items, last = dict(found.items), max(found.items, default=head.last)
    if last in items and is_unwritten(items[last], "EVENT_TIME"):  # the pointer is one ahead
        del items[last]
        last -= 1
    first = min(items, default=last + 1)
    before: list[Record] = []
    if first in items and meter.rules.comes_twice(items[first]["EVENT_TIME"]):
        before = yield from _before(meter, found.pointers, first, read)
    times_s = _times_s(meter.rules, [*before, *items.values()])[len(before) :]
    entries = tuple(
        _log_entry(n, entry, time_s)
        for (n, entry), time_s in zip(items.items(), times_s, strict=True)
    )
    return LogRead(entries[:count], last, first - 1 - begin)


def read_log_and_clock(
    meter: MeterContext, after: int | None, limits: ClientLimits
) -> Script[LogRead]:
    """Read the log after a sequence, and the clock when the log tells of a loss of power.

    What the module knows of that loss is dated by its own clock.
    """
    read = yield from read_log(meter, after, limits)
    if any(one.code == POWER_UP and not one.manufacturer for one in read.entries):
        with suppress(ClockNotSet, ServiceRefused):
            return replace(read, clock_s=(yield from read_clock(meter, limits)))
    return read


def read_log_end(meter: MeterContext, limits: ClientLimits) -> Script[LogRead]:
    """Read only where the event log ends; gives no entry."""
    layout = layout_for(EVENT_LOG, meter.context)
    head = yield from _look(meter, layout, limits)
    if head.place(head.last) is None:
        return LogRead((), head.last, 0)
    newest = yield from _read_entry(layout, limits, head, head.last)
    return LogRead((), head.last - is_unwritten(newest, "EVENT_TIME"), 0)


def read_logged(meter: MeterContext, limits: ClientLimits) -> Script[frozenset[int] | None]:
    """Read which standard events the log takes: those monitored (ST-75), or supported (ST-72).

    None where the meter tells neither.
    """
    for table, name in _LOGGED:
        if table not in meter.context.fmt.std_tbls_used:
            continue
        try:
            layout = layout_for(table, meter.context)
            octets = yield from read_part(table, *layout.field(name), limits)
            return frozenset(layout.value_at(name, octets))
        except (ServiceRefused, TableError):
            continue
    return None


def _look(meter: MeterContext, layout: Layout, limits: ClientLimits) -> Script[_Head]:
    octets = yield from read_part(EVENT_LOG, 0, layout.field("ENTRIES.0")[0], limits)
    head = {}
    for name in ("EVENT_FLAGS", "NBR_VALID_ENTRIES", "LAST_ENTRY_ELEMENT", "LAST_ENTRY_SEQ_NBR"):
        offset, width = layout.field(name)
        head[name] = layout.value_at(name, octets[offset : offset + width])
    capacity = meter.context.table(71).NBR_EVENT_ENTRIES
    held = min(head["NBR_VALID_ENTRIES"], capacity)
    element, older = head["LAST_ENTRY_ELEMENT"], 1 if head["EVENT_FLAGS"]["ORDER"] else -1
    last = head["LAST_ENTRY_SEQ_NBR"]
    if held and element == capacity:  # one ahead, too
        element, last = element + older, last - 1
    return _Head(capacity, held, element, last, older)


def _read_entry(layout: Layout, limits: ClientLimits, head: _Head, sequence: int) -> Script[Record]:
    at, width = layout.field("ENTRIES.0")
    element = head.place(sequence)
    assert element is not None
    octets = yield from read_part(EVENT_LOG, at + element * width, width, limits)
    entry: Record = layout.value_at(f"ENTRIES.{element}", octets)
    return entry


def _before(meter: MeterContext, head: _Head, first: int, read: Any) -> Script[list[Record]]:
    """Read back to the entry that tells which of two equal hours it is; oldest first.

    They are read after the entries that count and only help with their times, so
    that no second look is spent on them.
    """
    found: list[Record] = []
    for sequence in range(first - 1, first - 1 - MAX_LOOK_BACK, -1):
        if head.place(sequence) is None:
            break
        entry = yield from read(head, sequence)
        found.insert(0, entry)
        if _code(entry) == DST_OFF or not meter.rules.comes_twice(entry["EVENT_TIME"]):
            break
    return found


def _times_s(rules: ClockRules, entries: list[Record]) -> list[int]:
    """Give when entries were made, which come oldest first."""
    if rules.tells_only_now:
        savings = _savings(rules.dst_now, [_code(entry) for entry in entries])
        times = zip(entries, savings, strict=True)
        return [utc_seconds(entry["EVENT_TIME"], rules, saving) for entry, saving in times]
    hour = _Hour(rules)
    return [hour.utc_s(entry) for entry in entries]


def _savings(saving_now: bool, codes: list[int | None]) -> list[bool]:
    """Give for each entry whether daylight saving was in force, by the changes among them."""
    changes = [code for code in codes if code in (DST_ON, DST_OFF)]
    saving = changes[-1] == DST_ON if changes else saving_now
    found = []
    for code in reversed(codes):
        found.append(saving)
        if code in (DST_ON, DST_OFF):
            saving = code == DST_OFF
    return found[::-1]


class _Hour:
    """Dates entries in their order, so that of two equal hours the right one is taken."""

    def __init__(self, rules: ClockRules) -> None:
        self._rules = rules
        self._saving: bool | None = None
        self._before_s = 0

    def utc_s(self, entry: Record) -> int:
        """Give when an entry was made; entries come oldest first."""
        code, stored = _code(entry), entry["EVENT_TIME"]
        if code in CLOCK_SET:
            self._before_s = 0
        elif code in (DST_ON, DST_OFF):
            self._saving = False if code == DST_OFF else None
        at_s = utc_seconds(stored, self._rules, self._saving)
        if 0 < at_s < self._before_s and self._rules.comes_twice(stored):
            self._saving = False
            at_s = utc_seconds(stored, self._rules, False)
        self._before_s = at_s
        return at_s


def _code(entry: Record) -> int | None:
    code = entry["EVENT_CODE"]
    return None if code["STD_VS_MFG_FLAG"] else int(code["TBL_PROC_NBR"])


def _log_entry(sequence: int, entry: Record, time_s: int) -> LogEntry:
    code = entry["EVENT_CODE"]
    return LogEntry(
        sequence,
        time_s,
        entry["USER_ID"],
        code["TBL_PROC_NBR"],
        bool(code["STD_VS_MFG_FLAG"]),
        entry["EVENT_ARGUMENT"],
    )
