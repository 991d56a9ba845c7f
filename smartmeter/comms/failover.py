"""Which bearers to open and which to close: the cheapest that works, and no dearer one beside it.

A machine without bytes: told of what becomes of its bearers, asked for a plan.
Where the longest report that waits is too long for those that work, the next that takes it is
opened beside them.
A bearer that cannot be opened rests, each time twice as long; so does one that
is open and over which nothing comes back.  Only a message that came shows that
a bearer works: then the dearer ones are closed.  One that is opened when it is
wanted stays open for a while after; one that stands by is open beside all others.
Where the far end closes connections on which nothing is said, again and again, they
are opened less and less often while nothing waits, and at once when something does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from protocols.machine import earliest
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearer_health import (
    ANY_TAKES_IT,
    FIRST_DOUBT_REST_US,
    FIRST_REST_US,
    MAX_DOUBT_REST_US,
    MAX_REST_US,
    Health,
    Lengths,
    Phase,
)
from smartmeter.comms.way import Need


@dataclass(frozen=True)
class Plan:
    """Names of bearers to open and to close now, and when to ask again."""

    open: tuple[str, ...]
    close: tuple[str, ...]
    again_us: int | None


class Failover:
    """The bearers of one node.  ``standing_by`` are the names of those that stand by."""

    def __init__(
        self, bearers: Sequence[BearerSettings], standing_by: Collection[str] = ()
    ) -> None:
        ordered = sorted(bearers, key=lambda bearer: bearer.cost)
        self._all = {one.name: Health(one, one.name in standing_by) for one in ordered}
        self._line = [one for one in self._all.values() if not one.stands_by]
        self._need = Need.NOTHING
        every = [one.settings.max_apdu_octets for one in self._line]
        for_all = [one.settings.max_apdu_octets for one in self._line if one.carries_all]
        self._most = Lengths(max(for_all, default=0), max(every, default=0))
        self._alike = len(set(every)) < 2

    def lengths(self, longest: Callable[[bool, int], int]) -> Lengths:
        """Ask a node how long its longest reports are, where that matters to the plan.

        ``longest`` is told whether only urgent ones count, and the most octets.
        """
        if self._alike:
            return ANY_TAKES_IT
        return Lengths(longest(False, self._most.any), longest(True, self._most.urgent))

    def plan(self, need: Need, now_us: int, lengths: Lengths = ANY_TAKES_IT) -> Plan:
        """Tell what to do for what waits; what is to be opened counts as opening from now on."""
        self._need = need
        to_open, to_close = [], []
        taken, carried = False, Lengths(-1, -1)  # what those that work carry
        for one in self._in_order():
            if not one.wanted(need, now_us) or not one.adds(carried, lengths):
                to_close += [one] * one.is_live
            elif one.proven:
                taken, carried = False, one.added_to(carried)
            elif one.is_live:
                taken = taken or one.takes(lengths)
            elif not taken and one.rested(now_us):
                to_open.append(one)
                taken = one.takes(lengths)
        standing = (one for one in self._all.values() if one.stands_by)
        to_open += [one for one in standing if not one.is_live and one.rested(now_us)]
        for one in to_open:
            one.phase = Phase.OPENING
        names = [[one.settings.name for one in chosen] for chosen in (to_open, to_close)]
        changes_us = (at_us for one in self._all.values() for at_us in one.changes_us(now_us))
        return Plan(tuple(names[0]), tuple(names[1]), earliest(*changes_us))

    def up(self, name: str) -> None:
        """A bearer is open; whether it works is not known yet."""
        self._all[name].up()

    def heard(self, name: str) -> bool:
        """A message came by a bearer: it works.  True when that was not known."""
        return self._all[name].heard()

    def failed(self, name: str, fault: str, now_us: int) -> None:
        """A bearer could not be opened."""
        self._all[name].rest(FIRST_REST_US, MAX_REST_US, fault, now_us)

    def doubted(self, name: str, now_us: int) -> None:
        """Nothing came back over an open bearer; its host closes it."""
        first_us, most_us = FIRST_DOUBT_REST_US, MAX_DOUBT_REST_US
        doubted = self._all[name]
        if not any(one.may_replace(doubted) for one in self._all.values()):
            first_us, most_us = FIRST_REST_US, MAX_REST_US
        doubted.rest(first_us, most_us, "no answer came", now_us)

    def ended(self, name: str, now_us: int, fault: str = "") -> None:
        """An open bearer has gone: one that worked is tried again after the shortest rest.

        ``fault`` says why, where that is known.
        """
        one = self._all[name]
        if one.phase is Phase.UP:  # else its rest has been set already
            one.ended(fault, self._need is not Need.NOTHING, now_us)

    def closed(self, name: str) -> None:
        """A bearer was closed, or its opening given up, as the plan said."""
        self._all[name].closed()

    def called(self, now_us: int) -> None:
        """The TMS wants the node to call: what is routine's bearers are opened, rested or not."""
        for one in self._line:
            if one.carries_all:
                one.called(now_us)

    def status(self, now_us: int) -> list[dict[str, Any]]:
        """Give how each bearer does, the cheapest first."""
        return [one.shown(now_us) for one in self._all.values()]

    def _in_order(self) -> list[Health]:
        """Give the line by cost; of those that cost the same one that works goes first."""
        return sorted(
            self._line, key=lambda one: (one.settings.cost, not (one.proven and one.carries_all))
        )
