"""The event log, ST-76: what happened to the meter, and who did it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from smartmeter.meter.profile import EVENT_ENTRIES


class EventCode(IntEnum):
    """The standard events that this meter can see."""

    PRIMARY_POWER_DOWN = 1
    PRIMARY_POWER_UP = 2
    TIME_CHANGED_OLD = 3
    TIME_CHANGED_NEW = 4
    PROCEDURE_INVOKED = 9
    TABLE_WRITTEN = 10
    COMM_TERMINATED_ABNORMALLY = 13
    LIST_POINTERS_RESET = 14
    LIST_POINTERS_UPDATED = 15
    EVENT_LOG_CLEARED = 18
    DEMAND_RESET = 20
    SELF_READ = 21
    #: Wrong passwords up to the lock-out: the standard has no closer code.
    TAMPER_ATTEMPT = 47


@dataclass
class Entry:
    """One entry; times in UTC seconds, argument of 4 octets."""

    utc_s: int
    sequence: int
    user_id: int
    code: int
    argument: str = "00000000"


@dataclass
class EventLog:
    """A circular list of the last entries."""

    entries: list[Entry] = field(default_factory=list)
    sequence: int = 0
    unread: int = 0
    overflow: bool = False

    def add(self, code: EventCode, utc_s: int, user_id: int = 0, argument: bytes = b"") -> None:
        """Append an event; the oldest gives way."""
        self.sequence += 1
        self.entries.append(
            Entry(utc_s, self.sequence, user_id, code, argument[:4].ljust(4, b"\0").hex())
        )
        del self.entries[:-EVENT_ENTRIES]
        self.overflow = self.overflow or self.unread == EVENT_ENTRIES
        self.unread = min(self.unread + 1, EVENT_ENTRIES)

    def clear(self) -> None:
        """Empty the list (procedure 4); sequence numbers go on."""
        self.entries.clear()
        self.unread, self.overflow = 0, False

    def acknowledge(self, entries: int) -> None:
        """Lower the unread counter (procedure 5)."""
        self.unread = max(0, self.unread - entries)
        self.overflow = self.overflow and self.unread == EVENT_ENTRIES

    def table(self) -> dict[str, Any]:
        """Give ST-76."""
        blank = _entry(None)
        slots = [blank] * EVENT_ENTRIES
        for entry in self.entries:
            slots[(entry.sequence - 1) % EVENT_ENTRIES] = _entry(entry)
        return {
            "EVENT_FLAGS": {
                "ORDER": 0,
                "OVERFLOW_FLAG": int(self.overflow),
                "LIST_TYPE": 1,
                "INHIBIT_OVERFLOW_FLAG": 0,
            },
            "NBR_VALID_ENTRIES": len(self.entries),
            "LAST_ENTRY_ELEMENT": max(0, self.sequence - 1) % EVENT_ENTRIES,
            "LAST_ENTRY_SEQ_NBR": self.sequence,
            "NBR_UNREAD_ENTRIES": self.unread,
            "ENTRIES": slots,
        }

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return {
            "entries": [list(vars(entry).values()) for entry in self.entries],
            "sequence": self.sequence,
            "unread": self.unread,
            "overflow": self.overflow,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> EventLog:
        """Give the log back."""
        entries = [Entry(*values) for values in state["entries"]]
        return cls(entries, state["sequence"], state["unread"], state["overflow"])


def _entry(entry: Entry | None) -> dict[str, Any]:
    """Give one entry as ST-76 holds it; an unused one is code 0 with a time that is not set."""
    if entry is None:
        entry = Entry(0, 0, 0, 0)
    moment = datetime.fromtimestamp(entry.utc_s, UTC).replace(tzinfo=None) if entry.utc_s else None
    return {
        "EVENT_TIME": moment,
        "EVENT_SEQ_NBR": entry.sequence % 65536,
        "USER_ID": entry.user_id,
        "EVENT_CODE": {"TBL_PROC_NBR": entry.code, "STD_VS_MFG_FLAG": 0, "SELECTOR": 0},
        "EVENT_ARGUMENT": bytes.fromhex(entry.argument),
    }
