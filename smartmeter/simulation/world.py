"""Virtual time: machines that are told the time, and nothing that waits.

A world holds actors; it goes from deadline to deadline, so that a month takes
as long as its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from protocols.machine import earliest


class Actor(Protocol):
    """Something with deadlines, whose effects on others are carried by ``settle``."""

    def expire(self, now_us: int) -> None:
        """Do what is due."""

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""

    def settle(self, now_us: int) -> bool:
        """Carry what was sent; True when anything moved."""


class World:
    """Actors on one virtual monotonic clock."""

    def __init__(self, now_us: int = 0) -> None:
        self.now_us = now_us
        self.actors: list[Actor] = []

    def run(self, until_us: int, until: Callable[[], bool] | None = None) -> bool:
        """Go on to an instant, or to the first one at which ``until`` holds (then True)."""
        self._settle()
        while until is None or not until():
            dues = [(actor.deadline_us(), actor) for actor in self.actors]
            first_us = earliest(*(due_us for due_us, _ in dues))
            if first_us is None or first_us > until_us:
                self.now_us = max(self.now_us, until_us)
                return False
            self.now_us = max(self.now_us, first_us)
            for due_us, actor in dues:
                if due_us is not None and due_us <= self.now_us:
                    actor.expire(self.now_us)
            self._settle()
        return True

    def _settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for actor in self.actors:
                moved = actor.settle(self.now_us) or moved
