"""Where a node finds keys, and how it keeps what must never repeat."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime

#: What a history keeps of answers, to repeat them when a request comes again.
MAX_ANSWER_OCTETS = 4 << 20


class KeyRing(Protocol):
    """Keys by the peer's title and key id."""

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the key shared with a peer, or None."""


@dataclass(frozen=True)
class SecurityState:
    """What a node must find again after a restart: the next invocation id, the last IV."""

    next_invocation_id: int = 1
    last_iv: int = 0


@dataclass(slots=True)
class _Heard:
    until_us: int
    stamp: int
    answer: bytes | None = None


class History:
    """Remembers requests for a time, and the answers that were given to them.

    A request is marked by what makes it unique: key id, caller, IV and id of a
    secured one; caller, id and content of one in clear.  Bounded in messages and
    in octets of answers: when it is full the oldest goes, and ``evicted`` rises to
    the stamp (its IV) that it was added with.
    """

    def __init__(self, capacity: int) -> None:
        self.evicted = 0
        self._capacity = capacity
        self._heard: OrderedDict[Hashable, _Heard] = OrderedDict()
        self._answer_octets = 0

    def knows(self, mark: Hashable, now_us: int) -> bool:
        """Tell whether a request was heard, and not too long ago."""
        heard = self._heard.get(mark)
        return heard is not None and now_us < heard.until_us

    def add(self, mark: Hashable, until_us: int, now_us: int, stamp: int = 0) -> None:
        """Remember a request that is being served."""
        self._forget(mark)
        while len(self._heard) >= self._capacity:
            oldest = self._forget(next(iter(self._heard)))
            if oldest is not None and now_us < oldest.until_us:
                self.evicted = max(self.evicted, oldest.stamp)
        self._heard[mark] = _Heard(until_us, stamp)

    def answered(self, mark: Hashable, apdu: bytes) -> None:
        """Keep the answer, to be repeated when the same request comes again."""
        heard = self._heard.get(mark)
        if heard is None or len(apdu) > MAX_ANSWER_OCTETS:
            return
        heard.answer = apdu
        self._answer_octets += len(apdu)
        while self._answer_octets > MAX_ANSWER_OCTETS:
            oldest = next(entry for entry in self._heard.values() if entry.answer is not None)
            self._answer_octets -= len(oldest.answer or b"")
            oldest.answer = None

    def answer(self, mark: Hashable) -> bytes | None:
        """Give the answer to a request heard before, if it was answered and is still kept."""
        heard = self._heard.get(mark)
        return heard.answer if heard is not None else None

    def _forget(self, mark: Hashable) -> _Heard | None:
        heard = self._heard.pop(mark, None)
        if heard is not None and heard.answer is not None:
            self._answer_octets -= len(heard.answer)
        return heard


class NoKeys:
    """The key ring of a node that has no keys of others, such as a relay."""

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give none."""
        return None


class TitleKeys:
    """A key ring by title, key id 0: each node's own."""

    def __init__(self) -> None:
        self._ciphers: dict[tuple[int, ...], EaxPrime] = {}

    def add(self, title: ApTitle, key: bytes) -> None:
        """Enter a node's key."""
        self._ciphers[title.absolute] = EaxPrime(key)

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the key of a title."""
        return self._ciphers.get(peer.absolute) if peer is not None and key_id == 0 else None
