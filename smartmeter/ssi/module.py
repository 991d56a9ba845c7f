"""The SSI module: scheduler, table monitor and outage detector beside one meter.

A machine with two faces: ``optical`` is a byte machine towards the meter's
optical port, ``receive`` and ``outgoing`` carry C12.22 APDUs by path.  It
works by itself; the network only provisions it and asks.

Durable: every change of the cursors goes with the report that it belongs to in
one commit of the non-volatile memory, before the report is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import Cause, ModuleAlarm, SsiTable, Task, UpgradeResult
from protocols.c1218.scripts import LogonSettings
from protocols.c1222.node import MessageRejected
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.machine import Event, earliest
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram
from smartmeter.comms.way import PLAIN_WAY, Way
from smartmeter.ssi import work
from smartmeter.ssi.authority import Asked
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.factory import load_factory
from smartmeter.ssi.gap_filling import GapFilling
from smartmeter.ssi.guard import Permission
from smartmeter.ssi.identity import AnotherMeter
from smartmeter.ssi.keys import ModuleKeys
from smartmeter.ssi.known_meter import KnownMeter, MeterChanged
from smartmeter.ssi.log_reading import LogRead
from smartmeter.ssi.memory import load_memory
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.meter_link import MeterLink
from smartmeter.ssi.meter_side import JobDone, JobFailed, MeterDoor, MeterSide, Priority
from smartmeter.ssi.network_side import (
    NetworkSide,
    RegisteredWithTms,
    RegistrationRefused,
    ReportAcknowledged,
    TimeTold,
)
from smartmeter.ssi.outage import OutageDetector, PowerGone
from smartmeter.ssi.outbox import Outbox
from smartmeter.ssi.own_tables import OwnTables
from smartmeter.ssi.power import Power
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.scheduler import Run
from smartmeter.ssi.serving import Serving
from smartmeter.ssi.states import (
    IMAGE_ERRORS,
    START_ALARMS,
    START_ERRORS,
    TOLD_ONCE,
    ErrorCode,
    Life,
    StartCause,
    State,
    StateChanged,
)
from smartmeter.ssi.status import Status
from smartmeter.ssi.tasks import TaskRunner
from smartmeter.ssi.upgrade import Program, RestartWanted, Upgrade
from smartmeter.ssi.watching import Watching

__all__ = [
    "MemoryFailed",
    "MeterChanged",
    "Module",
    "PowerGone",
    "RestartWanted",
    "SecurityNote",
    "StateChanged",
]


@dataclass(frozen=True)
class SecurityNote(Event):
    """A message that was refused, and why."""

    path: Hashable
    reason: str


@dataclass(frozen=True)
class MemoryFailed(Event):
    """A write to the memory failed: the module is dead; start it anew with this cause."""

    error: StorageError


class Module:
    """One SSI module.  ``calendar`` is its own, not set yet; it is set from the meter's."""

    def __init__(
        self,
        nvram: Nvram,
        calendar: Calendar,
        now_us: int,
        base: int = ssi_tables.DEFAULT_BASE,
        permission: Permission | None = None,
        *,
        door: MeterDoor | None = None,
        cause: StartCause = StartCause.POWER_UP,
        program: Program | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.factory = load_factory(nvram)
        self.upgrade = Upgrade(nvram, self.factory.upgrade_key, program or Program(), now_us)
        self.esn = self.factory.esn
        self.calendar = calendar
        self.memory, memory_damaged = load_memory(nvram)
        self.configuration = Configuration(nvram)
        self.keys = ModuleKeys(nvram, self.factory.key)
        self.outbox = Outbox(nvram, base)
        self.life = Life(State(self.factory.quality), START_ERRORS.get(cause, ErrorCode.NONE))
        damaged = self._take_stock(cause, memory_damaged)
        self.dead = False
        self.optical = door or self._optical_port(permission, timing)
        self._reporter = Reporter(
            self.esn,
            base,
            nvram,
            self.memory,
            self.outbox,
            calendar,
            self.configuration,
            self.life,
            self.upgrade,
        )
        self.network = NetworkSide(self.factory, self.keys, calendar, nvram, self.outbox)
        self._known = KnownMeter(self.memory, self._reporter, self.optical)
        self._serving = Serving(OwnTables(self, base), self.network, self._known)
        self._outage = OutageDetector(self.esn, self.memory, calendar)
        self._power = Power(self._outage, self._reporter, self.network)
        self.tasks = TaskRunner(
            self.esn, self.memory, self._reporter, self.outbox, calendar, self._known
        )
        self.gaps = GapFilling(self.memory, self._reporter, self.outbox, self._known)
        self.link = MeterLink(self._reporter, self.tasks.scheduler, now_us)
        self.watching = Watching(
            self.memory,
            self._reporter,
            self._outage,
            self._known,
            self.factory.optical_user_id,
            now_us,
        )
        self._status = Status(self, self._reporter, self._outage, now_us)
        self._latest_us = now_us
        self._reconfigure = self._hello = False
        self._fault: StorageError | None = None
        self._events: list[Event] = []
        if damaged and self.upgrade.on_trial:  # what cannot read what the old one kept must go
            self._roll_back(UpgradeResult.SELF_TEST_FAILED)
        elif self.state is State.READY:
            self.life.set_state(State.CONFIGURING)
            self._settle(now_us)

    def _take_stock(self, cause: StartCause, memory_damaged: bool) -> bool:
        """Show what is wrong at the start; True when what was kept cannot be read."""
        self.memory.restarts += 1
        self.memory.watchdog_resets += cause is StartCause.WATCHDOG
        if memory_damaged:
            # Alarms are numbered anew: in an epoch of their own.
            self.outbox.renew()
        kept = (self.outbox, self.configuration, self.upgrade)
        if memory_damaged or any(one.damaged for one in kept):
            self.life.set_error(ErrorCode.APPLICATION_AREA)
        if self.keys.damaged:
            self.life.set_error(ErrorCode.COMMON_AREA)
        if self.life.has(ErrorCode.APPLICATION_AREA) or self.keys.damaged:
            return True
        if self.upgrade.news in IMAGE_ERRORS:
            self.life.set_error(IMAGE_ERRORS[self.upgrade.news])
        return False

    def _optical_port(self, permission: Permission | None, timing: Timing) -> MeterSide:
        factory = self.factory
        password = factory.optical_password or None
        logon = LogonSettings(factory.optical_user_id, factory.optical_user.encode(), password)
        return MeterSide(logon, permission, timing)

    @property
    def meter(self) -> MeterContext | None:
        """Give the meter's context, once it was read."""
        return self._reporter.meter

    @property
    def state(self) -> State:
        """Give the module's state, 00 to 06."""
        return self.life.state

    @property
    def error(self) -> ErrorCode:
        """Give the error that is shown."""
        return self.life.error

    @property
    def latest_us(self) -> int:
        """Give the last instant that the module was told."""
        return self._latest_us

    @property
    def utc_s(self) -> int | None:
        """Give the UTC second of that instant; None while the clock is not set."""
        return self.calendar.utc_s(self._latest_us)

    @property
    def watch_line_us(self) -> int:
        """Give for how long watching has taken the optical port."""
        return self.watching.line_us

    # The network's face.

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self._act(lambda: self.network.receive(path, octets, now_us), now_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return [] if self.dead else self.network.outgoing()

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._act(lambda: self.network.bearer_up(path, now_us, way), now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._act(lambda: self.network.bearer_down(path, now_us), now_us)

    # Power and time.

    def mains(self, on: bool, now_us: int) -> None:
        """Tell the mains sense.  Without mains the module lives on its hold-up energy."""
        self._act(lambda: self._power.back(now_us) if on else self._mains_lost(now_us), now_us)

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
            if self._fault is not None:
                raise self._fault
        except StorageError as error:
            self.dead = True
            self._events.append(MemoryFailed(error))

    def memory_failed(self, error: StorageError) -> None:
        """Take note of a write that failed inside a session with the meter."""
        self._fault = error

    def _roll_back(self, result: UpgradeResult) -> None:
        self.upgrade.trial_over(result)
        self._restart()

    def _restart(self) -> None:
        self.dead = True
        self._events.append(RestartWanted())

    def _expire(self, now_us: int) -> None:
        trial_us = self.upgrade.deadline_us()
        if trial_us is not None and now_us >= trial_us:
            self._roll_back(UpgradeResult.ROLLED_BACK)
            return
        self.optical.expire(now_us)
        self.network.expire(now_us)
        if not self._power.expire(now_us):
            self.dead = True
            self._events.append(PowerGone())

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted next."""
        if self.dead or self.state < State.CONFIGURING:
            return None
        due_us = earliest(
            self.optical.deadline_us(),
            self.network.deadline_us(),
            self._outage.deadline_us(),
            self.upgrade.deadline_us(),
            self.link.read_due_us,
        )
        if self.meter is None:
            return due_us
        doubt_ends_us = self.tasks.clock.doubt_ends_us()
        if doubt_ends_us is not None:
            return earliest(due_us, doubt_ends_us)
        scheduler = self.tasks.scheduler
        at_s = earliest(scheduler.next_utc_s(), self.upgrade.due_s())
        at_us = None if at_s is None else self.calendar.deadline_us(at_s * US_PER_S)
        retry_us = scheduler.retry_us(self._latest_us)
        return earliest(due_us, at_us, retry_us, self.watching.next_us())

    def events(self) -> Sequence[Event]:
        """Give what the host may log or act on."""
        events, self._events = self._events + self.life.events(), []
        return events

    # What happens inside.

    def _settle(self, now_us: int) -> None:
        """Take what the parts have to say until nobody says more, then start what is due."""
        self._latest_us = now_us
        if self.dead or self.state < State.CONFIGURING:
            return
        while self._take_events(now_us) or self._start_due(now_us):
            pass

    def _take_events(self, now_us: int) -> bool:
        """Act on what the parts have to say; True when one of them said something."""
        ended = self.optical.ended()
        for event in ended:
            if isinstance(event, JobDone):
                self._job_done(event, now_us)
            elif isinstance(event, JobFailed):
                self._job_failed(event, now_us)
            else:
                self._events.append(event)
        news = self.network.events()
        for event in news:
            self._network_event(event, now_us)
        return bool(ended or news)

    def _start_due(self, now_us: int) -> bool:
        """Start jobs that are due; True when something may have ended at once."""
        if self.link.take_due(now_us):
            seen_s, first = self.memory.meter_seen_s, self.meter is None
            job = partial(work.begin, self.memory.meter, seen_s, first)
            if self.optical.submit(Priority.REQUEST, job, "begin", now_us):
                return True
            self.link.put_off(now_us)
        if self.meter is None or self._doubts(now_us):
            return False
        if self._reconfigure:
            self._configure(now_us)
        if self._hello:
            self._hello = False
            self._reporter.hello(self.status(), now_us)
            self.network.poll(now_us)
        utc_s = self.calendar.utc_s(now_us)
        assert utc_s is not None
        if self.upgrade.start_due(utc_s):
            self._restart()
            return False
        started = self.tasks.start_due(utc_s, now_us)
        started = self.gaps.start_due(now_us) or started
        return self.watching.start_due(now_us) or started

    def _job_done(self, event: JobDone, now_us: int) -> None:
        self.link.answered(now_us)
        if event.token != "begin":
            self._known.done(now_us)
        match event.token:
            case "begin":
                self._begun(event.result, now_us)
            case "log":
                self._log_read(event.result, now_us)
            case Run() as run:
                if isinstance(event.result, work.Collected) and event.result.log is not None:
                    # Where reports take the whole port, nothing else looks at the log.  Judged
                    # before it counts as reported: what is not reported is read again.
                    self._log_read(event.result.log, now_us)
                self.tasks.done(run, event.result, self._status.both, now_us)
            case Asked() as request:
                self._serving.done(request, event.result, now_us)
            case ("watch", _):
                self.watching.looked(event.result, event.line_us, now_us)
            case ("gap", int() as set_nbr, int() as first):
                self.gaps.done(event.result, set_nbr, first, now_us)
        if self.meter is not None and self.tasks.clock.doubt_ends_us() is None:
            self.link.logged_on(self.optical.password_accepted, now_us)
        self._renew_stamps(now_us)
        self.network.poll(now_us)

    def _renew_stamps(self, now_us: int) -> None:
        if self.tasks.clock.renew_stamps:
            self.tasks.clock.renew_stamps = False
            self.network.renew_stamps(now_us)

    def _job_failed(self, event: JobFailed, now_us: int) -> None:
        if isinstance(event.error, AnotherMeter):
            self.link.read_soon(now_us)
        elif self.link.failed(str(event.error), now_us):
            self.network.poll(now_us)
        self._known.failed()
        match event.token:
            case "begin":
                self.link.read_failed(now_us)
                self.life.set_error(ErrorCode.CONFIGURATION_FAILED, str(event.error))
            case Run() as run:
                self.tasks.failed(run, now_us)
            case Asked() as request:
                self._serving.failed(request, now_us)
            case ("watch", _) | "log" as token:
                self.watching.failed(token, event.line_us, now_us)
            case ("gap", _, _):
                self.gaps.failed()

    def _begun(self, read: work.Beginning, now_us: int) -> None:
        """The meter was read: the clock is set, and the module can speak."""
        first = self.meter is None
        self._reporter.meter = read.meter
        self.optical.guard.byte_order = read.meter.context.fmt.data_order
        self.life.clear(ErrorCode.CONFIGURATION_FAILED)
        self.link.read_done()
        self._known.read(read.identity, read.lists, now_us)
        if not first:
            if self._take_over(now_us) and read.clock_s is not None:
                self.tasks.clock.compare(read.clock_s, now_us)
            self._configure(now_us)
            return
        assert read.clock_s is not None
        clock_s = read.clock_s
        self.tasks.clock.set(clock_s, now_us)
        self.outbox.begin(clock_s, self.memory.pages())
        self._configure(now_us)
        self.network.start(now_us)
        self.life.set_state(State.REGISTERING)
        self.tasks.clock.doubt(now_us)

    def _take_over(self, now_us: int) -> bool:
        """Begin with another meter, if that was read and the time is known; True when it was."""
        if self.tasks.clock.doubt_ends_us() is not None:
            return False
        changed = self._known.take_over(now_us)
        if changed is None:
            return False
        self._events.append(changed)
        self.tasks.resets.give_up()
        self.tasks.scheduler.try_again(now_us)
        self.watching.forget()
        self._hello = True
        return True

    def _mains_lost(self, now_us: int) -> None:
        self._trust_clock(now_us)  # the outage before this one ends first
        self._power.lost(now_us)

    def _doubts(self, now_us: int) -> bool:
        """Tell whether the TMS's word on the time is still awaited."""
        ends_us = self.tasks.clock.doubt_ends_us()
        if ends_us is not None and now_us >= ends_us:
            self._trust_clock(now_us)
            return False
        return ends_us is not None

    def _trust_clock(self, now_us: int) -> None:
        """The TMS has told its time, or nobody does: what needs to know the time begins."""
        since_us = self.tasks.clock.trust()
        if since_us is None:
            return
        if self._take_over(now_us):
            self._configure(now_us)
        for error, (code, text) in START_ALARMS.items():
            if self.life.has(error):
                self._reporter.raise_own(code, text, now_us)
        self._tell_upgrade(now_us)
        if not self.memory.reset_told:
            self.tasks.report_reset(now_us)
        if self._outage.mains_on:
            self._power.back(now_us, since_us)

    def _tell_upgrade(self, now_us: int) -> None:
        """Tell what became of an upgrade: the truth, from whichever version runs now."""
        news = self.upgrade.news
        if news is None:
            return
        well = news is UpgradeResult.CONFIRMED
        code = ModuleAlarm.UPGRADED if well else ModuleAlarm.UPGRADE_FAILED
        text = f"{news.name.lower().replace('_', ' ')}: runs {self.upgrade.boot.version}"
        self._reporter.raise_own(code, text, now_us, news)
        self.upgrade.news_told()
        self._hello = True

    def _configure(self, now_us: int) -> None:
        """Give every part its active table."""
        assert self.meter is not None
        self._reconfigure = False
        utc_s = self.calendar.utc_s(now_us)
        assert utc_s is not None
        value, general = self.configuration.value, self.configuration.value(SsiTable.GENERAL)
        outage = value(SsiTable.OUTAGE)
        schedules = value(SsiTable.SCHEDULES)["SCHEDULES"]
        self.tasks.configure(schedules, self.configuration.zone(self.meter.rules, utc_s), utc_s)
        self.tasks.clock.configure(general)
        self._outage.configure(outage)
        self._reporter.alarms.configure(value(SsiTable.DISPOSITION))
        monitors, version = value(SsiTable.MONITORS)["MONITORS"], self.configuration.version
        self.watching.configure(monitors, outage, general, version, now_us)
        self.network.configure(general)
        if self.network.registered and self.configuration.version:
            self.life.set_state(State.PROVISIONED)
        self._reporter.keep()

    def _network_event(self, event: Event, now_us: int) -> None:
        match event:
            case TimeTold(utc_s, within_s):
                self.tasks.clock.tms_told(utc_s, within_s, now_us)
                self._renew_stamps(now_us)
                self._trust_clock(now_us)
            case RegisteredWithTms():
                self._trust_clock(now_us)
                self.life.clear(ErrorCode.REGISTRATION_FAILED)
                provisioned = self.configuration.version > 0
                self.life.set_state(State.PROVISIONED if provisioned else State.REGISTERED)
                unknown = self.meter is not None and self.memory.context_sent != self.meter.id
                if unknown or self.upgrade.on_trial:
                    self._hello = True
                self.network.poll(now_us)
            case RegistrationRefused(cause):
                self.life.set_error(ErrorCode.REGISTRATION_FAILED, cause)
                self._trust_clock(now_us)
            case ReportAcknowledged(number):
                self.memory.acknowledged_s = self.calendar.utc_s(now_us) or 0
                self.outbox.acknowledged(number, self.memory.pages())
                self.life.clear(*TOLD_ONCE)
                self.upgrade.reached()
                self._tell_upgrade(now_us)
                self.network.poll(now_us)
            case MessageRejected():
                self._events.append(SecurityNote(event.path, event.told))
            case Asked():
                self._serving.take(event, now_us)

    def _log_read(self, read: LogRead, now_us: int) -> None:
        """Judge a log; if it has another season, look what that left where a schedule asks so."""
        self.watching.log_read(read, self.tasks.clock.ahead_s, now_us)
        if self.watching.season_changed:
            self.watching.season_changed = False
            for number in self.tasks.scheduler.numbers(Task.FOLLOW_UP):
                self.tasks.run_now(number, Cause.SCHEDULE, now_us)

    # What the SSI's tables show and do.

    def status(self) -> dict[str, Any]:
        """Give MODULE_STATUS as of the last instant that the module was told."""
        return self._status.status()

    def health(self) -> dict[str, Any]:
        """Give MODULE_HEALTH."""
        return self._status.health()

    def reconfigure(self) -> None:
        """Take a new configuration over before anything else is started."""
        self._reconfigure = True

    def send_hello(self) -> None:
        """Send version and context again."""
        self._hello = True

    def run_now(self, schedule_nbr: int, cause: Cause) -> bool:
        """Run a schedule out of turn; False when there is no such schedule."""
        if self.calendar.utc_us(self._latest_us) is None:
            return False
        return self.tasks.run_now(schedule_nbr, cause, self._latest_us)

    def table_changed(self, table: int, now_us: int) -> None:
        """The meter's host tells that a table has changed."""
        if not self.dead:
            self.watching.table_changed(table, now_us)

    def table_written(self, number: int) -> None:
        """Read the context again when one of its tables was written from the network."""
        if self.meter is not None and number in self.meter.images:
            self.link.read_again(self._latest_us)
