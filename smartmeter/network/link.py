"""A link of the simulated network: takes APDUs, gives them later, or never.

Sans-I/O: it is told the time, and its chance comes from a seeded source, so
that a run can be repeated.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from random import Random
from typing import Protocol


class Fault(Protocol):
    """Something that stands in the way of APDUs."""

    def passes(self, octets: bytes, outward: bool, now_us: int) -> bool:
        """Tell whether an APDU gets through; outward is from the SmartMeter to the network."""


@dataclass(frozen=True)
class LinkSettings:
    """How slow and how bad a link is."""

    delay_us: int = 0
    jitter_us: int = 0
    loss_percent: int = 0
    #: Bits a second; 0 is a link whose speed is no matter.
    rate_bps: int = 0


class Link:
    """One way or both: ``put`` an APDU with its direction, ``arrived`` when it is through."""

    def __init__(self, settings: LinkSettings, chance: Random) -> None:
        self._settings = settings
        self._chance = chance
        self._queue: list[tuple[int, int, bool, bytes]] = []
        self._order = 0
        self.faults: list[Fault] = []
        self.lost = 0

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Give an APDU to the link."""
        lossy = self._chance.randrange(100) < self._settings.loss_percent
        if lossy or not all(fault.passes(octets, outward, now_us) for fault in self.faults):
            self.lost += 1
            return
        due_us = now_us + self._settings.delay_us
        if self._settings.jitter_us:
            due_us += self._chance.randrange(self._settings.jitter_us)
        if self._settings.rate_bps:
            due_us += len(octets) * 8_000_000 // self._settings.rate_bps
        self._order += 1
        heapq.heappush(self._queue, (due_us, self._order, outward, octets))

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through: direction and octets, in the order of arrival."""
        through = []
        while self._queue and self._queue[0][0] <= now_us:
            _, _, outward, octets = heapq.heappop(self._queue)
            through.append((outward, octets))
        return through

    def deadline_us(self) -> int | None:
        """Give when the next APDU is through."""
        return self._queue[0][0] if self._queue else None
