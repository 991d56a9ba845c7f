"""A whole SmartMeter in memory: meter, optical line and SSI module as one message machine.

A power cut keeps the two non-volatile memories and nothing else: when the
mains return, meter and module start from them as they would in the field.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from protocols.c1218.device import Device
from protocols.c1218.scripts import LogonSettings
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.machine import Event, earliest
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import MemoryNvram, Nvram
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.tables import current
from smartmeter.simulation.direct_door import DirectDoor
from smartmeter.simulation.optical_line import OpticalLine
from smartmeter.ssi.boot import start
from smartmeter.ssi.factory import FACTORY_PAGE, Factory
from smartmeter.ssi.guard import Permission
from smartmeter.ssi.module import MemoryFailed, Module, RestartWanted
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.states import StartCause
from smartmeter.ssi.upgrade import Program

#: Steps in one instant after which two machines count as chattering for ever.
MAX_STEPS = 100_000
#: Events that are kept for a host that asks for them; of most hosts none does.
MAX_EVENTS = 1_000
#: The tables of whose changes a direct door is told.
STATUS, EVENT_LOG = 3, 76


class SmartMeter:
    """Implements the module's network face; ``mains`` switches the power of both."""

    def __init__(
        self,
        factory: Factory,
        settings: MeterSettings,
        calendar: Calendar,
        now_us: int,
        *,
        baud: int | None = None,
        on_interval: Callable[[Interval], None] | None = None,
        permission: Permission | None = None,
        direct: bool = False,
        memories: tuple[Nvram, Nvram] | None = None,
        joins_segments: bool = False,
    ) -> None:
        self.esn, self.title = factory.esn, factory.title
        self._factory, self._direct, self._joins_segments = factory, direct, joins_segments
        self._seen: dict[int, object] = {}
        #: The versions that were started, one after the other.
        self.starts: list[str] = []
        self._permission = permission
        self._calendar = calendar
        # The module's memory and the meter's.
        self.nvram: Nvram
        self.nvram, of_meter = memories or (MemoryNvram(), MemoryNvram())
        if self.nvram.get(FACTORY_PAGE) != factory.page():
            self.nvram.commit({FACTORY_PAGE: factory.page()})
        # A line without delay has no turn-around either: an exchange is one step of its host.
        self._timing = DEFAULT_TIMING if baud else Timing(turn_around_us=0)
        settings = replace(settings, timing=self._timing)
        self.meter = Meter(settings, of_meter, calendar, now_us, on_interval)
        self._line = OpticalLine(baud)
        self._mains_on = self._probe_on = True
        self._meter_due_us: int | None = now_us
        self._ways: dict[Hashable, Way] = {}
        self.module = self._new_module(now_us)
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._settle(now_us)

    def _new_module(self, now_us: int, cause: StartCause = StartCause.POWER_UP) -> Module:
        calendar = Calendar(None, self._calendar.rate, now_us)
        boot = start(self.nvram)
        self.starts.append(boot.version)
        parts = Parts(
            self.nvram,
            calendar,
            now_us,
            permission=self._permission,
            door=self._door() if self._direct else None,
            cause=cause,
            program=Program(boot),
            timing=self._timing,
        )
        if self._joins_segments:
            parts.network.join_segments()
        return Module(parts)

    def _door(self) -> DirectDoor:
        factory, port = self._factory, OpticalPort(self.meter)
        password = factory.optical_password or None
        logon = LogonSettings(factory.optical_user_id, factory.optical_user.encode(), password)

        def reached() -> Device | None:
            return port if self.meter.mains_on and self._probe_on else None

        return DirectDoor(reached, logon, self._permission)

    @property
    def counts(self) -> Counter[str]:
        """Give what its node received, served and refused, by reason."""
        return self.module.parts.network.counts

    def standing(self) -> dict[str, Any]:
        """Tell how its module stands: ``error`` is 0 without one, ``why`` what has caused it."""
        return {
            "state": self.module.state.name.lower().replace("_", " "),
            "waiting": len(self.module.parts.outbox),
            "error": int(self.module.error),
            "why": self.module.parts.life.why,
        }

    def probe(self, on: bool, now_us: int) -> None:
        """Take the probe off the meter, or put it back; for a direct door."""
        self._probe_on = on
        self._settle(now_us)

    def mains(self, on: bool, now_us: int) -> None:
        """Cut or return the mains; after the hold-up energy was used up the module starts anew."""
        self._mains_on = on
        self.meter.mains(on, now_us)
        if not on:
            self._line.clear()
            self.module.mains(False, now_us)
        elif self.module.dead:
            self.restart(now_us)
        else:
            self.module.mains(True, now_us)
        self._settle(now_us)

    def restart(self, now_us: int, cause: StartCause = StartCause.POWER_UP) -> None:
        """Start the module anew from its non-volatile memory."""
        self._line.clear()
        self.module = self._new_module(now_us, cause)
        if not self._mains_on:
            self.module.mains(False, now_us)
        for path, way in self._ways.items():
            self.module.bearer_up(path, now_us, way)
        self._settle(now_us)

    def watchdog(self, now_us: int) -> None:
        """Let the watchdog start the module anew."""
        self.restart(now_us, StartCause.WATCHDOG)

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._ways[path] = way
        self.module.bearer_up(path, now_us, way)
        self._settle(now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._ways.pop(path, None)
        self.module.bearer_down(path, now_us)
        self._settle(now_us)

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self.module.receive(path, octets, now_us)
        self._settle(now_us)

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer."""
        return self.module.parts.network.need(now_us)

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits."""
        return self.module.parts.network.longest(only_urgent, most_octets)

    def doubted(self) -> list[Hashable]:
        """Give the bearers over which nothing came back."""
        return self.module.parts.network.doubted()

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send."""
        return self.module.outgoing()

    def events(self) -> list[Event]:
        """Give what happened to the module lately."""
        events = list(self._events)
        self._events.clear()
        return events

    def expire(self, now_us: int) -> None:
        """Do what is due in meter, line and module."""
        # What is read of the meter meanwhile brings it up to its time by itself.
        if self._meter_due_us is not None and self._meter_due_us <= now_us:
            self.meter.expire(now_us)
        self.module.expire(now_us)
        self._settle(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        self._meter_due_us = self.meter.deadline_us()
        return earliest(self._meter_due_us, self.module.deadline_us(), self._line.deadline_us())

    def _settle(self, now_us: int) -> None:
        """Carry bytes until both are quiet."""
        if self._direct:
            self._tell_changes(now_us)
        moved = False
        for _ in range(MAX_STEPS):
            if self._line.carry(self.meter, self.module.parts.optical, now_us):
                moved = True
            elif moved:
                # The module hears of ended jobs when it is told the time, and may begin others.
                self.module.expire(now_us)
                moved = False
            else:
                break
        events = self.module.events()
        self._events += events
        if any(isinstance(event, RestartWanted) for event in events):
            self.restart(now_us, StartCause.UPGRADE)
        elif any(isinstance(event, MemoryFailed) for event in events):
            self.restart(now_us, StartCause.MEMORY_FAILED)

    def _tell_changes(self, now_us: int) -> None:
        """Tell the module of tables that a direct door does not look at by itself."""
        if not self.meter.mains_on or not self._probe_on:
            return
        status = current(self.meter, STATUS, now_us)
        now = {STATUS: status, EVENT_LOG: self.meter.logs.event.list.pointers.added}
        changed = [table for table, state in now.items() if self._seen.get(table) != state]
        self._seen = dict(now)
        for table in changed:
            self.module.table_changed(table, now_us)
        if changed:
            self.module.expire(now_us)
