"""How one bearer of a node does: open or resting, proven or doubted, wanted or left in peace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.way import Carries, Need

FIRST_REST_US, MAX_REST_US = 500_000, 30_000_000
#: A bearer over which nothing came back is tried less and less, if there is another.
FIRST_DOUBT_REST_US, MAX_DOUBT_REST_US = 30_000_000, 900_000_000
#: So long a bearer that is not wanted any more stays open: an answer may want it again.
LINGER_US = 30_000_000
#: Connections that worked and were closed idle in a shorter time, one after the other, are unwanted
#: there; the longest that none is opened then, unless something waits.
IDLE_US, MAX_QUIET_US = 300_000_000, 300_000_000


class Phase(Enum):
    """What is with a bearer now."""

    IDLE = "idle"
    OPENING = "opening"
    UP = "up"


@dataclass(frozen=True)
class Lengths:
    """What a bearer must carry, in octets, for the longest report and the longest urgent one that
    wait and are not too long for all."""

    any: int = 0
    urgent: int = 0


#: Whatever waits, every bearer takes it.
ANY_TAKES_IT = Lengths()


@dataclass
class Health:
    """One bearer.  It is ``proven`` once a message came by it since it was opened."""

    settings: BearerSettings
    stands_by: bool
    phase: Phase = Phase.IDLE
    proven: bool = False
    rest_until_us: int = 0
    rest_us: int = 0
    wanted_us: int | None = None
    called_us: int | None = None
    #: When it was closed idle, and how long it is not opened idly then.
    closed_idle_us: int | None = None
    quiet_us: int = 0
    failures: int = 0
    opened: int = 0
    fault: str = ""

    @property
    def carries_all(self) -> bool:
        """Tell whether it is for what is routine, too."""
        return self.settings.carries is Carries.ALL

    @property
    def is_live(self) -> bool:
        """Tell whether it is open, or being opened."""
        return self.phase is not Phase.IDLE

    # What becomes of it.

    def up(self) -> None:
        """It is open; whether it works is not known yet."""
        self.phase, self.proven, self.fault = Phase.UP, False, ""
        self.opened += 1

    def heard(self) -> bool:
        """A message came: it works.  True when that was not known."""
        if self.phase is not Phase.UP:
            return False  # what came while it was closed says nothing of the next time
        news, self.proven = not self.proven, True
        self.rest_us = self.failures = 0
        return news

    def rest(self, first_us: int, most_us: int, fault: str, now_us: int) -> None:
        """It failed: let it rest, each time twice as long."""
        self.phase, self.proven, self.fault = Phase.IDLE, False, fault
        self.failures += 1
        if self.settings.address.startswith("listen:"):
            most_us = FIRST_REST_US  # its host can only come while it listens
        self.rest_us = min(max(first_us, 2 * self.rest_us), most_us)
        self.rest_until_us = now_us + self.rest_us

    def ended(self, fault: str, is_needed: bool, now_us: int) -> None:
        """It was open and has gone: one that worked is tried again after the shortest rest."""
        if not self.proven:
            fault = fault or "ended before a message came"
            self.rest(FIRST_REST_US, MAX_REST_US, fault, now_us)
            return
        self.closed()
        self.rest_until_us = now_us + FIRST_REST_US
        if not is_needed:
            last_us = self.closed_idle_us
            again = last_us is not None and now_us < last_us + self.quiet_us + IDLE_US
            twice_us = min(max(FIRST_REST_US, 2 * self.quiet_us), MAX_QUIET_US)
            self.closed_idle_us, self.quiet_us = now_us, twice_us if again else 0

    def closed(self) -> None:
        """It was closed, or its opening given up."""
        self.phase, self.proven = Phase.IDLE, False

    def called(self, now_us: int) -> None:
        """The TMS wants to be called: it is opened, rested or not."""
        self.called_us, self.quiet_us = now_us, 0
        self.rest_until_us = min(self.rest_until_us, now_us)

    # What may be done with it.

    def rested(self, now_us: int) -> bool:
        """Tell whether it may be opened, or is."""
        return now_us >= self.rest_until_us or self.is_live

    def wanted(self, need: Need, now_us: int) -> bool:
        """Tell whether it is to be open for what waits, or was until just now."""
        if self.carries_all:
            idly = self.settings.when is When.ALWAYS and not self._is_quiet(now_us)
            wanted = idly or need >= Need.ROUTINE
        else:
            wanted = need is Need.URGENT
        if wanted:
            self.wanted_us = now_us
        lingers = self.wanted_us is not None and now_us < self.wanted_us + LINGER_US
        called = self.called_us is not None and now_us < self.called_us + LINGER_US
        return wanted or (lingers and self.is_live) or called

    def _is_quiet(self, now_us: int) -> bool:
        """Tell whether it stays closed while nothing waits, as its far end closed it idle."""
        return self.closed_idle_us is not None and now_us < self.closed_idle_us + self.quiet_us

    def takes(self, lengths: Lengths) -> bool:
        """Tell whether it takes the longest report that it is good for."""
        longest = lengths.any if self.carries_all else lengths.urgent
        return longest <= self.settings.max_apdu_octets

    def adds(self, carried: Lengths, lengths: Lengths) -> bool:
        """Tell whether it takes what those before it do not."""
        have, want = carried.any, lengths.any
        if not self.carries_all:
            have, want = carried.urgent, lengths.urgent
        return have < 0 or (have < want and self.takes(lengths))

    def added_to(self, carried: Lengths) -> Lengths:
        """Give what is carried with it beside those before it."""
        octets = self.settings.max_apdu_octets
        every = octets if self.carries_all else carried.any
        return Lengths(every, max(octets, carried.urgent))

    def may_replace(self, doubted: Health) -> bool:
        """Tell whether it may carry what another one did not."""
        is_like = self.settings.carries is doubted.settings.carries
        is_open = self.phase is Phase.UP and (is_like or self.carries_all)
        return self is not doubted and (is_open or (is_like and not self.stands_by))

    def changes_us(self, now_us: int) -> Iterator[int]:
        """Give the instants at which time alone changes what may be done with it."""
        if not self.rested(now_us):
            yield self.rest_until_us
        if self._is_quiet(now_us):
            yield (self.closed_idle_us or 0) + self.quiet_us
        for since_us in (self.wanted_us, self.called_us):
            if since_us is not None and since_us + LINGER_US > now_us:
                yield since_us + LINGER_US

    def shown(self, now_us: int) -> dict[str, Any]:
        """Give how it does, for people and programs."""
        return {
            "name": self.settings.name,
            "address": self.settings.address,
            "cost": self.settings.cost,
            "carries": self.settings.carries.value,
            "state": self.phase.value if self.rested(now_us) else "resting",
            "works": self.proven,
            "opened": self.opened,
            "failures": self.failures,
            "fault": self.fault,
        }
