"""The SSI module: scheduler, table monitor and outage detector beside one meter.

A machine with two faces: ``optical`` is a byte machine towards the meter's
optical port, ``receive`` and ``outgoing`` carry C12.22 APDUs by path.  It
works by itself; the network only provisions it and asks.

Durable: every change of the cursors goes with the report that it belongs to in
one commit of the non-volatile memory, before the report is sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    AlarmSource,
    Cause,
    Content,
    Disposition,
    ModuleAlarm,
    SsiTable,
    Task,
)
from protocols.c1218.client import ClientLimits
from protocols.c1218.scripts import LogonSettings
from protocols.c1222.node import MessageRejected
from protocols.machine import Event
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import Nvram
from smartmeter.ssi import work
from smartmeter.ssi.authority import Asked
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.factory import load_factory
from smartmeter.ssi.guard import Permission
from smartmeter.ssi.keys import ModuleKeys
from smartmeter.ssi.memory import load_memory
from smartmeter.ssi.meter_data import EVENT_LOG, LogRead, MeterContext, read_clock, read_log
from smartmeter.ssi.meter_side import JobDone, JobFailed, MeterSide, Priority
from smartmeter.ssi.network_side import (
    NetworkSide,
    RegisteredWithTms,
    RegistrationRefused,
    ReportAcknowledged,
)
from smartmeter.ssi.outage import LastGasp, Momentary, OutageDetector, PowerGone, Restored
from smartmeter.ssi.outbox import Outbox
from smartmeter.ssi.own_tables import OwnTables
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.scheduler import Run, Scheduler
from smartmeter.ssi.states import ErrorCode, State
from smartmeter.ssi.table_monitor import Span, TableMonitor, Verdict

FIRST_RETRY_US, MAX_RETRY_US = 1_000_000, 60_000_000
#: Failures in a row after which the meter counts as unreachable.
UNREACHABLE_AFTER = 3
#: Intervals that one report run puts into one place of the outbox, about.
INTERVALS_PER_REPORT = 60


@dataclass(frozen=True)
class StateChanged(Event):
    """The module's state, error or warning is another."""

    state: State
    error: ErrorCode


@dataclass(frozen=True)
class SecurityNote(Event):
    """A message that was refused, and why."""

    path: Hashable
    reason: str


class Module:
    """One SSI module.  ``calendar`` is its own, not set yet; it is set from the meter's."""

    def __init__(
        self,
        nvram: Nvram,
        calendar: Calendar,
        now_us: int,
        base: int = ssi_tables.DEFAULT_BASE,
        permission: Permission | None = None,
    ) -> None:
        self.factory = load_factory(nvram)
        self.esn = self.factory.esn
        self.calendar = calendar
        self.memory = load_memory(nvram)
        self.configuration = Configuration(nvram)
        self.keys = ModuleKeys(nvram, self.factory.key)
        self.outbox = Outbox(nvram, base)
        self._reporter = Reporter(
            self.esn, base, self.memory, self.outbox, calendar, self.configuration
        )
        self.state, self.error = State(self.factory.quality), ErrorCode.NONE
        self.watch_line_us = 0
        self.dead = False
        logon = LogonSettings(
            self.factory.optical_user_id,
            self.factory.optical_user.encode(),
            self.factory.optical_password or None,
        )
        self.optical = MeterSide(logon, permission)
        self._own = OwnTables(self, base)
        self._network = NetworkSide(self.factory, self.keys, calendar, nvram, self.outbox)
        self._scheduler = Scheduler(self.esn, self.memory.marks)
        self._monitor = TableMonitor(self.memory.watch)
        self._outage = OutageDetector(self.memory, calendar)
        self._nvram = nvram
        self._begun_us = now_us
        self._failures = 0
        self._unreachable = False
        self._watching = False
        self._watch_rest_until_us = now_us
        self._start_us: int | None = now_us
        self._latest_us = now_us
        self._general = self.configuration.value(SsiTable.GENERAL)
        self._reconfigure = self._hello = False
        self._runs: list[Run] = []
        self._clock_offset_s = 0
        self._events: list[Event] = []
        if self.state is State.READY:
            self.state = State.CONFIGURING
            self._settle(now_us)

    @property
    def meter(self) -> MeterContext | None:
        """Give the meter's context, once it was read."""
        return self._reporter.meter

    @property
    def state(self) -> State:
        """Give the module's state, 00 to 06."""
        return self._reporter.state

    @state.setter
    def state(self, state: State) -> None:
        self._reporter.state = state

    # The network's face.

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        if not self.dead:
            self._network.receive(path, octets, now_us)
            self._settle(now_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return [] if self.dead else self._network.outgoing()

    def bearer_up(self, path: Hashable, now_us: int) -> None:
        """A bearer can carry APDUs now."""
        self._network.bearer_up(path, now_us)
        self._settle(now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._network.bearer_down(path, now_us)
        self._settle(now_us)

    # Power and time.

    def mains(self, on: bool, now_us: int) -> None:
        """Tell the mains sense.  Without mains the module lives on its hold-up energy."""
        if on:
            self._mains_back(now_us)
        else:
            self._outage.lost(now_us)
            self._nvram.commit(self.memory.pages())
        self._settle(now_us)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        if self.dead:
            return
        self.optical.expire(now_us)
        self._network.expire(now_us)
        for event in self._outage.expire(now_us):
            if isinstance(event, LastGasp):
                self._last_gasp(event, now_us)
            else:
                self.dead = True
                self._events.append(PowerGone())
                return
        self._settle(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted next."""
        if self.dead or self.state < State.CONFIGURING:
            return None
        dues = [self.optical.deadline_us(), self._network.deadline_us()]
        dues += [self._outage.deadline_us(), self._start_us]
        if self.meter is not None:
            due_s = self._scheduler.next_utc_s()
            if due_s is not None:
                dues.append(self.calendar.deadline_us(due_s * US_PER_S))
            dues.append(self._scheduler.retry_us(self._latest_us))
            watch_us = self._monitor.next_us()
            if watch_us is not None and not self._watching:
                dues.append(max(watch_us, self._watch_rest_until_us))
        return min((due for due in dues if due is not None), default=None)

    def events(self) -> Sequence[Event]:
        """Give what the host may log or act on."""
        events, self._events = self._events, []
        return events

    # What happens inside.

    def _settle(self, now_us: int) -> None:
        """Take what the parts have to say until nobody says more, then start what is due."""
        self._latest_us = now_us
        if self.dead or self.state < State.CONFIGURING:
            return
        busy = True
        while busy:
            busy = False
            for event in self.optical.ended():
                busy = True
                if isinstance(event, JobDone):
                    self._job_done(event, now_us)
                elif isinstance(event, JobFailed):
                    self._job_failed(event, now_us)
                else:
                    self._events.append(event)
            for event in self._network.events():
                busy = True
                self._network_event(event, now_us)
            busy = self._start_due(now_us) or busy

    def _start_due(self, now_us: int) -> bool:
        """Start jobs that are due; True when something may have ended at once."""
        if self._start_us is not None and now_us >= self._start_us:
            self._start_us = None
            return self.optical.submit(Priority.REQUEST, work.start, "start", now_us)
        if self.meter is None:
            return False
        if self._reconfigure:
            self._configure(now_us)
        if self._hello:
            self._hello = False
            self._reporter.hello(self.status(), now_us)
            self._network.poll(now_us)
        utc_s = self.calendar.utc_s(now_us)
        assert utc_s is not None
        runs = self._runs + self._scheduler.due(utc_s, now_us)
        self._runs = []
        started = False
        for run in runs:
            started = self._start_run(run, now_us) or started
        watch_us = self._monitor.next_us()
        if watch_us is None or self._watching:
            return started
        if now_us >= max(watch_us, self._watch_rest_until_us):
            self._watching = True
            spans = self._monitor.due(now_us)
            token = ("watch", tuple(spans))
            started = self.optical.submit(Priority.WATCH, partial(work.watch, spans), token, now_us)
            self._watching = started
        return started

    def _start_run(self, run: Run, now_us: int) -> bool:
        meter, schedule = self.meter, run.schedule
        assert meter is not None
        job: Any
        match schedule["TASK"]:
            case Task.DEMAND_RESET:
                job = partial(work.remote_reset, meter, work.DEMAND_RESET_BIT, run.due_s)
            case Task.SELF_READ:
                job = partial(work.remote_reset, meter, work.SELF_READ_BIT, run.due_s)
            case Task.CLOCK_CHECK:
                job = partial(read_clock, meter)
            case _:
                if not self.outbox.room:
                    self._scheduler.failed(run, now_us)
                    return False
                content = schedule["CONTENT"]
                profile = (self.memory.profile_next, self.outbox.room * INTERVALS_PER_REPORT)
                log = (self.memory.events_reported,)
                job = partial(
                    work.collect,
                    meter,
                    profile if content & Content.LOAD_PROFILE else None,
                    log if content & Content.EVENT_LOG else None,
                    schedule["TABLES"],
                )
        if not self.optical.submit(Priority.SCHEDULE, job, run, now_us):
            self._scheduler.failed(run, now_us)
            return False
        return True

    def _job_done(self, event: JobDone, now_us: int) -> None:
        self._reached(now_us)
        token = event.token
        if token == "start":
            meter, clock_s = event.result
            self._started(meter, clock_s, now_us)
        elif token == "log":
            self._judge_log(event.result, now_us)
        elif isinstance(token, Run):
            self._run_done(token, event.result, now_us)
        elif isinstance(token, Asked):
            self._network.answer(token.token, event.result, now_us)
        elif isinstance(token, tuple):
            self._watched(event.result, event.line_us, now_us)

    def _job_failed(self, event: JobFailed, now_us: int) -> None:
        token = event.token
        self._failures += 1
        if self._failures >= UNREACHABLE_AFTER and not self._unreachable and self.meter:
            self._unreachable = True
            self._reporter.raise_own(ModuleAlarm.METER_UNREACHABLE, str(event.error), now_us)
            self._network.poll(now_us)
        if token == "start":
            pause_us = FIRST_RETRY_US << min(self._failures - 1, 6)
            self._start_us = now_us + min(pause_us, MAX_RETRY_US)
            self.error = ErrorCode.CONFIGURATION_FAILED
            self._events.append(StateChanged(self.state, self.error))
        elif isinstance(token, Run):
            self._scheduler.failed(token, now_us)
        elif isinstance(token, Asked):
            refusal = bytes([ResponseCode.dnr])
            self._network.answer(token.token, [refusal] * len(token.items), now_us)
        elif isinstance(token, tuple):
            self._watched([], event.line_us, now_us)

    def _reached(self, now_us: int) -> None:
        self._failures = 0
        if self._unreachable:
            self._unreachable = False
            self._reporter.raise_own(ModuleAlarm.METER_BACK, "the meter answers again", now_us)

    def _started(self, meter: MeterContext, clock_s: int, now_us: int) -> None:
        """The meter was read: the clock is set, and the module can speak."""
        first = self.meter is None
        self._reporter.meter = meter
        self.optical.guard.byte_order = meter.context.fmt.data_order
        if not first:
            self._configure(now_us)
            return
        self.error = ErrorCode.NONE
        self.calendar.set(clock_s * US_PER_S, now_us)
        self.outbox.begin(clock_s)
        self._configure(now_us)
        self._network.start(now_us)
        self._set_state(State.REGISTERING)
        if self._outage.mains_on:
            self._mains_back(now_us)

    def _configure(self, now_us: int) -> None:
        """Give every part its active table."""
        assert self.meter is not None
        self._reconfigure = False
        utc_s = self.calendar.utc_s(now_us)
        assert utc_s is not None
        value = self.configuration.value
        self._scheduler.configure(value(SsiTable.SCHEDULES)["SCHEDULES"], utc_s)
        monitors = value(SsiTable.MONITORS)["MONITORS"]
        self._monitor.configure(monitors, self.meter.context, now_us)
        self._outage.configure(value(SsiTable.OUTAGE))
        self._reporter.alarms.configure(value(SsiTable.DISPOSITION))
        self._general = value(SsiTable.GENERAL)
        self._network.configure(self._general)
        if self._network.registered and self.configuration.version:
            self._set_state(State.PROVISIONED)
        self._nvram.commit(self.memory.pages())

    def _network_event(self, event: Event, now_us: int) -> None:
        if isinstance(event, RegisteredWithTms):
            self.error = ErrorCode.NONE
            provisioned = self.configuration.version > 0
            self._set_state(State.PROVISIONED if provisioned else State.REGISTERED)
            if self.meter is not None and self.memory.context_sent != self.meter.id:
                self._hello = True
            self._network.poll(now_us)
        elif isinstance(event, RegistrationRefused):
            self.error = ErrorCode.REGISTRATION_FAILED
            self._events.append(StateChanged(self.state, self.error))
        elif isinstance(event, ReportAcknowledged):
            self.memory.acknowledged_s = self.calendar.utc_s(now_us) or 0
            self.outbox.acknowledged(event.number, self.memory.pages())
            self._network.poll(now_us)
        elif isinstance(event, MessageRejected):
            self._events.append(SecurityNote(event.path, event.reason))
        elif isinstance(event, Asked):
            self._serve(event, now_us)

    def _serve(self, event: Asked, now_us: int) -> None:
        if not self._own.needs_meter(event.items):
            script = self._own.serve(event.items, ClientLimits())
            try:
                next(script)
            except StopIteration as stop:
                self._network.answer(event.token, stop.value, now_us)
            return
        job = partial(self._own.serve, event.items)
        if not self.optical.submit(Priority.REQUEST, job, event, now_us):
            busy = [bytes([ResponseCode.bsy])] * len(event.items)
            self._network.answer(event.token, busy, now_us)

    # Results.

    def _run_done(self, run: Run, result: Any, now_us: int) -> None:
        self._scheduler.mark(run)
        services: list[bytes] = []
        if isinstance(result, work.Collected):
            services = self._collected(run, result, now_us)
        elif run.schedule["TASK"] == Task.CLOCK_CHECK:
            self._check_clock(result, now_us)
        self._scheduler.ended(run)
        if run.schedule["TASK"] != Task.REPORT:
            self._nvram.commit(self.memory.pages())
            return
        services += self._reporter.waiting_advisories()
        number = run.schedule["SCHEDULE_NBR"]
        header = self._reporter.header(run.cause, now_us, number, run.due_s)
        self._reporter.report(header, services, now_us)
        self._network.poll(now_us)

    def _collected(self, run: Run, read: work.Collected, now_us: int) -> list[bytes]:
        """Move the cursors over what was read; the report's commit makes that durable."""
        memory, meter = self.memory, self.meter
        assert meter is not None
        services: list[bytes] = []
        if read.profile is not None:
            profile, expected = read.profile, memory.profile_next
            if read.restarted:
                memory.ring_epoch += 1
                self._reporter.keep_own(
                    ModuleAlarm.DATA_CLEARED, "the load profile began anew", now_us
                )
            elif expected is not None and profile.oldest > expected:
                lost = profile.oldest - expected
                self._reporter.keep_own(
                    ModuleAlarm.GAP, "intervals were overwritten unread", now_us, lost
                )
            services += self._reporter.make.intervals(profile, memory.ring_epoch, meter.id)
            last = profile.intervals[-1].sequence + 1 if profile.intervals else None
            memory.profile_next = last or max(profile.oldest, expected or 0)
        if read.log is not None:
            services += self._reporter.make.events(read.log)
            memory.events_reported = read.log.last
        for number, image in read.tables.items():
            services += self._reporter.make.table(number, image)
        if run.schedule["CONTENT"] & Content.MODULE_STATUS:
            services.append(self._reporter.make.own(SsiTable.MODULE_STATUS, self.status()))
        return services

    def _check_clock(self, meter_s: int, now_us: int) -> None:
        """Compare the clocks: follow the meter silently, flag it, or refuse (error 6)."""
        own_s = self.calendar.utc_s(now_us)
        assert own_s is not None
        offset_s = self._clock_offset_s = meter_s - own_s
        if abs(offset_s) > self._general["CLOCK_REFUSE_S"]:
            self.error = ErrorCode.CLOCK_OFF
            self._reporter.raise_own(
                ModuleAlarm.CLOCK_OFF, "the clocks differ too much", now_us, offset_s
            )
            return
        if self.error is ErrorCode.CLOCK_OFF:
            self.error = ErrorCode.NONE
        if abs(offset_s) > self._general["CLOCK_SILENT_S"]:
            self._reporter.raise_own(
                ModuleAlarm.CLOCK_OFF, "the meter's clock was set", now_us, offset_s
            )
        self.calendar.set(meter_s * US_PER_S, now_us)

    def _watched(self, read: list[tuple[Span, bytes]], line_us: int, now_us: int) -> None:
        self._watching = False
        self.watch_line_us += line_us
        # Counted so, the share stays a little below what was set, never above.
        rest_us = line_us * 1000 // self._general["DUTY_PERMILLE"]
        self._watch_rest_until_us = now_us + rest_us
        verdicts = self._monitor.judge(read, now_us)
        self._monitor.put_off(now_us, rest_us)
        for verdict in verdicts:
            self._judged(verdict, now_us)
        if verdicts:
            self._nvram.commit(self.memory.pages())
            self._network.poll(now_us)
        if any(verdict.monitor["TABLE"] == EVENT_LOG for verdict in verdicts):
            assert self.meter is not None
            job = partial(read_log, self.meter, self.memory.events_judged)
            self.optical.submit(Priority.EXCEPTION, job, "log", now_us)

    def _judged(self, verdict: Verdict, now_us: int) -> None:
        monitor = verdict.monitor
        words = "raised" if verdict.raised else "over"
        text = f"{words}: ST-{monitor['TABLE']} {monitor['PATH']}"
        self._reporter.raise_(
            AlarmSource.MONITOR,
            1 if verdict.raised else 0,
            Disposition(min(monitor["DISPOSITION"], Disposition.ALARM)),
            text,
            now_us,
            monitor_nbr=monitor["MONITOR_NBR"],
            value=verdict.value,
        )

    def _judge_log(self, read: LogRead, now_us: int) -> None:
        """Look at new entries of the meter's log; the first look only notes where it ends."""
        first, self.memory.events_judged = self.memory.events_judged is None, read.last
        for entry in () if first else read.entries:
            source = AlarmSource.METER_STANDARD
            if entry.manufacturer:
                source = AlarmSource.METER_MANUFACTURER
            disposition = self._reporter.alarms.disposition(source, entry.code)
            text = f"event {entry.code}, number {entry.sequence}"
            self._reporter.raise_(
                source, entry.code, disposition, text, now_us, time_s=entry.time_s
            )
        self._nvram.commit(self.memory.pages())
        self._network.poll(now_us)

    # Power.

    def _mains_back(self, now_us: int) -> None:
        event = self._outage.returned(now_us)
        if isinstance(event, Restored):
            self._reporter.outage(event.number, event.start_s, event.end_s, now_us)
            self._network.poll(now_us)
        elif isinstance(event, Momentary):
            self._nvram.commit(self.memory.pages())

    def _last_gasp(self, event: LastGasp, now_us: int) -> None:
        self._reporter.outage(event.number, event.start_s, None, now_us)
        settings = self.configuration.value(SsiTable.OUTAGE)
        spread_us = max(1, settings["LAST_GASP_SPREAD_MS"]) * 1000
        self._network.hurry(settings["LAST_GASP_COUNT"], spread_us, now_us)

    def _set_state(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._events.append(StateChanged(state, self.error))

    # What the SSI's tables show and do.

    def status(self) -> dict[str, Any]:
        """Give MODULE_STATUS as of the last instant that the module was told."""
        now_us = self._latest_us
        utc_s = self.calendar.utc_s(now_us) or 0
        return {
            "STATE": self.state,
            "ERROR": self.error,
            "WARNING": self._reporter.warning(now_us),
            "MAINS_FLAG": int(self._outage.mains_on),
            "METER_LINK_FLAG": int(not self._unreachable and self.meter is not None),
            "UPTIME_S": (now_us - self._begun_us) // US_PER_S,
            "OUTBOX_COUNT": len(self.outbox),
            "OUTBOX_EPOCH": self.outbox.epoch,
            "NEXT_REPORT_NBR": self.outbox.next_number,
            "LAST_ACKNOWLEDGED_TIME": self.memory.acknowledged_s,
            "CONFIG_VERSION": self.configuration.version,
            "CONTEXT_ID": self.meter.id if self.meter else 0,
            "NBR_MOMENTARIES": self.memory.momentaries & 0xFFFF,
            "NBR_OUTAGES": len(self.memory.outages),
            "CLOCK_OFFSET_S": self._clock_offset_s,
            "WATCH_LINE_US": self.watch_line_us,
            "TIME": utc_s,
        }

    def reconfigure(self) -> None:
        """Take a new configuration over before anything else is started."""
        self._reconfigure = True

    def send_hello(self) -> None:
        """Send version and context again."""
        self._hello = True

    def run_now(self, schedule_nbr: int, cause: Cause) -> bool:
        """Run a schedule out of turn; False when there is no such schedule."""
        schedule = self._scheduler.schedule(schedule_nbr)
        if schedule is None or self.calendar.utc_us(self._latest_us) is None:
            return False
        run = Run(schedule, self.calendar.utc_s(self._latest_us) or 0, cause)
        self._scheduler.begun(run)
        self._runs.append(run)
        return True

    def table_written(self, number: int) -> None:
        """Read the context again when one of its tables was written from the network."""
        if self.meter is not None and number in self.meter.images:
            self._start_us = self._latest_us
