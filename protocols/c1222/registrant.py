"""The node's side of registration: when to register, refresh, try again (C12.22 5.3.2.4.10).

The figures are those of one deployed stack.  Registering again is the only
keep-alive; it is done before the period ends, so that the registrar does not
lose the node for a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.registration import Registered
from protocols.machine import US_PER_S, earliest

ANSWER_S = 60
#: Factors of the pause after each failure; the last one stays.
RETRY_FACTORS = (1, 2, 4)
#: After a power-up: a stored registration that ends sooner than this is refreshed soon.
SOON_ENDING_S, SOON_S = 600, 5
REFRESH_PERCENT = 85


class State(Enum):
    """Where a registration stands."""

    UNREGISTERED = "not registered"
    REGISTERING = "asked, no answer yet"
    WAIT = "waits to ask again"
    REGISTERED = "registered"
    REFRESHING = "registered, asked again"
    REFRESH_WAIT = "registered, waits to ask again"


_ASKING = {State.REGISTERING, State.REFRESHING}
_COUNTS = {State.REGISTERED, State.REFRESHING, State.REFRESH_WAIT}


@dataclass(frozen=True)
class RegistrantSettings:
    """The random base of a pause, in seconds, from least to most."""

    least_pause_s: int = 60
    most_pause_s: int = 300


class Registrant:
    """A machine without octets: says when to send a registration, is told what came of it.

    ``chance`` gives a whole number from its first argument to its second.  A
    title that was given by the registrar is dropped when the registration ends;
    ``static_title`` is kept.
    """

    def __init__(
        self,
        chance: Callable[[int, int], int],
        static_title: ApTitle | None = None,
        settings: RegistrantSettings | None = None,
    ) -> None:
        self._chance = chance
        self._static_title = static_title
        self._settings = settings or RegistrantSettings()
        self.title = static_title
        self.state = State.UNREGISTERED
        self._failures = 0
        self._due_us: int | None = None
        self._ends_us: int | None = None

    @property
    def registered(self) -> bool:
        """Tell whether the registration counts now, also while it is being refreshed."""
        return self.state in _COUNTS

    def power_up(self, stored: Registered, remaining_s: int, now_us: int) -> None:
        """Take up a registration that was kept over a power cut."""
        self.title, self.state = stored.title, State.REGISTERED
        self._ends_us = now_us + remaining_s * US_PER_S if stored.period_s else None
        soon = stored.period_s and remaining_s < SOON_ENDING_S
        pause_s = SOON_S if soon else self._chance(0, stored.delay_s)
        self._due_us = now_us + pause_s * US_PER_S

    def poll(self, now_us: int) -> bool:
        """Do what is due; True when a registration is to be sent now."""
        if self._ends_us is not None and now_us >= self._ends_us:
            self._lapse()
        if self._due_us is not None and now_us < self._due_us:
            return False
        if self.state in _ASKING:
            self.failed(now_us)
            return False
        if self.state is State.REGISTERED and self._due_us is None:
            return False  # for ever
        self.state = State.REFRESHING if self.registered else State.REGISTERING
        self._due_us = now_us + ANSWER_S * US_PER_S
        return True

    def accepted(self, answer: Registered, now_us: int) -> None:
        """The registrar said ok."""
        self.title, self.state, self._failures = answer.title, State.REGISTERED, 0
        self._due_us = self._ends_us = None
        if answer.period_s:
            self._ends_us = now_us + answer.period_s * US_PER_S
            most_us = answer.period_s * US_PER_S * REFRESH_PERCENT // 100
            self._due_us = now_us + self._chance(most_us * 9 // 10, most_us)

    def failed(self, now_us: int) -> None:
        """It said something else, or nothing in time."""
        factor = RETRY_FACTORS[min(self._failures, len(RETRY_FACTORS) - 1)]
        self._failures += 1
        pause_s = self._chance(self._settings.least_pause_s, self._settings.most_pause_s)
        self._due_us = now_us + pause_s * factor * US_PER_S
        self.state = State.REFRESH_WAIT if self.registered else State.WAIT

    def moved(self, now_us: int) -> None:
        """The way to the registrar is a new one: say on it where we are, as relays on it may
        know nothing of us."""
        if self.state in (State.REGISTERED, State.REFRESH_WAIT):
            self._due_us = now_us

    def deregistered(self, now_us: int) -> None:
        """The network, or the own host, ended it: start over, after the answer has gone."""
        self._lapse()
        self._failures, self._due_us = 0, now_us

    def deadline_us(self) -> int | None:
        """Give when ``poll`` is wanted."""
        return earliest(self._due_us, self._ends_us)

    def _lapse(self) -> None:
        self.title, self._ends_us = self._static_title, None
        waiting = self.state in (State.REFRESHING, State.REFRESH_WAIT)
        self.state = State.WAIT if waiting else State.UNREGISTERED
