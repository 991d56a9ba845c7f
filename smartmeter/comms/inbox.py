"""What comes over a connection: kept, within a bound, until somebody takes it."""

from __future__ import annotations

from collections.abc import Callable

#: APDUs that wait for their taker; more are dropped.
MAX_EARLY = 16


class Inbox:
    """One connection's messages."""

    def __init__(self) -> None:
        self._take: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []

    def put(self, octets: bytes) -> None:
        """Give one on, or keep it."""
        if self._take is not None:
            self._take(octets)
        elif len(self._early) < MAX_EARLY:
            self._early.append(octets)

    def open(self, take: Callable[[bytes], None]) -> None:
        """Give what was kept, and from now on what comes, to who takes it."""
        self._take = take
        early, self._early = self._early, []
        for octets in early:
            take(octets)
