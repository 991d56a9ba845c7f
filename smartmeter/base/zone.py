"""A zone as data: offsets from UTC and the instants at which they change.

The TMS makes it from the time-zone database and provisions it, so that module
and TMS compute the same due times and the module needs no database.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Zone:
    """Local time minus UTC, in seconds: ``offset_s`` first, then what each transition brings.

    ``transitions`` are (UTC second, offset in seconds), in order.
    """

    offset_s: int = 0
    transitions: tuple[tuple[int, int], ...] = ()

    def offset_at(self, utc_s: int) -> int:
        """Give the offset in force at an instant."""
        at = bisect_right(self.transitions, (utc_s, 1 << 40))
        return self.transitions[at - 1][1] if at else self.offset_s

    def since(self, utc_s: int) -> int | None:
        """Give the instant from which the offset of ``utc_s`` has been in force; None: always."""
        at = bisect_right(self.transitions, (utc_s, 1 << 40))
        return self.transitions[at - 1][0] if at else None

    def utc_of(self, local_s: int) -> int:
        """Give the instant at which a local clock first shows ``local_s``.

        A time that the change to summer time leaves out is the instant of the
        change; of a time that comes twice it is the first.
        """
        # Between two transitions local time runs as UTC does: the first stretch that reaches it.
        offset_s = self.offset_s
        for instant, following_s in self.transitions:
            if local_s - offset_s < instant:
                return local_s - offset_s
            if local_s < instant + following_s:
                return instant
            offset_s = following_s
        return local_s - offset_s


UTC_ZONE = Zone()


def make_zone(offset_s: int, transitions: Iterable[tuple[int, int]]) -> Zone:
    """Make a zone; ValueError for offsets that no place has, or transitions out of order."""
    listed = tuple(transitions)
    if any(abs(offset) > 15 * 3600 for offset in (offset_s, *(entry[1] for entry in listed))):
        raise ValueError("an offset of more than 15 hours")
    if any(b[0] <= a[0] for a, b in pairwise(listed)):
        raise ValueError("transitions out of order")
    return Zone(offset_s, listed)
