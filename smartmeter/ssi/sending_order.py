"""What the module sends next, and by which bearer: the cheapest that is up and takes it.

Exceptions go before what is routine, and may take a dear bearer.  A report that is refused lets
others go first; one that is refused while others are taken is to be set aside, and is tried again
when nothing else waits.  Without mains only a last gasp is sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from protocols.psem.codes import NOT_NOW, ResponseCode, code_name
from smartmeter.base.clock import US_PER_S
from smartmeter.comms.way import MAX_REPORT_OCTETS, Need, Way
from smartmeter.ssi.bearers_up import BearersUp
from smartmeter.ssi.outbox import Entry, Outbox
from smartmeter.ssi.refusals import Refusals

OK = bytes([ResponseCode.ok])
#: Refusals that are of the moment and not of the report.
_LATER = frozenset(bytes([one]) for one in NOT_NOW)
#: How long after one that was set aside was refused the next of those is tried.
ASIDE_PAUSE_US = 3600 * US_PER_S
#: Octets that a message may have around its services, and a registration's in all.
ENVELOPE_OCTETS, REGISTRATION_OCTETS = 128, 192


@dataclass
class Gasps:
    """The messages of one last gasp: as many as there are waits, each sent after its own.

    ``report`` is the number of the report that tells of the loss.
    """

    report: int
    waits_us: Sequence[int]
    sent: int = 0

    @property
    def wait_us(self) -> int | None:
        """Give the wait before the next message; None when the energy allows no more."""
        return self.waits_us[self.sent] if self.sent < len(self.waits_us) else None


class SendingOrder:
    """Chooses among the reports that wait and the bearers that are up."""

    def __init__(self, outbox: Outbox, bearers: BearersUp) -> None:
        self._outbox, self._bearers = outbox, bearers
        self.refusals = Refusals()
        #: The last gasp, until the mains are back.
        self.gasps: Gasps | None = None
        #: When the next of the reports that are set aside is tried.
        self.aside_us = 0

    def choice(self, owes: bool, tries_aside: bool = False) -> tuple[Hashable, Entry | None] | None:
        """Give the cheapest bearer that has something to carry, and the report if there is one.

        ``owes``: a registration goes first, over a dear bearer only for what is urgent.  Without
        a report, one also goes over the cheapest bearer if the TMS has not seen us on it yet.
        """
        if self.gasps is not None:
            return self._gasp(self.gasps)
        unseen = self._bearers.unseen()
        if not owes and not len(self._outbox) and unseen is None:
            return None
        for path, way in self._bearers.ways.items():
            entry = self._first_for(way)
            if entry is None and tries_aside and not way.urgent_only:
                entry = self._outbox.next_aside(_room(way))
            registers = (owes or path == unseen) and way.max_apdu_octets >= REGISTRATION_OCTETS
            if owes and not registers:
                continue  # nothing goes before a registration, and that does not fit
            if entry is not None or (registers and not way.urgent_only):
                return path, entry
        return None

    def _gasp(self, gasps: Gasps) -> tuple[Hashable, Entry] | None:
        """Give the bearer and the report of the next message of a last gasp.

        What the mains fed may be dead on the way: each message takes another bearer.
        """
        ways = list(self._bearers.ways.items())
        if gasps.wait_us is None or not ways:
            return None
        turn = gasps.sent % len(ways)
        for path, way in ways[turn:] + ways[:turn]:
            entry = self._first_for(way)
            if entry is not None:
                return path, entry
        return None

    def _first_for(self, way: Way) -> Entry | None:
        """Give the report that a bearer takes next; none that lets others go first.

        The one that tells of a loss of the mains is ahead of older alarms, which would use up the
        energy.
        """
        only_urgent = way.urgent_only or self.gasps is not None
        ahead = 0 if self.gasps is None else self.gasps.report
        return self._outbox.first(only_urgent, _room(way), self.refusals.passed_over, ahead)

    def need(self, owes: bool, now_us: int) -> Need:
        """Tell what waits for a bearer; ``owes``: a registration does."""
        outbox = self._outbox
        if outbox.first(only_urgent=True) is not None:
            return Need.URGENT
        aside = bool(outbox.set_aside) and now_us >= self.aside_us
        return Need.ROUTINE if outbox.waiting or aside or owes else Need.NOTHING

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits ``most_octets``.

        0 when there is none.
        """
        sizes = self._outbox.sizes(only_urgent, self.refusals.passed_over)
        needed = (min(size + ENVELOPE_OCTETS, MAX_REPORT_OCTETS) for size in sizes)
        return max((octets for octets in needed if octets <= most_octets), default=0)

    def refused(
        self, entry: Entry, responses: Sequence[bytes], path: Hashable, now_us: int
    ) -> str | None:
        """Let others go first where that may help.

        Gives the codes in words when the report itself is at fault, and is to be set aside.
        """
        if entry.set_aside:
            self._outbox.tried(entry.number)
            self.aside_us = now_us + ASIDE_PAUSE_US
            return None
        codes = {one[:1] for one in responses} - {OK}
        if self.gasps is not None or codes <= _LATER:
            return None
        if self.refusals.refused(entry.number):
            if not self._outbox.set_aside:  # else those before it have their turn as they had
                self.aside_us = now_us + ASIDE_PAUSE_US
            return ", ".join(sorted(code_name(one[0]) for one in codes if one))
        way = self._bearers.ways.get(path)
        if way is None or self._first_for(way) is None:
            self.refusals.forget()
        return None


def _room(way: Way) -> int | None:
    """Give for how many octets of services a bearer has room; None: for every report.

    Reports were made to fit the usual limit.
    """
    most = way.max_apdu_octets
    return None if most >= MAX_REPORT_OCTETS else most - ENVELOPE_OCTETS
