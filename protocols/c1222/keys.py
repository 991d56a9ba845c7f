"""Where a node finds keys, and how it keeps what must never repeat."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime


class KeyRing(Protocol):
    """Keys by the peer's title and key id."""

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the key shared with a peer, or None."""


@dataclass(frozen=True)
class SecurityState:
    """What a node must find again after a restart: the next invocation id, the last IV."""

    next_invocation_id: int = 1
    last_iv: int = 0


#: A replay key: key id, the caller's absolute title, IV, invocation id.
Seen = tuple[int, tuple[int, ...], bytes, int]


class ReplayStore:
    """Remembers secured messages inside the time window, and the answers that were given.

    Bounded: when it is full the oldest goes, and the window alone refuses it then.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._answers: OrderedDict[Seen, bytes | None] = OrderedDict()

    def __contains__(self, seen: Seen) -> bool:
        return seen in self._answers

    def add(self, seen: Seen) -> None:
        """Remember a message that is being served."""
        while len(self._answers) >= self._capacity:
            self._answers.popitem(last=False)
        self._answers[seen] = None

    def answered(self, seen: Seen, apdu: bytes) -> None:
        """Keep the answer, to be repeated when the same octets come again."""
        if seen in self._answers:
            self._answers[seen] = apdu

    def answer(self, seen: Seen) -> bytes | None:
        """Give the answer to a message seen before, if it was answered."""
        return self._answers.get(seen)
