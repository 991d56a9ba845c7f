"""Messages to groups that a relay forwarded: none goes on twice, and answers find who asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from protocols.c1222.answers_due import Key
from protocols.c1222.ap_title import absolute
from protocols.c1222.envelope import Apdu


@dataclass(frozen=True)
class _Passed:
    """A message that was forwarded: the path it came by, and what its answers name."""

    came: Hashable
    key: Key
    due_us: int


class GroupMessages:
    """Remembers ``capacity`` messages at most, each for ``keep_us``."""

    def __init__(self, capacity: int, keep_us: int) -> None:
        self._capacity, self._keep_us = capacity, keep_us
        self._passed: OrderedDict[Hashable, _Passed] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Tell whether no further message may pass; see ``expire``."""
        return len(self._passed) >= self._capacity

    def has_passed(self, apdu: Apdu) -> bool:
        """Tell whether a message has passed already."""
        return _mark(apdu) in self._passed

    def passes(self, came: Hashable, apdu: Apdu, now_us: int) -> None:
        """Remember a message that passes."""
        mark = _mark(apdu)
        self._passed[mark] = _Passed(came, mark[:2], now_us + self._keep_us)

    def askers(self, key: Key, path: Hashable) -> list[Hashable]:
        """Give the paths that wait for an answer that came by ``path``."""
        found = (one.came for one in self._passed.values() if one.key == key)
        return [came for came in found if came != path]

    def expire(self, now_us: int) -> None:
        """Forget what passed long ago."""
        while self._passed and now_us >= next(iter(self._passed.values())).due_us:
            self._passed.popitem(last=False)


def _mark(apdu: Apdu) -> tuple[tuple[int, ...], int, bytes]:
    return absolute(apdu.calling), apdu.calling_invocation_id, apdu.user_information
