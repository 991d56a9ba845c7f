"""A relay in the simulated network: nodes below it, and one link to whoever is above."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from protocols.c1222.relay import Relay
from protocols.machine import earliest
from smartmeter.network.link import Link

UPSTREAM = "upstream"


class RelayNode:
    """A relay machine on its backhaul link; nodes below are known by their paths.

    ``step`` gives what goes down, with its path, and what comes out above.
    """

    def __init__(self, relay: Relay, link: Link) -> None:
        self.relay, self.link = relay, link
        #: Is told of what has arrived at the link's end: outward, octets.
        self.arrived: Callable[[bool, bytes], None] = lambda outward, octets: None

    def from_below(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take an APDU of a node."""
        self.relay.receive(path, octets, now_us)

    def from_above(self, octets: bytes, now_us: int) -> None:
        """Take an APDU for somebody below; it is on the link first."""
        self.link.put(octets, False, now_us)

    def step(self, now_us: int) -> tuple[list[tuple[Hashable, bytes]], list[bytes]]:
        """Carry until all is quiet."""
        down: list[tuple[Hashable, bytes]] = []
        above: list[bytes] = []
        moved = True
        while moved:
            moved = False
            for path, octets in self.relay.outgoing():
                if path == UPSTREAM:
                    self.link.put(octets, True, now_us)
                else:
                    down.append((path, octets))
            for outward, octets in self.link.arrived(now_us):
                moved = True
                self.arrived(outward, octets)
                if outward:
                    above.append(octets)
                else:
                    self.relay.receive(UPSTREAM, octets, now_us)
        return down, above

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self.relay.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` or ``step`` is wanted."""
        return earliest(self.relay.deadline_us(), self.link.deadline_us())
