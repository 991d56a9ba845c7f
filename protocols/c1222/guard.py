"""How fast MACs may be guessed: wrong ones are counted for each key, and slowed down.

A MAC has 32 bits.  When a key has failed too often, who fails is told nothing more, and
messages under it are looked at about once a second.  On a path where the key was right
before it is sixty-four times a second: who knows the key goes on there, also where
somebody without it shares the path, as behind a relay; and guessing takes years.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from protocols.machine import US_PER_S

#: Wrong MACs in a row that a key forgives, and how soon each is forgotten.
FAILURES_FORGIVEN = 16
FORGET_ONE_US = US_PER_S
#: The same on a path where the key was right.
FORGIVEN_WHERE_RIGHT, FORGET_ONE_WHERE_RIGHT_US = 64, US_PER_S // 64
#: Keys with failures, paths where something was right, and keys on one path, that are remembered.
MAX_SUSPECTS, MAX_PATHS, MAX_KEYS_PER_PATH = 4096, 131_072, 4096

#: A key as a peer names it: the caller's absolute title and the key id.
KeyName = tuple[tuple[int, ...], int]


@dataclass(slots=True)
class _Failures:
    """Wrong MACs in a row, of which one is forgotten after each ``forget_us``."""

    most: int
    forget_us: int
    count: int = 0
    since_us: int = 0

    def too_many(self, now_us: int) -> bool:
        return self._remaining(now_us) >= self.most

    def add(self, now_us: int) -> None:
        self.count, self.since_us = min(self._remaining(now_us) + 1, self.most), now_us

    def _remaining(self, now_us: int) -> int:
        return max(0, self.count - (now_us - self.since_us) // self.forget_us)


class FailureGuard:
    """Counts failures; ``allows`` is asked before a MAC is computed."""

    def __init__(self) -> None:
        self._suspects: OrderedDict[KeyName, _Failures] = OrderedDict()
        #: Keys that were right on a path; with what was wrong there since.
        self._proven: OrderedDict[Hashable, dict[KeyName, _Failures | None]] = OrderedDict()

    def allows(self, key: KeyName, path: Hashable, now_us: int) -> bool:
        """Tell whether a message under this key may be looked at now."""
        if key not in self._suspects:
            return True
        proven = self._proven.get(path, {})
        if key not in proven:
            return not self.is_suspected(key, now_us)
        failures = proven[key]
        return failures is None or not failures.too_many(now_us)

    def is_suspected(self, key: KeyName, now_us: int) -> bool:
        """Tell whether a key has failed too often: who fails again is told nothing."""
        suspect = self._suspects.get(key)
        return suspect is not None and suspect.too_many(now_us)

    def failed(self, key: KeyName, path: Hashable, now_us: int) -> bool:
        """Count a wrong MAC; True when the key has just failed too often: raise an alarm."""
        proven = self._proven.get(path, {})
        if key in proven:
            here = proven[key] or _Failures(FORGIVEN_WHERE_RIGHT, FORGET_ONE_WHERE_RIGHT_US)
            proven[key] = here
            here.add(now_us)
        suspect = self._suspects.setdefault(key, _Failures(FAILURES_FORGIVEN, FORGET_ONE_US))
        self._suspects.move_to_end(key)
        while len(self._suspects) > MAX_SUSPECTS:
            self._suspects.popitem(last=False)
        before = suspect.too_many(now_us)
        suspect.add(now_us)
        return suspect.too_many(now_us) and not before

    def succeeded(self, key: KeyName, path: Hashable) -> None:
        """Note that the key was right on this path."""
        proven = self._proven.get(path)
        if proven is None:
            proven = self._proven[path] = {}
        elif key in proven:
            return
        if len(proven) >= MAX_KEYS_PER_PATH:
            proven.clear()
        proven[key] = None
        while len(self._proven) > MAX_PATHS:
            self._proven.popitem(last=False)

    def path_closed(self, path: Hashable) -> None:
        """A path has gone: what was proven on it is forgotten."""
        self._proven.pop(path, None)
