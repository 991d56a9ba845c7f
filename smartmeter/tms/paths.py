"""By which path each SmartMeter can be answered: the one that it used last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable


class Paths:
    """Paths by ESN, and the ESNs behind each: many, where a relay stands between."""

    def __init__(self) -> None:
        self._paths: dict[str, Hashable] = {}
        self._behind: defaultdict[Hashable, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, esn: str) -> bool:
        return esn in self._paths

    def of(self, esn: str) -> Hashable | None:
        """Give the path of a SmartMeter; None while it has none."""
        return self._paths.get(esn)

    def crowd(self, path: Hashable) -> int:
        """Give how many are reached by a path."""
        return len(self._behind.get(path, ()))

    def heard(self, esn: str, path: Hashable) -> bool:
        """Remember that a SmartMeter was heard on a path; True when it is another than before."""
        if self._paths.get(esn) == path:
            return False
        self.forget(esn)
        self._paths[esn] = path
        self._behind[path].add(esn)
        return True

    def forget(self, esn: str) -> None:
        """A SmartMeter has gone, whatever becomes of its path."""
        path = self._paths.pop(esn, None)
        if path is not None:
            self._behind[path].discard(esn)
            if not self._behind[path]:
                del self._behind[path]

    def closed(self, path: Hashable) -> set[str]:
        """A path has gone; give who was reached by it."""
        gone = self._behind.pop(path, set())
        for esn in gone:
            del self._paths[esn]
        return gone
