"""The queue of a world with many actors: who is due next, found without asking everybody."""

from __future__ import annotations

import heapq
from collections.abc import Hashable


class Agenda:
    """Due instants of actors by name; an actor has one at a time, and the last one set counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Hashable]] = []
        self._due: dict[Hashable, tuple[int, int]] = {}
        self._order = 0

    def put(self, actor: Hashable, due_us: int | None) -> None:
        """Set when an actor is due; None takes it off."""
        known = self._due.get(actor)
        if due_us is None:
            self._due.pop(actor, None)
        elif known is None or known[0] != due_us:
            self._order += 1
            self._due[actor] = (due_us, self._order)
            heapq.heappush(self._heap, (due_us, self._order, actor))

    def next_us(self) -> int | None:
        """Give the earliest due instant."""
        while self._heap:
            due_us, order, actor = self._heap[0]
            if self._due.get(actor) == (due_us, order):
                return due_us
            heapq.heappop(self._heap)
        return None

    def take(self, until_us: int) -> tuple[int, Hashable] | None:
        """Give instant and actor of what is due first, if it is due by then, and take it off."""
        due_us = self.next_us()
        if due_us is None or due_us > until_us:
            return None
        actor = heapq.heappop(self._heap)[2]
        del self._due[actor]
        return due_us, actor
