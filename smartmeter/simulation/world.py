"""Virtual time: machines that are told the time, and nothing that waits.

A world holds actors; it goes from deadline to deadline, so that a month takes
as long as its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


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
            due_us = self._next_us()
            if due_us is None or due_us > until_us:
                self.now_us = max(self.now_us, until_us)
                return False
            self.now_us = max(self.now_us, due_us)
            for actor in self.actors:
                deadline_us = actor.deadline_us()
                if deadline_us is not None and deadline_us <= self.now_us:
                    actor.expire(self.now_us)
            self._settle()
        return True

    def _next_us(self) -> int | None:
        dues = [actor.deadline_us() for actor in self.actors]
        return min((due for due in dues if due is not None), default=None)

    def _settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for actor in self.actors:
                moved = actor.settle(self.now_us) or moved
