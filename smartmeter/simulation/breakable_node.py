"""A node's ways to the network, to be broken from outside: a message machine that wraps one.

Faults hold for APDUs of one direction or of both, for so many of them or until
they are taken away:

``drop``      it is lost
``delay``     it passes ``ms`` later
``corrupt``   one bit of it is flipped
``repeat``    it passes ``times`` times in all
``reorder``   it is held back ``ms`` milliseconds, so that others overtake it
``loss``      it is lost with a chance of ``percent``
``mute``      notifications out of the meter are lost: it answers, but is silent by itself
``cut``       everything is lost, both ways, until the fault is taken away
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any

from protocols.machine import earliest
from smartmeter.comms.node import SmartNode
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.network.faults import Holding, flipped, is_notification
from smartmeter.network.link import Link

MAX_FAULTS = 1_000
#: Ways that are known at once; the oldest is forgotten first, with what it still carries.
MAX_WAYS = 64


class NetworkFaultKind(StrEnum):
    """What can go wrong with APDUs."""

    DROP = "drop"
    DELAY = "delay"
    CORRUPT = "corrupt"
    REPEAT = "repeat"
    REORDER = "reorder"
    LOSS = "loss"
    MUTE = "mute"
    CUT = "cut"


@dataclass(eq=False)
class NetworkFault:
    """One fault; ``count`` None: until it is taken away.  ``way`` is out, in or both."""

    kind: NetworkFaultKind
    count: int | None = None
    way: str = "both"
    ms: int = 1_000
    times: int = 2
    percent: int = 50

    def to_json(self) -> dict[str, Any]:
        """Give the fault as the control interface shows it."""
        return {**asdict(self), "kind": self.kind.value}

    def strikes(self, octets: bytes, outward: bool, chance: Random) -> bool:
        """Tell whether an APDU is struck, and count it."""
        if self.way == ("in" if outward else "out") or self.count == 0:
            return False
        if self.kind is NetworkFaultKind.MUTE and not (outward and is_notification(octets)):
            return False
        if self.kind is NetworkFaultKind.LOSS and chance.randrange(100) >= self.percent:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class _Struck(Holding):
    """The wrapper of one fault on one way."""

    def __init__(self, fault: NetworkFault, chance: Random) -> None:
        super().__init__()
        self._fault, self._chance = fault, chance
        self._hit = False

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Pass an APDU on, or do to it what the fault says."""
        fault = self._fault
        self._hit = fault.strikes(octets, outward, self._chance)
        times = 1
        if self._hit and fault.kind is NetworkFaultKind.CORRUPT and octets:
            octets = flipped(octets, self._chance.randrange(len(octets) * 8))
        elif self._hit and fault.kind is NetworkFaultKind.REPEAT:
            times = fault.times
        for _ in range(times):
            super().put(octets, outward, now_us)

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when an APDU passes; None loses it."""
        kind = self._fault.kind
        if not self._hit or kind in (NetworkFaultKind.CORRUPT, NetworkFaultKind.REPEAT):
            return now_us
        if kind in (NetworkFaultKind.DELAY, NetworkFaultKind.REORDER):
            return now_us + self._fault.ms * 1000
        return None


class BreakableNode:
    """A node on its bearers, each behind a link; ``inner`` is the node."""

    def __init__(self, inner: SmartNode, new_link: Callable[[], Link], chance: Random) -> None:
        self.inner = inner
        self.faults: list[NetworkFault] = []
        self.counts: Counter[str] = Counter()
        self._new_link, self._chance = new_link, chance
        self._links: dict[Hashable, Link] = {}
        self._worn: dict[NetworkFault, list[tuple[Link, _Struck]]] = {}
        self._out: list[tuple[Hashable, bytes]] = []
        self._gone = self._now_us = 0

    @property
    def lost(self) -> int:
        """Give how many APDUs did not get through."""
        return self._gone + sum(link.lost for link in self._links.values())

    def add(self, fault: NetworkFault) -> None:
        """Let a fault hold from now on."""
        self.faults.append(fault)
        self._worn[fault] = []
        for link in self._links.values():
            self._wrap(link, fault)

    def remove(self, fault: NetworkFault) -> None:
        """Let a fault hold no longer; what it held back goes on."""
        self.faults.remove(fault)
        for link, wrapper in self._worn.pop(fault):
            link.unwrap(wrapper, self._now_us)

    def clear(self) -> None:
        """Let no fault hold."""
        for fault in list(self.faults):
            self.remove(fault)

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self._now_us = now_us
        self.counts["in"] += 1
        self._link(path).put(octets, False, now_us)
        self._carry()

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        self._carry()
        out, self._out = self._out, []
        self.counts["out"] += len(out)
        return out

    def forget(self, path: Hashable) -> None:
        """A way has gone for good."""
        link = self._links.pop(path, None)
        if link is not None:
            self._gone += link.lost
            for fault, worn in self._worn.items():
                self._worn[fault] = [pair for pair in worn if pair[0] is not link]

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._now_us = now_us
        self.inner.bearer_up(path, now_us, way)

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer."""
        return self.inner.need(now_us)

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits."""
        return self.inner.longest(only_urgent, most_octets)

    def doubted(self) -> list[Hashable]:
        """Give the bearers over which nothing came back."""
        return self.inner.doubted()

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._now_us = now_us
        self.inner.bearer_down(path, now_us)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self._now_us = now_us
        due_us = self.inner.deadline_us()
        if due_us is not None and due_us <= now_us:
            self.inner.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(
            self.inner.deadline_us(), *(link.deadline_us() for link in self._links.values())
        )

    def _link(self, path: Hashable) -> Link:
        link = self._links.get(path)
        if link is None:
            while len(self._links) >= MAX_WAYS:
                self.forget(next(iter(self._links)))
            link = self._links[path] = self._new_link()
            for fault in self.faults:
                self._wrap(link, fault)
        return link

    def _wrap(self, link: Link, fault: NetworkFault) -> None:
        wrapper = _Struck(fault, self._chance)
        link.wrap(wrapper)
        self._worn[fault].append((link, wrapper))

    def _carry(self) -> None:
        """Carry both ways until all is quiet."""
        moved = True
        while moved:
            moved = False
            for path, octets in self.inner.outgoing():
                self._link(path).put(octets, True, self._now_us)
            for path, link in list(self._links.items()):
                for outward, octets in link.arrived(self._now_us):
                    moved = True
                    if outward:
                        self._out.append((path, octets))
                    else:
                        self.inner.receive(path, octets, self._now_us)
        for fault in [fault for fault in self.faults if fault.count == 0]:
            if not any(wrapper.holds for _, wrapper in self._worn[fault]):
                self.remove(fault)
