"""Lists of the reference model: what a log, a ring of blocks or the self-reads hold and count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansi_tables import Snapshot


@dataclass
class ReferenceList:
    """Entries in the order in which they came; ``number`` of the last one never goes back."""

    capacity: int
    inhibit: bool
    entries: list[Any] = field(default_factory=list)
    number: int = 0
    unread: int = 0
    overflow: bool = False

    def add(self, entry: Any) -> bool:
        """Take an entry; a list of unread ones that may not overflow stays as it is."""
        if self.unread >= self.capacity:
            self.overflow = True
        if not self.capacity or (self.inhibit and self.unread >= self.capacity):
            return False
        self.entries.append(entry)
        self.number += 1
        self.unread = min(self.unread + 1, self.capacity)
        return True

    def held(self) -> list[Any]:
        """Give the entries that are still there, newest first."""
        return self.entries[-self.capacity :][::-1]

    def acknowledge(self, count: int) -> None:
        self.unread = max(0, self.unread - count)
        self.overflow = self.overflow and self.unread >= self.capacity

    def clear(self) -> None:
        self.entries, self.unread, self.overflow = [], 0, False


def newest_first(elements: Sequence[Any], last: int, valid: int, order: int) -> list[Any]:
    """Walk a list of a table from its newest element back, as the standard says."""
    step = 1 if order else -1
    return [elements[(last + step * age) % len(elements)] for age in range(valid)]


@dataclass(frozen=True)
class Event:
    """One entry of a log, as it must be read."""

    at: datetime
    event: int
    sequence: int
    user: int
    code: int
    argument: bytes


#: Codes of events that need a table or procedure to be monitored too.
ABOUT = {10: "STD_TBLS_MONITORED_FLAGS", 9: "STD_PROC_MONITORED_FLAGS"}


#: Where a log says which events it takes: the standard's, and a manufacturer's.
MONITORED = ("STD_EVENTS_MONITORED_FLAGS", "MFG_EVENTS_MONITORED_FLAGS")


class ReferenceLogs:
    """History and event log: which events they take, and what they then hold."""

    def __init__(self, tables: Snapshot, shown: Callable[[int], datetime]) -> None:
        self.shown = shown
        self.number = 0
        self.begin(tables)

    def begin(self, tables: Snapshot) -> None:
        """Begin with empty logs."""
        self.logs: dict[int, ReferenceList] = {}
        for data, size, inhibit in (
            (76, "NBR_EVENT_ENTRIES", "EVENT_INHIBIT_OVF_FLAG"),
            (74, "NBR_HISTORY_ENTRIES", "HIST_INHIBIT_OVF_FLAG"),
        ):
            if data in tables[0].STD_TBLS_USED:
                flags = tables[71].LOG_FLAGS
                self.logs[data] = ReferenceList(tables[71][size], bool(flags[inhibit]))
        self.use(tables)

    def use(self, tables: Snapshot) -> None:
        self.control = {data: tables[data - 1] for data in self.logs}
        self.lengths = {}
        if 71 in tables:
            self.lengths = {76: tables[71].EVENT_DATA_LENGTH, 74: tables[71].HIST_DATA_LENGTH}

    def note(self, code: int, utc_s: int, argument: bytes = b"", subject: int = 0) -> None:
        """Let something happen."""
        wanted = [
            data
            for data, control in self.control.items()
            if self.logs[data].capacity
            and code & 0x7FF in control[MONITORED[bool(code & 0x800)]]
            and (code not in ABOUT or subject in control[ABOUT[code]])
        ]
        self.number += bool(wanted)
        for data in wanted:
            log, length = self.logs[data], self.lengths[data]
            told = argument[:length].ljust(length, b"\0")
            at = self.shown(utc_s)
            log.add(Event(at, self.number % 65536, (log.number + 1) % 65536, 0, code, told))
