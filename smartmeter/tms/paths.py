"""By which path each SmartMeter can be answered: the one that it used last.

A path by which no answer came is doubted, however open it looks.  Another one, that was
looked for meanwhile, is tried then; the two take turns until the SmartMeter is heard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable


class Paths:
    """Paths by ESN, and the ESNs behind each: many, where a relay stands between."""

    def __init__(self) -> None:
        self._paths: dict[str, Hashable] = {}
        #: What is tried in turn with the path, since that is doubted.
        self._others: dict[str, Hashable] = {}
        self._doubted: set[str] = set()
        self._behind: defaultdict[Hashable, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, esn: str) -> bool:
        return esn in self._paths

    def of(self, esn: str) -> Hashable | None:
        """Give the path of a SmartMeter; None while it has none."""
        return self._paths.get(esn)

    def is_doubted(self, esn: str) -> bool:
        """Tell whether the last that was asked by the path was not answered."""
        return esn in self._doubted

    def has_other(self, esn: str) -> bool:
        """Tell whether another path is tried in turn."""
        return esn in self._others

    def crowd(self, path: Hashable) -> int:
        """Give how many are reached by a path."""
        return len(self._behind.get(path, ()))

    def heard(self, esn: str, path: Hashable) -> bool:
        """Remember that a SmartMeter was heard on a path; True when it is another than before."""
        is_new = self._paths.get(esn) != path
        if not is_new and esn not in self._doubted and esn not in self._others:
            return False  # as with nearly every report
        self.forget(esn)
        self._paths[esn] = path
        self._behind[path].add(esn)
        return is_new

    def answered(self, esn: str, path: Hashable) -> None:
        """A request was answered by a path; a path that is not known is not believed."""
        if path in (self._paths.get(esn), self._others.get(esn)):
            self.heard(esn, path)

    def unanswered(self, esn: str, path: Hashable) -> None:
        """No answer came by a path: another, if there is one, has its turn."""
        if self._paths.get(esn) != path:
            return
        self._doubted.add(esn)
        if esn in self._others:
            self._paths[esn], self._others[esn] = self._others[esn], path

    def found(self, esn: str, path: Hashable) -> bool:
        """A path may lead to a SmartMeter: try it now.  False when it is the one that it has."""
        before = self._paths.get(esn)
        if before == path:
            return False
        if before is None:
            return self.heard(esn, path)
        self._leave(esn, self._others.get(esn))
        self._paths[esn], self._others[esn] = path, before
        self._behind[path].add(esn)
        return True

    def forget(self, esn: str) -> None:
        """A SmartMeter has gone, whatever becomes of its path."""
        self._leave(esn, self._paths.pop(esn, None))
        self._leave(esn, self._others.pop(esn, None))
        self._doubted.discard(esn)

    def closed(self, path: Hashable) -> set[str]:
        """A path has gone; give who was reached by it."""
        gone = set()
        for esn in self._behind.pop(path, ()):
            other = self._others.pop(esn, None)
            if self._paths[esn] == path:
                gone.add(esn)
                del self._paths[esn]
                self._doubted.discard(esn)
                if other is not None:
                    self._paths[esn] = other
        return gone

    def _leave(self, esn: str, path: Hashable | None) -> None:
        if path is not None:
            self._behind[path].discard(esn)
            if not self._behind[path]:
                del self._behind[path]
