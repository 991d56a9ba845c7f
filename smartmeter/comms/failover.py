"""Which bearers to open and which to close: the cheapest that works, and no dearer one beside it.

A machine without bytes: told of what becomes of its bearers, asked for a plan.
Where the longest report that waits is too long for those that work, the next that takes it is
opened beside them.
A bearer that cannot be opened rests, each time twice as long; so does one that
is open and over which nothing comes back.  Only a message that came shows that
a bearer works: then the dearer ones are closed.  One that is opened when it is
wanted stays open for a while after; one that stands by is open beside all others.
Where the far end closes connections on which nothing is said, again and again, they
are opened less and less for nothing's sake, and at once when something waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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


@dataclass
class _Health:
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


@dataclass(frozen=True)
class Lengths:
    """What a bearer must carry, in octets, for the longest report and the longest urgent one that
    wait and are not too long for all."""

    any: int = 0
    urgent: int = 0


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
        self._all = {one.name: _Health(one, one.name in standing_by) for one in ordered}
        self._line = [one for one in self._all.values() if not one.stands_by]
        self._need = Need.NOTHING
        every = [one.settings for one in self._line]
        most_any = (one.max_apdu_octets for one in every if one.carries is Carries.ALL)
        most_urgent = (one.max_apdu_octets for one in every)
        self._most = Lengths(max(most_any, default=0), max(most_urgent, default=0))
        self._alike = len({one.max_apdu_octets for one in every}) < 2

    def lengths(self, longest: Callable[[bool, int], int]) -> Lengths:
        """Ask a node how long its longest reports are, where that matters to the plan.

        ``longest`` is told whether only urgent ones count, and the most octets.
        """
        if self._alike:
            return Lengths()
        return Lengths(longest(False, self._most.any), longest(True, self._most.urgent))

    def plan(self, need: Need, now_us: int, lengths: Lengths = Lengths()) -> Plan:
        """Tell what to do for what waits; what is to be opened counts as opening from now on."""
        self._need = need
        to_open, to_close = [], []
        taken, carried = False, Lengths(-1, -1)  # what those that work carry
        for one in self._in_order():
            live = one.phase in (Phase.OPENING, Phase.UP)
            if not self._wanted(one, need, now_us) or not _adds(one, carried, lengths):
                to_close += [one] * live
            elif live and one.phase is Phase.UP and one.proven:
                taken, carried = False, _with(one, carried)
            elif live:
                taken = taken or _takes(one, lengths)
            elif not taken and _rested(one, now_us):
                to_open.append(one)
                taken = _takes(one, lengths)
        standing = (one for one in self._all.values() if one.stands_by)
        to_open += [one for one in standing if one.phase is Phase.IDLE and _rested(one, now_us)]
        for one in to_open:
            one.phase = Phase.OPENING
        names = [[one.settings.name for one in chosen] for chosen in (to_open, to_close)]
        return Plan(tuple(names[0]), tuple(names[1]), self._again_us(now_us))

    def up(self, name: str) -> None:
        """A bearer is open; whether it works is not known yet."""
        one = self._all[name]
        one.phase, one.proven, one.fault = Phase.UP, False, ""
        one.opened += 1

    def heard(self, name: str) -> bool:
        """A message came by a bearer: it works.  True when that was not known."""
        one = self._all[name]
        news, one.proven = not one.proven, True
        one.rest_us = one.failures = 0
        return news

    def failed(self, name: str, fault: str, now_us: int) -> None:
        """A bearer could not be opened."""
        self._rest(self._all[name], FIRST_REST_US, MAX_REST_US, fault, now_us)

    def doubted(self, name: str, now_us: int) -> None:
        """Nothing came back over an open bearer; its host closes it."""
        first_us, most_us = FIRST_DOUBT_REST_US, MAX_DOUBT_REST_US
        doubted = self._all[name]
        if not any(_may_replace(one, doubted) for one in self._all.values()):
            first_us, most_us = FIRST_REST_US, MAX_REST_US
        self._rest(doubted, first_us, most_us, "no answer came", now_us)

    def ended(self, name: str, now_us: int, fault: str = "") -> None:
        """An open bearer has gone: one that worked is tried again after the shortest rest.

        ``fault`` says why, where that is known.
        """
        one = self._all[name]
        if one.phase is not Phase.UP:
            return  # its rest has been set already
        if one.proven:
            one.phase, one.proven = Phase.IDLE, False
            one.rest_until_us = now_us + FIRST_REST_US
            if self._need is Need.NOTHING:
                _closed_idle(one, now_us)
        else:
            fault = fault or "ended before a message came"
            self._rest(one, FIRST_REST_US, MAX_REST_US, fault, now_us)

    def closed(self, name: str) -> None:
        """A bearer was closed, or its opening given up, as the plan said."""
        one = self._all[name]
        one.phase, one.proven = Phase.IDLE, False

    def called(self, now_us: int) -> None:
        """The TMS wants the node to call: what is routine's bearers are opened, rested or not."""
        for one in self._line:
            if one.settings.carries is Carries.ALL:
                one.called_us, one.quiet_us = now_us, 0
                one.rest_until_us = min(one.rest_until_us, now_us)

    def status(self, now_us: int) -> list[dict[str, Any]]:
        """Give how each bearer does, the cheapest first."""
        return [
            {
                "name": one.settings.name,
                "address": one.settings.address,
                "cost": one.settings.cost,
                "carries": one.settings.carries.value,
                "state": "resting" if not _rested(one, now_us) else one.phase.value,
                "works": one.proven,
                "opened": one.opened,
                "failures": one.failures,
                "fault": one.fault,
            }
            for one in self._all.values()
        ]

    def _in_order(self) -> list[_Health]:
        """Give the line by cost; of those that cost the same one that works goes first."""

        def works(one: _Health) -> bool:
            return one.proven and one.settings.carries is Carries.ALL

        return sorted(self._line, key=lambda one: (one.settings.cost, not works(one)))

    def _wanted(self, one: _Health, need: Need, now_us: int) -> bool:
        settings = one.settings
        if settings.carries is Carries.ALL:
            idly = settings.when is When.ALWAYS and not _is_quiet(one, now_us)
            wanted = idly or need >= Need.ROUTINE
        else:
            wanted = need is Need.URGENT
        if wanted:
            one.wanted_us = now_us
        live = one.phase in (Phase.OPENING, Phase.UP)
        lingers = live and one.wanted_us is not None and now_us < one.wanted_us + LINGER_US
        called = one.called_us is not None and now_us < one.called_us + LINGER_US
        return wanted or lingers or called

    def _rest(self, one: _Health, first_us: int, most_us: int, fault: str, now_us: int) -> None:
        one.phase, one.proven, one.fault = Phase.IDLE, False, fault
        one.failures += 1
        if one.settings.address.startswith("listen:"):
            most_us = FIRST_REST_US  # its host can only come while it listens
        one.rest_us = min(max(first_us, 2 * one.rest_us), most_us)
        one.rest_until_us = now_us + one.rest_us

    def _again_us(self, now_us: int) -> int | None:
        dues = []
        for one in self._all.values():
            if one.phase is Phase.IDLE and not _rested(one, now_us):
                dues.append(one.rest_until_us)
            if _is_quiet(one, now_us):
                dues.append((one.closed_idle_us or 0) + one.quiet_us)
            dues += [
                since_us + LINGER_US
                for since_us in (one.wanted_us, one.called_us)
                if since_us is not None and since_us + LINGER_US > now_us
            ]
        return min(dues, default=None)


def _closed_idle(one: _Health, now_us: int) -> None:
    """A connection that worked ended while nothing waited: soon after the last such one?"""
    again = one.closed_idle_us is not None and (
        now_us < one.closed_idle_us + one.quiet_us + IDLE_US
    )
    one.quiet_us = min(max(FIRST_REST_US, 2 * one.quiet_us), MAX_QUIET_US) if again else 0
    one.closed_idle_us = now_us


def _is_quiet(one: _Health, now_us: int) -> bool:
    return one.closed_idle_us is not None and now_us < one.closed_idle_us + one.quiet_us


def _adds(one: _Health, carried: Lengths, lengths: Lengths) -> bool:
    """Tell whether a bearer takes what those before it do not."""
    if one.settings.carries is Carries.URGENT:
        return carried.urgent < 0 or (carried.urgent < lengths.urgent and _takes(one, lengths))
    return carried.any < 0 or (carried.any < lengths.any and _takes(one, lengths))


def _takes(one: _Health, lengths: Lengths) -> bool:
    """Tell whether a bearer takes the longest report that it is good for."""
    is_for_all = one.settings.carries is Carries.ALL
    return (lengths.any if is_for_all else lengths.urgent) <= one.settings.max_apdu_octets


def _with(one: _Health, carried: Lengths) -> Lengths:
    """Give what is carried with one more bearer."""
    octets, is_for_all = one.settings.max_apdu_octets, one.settings.carries is Carries.ALL
    return Lengths(octets if is_for_all else carried.any, max(octets, carried.urgent))


def _may_replace(one: _Health, doubted: _Health) -> bool:
    """Tell whether a bearer may carry what another one did not."""
    is_like = one.settings.carries is doubted.settings.carries
    is_open = one.phase is Phase.UP and (is_like or one.settings.carries is Carries.ALL)
    return one is not doubted and (is_open or (is_like and not one.stands_by))


def _rested(one: _Health, now_us: int) -> bool:
    return now_us >= one.rest_until_us or one.phase is not Phase.IDLE
