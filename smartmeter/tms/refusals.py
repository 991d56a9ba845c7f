"""What was refused, gathered between two looks, so that a flood costs memory and disk once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable

from smartmeter.tms.store import records

#: Different refusals between two looks that are told apart; more count as of nobody.
MAX_KINDS = 1000


class Refusals:
    """Counts by title and reason; ``take`` gives the change that writes them all."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, bool]] = Counter()
        #: What the store is about to take.
        self._taken: Counter[tuple[str, str, bool]] | None = None

    def note(self, title: str, reason: str, unknown: bool = False, count: int = 1) -> None:
        """Count one, or so many."""
        kind = (title, reason, unknown)
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = ("", "of many titles", False)
        self._counts[kind] += count

    def take(self, utc_s: int) -> Callable[[sqlite3.Connection], None] | None:
        """Give the change that stores what was counted; None for nothing, or while one is made.

        ``stored`` is to be told how it ended.
        """
        if not self._counts or self._taken is not None:
            return None
        counts, self._counts = self._counts, Counter()
        self._taken = counts

        def change(connection: sqlite3.Connection) -> None:
            for (title, reason, unknown), count in counts.items():
                records.store_security_event(connection, utc_s, title, reason, count)
                if unknown and title:
                    records.store_unknown_device(connection, utc_s, title, count)
            records.trim_unknown_devices(connection, utc_s)

        return change

    def stored(self, well: bool) -> None:
        """Note that the change was made; where it was not, its counts wait for the next one."""
        taken, self._taken = self._taken or Counter(), None
        for (title, reason, unknown), count in taken.items() if not well else ():
            self.note(title, reason, unknown, count)
