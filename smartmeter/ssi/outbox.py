"""Reports that wait for their acknowledgement: numbered, durable, bounded.

A report is a page of its own, committed together with the cursors of what it
carries, and removed when the TMS has acknowledged it.  A kill between the
acknowledgement and the removal sends it again; the TMS knows it by (ESN,
outbox epoch, number).

When it is full: scheduled data is not taken any more; it stays in the meter,
whose lists are longer, and the cursor waits.  The last places are kept for
exceptions.  When even those are taken, scheduled reports give way to further
exceptions, oldest first; the intervals and log entries that they carried are
remembered as a gap and read from the meter again, and the advisories that rode on them
ride on the next report.  Only when nothing but exceptions is left do
old ones go.

A report that the TMS refuses for what it is (``refusals``) is *set aside*: it is kept, holds
nothing up, takes no place from scheduled data, is tried now and then, and gives way first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.nvram import DAMAGED_PAGE, Nvram

OUTBOX_PAGE = "outbox"
ENTRY_PREFIX = "out."
CAPACITY = 256
#: Places that only exceptions may take.
RESERVE = 32
#: As far as OUTBOX_EPOCH reaches.
MAX_EPOCH = (1 << 32) - 1
#: In the place of a set's number: entries of the meter's log.
LOG_SET = 0


@dataclass(frozen=True)
class IntervalRange:
    """Intervals [first, end) of a set's ring epoch, or of LOG_SET entries of the log."""

    set_nbr: int
    ring_epoch: int
    first: int
    end: int


@dataclass(frozen=True)
class Entry:
    """One report: its number, whether it goes first, its services with the header first."""

    number: int
    urgent: bool
    services: tuple[bytes, ...]
    intervals: tuple[IntervalRange, ...] = ()
    set_aside: bool = False

    @property
    def octets(self) -> int:
        """Give the length of its services, each with its own length before it."""
        return sum(len(service) + 3 for service in self.services)


@dataclass(frozen=True)
class Draft:
    """A report before it has a number: header fields without epoch and number, and services."""

    header: Mapping[str, Any]
    services: Sequence[bytes]
    urgent: bool = False
    intervals: Sequence[IntervalRange] = ()


class Outbox:
    """The queue of one module on its non-volatile memory.

    ``damaged`` tells that what was kept could not be read: it begins anew, in
    a new epoch.
    """

    def __init__(self, nvram: Nvram) -> None:
        self._nvram = nvram
        self.epoch = 0
        #: The epoch before the one that is to begin, as far as it is known.
        self._past_epoch = 0
        self.next_number = 1
        self._entries: dict[int, Entry] = {}
        #: What is set aside, in the order in which it is tried.
        self._aside: dict[int, None] = {}
        self.damaged = False
        self._load()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def numbers(self) -> Iterable[int]:
        """Give the numbers of the reports that wait."""
        return self._entries.keys()

    @property
    def room(self) -> int:
        """Give how many scheduled reports may still be added."""
        return max(0, CAPACITY - RESERVE - self.waiting)

    @property
    def spare(self) -> int:
        """Give how many of those would take the place of nothing that is set aside."""
        return max(0, CAPACITY - RESERVE - len(self._entries))

    @property
    def waiting(self) -> int:
        """Give how many reports wait that are not set aside."""
        return len(self._entries) - len(self._aside)

    @property
    def set_aside(self) -> list[int]:
        """Give the numbers of the reports that are set aside, the first one first."""
        return sorted(self._aside)

    def begin(self, epoch_s: int, also: Mapping[str, bytes | None]) -> None:
        """Give a new outbox its epoch: the UTC second of its first use, above the one before.

        With other pages, in one commit; what was damaged has then begun anew.
        """
        if not self.epoch:
            self.epoch = min(MAX_EPOCH, max(self._past_epoch + 1, epoch_s))
            stale = set(self._nvram.names(ENTRY_PREFIX)) - set(map(_page_name, self._entries))
            gone = dict.fromkeys((*stale, DAMAGED_PAGE))
            self._nvram.commit({**also, **gone, OUTBOX_PAGE: self._state()})

    def renew(self) -> None:
        """Let what is added from now on stand in another epoch; what waits keeps its own."""
        self._past_epoch, self.epoch = max(self._past_epoch, self.epoch), 0

    def victims(self, count: int) -> list[Entry]:
        """Give the reports that must give way when ``count`` are added.

        Those that are set aside go first, then scheduled ones.
        """
        excess = len(self._entries) + count - CAPACITY
        if excess <= 0:
            return []
        return sorted(
            self._entries.values(), key=lambda one: (not one.set_aside, one.urgent, one.number)
        )[:excess]

    def add(self, drafts: Sequence[Draft], also: Mapping[str, bytes | None]) -> list[int]:
        """Number the drafts and make them durable, with other pages, in one commit.

        The ``victims`` of their number go in the same commit.
        """
        entries = [self._number(draft, self.next_number + n) for n, draft in enumerate(drafts)]
        gone = [entry.number for entry in self.victims(len(entries))]
        changes: dict[str, bytes | None] = dict(also)
        for number in gone:
            changes[_page_name(number)] = None
        for entry in entries:
            changes[_page_name(entry.number)] = _page(entry)
        self.next_number += len(entries)
        changes[OUTBOX_PAGE] = self._state()
        self._nvram.commit(changes)
        for number in gone:
            del self._entries[number]
            self._aside.pop(number, None)
        self._entries |= {entry.number: entry for entry in entries}
        return [entry.number for entry in entries]

    def first(
        self,
        only_urgent: bool = False,
        octets: int | None = None,
        without: Collection[int] = (),
        ahead: int = 0,
    ) -> Entry | None:
        """Give the report to send next: exceptions first, then by number; none that is set aside.

        ``octets`` leaves out those whose services are longer, ``without`` those numbers; the
        number that is ``ahead`` goes before all others.
        """
        return min(
            (
                entry
                for entry in self._to_send(only_urgent, without)
                if octets is None or entry.octets <= octets
            ),
            key=lambda entry: (entry.number != ahead, not entry.urgent, entry.number),
            default=None,
        )

    def sizes(self, only_urgent: bool, without: Collection[int]) -> list[int]:
        """Give the octets of the reports that wait, but for what is set aside and those numbers."""
        return [entry.octets for entry in self._to_send(only_urgent, without)]

    def _to_send(self, only_urgent: bool, without: Collection[int]) -> Iterator[Entry]:
        for entry in self._entries.values():
            taken = entry.urgent or not only_urgent
            if taken and not entry.set_aside and entry.number not in without:
                yield entry

    def after(self, number: int) -> list[Entry]:
        """Give the reports with higher numbers that wait, by number."""
        if number + 1 == self.next_number:
            return []
        return [self._entries[one] for one in sorted(self._entries) if one > number]

    def acknowledged(self, number: int, also: Mapping[str, bytes | None]) -> None:
        """Forget a report that the TMS has; an unknown number changes nothing."""
        if self._entries.pop(number, None) is not None:
            self._aside.pop(number, None)
            self._nvram.commit({**also, _page_name(number): None})

    def put_aside(self, number: int, also: Mapping[str, bytes | None]) -> None:
        """Set a report aside, durably, with other pages in one commit."""
        entry = replace(self._entries[number], set_aside=True)
        self._nvram.commit({**also, _page_name(number): _page(entry)})
        self._entries[number] = entry
        self._aside[number] = None

    def tried(self, number: int) -> None:
        """A report that is set aside was refused again: all others are tried before it."""
        if number in self._aside:
            del self._aside[number]
            self._aside[number] = None

    def next_aside(self, octets: int | None) -> Entry | None:
        """Give the report that is set aside and to be tried next.

        ``octets`` leaves out those whose services are longer.
        """
        entries = (self._entries[number] for number in self._aside)
        fits = (entry for entry in entries if octets is None or entry.octets <= octets)
        return next(fits, None)

    def _number(self, draft: Draft, number: int) -> Entry:
        header = {**draft.header, "BASE": DEFAULT_BASE}
        header |= {"OUTBOX_EPOCH": self.epoch, "REPORT_NBR": number}
        octets = ssi_tables.encode(SsiTable.REPORT_HEADER, header)
        first = encode_request(FullWrite(DEFAULT_BASE + SsiTable.REPORT_HEADER, octets))
        return Entry(number, draft.urgent, (first, *draft.services), tuple(draft.intervals))

    def _state(self) -> bytes:
        return json.dumps({"epoch": self.epoch, "next": self.next_number}).encode()

    def _load(self) -> None:
        page = self._nvram.get(OUTBOX_PAGE)
        names = list(self._nvram.names(ENTRY_PREFIX))
        try:
            if page is not None:
                state = json.loads(page)
                self.epoch, self.next_number = int(state["epoch"]), int(state["next"])
            for name in names:
                number = int(name.removeprefix(ENTRY_PREFIX))
                self._entries[number] = _entry(number, self._nvram.get(name) or b"")
            if self._entries and page is None:
                raise ValueError("reports without their epoch")
        except (ValueError, KeyError, TypeError):
            self.damaged = True
            self.renew()
            self.next_number, self._entries = 1, {}
        self._aside = dict.fromkeys(n for n, one in sorted(self._entries.items()) if one.set_aside)


def _page_name(number: int) -> str:
    return f"{ENTRY_PREFIX}{number:010d}"


def _page(entry: Entry) -> bytes:
    value: dict[str, Any] = {
        "urgent": entry.urgent,
        "services": [octets.hex() for octets in entry.services],
    }
    if entry.intervals:
        value["intervals"] = [astuple(carried) for carried in entry.intervals]
    if entry.set_aside:
        value["set_aside"] = True
    return json.dumps(value).encode()


def _entry(number: int, page: bytes) -> Entry:
    value = json.loads(page)
    services = tuple(bytes.fromhex(octets) for octets in value["services"])
    intervals = tuple(IntervalRange(*map(int, one)) for one in value.get("intervals", ()))
    aside = bool(value.get("set_aside"))
    return Entry(number, bool(value["urgent"]), services, intervals, aside)
