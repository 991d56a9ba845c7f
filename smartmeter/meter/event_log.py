"""History and event log (ST-74, ST-76): what users did, and what happened.

One event goes to the logs whose control table (ST-73, ST-75) monitors its code;
writes of tables and procedures only for the tables and procedures that are
monitored too.  Where the log of an event is full of unread entries and may not
overflow, the event is lost and the overflow flag tells so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from ansi_tables.events import MANUFACTURER_EVENT
from ansi_tables.times import encode_time
from smartmeter.meter.lists import KeptList, ListPointers
from smartmeter.meter.profile import ListStyle
from smartmeter.meter.program import Program


class EventCode(IntEnum):
    """The events that this meter can see (C12.19 decade 7)."""

    PRIMARY_POWER_DOWN = 1
    PRIMARY_POWER_UP = 2
    TIME_CHANGED_OLD = 3
    TIME_CHANGED_NEW = 4
    ED_ACCESSED_READ = 7
    ED_ACCESSED_WRITE = 8
    PROCEDURE_INVOKED = 9
    TABLE_WRITTEN = 10
    ED_PROGRAMMED = 11
    COMM_TERMINATED_NORMALLY = 12
    COMM_TERMINATED_ABNORMALLY = 13
    LIST_POINTERS_RESET = 14
    LIST_POINTERS_UPDATED = 15
    HISTORY_LOG_CLEARED = 16
    HISTORY_LOG_POINTERS_UPDATED = 17
    EVENT_LOG_CLEARED = 18
    EVENT_LOG_POINTERS_UPDATED = 19
    DEMAND_RESET = 20
    SELF_READ = 21
    DST_ON = 22
    DST_OFF = 23
    SEASON_CHANGED = 24
    SPECIAL_SCHEDULE_ACTIVATED = 26
    TIER_SWITCH = 27
    PENDING_TABLE_ACTIVATED = 28
    PENDING_TABLE_CLEARED = 29
    METERING_MODE_STARTED = 30
    METERING_MODE_STOPPED = 31
    TEST_MODE_STARTED = 32
    TEST_MODE_STOPPED = 33
    ED_REPROGRAMMED = 36
    CONFIGURATION_ERROR = 37
    SELF_CHECK_ERROR = 38
    RAM_FAILURE = 39
    ROM_FAILURE = 40
    NONVOL_MEM_FAILURE = 41
    CLOCK_ERROR = 42
    MEASUREMENT_ERROR = 43
    LOW_BATTERY = 44
    LOW_LOSS_POTENTIAL = 45
    DEMAND_OVERLOAD = 46
    #: Also wrong passwords up to the lock-out: the standard has no closer code.
    TAMPER_ATTEMPT = 47
    REVERSE_ROTATION = 48
    CONTROL_POINT_CHANGED_COMMAND = 49
    CONTROL_POINT_CHANGED_CONDITION = 51
    ED_SEALED = 56
    ED_UNSEALED = 57
    #: Ours, with the bit of a manufacturer's code: the standard has none for them.
    MFG_SWELL = MANUFACTURER_EVENT | 0
    MFG_LOAD_SIDE_VOLTAGE = MANUFACTURER_EVENT | 1


#: The standard's events, and our own numbers of the others.
STANDARD_EVENTS = tuple(int(code) for code in EventCode if code < MANUFACTURER_EVENT)
MFG_EVENTS = frozenset(
    code & ~MANUFACTURER_EVENT for code in EventCode if code >= MANUFACTURER_EVENT
)
#: Events that say what a table or procedure did: the set of the control table that they need too.
_MONITORED_SETS = {
    EventCode.TABLE_WRITTEN: "STD_TBLS_MONITORED_FLAGS",
    EventCode.PROCEDURE_INVOKED: "STD_PROC_MONITORED_FLAGS",
}


class _Names(NamedTuple):
    """What a log is called: its control and data tables, and the members of ST-71 that size it."""

    control: int
    data: int
    entries: str
    length: str
    inhibit: str


_HISTORY = _Names(73, 74, "NBR_HISTORY_ENTRIES", "HIST_DATA_LENGTH", "HIST_INHIBIT_OVF_FLAG")
_EVENT = _Names(75, 76, "NBR_EVENT_ENTRIES", "EVENT_DATA_LENGTH", "EVENT_INHIBIT_OVF_FLAG")


class Entry(NamedTuple):
    """What a log keeps of an event; ``number`` counts the events of both logs."""

    moment: datetime | None
    number: int
    user_id: int
    code: int
    argument: bytes


_BLANK = Entry(None, 0, 0, 0, b"")


class Log:
    """One of the two logs, as encoded entries."""

    def __init__(self, program: Program, names: _Names, style: ListStyle) -> None:
        self._names = names
        dims = program.table(71)
        there = names.data in program.formats.std_tbls_used
        capacity = dims.get(names.entries, 0) if there else 0
        self._flags: Mapping[str, int] = dims.get("LOG_FLAGS", {})
        self._length: int = dims.get(names.length, 0)
        self.use(program)
        pointers = ListPointers(capacity, style, bool(self._flags.get(names.inhibit)))
        self.list = KeptList(pointers, self._encoded(_BLANK, 0))

    def use(self, program: Program) -> None:
        """Take the control table of a program with the same log."""
        self._formats = program.formats
        self._monitored: Mapping[str, frozenset[int]] = program.table(self._names.control)

    def wants(self, code: EventCode, subject: int) -> bool:
        """Tell whether the control table wants an event in this log."""
        if not self.list.pointers.capacity:
            return False
        kind = "MFG" if code & MANUFACTURER_EVENT else "STD"
        monitored = self._monitored.get(f"{kind}_EVENTS_MONITORED_FLAGS", ())
        if code & ~MANUFACTURER_EVENT not in monitored:
            return False
        needed = _MONITORED_SETS.get(code)
        return needed is None or subject in self._monitored[needed]

    def add(self, entry: Entry) -> None:
        """Append an entry, if there is room."""
        pointers = self.list.pointers
        if pointers.add():
            self.list.add(self._encoded(entry, pointers.added))

    def _encoded(self, entry: Entry, sequence: int) -> bytes:
        formats, order, flags = self._formats, self._formats.data_order, self._flags
        is_event = self._names is _EVENT
        parts = []
        if is_event or flags.get("HIST_DATE_TIME_FLAG"):
            parts.append(encode_time("LTIME_DATE", entry.moment, formats.tm_format, order))
        if flags.get("EVENT_NUMBER_FLAG"):
            parts.append((entry.number % 65536).to_bytes(2, order))
        if is_event or flags.get("HIST_SEQ_NBR_FLAG"):
            parts.append((sequence % 65536).to_bytes(2, order))
        parts += [entry.user_id.to_bytes(2, order), entry.code.to_bytes(2, order)]
        return b"".join(parts) + entry.argument[: self._length].ljust(self._length, b"\0")

    def image(self) -> bytes:
        """Give the log's data table."""
        pointers, order = self.list.pointers, self._formats.data_order
        head = bytes([pointers.flag_bits]) + pointers.valid.to_bytes(2, order)
        head += pointers.newest.to_bytes(2, order) + pointers.added.to_bytes(4, order)
        return head + pointers.unread.to_bytes(2, order) + self.list.octets()


class Logs:
    """Both logs, and the number of the next event that one of them takes."""

    def __init__(self, program: Program, styles: Mapping[str, ListStyle]) -> None:
        self._styles = styles
        self._number = 0
        self.begin(program)

    def begin(self, program: Program) -> None:
        """Begin with empty logs; numbers of events go on."""
        plain = ListStyle()
        self.event = Log(program, _EVENT, self._styles.get("event", plain))
        self.history = Log(program, _HISTORY, self._styles.get("history", plain))

    def use(self, program: Program) -> None:
        """Take a program with the same logs."""
        self.event.use(program)
        self.history.use(program)

    def note(
        self,
        code: EventCode,
        moment: datetime | None,
        user_id: int,
        argument: bytes,
        subject: int,
    ) -> bool:
        """Put an event into the logs that want it, under one number; False when none does."""
        logs = [log for log in (self.event, self.history) if log.wants(code, subject)]
        self._number += bool(logs)
        for log in logs:
            log.add(Entry(moment, self._number, user_id, code, argument))
        return bool(logs)

    def to_json(self) -> list[Any]:
        """Give both for non-volatile memory."""
        return [self._number, self.event.list.to_json(), self.history.list.to_json()]

    def restore(self, state: Sequence[Any]) -> None:
        """Take both back."""
        self._number, event, history = state
        self.event.list.restore(event)
        self.history.list.restore(history)
