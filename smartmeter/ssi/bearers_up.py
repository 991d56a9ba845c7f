"""The bearers that a module may use now: what each costs, whether it answers, and how soon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from smartmeter.comms.patience import Awaited, Patience
from smartmeter.comms.way import Way

#: Requests in a row without an answer, after which a bearer is doubted.
UNANSWERED_BEFORE_DOUBT = 2


class BearersUp:
    """The bearers that are up, by their path, the cheapest first."""

    def __init__(self) -> None:
        self.ways: dict[Hashable, Way] = {}
        self._patience = Patience()
        #: Bearers that came up, and over which nothing has been answered since.
        self._unseen: set[Hashable] = set()
        self._unanswered: Counter[Hashable] = Counter()
        self._doubted: list[Hashable] = []

    def up(self, path: Hashable, way: Way) -> None:
        """Take a bearer that can be used from now on."""
        self._unseen.add(path)
        self._unanswered.pop(path, None)
        self.ways[path] = way
        self.ways = dict(sorted(self.ways.items(), key=lambda item: item[1].cost))

    def down(self, path: Hashable) -> None:
        """Forget a bearer that has gone, but not how soon it answered."""
        self.ways.pop(path, None)
        self._unseen.discard(path)
        self._unanswered.pop(path, None)

    def unseen(self) -> Hashable | None:
        """Give the cheapest bearer of what is routine, if nothing was answered on it yet."""
        routine = (path for path, way in self.ways.items() if not way.urgent_only)
        cheapest = next(routine, None)
        return cheapest if cheapest in self._unseen else None

    def wait(self, path: Hashable, least_us: int, now_us: int) -> Awaited:
        """Something is asked over a bearer: give for how long to wait for its answer."""
        return self._patience.begin(path, max(least_us, self.ways[path].answer_us), now_us)

    def answered(self, wait: Awaited, now_us: int) -> None:
        """An answer came, also after its wait had ended."""
        self._patience.answered(wait, now_us)
        self._unanswered.pop(wait.whom, None)
        self._unseen.discard(wait.whom)

    def unanswered(self, wait: Awaited) -> None:
        """No answer came in time."""
        path = wait.whom
        if path not in self.ways:
            return
        self._patience.unanswered(wait)
        self._unanswered[path] += 1
        if self._unanswered[path] == UNANSWERED_BEFORE_DOUBT:
            self._doubted.append(path)

    def doubted(self) -> list[Hashable]:
        """Give the bearers that have come to be doubted since this was asked last."""
        doubted, self._doubted = self._doubted, []
        return doubted
