"""One meter's place in a gateway: module, probe and bearers, started again after a fault.

A medium that takes no more (disk full, worn, removed) stops the module, and
after a rest it starts from what is durable, as after a power cut; that loses
and doubles nothing.  Meanwhile the meter keeps its own lists.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from ansi_tables.ssi_tables import (
    GATEWAY_MODEL,
    ScheduleKind,
    SsiTable,
    Task,
    UpgradeResult,
    UpgradeState,
)
from protocols.transports.names import open_port
from protocols.transports.port import Port
from smartmeter.base.clock import DAY_S, MINUTE_S, US_PER_S, Calendar, monotonic_us
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.comms.bearer import Bearer
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.gateway.flash_file import FlashFile, WriteBudget
from smartmeter.gateway.freshness import is_fresh
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.probe import Probe
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.seat_journal import SeatJournal
from smartmeter.gateway.settings import SeatSettings, UpgradeSettings
from smartmeter.gateway.status import MeterStatus, ModuleStatus
from smartmeter.gateway.tapped_module import TappedModule
from smartmeter.gateway.words import sentence
from smartmeter.ssi.boot import read_boot
from smartmeter.ssi.factory import FACTORY_PAGE, load_factory
from smartmeter.ssi.guard import Permission
from smartmeter.ssi.module import (
    MemoryFailed,
    Module,
    RestartWanted,
)
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.states import StartCause
from smartmeter.ssi.upgrade import Program, Upgrade

#: How long a seat rests after its storage failed.
STORAGE_REST_S = 10.0


def prepare_memory(settings: SeatSettings, budget: WriteBudget) -> FlashFile:
    """Open the state file, to write no more than the budget.

    A new one gets the factory memory of the settings.  SettingsError when the file belongs to
    another module.
    """
    nvram = FlashFile(settings.state, budget=budget)
    page = settings.factory.page()
    if nvram.get(FACTORY_PAGE) is not None and load_factory(nvram).esn != settings.factory.esn:
        raise SettingsError(
            str(settings.state), "belongs to another module", "move it away, or mend the ESN"
        )
    if nvram.get(FACTORY_PAGE) != page:
        nvram.commit({FACTORY_PAGE: page})
    return nvram


@dataclass
class _Running:
    """One start of the module, and what it runs on; ``ended`` with a StorageError, or None."""

    module: Module
    tapped: TappedModule
    host: NodeHost
    probe: Probe
    nvram: FlashFile
    on_trial: bool
    ended: asyncio.Future[StorageError | None]

    def end(self, error: StorageError | None) -> None:
        """Let the module start anew: at once, or after a rest when its memory failed."""
        if not self.ended.done():
            self.ended.set_result(error)


class Seat:
    """Runs one meter's module until cancelled."""

    def __init__(
        self,
        settings: SeatSettings,
        bearers: Sequence[Bearer],
        permission: Permission,
        readings: Readings,
        journal: Journal,
        rate: Fraction,
        upgrade: UpgradeSettings | None,
        begin_again: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._upgrade, self._begin_again = upgrade, begin_again
        self.esn = settings.factory.esn
        self.calendar = Calendar(None, rate, monotonic_us())
        #: Set when the clock was read from the meter for the first time.
        self.clock_known = asyncio.Event()
        self._bearers, self._permission = bearers, permission
        self._readings, self._journal = readings, SeatJournal(journal, self.esn)
        self._budget = WriteBudget(monotonic_us)
        #: The module that was started last.
        self._running: _Running | None = None
        self._mains = True
        #: Of modules before this one; bearers count on by themselves.
        self._past_events = Counter[str]()
        #: Why no module runs now: its storage takes nothing.
        self._storage_fault: StorageError | None = None

    async def run(self) -> None:
        """Keep the module running."""
        cause = StartCause.POWER_UP
        while True:
            try:
                with closing(prepare_memory(self.settings, self._budget)) as nvram:
                    # Where these take nothing, a module would end with the first that it has read.
                    self._readings.move(f"{self.esn} begins", {"monotonic_us": monotonic_us()})
                    self._journal.state("storage", "works")
                    self._storage_fault = None
                    await self._run_module(nvram, cause)
                cause = StartCause.POWER_UP
            except StorageError as error:
                cause = StartCause.MEMORY_FAILED
                self._storage_fault = error
                self._journal.state("storage", str(error))
                await asyncio.sleep(STORAGE_REST_S)

    async def _run_module(self, nvram: FlashFile, cause: StartCause) -> None:
        """Run until the power has come back to a module without any, or StorageError."""
        loop = asyncio.get_running_loop()
        program = Program(model=GATEWAY_MODEL)
        if self._upgrade is not None:
            trial_us = self._upgrade.trial_s * US_PER_S
            program = Program(read_boot(nvram), GATEWAY_MODEL, trial_us)
        parts = Parts(
            nvram,
            self.calendar,
            monotonic_us(),
            permission=self._permission,
            cause=cause,
            program=program,
        )
        module = Module(parts)
        tapped = TappedModule(module, self._readings, lambda error: running.end(error))
        host = NodeHost(tapped, self._bearers, after=self._after)

        def settle() -> None:
            tapped.expire(monotonic_us())
            host.step()

        probe = Probe(
            self._open_port, parts.optical, loop, settle, partial(self._journal.state, "port")
        )
        running = _Running(
            module, tapped, host, probe, nvram, parts.upgrade.on_trial, loop.create_future()
        )
        if self._running is not None:
            self._past_events += self._running.module.parts.network.counts
        self._running = running
        if not self._mains:
            tapped.mains(False, monotonic_us())
        probe.start()
        task = asyncio.create_task(host.run())
        try:
            await asyncio.wait((task, running.ended), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            error = running.ended.result()
            if error is not None:
                raise error
        finally:
            await ended(task)
            await asyncio.to_thread(probe.stop)

    def mains(self, on: bool) -> None:
        """The board's mains sense has changed."""
        if on == self._mains:
            return
        self._mains = on
        self._journal.state("mains", "on" if on else "off")
        running = self._running
        if running is None:
            return
        if on and running.module.dead and not running.ended.done():
            # Its hold-up energy was used up: it starts as after a power cut, at once.
            running.end(None)
            return
        running.tapped.mains(on, monotonic_us())
        running.host.step()

    def _open_port(self) -> Port:
        return open_port(self.settings.port, self.settings.rts, self.settings.dtr)

    def _after(self) -> None:
        running = self._running
        if running is None:
            return
        module = running.module
        running.probe.flush()
        if self.calendar.is_set and not self.clock_known.is_set():
            self.clock_known.set()
        for event in module.events():
            if isinstance(event, MemoryFailed):
                running.end(event.error)
            elif isinstance(event, RestartWanted):
                self._begin_again()
            else:
                self._journal.happened(event)
        if running.on_trial and not module.parts.upgrade.on_trial:
            # Proved: from now on it runs in the launcher's place.
            running.on_trial = False
            self._begin_again()
        self._journal.look(module, running.host)

    @property
    def period_s(self) -> int:
        """Give how often intervals are read, as provisioned; a day when nothing is."""
        periods = [DAY_S]
        if self._running is not None:
            configuration = self._running.module.parts.configuration
            for one in configuration.value(SsiTable.SCHEDULES)["SCHEDULES"]:
                if one["ENABLED"] and (one["TASK"], one["KIND"]) == (
                    Task.REPORT,
                    ScheduleKind.INTERVAL,
                ):
                    periods.append(one["PERIOD_MIN"] * MINUTE_S)
        return min(periods)

    @property
    def fresh(self) -> bool:
        """Tell whether the newest value is no older than two periods."""
        utc_s = self.calendar.utc_s(monotonic_us())
        if utc_s is None or self._running is None:
            return False
        meter_s = utc_s + self._running.module.parts.tasks.clock.ahead_s
        try:
            return is_fresh(self._readings, self.esn, self.period_s, utc_s, meter_s)
        except StorageError:
            return False  # the module says so; its values cannot be told

    def _upgrade_status(self, upgrade: Upgrade) -> str:
        if not self.settings.factory.upgrade_key:
            return "off"
        status = upgrade.status()
        state = UpgradeState(status["STATE"]).name
        result = UpgradeResult(status["RESULT"]).name
        told = f"slot {status['RUNNING_SLOT']} runs {status['RUNNING_VERSION']}, {state}"
        if status["IMAGE_VERSION"]:
            octets = f"{status['RECEIVED_OCTETS']} of {status['IMAGE_OCTETS']} octets"
            told += f" {status['IMAGE_VERSION']} ({octets})"
        return f"{told}, last: {result}".lower().replace("_", " ")

    def _network_events(self) -> Counter[str]:
        """Count what happened since the program began: modules before this one's, too."""
        counts, running = Counter(self._past_events), self._running
        if running is not None:
            counts += running.module.parts.network.counts + running.host.counts()
        return counts

    def _last_read(self) -> tuple[int | None, int | None]:
        """Give the end of the newest interval, and when registers were read last."""
        last, read_s = None, None
        with suppress(StorageError):  # the module says so
            last = self._readings.last_interval(self.esn)
            read_s = self._readings.registers_read_s(self.esn)
        return (last["end_s"] or None) if last is not None else None, read_s

    def status(self) -> MeterStatus:
        """Give how this meter does, for people and programs."""
        running = self._running
        interval_end_s, registers_s = self._last_read()
        value: MeterStatus = {
            "esn": self.esn,
            "title": str(self.settings.factory.title),
            "port": self.settings.port,
            "port_open": running is not None and running.probe.is_open,
            "fresh": self.fresh,
            "last_interval_end_s": interval_end_s,
            "registers_read_s": registers_s,
            "mains": self._mains,
            "utc_s": self.calendar.utc_s(monotonic_us()),
            "bearers": [],
            "network_events": dict(sorted(self._network_events().items())),
        }
        if self._storage_fault is not None:  # what the module was is not what is
            value["text"] = f"its storage has failed: {self._storage_fault}"
            return value
        if running is None:
            return value
        value["bearers"] = running.host.bearers()
        return {**value, **self._module_status(running)}

    def _module_status(self, running: _Running) -> ModuleStatus:
        parts = running.module.parts
        status = parts.status()
        codes = status["STATE"], status["ERROR"], status["WARNING"]
        return {
            "text": sentence(*codes, parts.life.why),
            "state": int(status["STATE"]),
            "error": int(status["ERROR"]),
            "warning": int(status["WARNING"]),
            "meter_answers": bool(status["METER_LINK_FLAG"]),
            "meter_serial": parts.memory.meter_serial or None,
            "password_accepted": parts.optical.password_accepted,
            "outbox": status["OUTBOX_COUNT"],
            "set_aside": len(parts.outbox.set_aside),
            "last_acknowledged_s": status["LAST_ACKNOWLEDGED_TIME"] or None,
            "intervals_left_out": sum(parts.memory.lists.profile_left_out.values()),
            "configuration": status["CONFIG_VERSION"],
            "clock_offset_s": status["CLOCK_OFFSET_S"],
            "upgrade": self._upgrade_status(parts.upgrade),
            "state_commits": running.nvram.commits,
            "state_octets": running.nvram.octets,
        }
