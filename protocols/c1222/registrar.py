"""The registration list of a title domain: who has which title, where, and for how long.

What a master relay keeps.  The exchange with authentication and notification
hosts is not public: who may register is the node's matter (its keys), and
``Registrar.changes`` tells what changed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from protocols.c1222.addressing import is_group
from protocols.c1222.ap_title import ApTitle, Arcs
from protocols.c1222.native_address import sends_datagrams
from protocols.c1222.registration import (
    PERIOD_AS_YOU_LIKE_S,
    ConnectionType,
    NodeType,
    Register,
    refusal,
)
from protocols.machine import US_PER_S
from protocols.psem.codes import ResponseCode

MAX_ENTRIES = 100_000
#: The wait after a power-up grows with the list, so that nodes do not all come back at once.
DELAY_S_PER_THOUSAND = 30
#: Lapses of registrations that came anew since, beyond as many as there are entries.
MAX_LAPSES_MORE = 1000
#: Each of them costs a message for each registration.
MAX_NOTIFICATION_HOSTS = 16


@dataclass(frozen=True)
class Entry:
    """One registered node.  ``lapses_us`` None: for ever.

    ``heard_at`` is where its registration came from, if that was a datagram.
    """

    title: ApTitle
    serial: ApTitle | None
    node_type: int
    connection_type: int
    device_class: bytes
    address: bytes
    lapses_us: int | None
    heard_at: bytes = b""

    def registration(self, now_us: int) -> Register:
        """Give the registration that this entry stands for, with the period that is left."""
        left_s = PERIOD_AS_YOU_LIKE_S
        if self.lapses_us is not None:
            left_s = min(max(0, (self.lapses_us - now_us) // US_PER_S), PERIOD_AS_YOU_LIKE_S)
        return Register(
            self.title,
            self.serial,
            left_s,
            NodeType(self.node_type),
            ConnectionType(self.connection_type),
            self.device_class,
            self.address,
        )

    def lapsing_by(self, latest_us: int) -> Entry:
        """Give it with the end that it may have at most: a clock that was behind has put it off."""
        if self.lapses_us is None or self.lapses_us <= latest_us:
            return self
        return replace(self, lapses_us=latest_us)

    @property
    def wants_to_be_told(self) -> bool:
        """Tell whether this is a notification host."""
        return bool(self.node_type & NodeType.NOTIFICATION_HOST)


@dataclass(frozen=True)
class Change:
    """An entry came (also anew), or went; for notification hosts and for the memory."""

    entry: Entry
    present: bool


@dataclass(frozen=True)
class RegistrarSettings:
    """What is granted: the longest period, and the grace behind it."""

    max_period_s: int = 86_400
    grace_s: int = 60
    max_entries: int = MAX_ENTRIES


class Registrar:
    """A list that survives by iteration and ``load``; ``domain`` is where titles are given.

    ``own`` is the master relay's title: nobody else gets it, nor one above it.
    """

    def __init__(
        self,
        domain: ApTitle,
        settings: RegistrarSettings | None = None,
        own: ApTitle | None = None,
    ) -> None:
        self._domain = domain
        self._own = (own,) if own is not None else ()
        self._settings = settings or RegistrarSettings()
        self._entries: dict[Arcs, Entry] = {}
        self._serials: dict[Arcs, ApTitle] = {}
        self._hosts: dict[Arcs, Entry] = {}
        #: When titles lapse, the first at its head; a title that came anew is in it twice.
        self._lapses: list[tuple[int, Arcs]] = []
        self._next_arc = 1
        self._changes: list[Change] = []

    def load(self, entries: Iterable[Entry], now_us: int) -> None:
        """Take up what was kept over a restart; nothing lapses later than if it came now."""
        longest_s = self._settings.max_period_s + self._settings.grace_s
        for entry in entries:
            self._enter(entry.lapsing_by(now_us + longest_s * US_PER_S))

    def __len__(self) -> int:
        """Give how many nodes are on the list."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Give the whole list, one by one."""
        return iter(self._entries.values())

    def notification_hosts(self) -> list[Entry]:
        """Give those that want to be told of every change."""
        return list(self._hosts.values())

    def changes(self) -> list[Change]:
        """Give what changed, and forget it."""
        changes, self._changes = self._changes, []
        return changes

    def find(self, title: ApTitle | None) -> Entry | None:
        """Give the entry of exactly this title."""
        return self._entries.get(title.absolute) if title is not None else None

    def register(self, asked: Register, now_us: int, heard_at: bytes = b"") -> bytes:
        """Give the response to a registration, and enter it if it is ok.

        ``heard_at`` is the native address that it came from.
        """
        refused = refusal(asked)
        if refused is not None:
            return bytes([refused])
        title = self._title_for(asked)
        if title is None:
            return bytes([ResponseCode.err])
        if title.absolute not in self._entries and (
            len(self._entries) >= self._settings.max_entries
        ):
            return bytes([ResponseCode.bsy])
        asks = asked.node_type & NodeType.NOTIFICATION_HOST and title.absolute not in self._hosts
        if asks and len(self._hosts) >= MAX_NOTIFICATION_HOSTS:
            return bytes([ResponseCode.bsy])
        # 0 in a request is not "for ever": it has been read as "unsupported".
        period_s = min(asked.period_s or self._settings.max_period_s, self._settings.max_period_s)
        entry = Entry(
            title,
            asked.serial,
            asked.node_type,
            asked.connection_type,
            asked.device_class,
            asked.address,
            now_us + (period_s + self._settings.grace_s) * US_PER_S,
            heard_at if sends_datagrams(heard_at) else b"",
        )
        self._enter(entry)
        self._changes.append(Change(entry, True))
        delay_s = min(DELAY_S_PER_THOUSAND * len(self._entries) // 1000, 0xFFFF)
        return asked.granted(title, delay_s, period_s).encode()

    def deregister(self, title: ApTitle | None, caller: ApTitle | None) -> bytes:
        """Give the response to a deregistration: a node gives up its own title."""
        entry = self.find(title)
        if entry is None:
            return bytes([ResponseCode.uat])
        if caller is None or caller.absolute != entry.title.absolute:
            return bytes([ResponseCode.isc])
        self._remove(entry)
        return bytes([ResponseCode.ok])

    def expire(self, now_us: int) -> None:
        """Remove what has lapsed, period and grace."""
        while (due_us := self.deadline_us()) is not None and now_us >= due_us:
            self._remove(self._entries[self._lapses[0][1]])

    def deadline_us(self) -> int | None:
        """Give when the next entry lapses."""
        while self._lapses:
            due_us, title = self._lapses[0]
            entry = self._entries.get(title)
            if entry is not None and entry.lapses_us == due_us:
                return due_us
            heapq.heappop(self._lapses)
        return None

    def _title_for(self, asked: Register) -> ApTitle | None:
        """Give a node its title: its old one, the wished one if it is free, or a new one."""
        if asked.serial is not None and asked.serial.absolute in self._serials:
            return self._serials[asked.serial.absolute]
        if asked.title is not None and (is_group(asked.title) or self._is_above(asked.title)):
            return None  # who had it would get what is for everybody
        if asked.title is not None:
            owner = self.find(asked.title)
            return asked.title if owner is None or owner.serial == asked.serial else None
        title = self._domain
        while title == self._domain or title.absolute in self._entries:
            title = replace(self._domain, arcs=(*self._domain.arcs, self._next_arc))
            self._next_arc += 1
        return title

    def _is_above(self, title: ApTitle) -> bool:
        """Tell whether all that this relay is and gives lies below a title."""
        arcs = title.absolute
        return any(name.absolute[: len(arcs)] == arcs for name in (self._domain, *self._own))

    def _enter(self, entry: Entry) -> None:
        self._entries[entry.title.absolute] = entry
        self._hosts.pop(entry.title.absolute, None)
        if entry.wants_to_be_told:
            self._hosts[entry.title.absolute] = entry
        if entry.serial is not None:
            self._serials[entry.serial.absolute] = entry.title
        if entry.lapses_us is not None:
            heapq.heappush(self._lapses, (entry.lapses_us, entry.title.absolute))
        if len(self._lapses) > 2 * len(self._entries) + MAX_LAPSES_MORE:
            dues = ((e.lapses_us, title) for title, e in self._entries.items())
            self._lapses = [(due_us, title) for due_us, title in dues if due_us is not None]
            heapq.heapify(self._lapses)

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.title.absolute]
        self._hosts.pop(entry.title.absolute, None)
        if entry.serial is not None:
            self._serials.pop(entry.serial.absolute, None)
        self._changes.append(Change(entry, False))
