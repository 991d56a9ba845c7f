"""How long to hold what answers a packet: a meter may miss what comes at once (Q28)."""

from __future__ import annotations

from protocols.quirks import Quirk, Quirks

#: Delays tried one after the other where a meter misses acknowledgments.
SLOWER_TURN_AROUNDS_US = (20_000, 50_000, 150_000)
#: Packets without a copy after which a shorter delay is tried again, and how many times as many it
#: takes when that was too short: a loss is not a way of the meter.
PACKETS_TO_HURRY, HURRY_LATER = 100, 8
#: A copy among so many packets after that shows that it was too short.
PACKETS_ON_TRIAL = 4


class TurnAround:
    """Learns from copies how long the delay must be, and tries shorter ones again.

    ``delay_us`` is what is to be waited now, never less than what was given.
    """

    __slots__ = ("_given_us", "_on_trial", "_quirks", "_since_change", "_to_hurry", "delay_us")

    def __init__(self, quirks: Quirks, given_us: int) -> None:
        self._quirks = quirks
        self._given_us = self.delay_us = given_us
        self._since_change = 0
        self._to_hurry = PACKETS_TO_HURRY
        self._on_trial = False

    def give(self, given_us: int) -> None:
        """Take another least delay; what was learnt beside it stands."""
        if given_us != self._given_us:
            self._given_us = given_us
            self._use(given_us)

    def packet_came(self) -> None:
        """Count a new packet; where nothing was missed for long, try the next shorter delay."""
        self._since_change += 1
        if self._since_change <= self._to_hurry or self.delay_us == self._given_us:
            return
        shorter = (one for one in SLOWER_TURN_AROUNDS_US if self._given_us < one < self.delay_us)
        self._use(max(shorter, default=self._given_us))
        self._on_trial = True
        if self.delay_us == self._given_us:
            self._quirks.forget(Quirk.ACK_TOO_FAST)

    def copy_came(self) -> None:
        """Note that our acknowledgment was missed: perhaps it left too early."""
        if not self._quirks.tolerates(Quirk.ACK_TOO_FAST):
            return
        if self._on_trial and self._since_change <= PACKETS_ON_TRIAL:
            self._to_hurry *= HURRY_LATER
        self._on_trial = False
        longer = (one for one in SLOWER_TURN_AROUNDS_US if one > self.delay_us)
        delay_us = next(longer, self.delay_us)
        if delay_us != self.delay_us:
            self._quirks.note(Quirk.ACK_TOO_FAST)
        self._use(delay_us)

    def _use(self, delay_us: int) -> None:
        self.delay_us = delay_us
        self._since_change = 0
