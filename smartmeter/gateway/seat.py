"""One meter's place in a gateway: module, probe and bearers, started again after a fault.

A medium that takes no more (disk full, worn, removed) stops the module, and
after a rest it starts from what is durable, as after a power cut; that loses
and doubles nothing.  Meanwhile the meter keeps its own lists.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

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
from smartmeter.base.clock import US_PER_S, Calendar, monotonic_us
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.base.tasks import DAY_S, MINUTE_S
from smartmeter.comms.bearer import Bearer
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.gateway.flash_file import FlashFile, WriteBudget
from smartmeter.gateway.freshness import is_fresh
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.probe import Probe
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.settings import SeatSettings, UpgradeSettings
from smartmeter.gateway.words import sentence
from smartmeter.ssi.boot import read_boot
from smartmeter.ssi.factory import FACTORY_PAGE, load_factory
from smartmeter.ssi.guard import Permission, WriteDenied
from smartmeter.ssi.module import (
    MemoryFailed,
    MeterChanged,
    Module,
    ReportSetAside,
    RestartWanted,
    SecurityNote,
    StateChanged,
)
from smartmeter.ssi.states import StartCause
from smartmeter.ssi.upgrade import Program, Upgrade

#: How long a seat rests after its storage failed.
STORAGE_REST_S = 10.0
#: Different causes of one error that are said, each once, until the error has gone.
MAX_CAUSES = 10


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


class TappedModule:
    """A module whose reports are in the readings before they may leave it.

    Also the place where a storage fault is caught: from then on it does
    nothing, and ``failed`` is told once.
    """

    def __init__(
        self, module: Module, readings: Readings, failed: Callable[[StorageError], None]
    ) -> None:
        self._module, self._readings, self._failed = module, readings, failed
        self._stopped = False
        epoch, self._taken = readings.taken(module.esn)
        if module.outbox.epoch != epoch:
            # Another module's, or this one's, which begins an epoch where its medium fell back to.
            anew = not module.outbox.epoch
            self._taken = min(self._taken, module.outbox.next_number - 1) if anew else 0
        #: What the readings know of the meter, whose tables the module tells of only once: they
        #: may be younger than that.
        self._context: int | None = None
        self._understands = readings.knows(module.esn)

    def _do(self, action: Callable[[], None]) -> None:
        if self._stopped:
            return
        try:
            action()
            self._take()
        except StorageError as error:
            self._stopped = True
            self._failed(error)

    def _take(self) -> None:
        outbox, meter = self._module.outbox, self._module.meter
        if meter is not None and meter.id != self._context:
            self._readings.learn(self._module.esn, meter.id, meter.images)
            self._context, self._understands = meter.id, True
        fresh = outbox.after(self._taken)
        if fresh and self._understands:
            reports = [(entry.number, entry.services) for entry in fresh]
            self._readings.keep(self._module.esn, outbox.epoch, reports)
            self._taken = fresh[-1].number

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self._do(lambda: self._module.receive(path, octets, now_us))

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path; all that they carry is kept already."""
        self._do(lambda: None)
        waits = self._stopped or self._module.outbox.after(self._taken)
        return [] if waits else self._module.outgoing()

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._do(lambda: self._module.bearer_up(path, now_us, way))

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._do(lambda: self._module.bearer_down(path, now_us))

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer."""
        return Need.NOTHING if self._stopped else self._module.network.need(now_us)

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits."""
        return 0 if self._stopped else self._module.network.longest(only_urgent, most_octets)

    def doubted(self) -> list[Hashable]:
        """Give the bearers over which nothing came back."""
        return self._module.network.doubted()

    def mains(self, on: bool, now_us: int) -> None:
        """The mains came or went."""
        self._do(lambda: self._module.mains(on, now_us))

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self._do(lambda: self._module.expire(now_us))

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return None if self._stopped else self._module.deadline_us()


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
        self._on_trial = False
        self._causes: set[str] = set()
        self.esn = settings.factory.esn
        self.calendar = Calendar(None, rate, monotonic_us())
        #: Set when the clock was read from the meter for the first time.
        self.clock_known = asyncio.Event()
        self._bearers, self._permission = bearers, permission
        self._readings, self._journal = readings, journal
        self._module: Module | None = None
        self._tapped: TappedModule | None = None
        self._nvram: FlashFile | None = None
        self._budget = WriteBudget(monotonic_us)
        self._host: NodeHost | None = None
        self._probe: Probe | None = None
        self._mains = True
        self._cause = StartCause.POWER_UP
        self._fault: asyncio.Future[StorageError | None] | None = None
        #: Of modules before this one; bearers count on by themselves.
        self._past_events = Counter[str]()
        #: Why no module runs now: its storage takes nothing.
        self._storage_fault: StorageError | None = None

    async def run(self) -> None:
        """Keep the module running."""
        subject = f"{self.esn} storage"
        while True:
            try:
                self._nvram = prepare_memory(self.settings, self._budget)
                try:
                    # Where these take nothing, a module would end with the first that it has read.
                    self._readings.move(f"{self.esn} begins", {"monotonic_us": monotonic_us()})
                    self._journal.state(subject, "works")
                    self._storage_fault = None
                    await self._run_module(self._nvram)
                finally:
                    self._nvram.close()
            except StorageError as error:
                self._cause = StartCause.MEMORY_FAILED
                self._storage_fault = error
                self._journal.state(subject, str(error))
                await asyncio.sleep(STORAGE_REST_S)

    async def _run_module(self, nvram: FlashFile) -> None:
        """Run until the power has come back to a module without any, or StorageError."""
        loop = asyncio.get_running_loop()
        fault: asyncio.Future[StorageError | None] = loop.create_future()
        self._fault = fault
        cause, self._cause = self._cause, StartCause.POWER_UP
        program = Program(model=GATEWAY_MODEL)
        if self._upgrade is not None:
            trial_us = self._upgrade.trial_s * US_PER_S
            program = Program(read_boot(nvram), GATEWAY_MODEL, trial_us)
        module = Module(
            nvram,
            self.calendar,
            monotonic_us(),
            permission=self._permission,
            cause=cause,
            program=program,
        )
        self._on_trial = module.upgrade.on_trial

        def failed(error: StorageError) -> None:
            if not fault.done():
                fault.set_result(error)

        tapped = TappedModule(module, self._readings, failed)
        host = NodeHost(tapped, self._bearers, after=self._after)

        def settle() -> None:
            tapped.expire(monotonic_us())
            host.step()

        probe = Probe(self._open_port, module.optical, loop, settle, self._note_port)
        if self._module is not None:
            self._past_events += self._module.network.counts
        self._module, self._tapped, self._host, self._probe = module, tapped, host, probe
        if not self._mains:
            tapped.mains(False, monotonic_us())
        probe.start()
        task = asyncio.create_task(host.run())
        try:
            await asyncio.wait((task, fault), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            error = fault.result()
            if error is not None:
                raise error
        finally:
            self._fault = None
            await ended(task)
            await asyncio.to_thread(probe.stop)

    def mains(self, on: bool) -> None:
        """The board's mains sense has changed."""
        if on == self._mains:
            return
        self._mains = on
        self._journal.state(f"{self.esn} mains", "on" if on else "off")
        module, tapped, host = self._module, self._tapped, self._host
        if module is None or tapped is None or host is None:
            return
        if on and module.dead and self._fault is not None and not self._fault.done():
            # Its hold-up energy was used up: it starts as after a power cut, at once.
            self._fault.set_result(None)
            return
        tapped.mains(on, monotonic_us())
        host.step()

    def _open_port(self) -> Port:
        return open_port(self.settings.port, self.settings.rts, self.settings.dtr)

    def _note_port(self, text: str) -> None:
        self._journal.state(f"{self.esn} port", text)

    def _after(self) -> None:
        if self._module is None or self._probe is None:
            return
        self._probe.flush()
        if self.calendar.is_set and not self.clock_known.is_set():
            self.clock_known.set()
        for event in self._module.events():
            if isinstance(event, SecurityNote):
                self._journal.say(f"{self.esn}: refused a message: {event.reason}")
            elif isinstance(event, WriteDenied):
                self._journal.say(f"{self.esn}: {event.what} was refused: no local permission")
            elif isinstance(event, MeterChanged):
                told = f"another meter answers: {event.serial}, before {event.before}"
                self._journal.say(f"{self.esn}: {told}")
            elif isinstance(event, ReportSetAside):
                told = f"report {event.number} is set aside, the TMS answers {event.cause}"
                self._journal.say(f"{self.esn}: {told}")
            elif isinstance(event, StateChanged):
                self._say_state(event)
            elif isinstance(event, MemoryFailed):
                self._end_module(event.error)
            elif isinstance(event, RestartWanted):
                self._begin_again()
        if self._on_trial and not self._module.upgrade.on_trial:
            # Proved: from now on it runs in the launcher's place.
            self._on_trial = False
            self._begin_again()
        if self._module.meter is not None and self._host is not None:
            # Before, it has nothing to say to any TMS.
            for one in self._host.bearers():
                if one["works"] or one["failures"]:
                    told, why = ("works", "") if one["works"] else ("is away", one["fault"])
                    self._journal.state(f"{self.esn} TMS {one['address']}", told, why)
            told = "answers" if self._module.link.answers else "does not answer"
            self._journal.state(f"{self.esn} meter", told)
        if (accepted := self._module.optical.password_accepted) is not None:
            told = "is accepted" if accepted else "is refused, the meter shows what needs none"
            self._journal.state(f"{self.esn} password", told)

    def _say_state(self, event: StateChanged) -> None:
        """Say state and error in codes and words; each cause of an error once."""
        if event.why:
            if event.why in self._causes or len(self._causes) >= MAX_CAUSES:
                return
            self._causes.add(event.why)
        elif not event.error:
            self._causes.clear()
        words = sentence(event.state, event.error, why=event.why)
        self._journal.state(self.esn, f"state {event.state:02d} error {event.error:02d}: {words}")

    def _end_module(self, error: StorageError | None) -> None:
        """Let the module start anew: at once, or after a rest when its memory failed."""
        if self._fault is not None and not self._fault.done():
            self._fault.set_result(error)

    @property
    def period_s(self) -> int:
        """Give how often intervals are read, as provisioned; a day when nothing is."""
        periods = [DAY_S]
        if self._module is not None:
            for one in self._module.configuration.value(SsiTable.SCHEDULES)["SCHEDULES"]:
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
        if utc_s is None or self._module is None:
            return False
        meter_s = utc_s + self._module.tasks.clock.ahead_s
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
        counts = Counter(self._past_events)
        if self._module is not None:
            counts += self._module.network.counts
        return counts + (self._host.counts() if self._host is not None else Counter())

    def _last_read(self) -> dict[str, int | None]:
        last, read_s = None, None
        with suppress(StorageError):  # the module says so
            last = self._readings.last_interval(self.esn)
            read_s = self._readings.registers_read_s(self.esn)
        end_s = (last["end_s"] or None) if last is not None else None
        return {"last_interval_end_s": end_s, "registers_read_s": read_s}

    def status(self) -> dict[str, Any]:
        """Give how this meter does, for people and programs."""
        port_open = self._probe is not None and self._probe.is_open
        module, host = self._module, self._host
        if self._storage_fault is not None:
            module = host = None  # what they were is not what is
        value: dict[str, Any] = {
            "esn": self.esn,
            "title": str(self.settings.factory.title),
            "port": self.settings.port,
            "port_open": port_open,
            "fresh": self.fresh,
            **self._last_read(),
            "mains": self._mains,
            "utc_s": self.calendar.utc_s(monotonic_us()),
            "bearers": host.bearers() if host is not None else [],
            "network_events": dict(sorted(self._network_events().items())),
        }
        if self._storage_fault is not None:
            value["text"] = f"its storage has failed: {self._storage_fault}"
        if module is not None and self._nvram is not None:
            status = module.status()
            codes = status["STATE"], status["ERROR"], status["WARNING"]
            value |= {
                "text": sentence(*codes, module.life.why),
                "state": int(status["STATE"]),
                "error": int(status["ERROR"]),
                "warning": int(status["WARNING"]),
                "meter_answers": bool(status["METER_LINK_FLAG"]),
                "meter_serial": module.memory.meter_serial or None,
                "password_accepted": module.optical.password_accepted,
                "outbox": status["OUTBOX_COUNT"],
                "set_aside": len(module.outbox.set_aside),
                "last_acknowledged_s": status["LAST_ACKNOWLEDGED_TIME"] or None,
                "configuration": status["CONFIG_VERSION"],
                "clock_offset_s": status["CLOCK_OFFSET_S"],
                "upgrade": self._upgrade_status(module.upgrade),
                "state_commits": self._nvram.commits,
                "state_octets": self._nvram.octets,
            }
        return value
