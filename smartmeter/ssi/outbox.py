"""Reports that wait for their acknowledgement: numbered, durable, bounded.

A report is a page of its own, committed together with the cursors of what it
carries, and removed when the TMS has acknowledged it.  A kill between the
acknowledgement and the removal sends it again; the TMS knows it by (ESN,
outbox epoch, number).  A full outbox takes no scheduled data: that stays in
the meter, whose lists are longer, and the cursor waits.  The last places are
kept for exceptions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import SsiTable
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram

OUTBOX_PAGE = "outbox"
ENTRY_PREFIX = "out."
CAPACITY = 256
#: Places that only exceptions may take.
RESERVE = 32


@dataclass(frozen=True)
class Entry:
    """One report: its number, whether it goes first, and its services with the header first."""

    number: int
    urgent: bool
    services: tuple[bytes, ...]


@dataclass(frozen=True)
class Draft:
    """A report before it has a number: header fields without epoch and number, and services."""

    header: Mapping[str, Any]
    services: Sequence[bytes]
    urgent: bool = False


class Outbox:
    """The queue of one module on its non-volatile memory."""

    def __init__(self, nvram: Nvram, base: int = ssi_tables.DEFAULT_BASE) -> None:
        self._nvram = nvram
        self._base = base
        self.epoch = 0
        self.next_number = 1
        self._entries: dict[int, Entry] = {}
        self.dropped = 0
        self._load()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def room(self) -> int:
        """Give how many scheduled reports may still be added."""
        return max(0, CAPACITY - RESERVE - len(self._entries))

    def begin(self, epoch_s: int) -> None:
        """Give a new outbox its epoch: the UTC second of its first use, never the same twice."""
        if not self.epoch:
            self.epoch = max(1, epoch_s & 0xFFFFFFFF)
            self._nvram.commit({OUTBOX_PAGE: self._state()})

    def add(self, drafts: Sequence[Draft], also: Mapping[str, bytes | None]) -> list[int]:
        """Number the drafts and make them durable, with other pages, in one commit.

        When even the reserve is full, the oldest reports give way to urgent ones
        and ``dropped`` counts them.
        """
        entries = [self._number(draft, self.next_number + n) for n, draft in enumerate(drafts)]
        changes: dict[str, bytes | None] = dict(also)
        excess = len(self._entries) + len(entries) - CAPACITY
        victims = sorted(self._entries)[: max(0, excess)]
        for number in victims:
            changes[_page_name(number)] = None
        for entry in entries:
            changes[_page_name(entry.number)] = _page(entry)
        self.next_number += len(entries)
        changes[OUTBOX_PAGE] = self._state()
        self._nvram.commit(changes)
        for number in victims:
            del self._entries[number]
        self.dropped += len(victims)
        self._entries |= {entry.number: entry for entry in entries}
        return [entry.number for entry in entries]

    def first(self) -> Entry | None:
        """Give the report to send next: exceptions first, then by number."""
        return min(
            self._entries.values(), key=lambda entry: (not entry.urgent, entry.number), default=None
        )

    def after(self, number: int) -> list[Entry]:
        """Give the reports with higher numbers that wait, by number."""
        if number + 1 == self.next_number:
            return []
        return [self._entries[one] for one in sorted(self._entries) if one > number]

    def acknowledged(self, number: int, also: Mapping[str, bytes | None]) -> None:
        """Forget a report that the TMS has; an unknown number changes nothing."""
        if self._entries.pop(number, None) is not None:
            self._nvram.commit({**also, _page_name(number): None})

    def _number(self, draft: Draft, number: int) -> Entry:
        header = {**draft.header, "SIGNATURE": b"SSI1", "BASE": self._base}
        header |= {"OUTBOX_EPOCH": self.epoch, "REPORT_NBR": number}
        octets = ssi_tables.encode(SsiTable.REPORT_HEADER, header)
        first = encode_request(FullWrite(self._base + SsiTable.REPORT_HEADER, octets))
        return Entry(number, draft.urgent, (first, *draft.services))

    def _state(self) -> bytes:
        return json.dumps({"epoch": self.epoch, "next": self.next_number}).encode()

    def _load(self) -> None:
        page = self._nvram.get(OUTBOX_PAGE)
        try:
            if page is not None:
                state = json.loads(page)
                self.epoch, self.next_number = int(state["epoch"]), int(state["next"])
            for name in self._nvram.names(ENTRY_PREFIX):
                value = json.loads(self._nvram.get(name) or b"")
                number = int(name.removeprefix(ENTRY_PREFIX))
                services = tuple(bytes.fromhex(octets) for octets in value["services"])
                self._entries[number] = Entry(number, bool(value["urgent"]), services)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                "the module's outbox", f"cannot be read: {error!r}", "start with an empty file"
            ) from error


def _page_name(number: int) -> str:
    return f"{ENTRY_PREFIX}{number:010d}"


def _page(entry: Entry) -> bytes:
    services = [octets.hex() for octets in entry.services]
    return json.dumps({"urgent": entry.urgent, "services": services}).encode()
