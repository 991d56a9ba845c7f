"""The SSI module: scheduler, table monitor and outage detector beside one meter.

A machine with two faces: ``optical`` is a byte machine towards the meter's
optical port, ``receive`` and ``outgoing`` carry C12.22 APDUs by path.  It
works by itself; the network only provisions it and asks.

After whatever it was told it settles: it takes what its parts have to say and starts
what is due, until nothing is left.  ``parts`` puts it together, ``starting`` brings it to
work, ``outcomes`` gives each part what has come of a job or from the network.

Durable: every change of the cursors goes with the report that it belongs to in
one commit of the non-volatile memory, before the report is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

from ansi_tables.ssi_tables import UpgradeResult
from protocols.machine import Event, earliest
from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import StorageError
from smartmeter.comms.way import PLAIN_WAY, Way
from smartmeter.ssi import work
from smartmeter.ssi.known_meter import MeterChanged
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.meter_side import Priority
from smartmeter.ssi.outage import PowerGone
from smartmeter.ssi.outcomes import Outcomes, ReportSetAside, SecurityNote
from smartmeter.ssi.own_tables import OwnTables
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.serving import Serving
from smartmeter.ssi.starting import Starting
from smartmeter.ssi.states import ErrorCode, State, StateChanged
from smartmeter.ssi.upgrade import RestartWanted

__all__ = [
    "MemoryFailed",
    "MeterChanged",
    "Module",
    "PowerGone",
    "ReportSetAside",
    "RestartWanted",
    "SecurityNote",
    "StateChanged",
]


@dataclass(frozen=True)
class MemoryFailed(Event):
    """A write to the memory failed: the module is dead; start it anew with this cause."""

    error: StorageError


class Module:
    """One SSI module: its ``parts``, and what sets them going."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._starting = Starting(parts)
        serving = Serving(OwnTables(parts, self._starting), parts.network, parts.known)
        self._outcomes = Outcomes(parts, self._starting, serving)
        self.dead = False
        if parts.damaged and parts.upgrade.on_trial:  # what cannot read the old one's must go
            self._roll_back(UpgradeResult.SELF_TEST_FAILED)
        elif self.state is State.READY:
            parts.life.set_state(State.CONFIGURING)
            self._settle(parts.latest_us)

    @property
    def meter(self) -> MeterContext | None:
        """Give the meter's context, once it was read."""
        return self.parts.reporter.meter

    @property
    def state(self) -> State:
        """Give the module's state, 00 to 06."""
        return self.parts.life.state

    @property
    def error(self) -> ErrorCode:
        """Give the error that is shown."""
        return self.parts.life.error

    # The network's face.

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self._act(lambda: self.parts.network.receive(path, octets, now_us), now_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return [] if self.dead else self.parts.network.outgoing()

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._act(lambda: self.parts.network.bearer_up(path, now_us, way), now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._act(lambda: self.parts.network.bearer_down(path, now_us), now_us)

    # Power and time.

    def mains(self, on: bool, now_us: int) -> None:
        """Tell the mains sense.  Without mains the module lives on its hold-up energy."""
        self._act(lambda: self._mains_back(now_us) if on else self._mains_lost(now_us), now_us)

    def _mains_back(self, now_us: int) -> None:
        if not self.parts.outage.mains_on:
            self.parts.started_us = now_us
        self.parts.power.back(now_us)

    def _mains_lost(self, now_us: int) -> None:
        self._starting.trust_clock(now_us)  # the outage before this one ends first
        self.parts.power.lost(now_us)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self._act(lambda: self._expire(now_us), now_us)

    def _act(self, act: Callable[[], None], now_us: int) -> None:
        """Do something and what follows; a memory that fails ends the module.

        Nothing that was to be made durable may be acted upon when it is not.
        """
        if self.dead:
            return
        try:
            act()
            self._settle(now_us)
            if self.parts.fault is not None:
                raise self.parts.fault
        except StorageError as error:
            self.dead = True
            self.parts.told.append(MemoryFailed(error))

    def _roll_back(self, result: UpgradeResult) -> None:
        self.parts.upgrade.trial_over(result)
        self._restart()

    def _restart(self) -> None:
        self.dead = True
        self.parts.told.append(RestartWanted())

    def _expire(self, now_us: int) -> None:
        parts = self.parts
        trial_us = parts.upgrade.deadline_us()
        if trial_us is not None and now_us >= trial_us:
            self._roll_back(UpgradeResult.ROLLED_BACK)
            return
        parts.optical.expire(now_us)
        parts.network.expire(now_us)
        if not parts.power.expire(now_us):
            self.dead = True
            parts.told.append(PowerGone())

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted next."""
        parts = self.parts
        if self.dead or self.state < State.CONFIGURING:
            return None
        due_us = earliest(
            parts.optical.deadline_us(),
            parts.network.deadline_us(),
            parts.outage.deadline_us(),
            parts.upgrade.deadline_us(),
            parts.link.read_due_us,
        )
        if self.meter is None:
            return due_us
        doubt_ends_us = parts.tasks.clock.doubt_ends_us()
        if doubt_ends_us is not None:
            return earliest(due_us, doubt_ends_us)
        scheduler = parts.tasks.scheduler
        at_s = earliest(scheduler.next_utc_s(), parts.upgrade.due_s())
        at_us = None if at_s is None else parts.calendar.deadline_us(at_s * US_PER_S)
        retry_us = scheduler.retry_us(parts.latest_us)
        return earliest(due_us, at_us, retry_us, parts.watching.next_us(), parts.gaps.next_us())

    def events(self) -> Sequence[Event]:
        """Give what the host may log or act on."""
        parts = self.parts
        events, parts.told = parts.told + parts.life.events(), []
        return events

    # What happens inside.

    def _settle(self, now_us: int) -> None:
        """Take what the parts have to say until nobody says more, then start what is due."""
        self.parts.latest_us = now_us
        if self.dead or self.state < State.CONFIGURING:
            return
        while self._outcomes.take(now_us) or self._start_due(now_us):
            pass

    def _start_due(self, now_us: int) -> bool:
        """Start jobs that are due; True when something may have ended at once."""
        parts = self.parts
        if parts.link.take_due(now_us):
            memory = parts.memory
            job = partial(work.begin, memory.meter, memory.meter_seen_s, self.meter)
            if parts.optical.submit(Priority.REQUEST, job, "begin", now_us):
                return True
            parts.link.put_off(now_us)
        if self.meter is None or self._starting.doubts(now_us):
            return False
        if self._starting.reconfigure:
            self._starting.configure(now_us)
        if self._starting.hello and parts.reporter.hello(parts.status(), now_us):
            self._starting.hello = False
            parts.network.poll(now_us)
        parts.reporter.tell_kept(now_us)
        utc_s = parts.calendar.utc_s(now_us)
        assert utc_s is not None
        if parts.upgrade.start_due(utc_s):
            self._restart()
            return False
        started = parts.tasks.start_due(utc_s, now_us)
        started = parts.gaps.start_due(now_us) or started
        return parts.watching.start_due(now_us) or started

    def table_changed(self, table: int, now_us: int) -> None:
        """The meter's host tells that a table has changed."""
        if not self.dead:
            self.parts.watching.table_changed(table, now_us)
