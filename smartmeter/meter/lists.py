"""Where a list of a table stands: blocks of a load profile, entries of a log, self-reads.

The standard's lists run in one of four ways.  *Circular*: entries stay where
they are and a pointer moves; *first in, first out*: data shift, so that the
oldest (ascending) or the newest (descending) stays at element 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartmeter.meter.profile import ListStyle


@dataclass
class ListPointers:
    """Counters of one list.  ``added`` never goes back, so no number is given twice.

    ``inhibit`` makes a full list of unread entries stop instead of overwriting.
    """

    capacity: int
    style: ListStyle
    inhibit: bool = False
    added: int = 0
    valid: int = 0
    unread: int = 0
    overflow: bool = False

    def add(self) -> bool:
        """Make room for an entry; False when all are unread and the list may not overflow."""
        if self.unread >= self.capacity:
            self.overflow = True
            if self.inhibit or not self.capacity:
                return False
        self.added += 1
        self.valid = min(self.valid + 1, self.capacity)
        self.unread = min(self.unread + 1, self.capacity)
        return True

    def acknowledge(self, count: int) -> None:
        """Lower the unread counter (procedure 5)."""
        self.unread = max(0, self.unread - count)
        if self.unread < self.capacity:
            self.overflow = False

    def clear(self) -> None:
        """Empty the list (procedure 4); numbers go on."""
        self.valid = self.unread = 0
        self.overflow = False

    def element(self, age: int) -> int:
        """Give the array element of an entry; age 0 is the newest."""
        if self.style.fifo:
            return age if self.style.descending else self.valid - 1 - age
        at = (self.added - 1 - age) % self.capacity
        return self.capacity - 1 - at if self.style.descending else at

    @property
    def newest(self) -> int:
        """Give LAST_ENTRY_ELEMENT, 0 while there is none."""
        return self.element(0) if self.valid else 0

    @property
    def flags(self) -> dict[str, int]:
        """Give LIST_STATUS_BFLD."""
        return {
            "ORDER": int(self.style.descending),
            "OVERFLOW_FLAG": int(self.overflow),
            "LIST_TYPE": int(not self.style.fifo),
            "INHIBIT_OVERFLOW_FLAG": int(self.inhibit),
        }

    @property
    def flag_bits(self) -> int:
        """Give LIST_STATUS_BFLD as its octet."""
        return sum(bit << k for k, bit in enumerate(self.flags.values()))

    def to_json(self) -> list[Any]:
        """Give the counters for non-volatile memory."""
        return [self.added, self.valid, self.unread, self.overflow]

    def restore(self, state: list[Any]) -> None:
        """Take the counters back."""
        self.added, self.valid, self.unread, self.overflow = state


class KeptList:
    """A list of encoded entries, oldest first in memory, with its counters."""

    def __init__(self, pointers: ListPointers, blank: bytes) -> None:
        self.pointers = pointers
        self._blank = blank
        self.entries: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Append an entry whose room has been made."""
        self.entries.append(entry)
        del self.entries[: -self.pointers.capacity]

    def clear(self) -> None:
        """Empty the list."""
        self.entries.clear()
        self.pointers.clear()

    def octets(self) -> bytes:
        """Give the whole array; elements never used are blank."""
        slots = [self._blank] * self.pointers.capacity
        for age, entry in enumerate(reversed(self.entries)):
            slots[self.pointers.element(age)] = entry
        return b"".join(slots)

    def to_json(self) -> dict[str, Any]:
        """Give the list for non-volatile memory."""
        return {"pointers": self.pointers.to_json(), "entries": [e.hex() for e in self.entries]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the list back."""
        self.pointers.restore(state["pointers"])
        self.entries = [bytes.fromhex(entry) for entry in state["entries"]]
