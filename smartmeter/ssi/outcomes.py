"""What follows when a job at the meter has ended, and when the network has news."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ansi_tables.ssi_tables import Task
from protocols.c1218.client import Exchanged
from protocols.c1222.node import MessageRejected
from protocols.errors import LinkError, RemoteProtocolError, ServiceRefused
from protocols.machine import Event
from smartmeter.ssi import work
from smartmeter.ssi.authority import Asked
from smartmeter.ssi.identity import AnotherContext, AnotherMeter
from smartmeter.ssi.log_reading import LogRead
from smartmeter.ssi.meter_side import JobDone, JobFailed
from smartmeter.ssi.network_news import (
    RegisteredWithTms,
    RegistrationRefused,
    ReportAcknowledged,
    ReportRefused,
    TimeTold,
)
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.scheduler import Run
from smartmeter.ssi.serving import Serving
from smartmeter.ssi.starting import Starting
from smartmeter.ssi.states import TOLD_ONCE, ErrorCode, State

#: With these a meter has answered that it does not do what a job asks.
_REFUSALS = (ServiceRefused, work.ProcedureRefused)


@dataclass(frozen=True)
class SecurityNote(Event):
    """A message that was refused, and why."""

    path: Hashable
    reason: str


@dataclass(frozen=True)
class ReportSetAside(Event):
    """A report that the TMS refused while it took others, and with which codes."""

    number: int
    cause: str


class Outcomes:
    """Gives each part what concerns it."""

    def __init__(
        self,
        parts: Parts,
        starting: Starting,
        serving: Serving,
    ) -> None:
        self._parts, self._starting, self._serving = parts, starting, serving
        #: The schedules whose run is read again, as the meter may have been programmed before it.
        self._doubtful: set[int] = set()
        #: The last acknowledgement came since the start: by the clock that was set since then.
        self._acknowledged = False

    def take(self, now_us: int) -> bool:
        """Act on what the parts have to say; True when one of them said something."""
        ended = self._parts.optical.ended()
        for event in ended:
            if isinstance(event, JobDone):
                self.job_done(event, now_us)
            elif isinstance(event, JobFailed):
                self._job_failed(event, now_us)
            else:
                self._parts.told.append(event)
        news = self._parts.network.events()
        for event in news:
            self._network_event(event, now_us)
        return bool(ended or news)

    def job_done(self, event: JobDone, now_us: int) -> None:
        """A job at the meter has brought what it was to bring."""
        parts = self._parts
        self._answered(now_us)
        if event.token != "begin":
            parts.known.done(now_us)
        match event.token:
            case "begin":
                self._starting.begun(event.result, event.last, now_us)
            case "log":
                self._log_read(event.result, event.last, now_us)
            case Run() as run:
                if isinstance(event.result, work.Collected) and event.result.log is not None:
                    # Where reports take the whole port, nothing else looks at the log.  Judged
                    # before it counts as reported: what is not reported is read again.
                    self._log_read(event.result.log, event.last, now_us)
                if self._is_doubtful(run, event.result):
                    parts.tasks.failed(run, now_us)
                else:
                    parts.tasks.done(run, event.result, event.last, now_us)
            case Asked() as request:
                self._serving.done(request, event.result, now_us)
            case ("watch", _):
                read_us = event.last.answered_us
                parts.watching.looked(event.result, event.line_us, read_us, now_us)
            case ("gap", int() as set_nbr, int() as first):
                parts.gaps.done(event.result, set_nbr, first, now_us)
        knows_time = parts.reporter.meter is not None and parts.tasks.clock.doubt_ends_us() is None
        if knows_time and parts.link.logged_on(parts.optical.password_accepted, now_us):
            parts.tasks.scheduler.try_again(now_us)
            if not parts.memory.resets.reset_told:
                parts.tasks.report_reset(now_us)
        self._clock_set(now_us)
        self._starting.see_saving()
        parts.network.poll(now_us)

    def _is_doubtful(self, run: Run, result: object) -> bool:
        """Tell whether what a report reads may mean something else by now: it is read again.

        Once: a meter may log as its programming what the module itself does.
        """
        meter = self._parts.reporter.meter
        is_old = isinstance(result, work.Collected) and meter is not None and meter.old
        if is_old and run.number not in self._doubtful:
            self._doubtful.add(run.number)
            return True
        self._doubtful.discard(run.number)
        return False

    def _answered(self, now_us: int) -> None:
        if self._parts.link.answered(now_us):
            self._parts.link.read_soon(now_us)

    def _clock_set(self, now_us: int) -> None:
        """Tell who keeps times of its own that the clock was set, if it was."""
        clock, memory = self._parts.tasks.clock, self._parts.memory
        if clock.moved_s:
            self._parts.outage.clock_set(clock.moved_s)
            self._parts.tasks.resets.clock_set(clock.moved_s)
            if self._acknowledged:  # as long ago as before
                memory.acknowledged_s = max(1, memory.acknowledged_s + clock.moved_s)
            clock.moved_s = 0
            self._parts.reporter.keep()
        if clock.renew_stamps:
            clock.renew_stamps = False
            self._parts.network.renew_stamps(now_us)

    def _job_failed(self, event: JobFailed, now_us: int) -> None:
        parts = self._parts
        is_refused = event.in_session and isinstance(event.error, _REFUSALS)
        if isinstance(event.error, AnotherMeter):
            parts.optical.password_accepted = None  # that the one before refused it says nothing
            parts.link.read_soon(now_us)
        elif isinstance(event.error, AnotherContext):
            parts.link.read_soon(now_us)
        elif is_refused:
            self._answered(now_us)
        else:
            answers = event.in_session and isinstance(event.error, RemoteProtocolError)
            if parts.link.failed(str(event.error), now_us, parts.outage.tells, answers):
                parts.network.poll(now_us)
        parts.known.failed()
        match event.token:
            case "begin":
                parts.link.read_failed(now_us)
                # One that was read before and does not answer is told as unreachable.
                if parts.reporter.meter is None or not isinstance(event.error, LinkError):
                    parts.life.set_error(ErrorCode.CONFIGURATION_FAILED, str(event.error))
            case Run() as run:
                parts.tasks.failed(run, now_us, is_refused)
            case Asked() as request:
                self._serving.failed(request, now_us)
            case ("watch", _) | "log" as token:
                parts.watching.failed(token, event.line_us, now_us)
            case ("gap", _, _):
                parts.gaps.failed(now_us)

    def _log_read(self, read: LogRead, last: Exchanged, now_us: int) -> None:
        """Judge a log; what it tells may call for more.

        If the meter was programmed its context is read anew; if its season has changed, schedules
        that follow up are run.
        """
        parts = self._parts
        if read.clock_s is not None:
            parts.tasks.clock.compare(read.clock_s, last, now_us)
            self._clock_set(now_us)
        follows = parts.log.judge(read, parts.tasks.clock.ahead_s, now_us)
        if follows.programmed:
            parts.link.read_again(now_us)
        if follows.season_changed:
            for number in parts.tasks.scheduler.numbers(Task.FOLLOW_UP):
                parts.tasks.run_now(number, now_us)

    def _network_event(self, event: Event, now_us: int) -> None:
        parts, starting = self._parts, self._starting
        match event:
            case TimeTold(utc_s, within_s):
                parts.tasks.clock.tms_told(utc_s, within_s, now_us)
                self._clock_set(now_us)
                starting.trust_clock(now_us)
            case RegisteredWithTms():
                starting.trust_clock(now_us)
                self._registered(now_us)
            case RegistrationRefused(cause):
                parts.life.set_error(ErrorCode.REGISTRATION_FAILED, cause)
                starting.trust_clock(now_us)
            case ReportAcknowledged(number):
                parts.memory.acknowledged_s = parts.calendar.utc_s(now_us) or 0
                self._acknowledged = True
                parts.outbox.acknowledged(number, parts.memory.pages())
                parts.life.clear(*TOLD_ONCE)
                parts.upgrade.reached()
                starting.tell_upgrade(now_us)
                parts.network.poll(now_us)
            case ReportRefused(number, cause):
                parts.reporter.set_aside(number, cause, now_us)
                parts.told.append(ReportSetAside(number, cause))
                parts.network.poll(now_us)
            case MessageRejected():
                parts.told.append(SecurityNote(event.path, event.told))
            case Asked():
                self._serving.take(event, now_us)

    def _registered(self, now_us: int) -> None:
        """The TMS knows the module: it is told who that is, where it does not know so yet."""
        parts, meter = self._parts, self._parts.reporter.meter
        parts.life.clear(ErrorCode.REGISTRATION_FAILED)
        provisioned = parts.configuration.version > 0
        parts.life.set_state(State.PROVISIONED if provisioned else State.REGISTERED)
        unknown = meter is not None and parts.memory.seen.context_sent != meter.id
        if unknown or parts.upgrade.on_trial:
            self._starting.hello = True
        parts.network.poll(now_us)
