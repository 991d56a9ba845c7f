"""Messages that go in circles: C12.22 counts no hops, so a relay counts what it has sent.

Two relays whose ways lead to each other, or a node that registers a relay's own
address as its own, would send one message round for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from protocols.machine import US_PER_S

#: How often the same octets may go the same way within that time.  What goes round does so
#: thousands of times; a client that writes one invocation id for ever, perhaps every second.
MAX_SAME, MEMORY_US = 64, 30 * US_PER_S
MAX_REMEMBERED = 16_384


class Passages:
    """Counts messages by their octets and their way."""

    def __init__(self) -> None:
        self._passed: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def allow(self, path: Hashable, octets: bytes, now_us: int) -> bool:
        """Tell whether a message may go (again) by a path, and count it."""
        while self._passed and now_us >= next(iter(self._passed.values()))[1]:
            self._passed.popitem(last=False)
        mark = hash((path, octets))
        times, due_us = self._passed.get(mark, (0, now_us + MEMORY_US))
        if times >= MAX_SAME:
            return False
        if not times and len(self._passed) >= MAX_REMEMBERED:
            self._passed.popitem(last=False)
        self._passed[mark] = times + 1, due_us
        return True
