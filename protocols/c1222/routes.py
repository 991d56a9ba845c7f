"""What a relay knows of the ways to titles, and what it may believe of who claims one.

Anybody can write any title into a message.  So a way counts by what spoke for it: a
registrar's list; an answer under security, which only the holder of a key gets; a
registration in clear.  What was only said in clear never takes the place of what was proven.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from protocols.c1222.ap_title import Arcs


@dataclass(frozen=True, slots=True)
class Spoken:
    """The answer under security that named a way: who gave it, its stamp and its id.

    Whoever repeats a recorded message gets the answer that was given then, and nothing newer.
    """

    host: Arcs
    stamp: bytes
    number: int

    def is_before(self, other: Spoken) -> bool:
        """Tell an answer that was given before the other one, or is the same."""
        is_older = self.stamp <= other.stamp and self.number <= other.number
        return self.host == other.host and is_older


@dataclass(frozen=True, slots=True)
class Route:
    """The path to a title, until when it counts, and whether a key has spoken for it."""

    path: Hashable
    due_us: int
    proven: bool
    spoken: Spoken | None = None


class RouteTable:
    """At most ``capacity`` routes, each for ``keep_us`` from when it was learned; the oldest
    goes first."""

    def __init__(self, capacity: int, keep_us: int) -> None:
        self._capacity, self._keep_us = capacity, keep_us
        # All are kept equally long and are put in behind the others: the first lapses first.
        self._routes: OrderedDict[Arcs, Route] = OrderedDict()
        self._by_path: dict[Hashable, set[Arcs]] = {}

    def learn(
        self,
        title: Arcs,
        path: Hashable,
        now_us: int,
        proven: bool = False,
        spoken: Spoken | None = None,
    ) -> bool:
        """Enter a way; False when one that was proven, or by a later answer, is against it."""
        self.expire(now_us)
        known = self._routes.get(title)
        last = known.spoken if known is not None else None
        is_old = last is not None and spoken is not None and spoken.is_before(last)
        if known is not None and known.path != path and (is_old or (known.proven and not proven)):
            return False
        spoken = last if is_old or spoken is None else spoken
        self.forget(title)
        while len(self._routes) >= self._capacity:
            self.forget(next(iter(self._routes)))
        # A way that was proven stays so when its node is heard in clear.
        proven = proven or (known is not None and known.proven)
        self._routes[title] = Route(path, now_us + self._keep_us, proven, spoken)
        self._by_path.setdefault(path, set()).add(title)
        return True

    def hear(self, title: Arcs, path: Hashable, now_us: int) -> None:
        """Enter a way that a title was only heard by, where none is known."""
        self.expire(now_us)
        if title not in self._routes:
            self.learn(title, path, now_us)

    def way(self, title: Arcs, now_us: int) -> Hashable | None:
        """Give the path of the longest title that is the wanted one, or above it."""
        for size in range(len(title), 0, -1):
            route = self._routes.get(title[:size])
            if route is not None and now_us < route.due_us:
                return route.path
        return None

    def below(self, prefix: Arcs) -> set[Hashable]:
        """Give the paths to all titles below one."""
        size = len(prefix)
        return {r.path for title, r in self._routes.items() if title[:size] == prefix}

    def forget(self, title: Arcs) -> None:
        """Forget the way to a title, if there is one."""
        route = self._routes.pop(title, None)
        if route is None:
            return
        titles = self._by_path[route.path]
        titles.discard(title)
        if not titles:
            del self._by_path[route.path]

    def forget_path(self, path: Hashable) -> None:
        """A path has gone: forget what it led to."""
        for title in list(self._by_path.get(path, ())):
            self.forget(title)

    def expire(self, now_us: int) -> None:
        """Forget what has lapsed."""
        while self._routes and now_us >= next(iter(self._routes.values())).due_us:
            self.forget(next(iter(self._routes)))

    def deadline_us(self) -> int | None:
        """Give when the next way lapses."""
        return next(iter(self._routes.values())).due_us if self._routes else None

    def paths(self) -> dict[Arcs, Hashable]:
        """Give the path to each title."""
        return {title: route.path for title, route in self._routes.items()}
