"""For how long an answer is awaited: learnt from the answers that came before."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from smartmeter.base.clock import US_PER_S

#: What silence alone may raise a wait to, and what an answer may.  That somebody is dead must be
#: found out before long; who answers late is known to live.  A message that takes longer than
#: ``MAX_WAIT_US`` is refused for its stamp.
MAX_UNHEARD_US, MAX_WAIT_US = 60 * US_PER_S, 900 * US_PER_S


@dataclass(frozen=True)
class Awaited:
    """One wait for an answer: of whom, since when, and for how long (``timeout_us``)."""

    whom: Hashable
    since_us: int
    least_us: int
    timeout_us: int


class Patience:
    """A wait is twice what the last answer took; each silence doubles it (after RFC 6298).

    Every request has an invocation id of its own, so that no answer is taken for that
    of another.  Nothing is kept of whoever answers within half the least wait.
    """

    def __init__(self) -> None:
        self._waits_us: dict[Hashable, int] = {}

    def begin(self, whom: Hashable, least_us: int, now_us: int) -> Awaited:
        """Something was asked: give how long to wait."""
        timeout_us = max(least_us, self._waits_us.get(whom, 0))
        return Awaited(whom, now_us, least_us, timeout_us)

    def answered(self, wait: Awaited, now_us: int) -> None:
        """An answer came."""
        next_us = min(2 * (now_us - wait.since_us), MAX_WAIT_US)
        if next_us > wait.least_us:
            self._waits_us[wait.whom] = next_us
        else:
            self._waits_us.pop(wait.whom, None)

    def unanswered(self, wait: Awaited) -> None:
        """No answer came in time."""
        next_us = min(2 * wait.timeout_us, MAX_UNHEARD_US)
        self._waits_us[wait.whom] = max(next_us, self._waits_us.get(wait.whom, 0))

    def forget(self, whom: Hashable) -> None:
        """Begin anew: the way to somebody is another now."""
        self._waits_us.pop(whom, None)
