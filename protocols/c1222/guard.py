"""How fast MACs may be guessed: wrong ones are counted for each key, and slowed down.

A MAC has 32 bits.  When a key has failed too often, messages under it are no
longer looked at, except on paths where it was right before: so a guesser gets
about one try a second, and whoever knows the key goes on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

US_PER_S = 1_000_000
#: Wrong MACs in a row that a key forgives, and how soon each is forgotten.
FAILURES_FORGIVEN = 16
FORGET_ONE_US = US_PER_S
#: Keys with failures, paths where something was right, and keys on one path, that are remembered.
MAX_SUSPECTS, MAX_PATHS, MAX_KEYS_PER_PATH = 4096, 131_072, 4096

#: A key as a peer names it: the caller's absolute title and the key id.
KeyName = tuple[tuple[int, ...], int]


@dataclass
class _Suspect:
    failures: int
    since_us: int


class FailureGuard:
    """Counts failures; ``allows`` is asked before a MAC is computed."""

    def __init__(self) -> None:
        self._suspects: OrderedDict[KeyName, _Suspect] = OrderedDict()
        self._proven: OrderedDict[Hashable, set[KeyName]] = OrderedDict()

    def allows(self, key: KeyName, path: Hashable, now_us: int) -> bool:
        """Tell whether a message under this key may be looked at now."""
        suspect = self._suspects.get(key)
        if suspect is None or key in self._proven.get(path, ()):
            return True
        return self._remaining(suspect, now_us) < FAILURES_FORGIVEN

    def failed(self, key: KeyName, path: Hashable, now_us: int) -> bool:
        """Count a wrong MAC; True when the key has just failed too often: raise an alarm."""
        # A path is proven no longer once something wrong comes over it.
        self._proven.get(path, set()).discard(key)
        suspect = self._suspects.setdefault(key, _Suspect(0, now_us))
        self._suspects.move_to_end(key)
        while len(self._suspects) > MAX_SUSPECTS:
            self._suspects.popitem(last=False)
        before = self._remaining(suspect, now_us)
        suspect.failures, suspect.since_us = min(before + 1, FAILURES_FORGIVEN), now_us
        return before + 1 == FAILURES_FORGIVEN

    def succeeded(self, key: KeyName, path: Hashable) -> None:
        """Note that the key was right on this path."""
        proven = self._proven.get(path)
        if proven is None:
            proven = self._proven[path] = set()
        elif key in proven:
            return
        if len(proven) >= MAX_KEYS_PER_PATH:
            proven.clear()
        proven.add(key)
        while len(self._proven) > MAX_PATHS:
            self._proven.popitem(last=False)

    def path_closed(self, path: Hashable) -> None:
        """A path has gone: what was proven on it is forgotten."""
        self._proven.pop(path, None)

    @staticmethod
    def _remaining(suspect: _Suspect, now_us: int) -> int:
        return max(0, suspect.failures - (now_us - suspect.since_us) // FORGET_ONE_US)
