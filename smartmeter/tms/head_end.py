"""The TMS without its sockets: what follows from each message, and from time.

Joins collector, store, jobs and the watch over silence.  Everything that is
told to a SmartMeter is told after its change was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.registration import NodeType
from protocols.machine import Event, earliest
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import Calendar
from smartmeter.base.errors import StorageError
from smartmeter.comms.way_finder import place_of
from smartmeter.tms import exchanges
from smartmeter.tms.arrivals import (
    DeregistrationAsked,
    KeyLost,
    KeyUsed,
    NotificationArrived,
    PathDoubted,
    Refused,
    RegistrationAsked,
    ReportArrived,
)
from smartmeter.tms.collector import Collector
from smartmeter.tms.commits import Commits
from smartmeter.tms.dispatch import Dispatch
from smartmeter.tms.job_outcomes import JobOutcomes
from smartmeter.tms.jobs import DONE, Job, JobChanged, JobRunner, Send
from smartmeter.tms.key_changes import KeyChanges
from smartmeter.tms.lost_data import LostData
from smartmeter.tms.meter_contexts import MeterContexts
from smartmeter.tms.meters import Meters
from smartmeter.tms.model import SYSTEM, Figures, Kind, State
from smartmeter.tms.orders import Orders
from smartmeter.tms.poll_plan import PollDue
from smartmeter.tms.polled_source import PolledSource
from smartmeter.tms.provisioning import Provisioning
from smartmeter.tms.refusals import Refusals
from smartmeter.tms.registrations import Registrations, store_departure, store_registration
from smartmeter.tms.report_effects import ReportEffects
from smartmeter.tms.report_groups import ReportGroups
from smartmeter.tms.retirement import Retirement
from smartmeter.tms.shell import Shell
from smartmeter.tms.silence import HeardAgain, Overdue, SilenceWatch
from smartmeter.tms.source import Answered, Unanswered
from smartmeter.tms.standing import Standing
from smartmeter.tms.store import records
from smartmeter.tms.store.invocation_ids import InvocationIds
from smartmeter.tms.store.job_rows import end_cut_off_jobs
from smartmeter.tms.store.records import Stored
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template
from smartmeter.tms.upgrades import Image
from smartmeter.tms.waking import Waking

#: Scheduled polls are no work that somebody asked for: they stand in a table of their own.
UNLISTED = 0
#: When the calendar was set by more than this, all dues are planned anew.
CLOCK_SET_US = 60_000_000
POLL_ATTEMPTS = 2


class HeadEnd:
    """One TMS.  ``call_soon`` brings the end of a commit back to the thread of this object;
    ``draw_key`` gives the octets of a new key."""

    def __init__(
        self,
        store: Store,
        calendar: Calendar,
        template: Template,
        call_soon: Callable[[Callable[[], None]], None],
        draw_key: Callable[[], bytes] | None = None,
        shell: Shell | None = None,
    ) -> None:
        self.store, self.calendar, self.template = store, calendar, template
        self.shell = shell or Shell()
        self.figures = Figures()
        #: Told of every report that was made durable, for whoever watches this head-end.
        self.on_stored: Callable[[Stored], None] = lambda stored: None
        self._now_us = 0
        #: By how much the calendar had been moved when everything was planned.
        self._planned_us = calendar.moved_us
        self._ids = InvocationIds(store)
        self._commits = Commits(store, call_soon, self._settle)

        # Who speaks, under which key and by which path.
        self.meters = meters = Meters()
        self._keys = keys = KeyChanges(store, self._commits, meters, draw_key, self._key_changed)
        self.registrations = Registrations(store)
        self.collector = collector = Collector(
            meters, self.registrations, calendar, self._ids.first, self.shell
        )
        self._refusals = Refusals()

        # What is asked of them, when, and what it comes to.
        self.polled = polled = PolledSource(store, template)
        self.silence = silence = SilenceWatch()
        self.jobs = jobs = JobRunner()
        self.waking = Waking(store, self.shell)
        self._dispatch = dispatch = Dispatch(collector, polled, jobs, self.waking, self.figures)
        contexts = MeterContexts(store)
        self._outcomes = outcomes = JobOutcomes(
            store, template, contexts, silence, polled, self._commits, self._kept
        )
        self.orders = orders = Orders(
            store, template, jobs, polled, keys, collector, calendar, self._now, dispatch.abandon
        )
        self._provisioning = provisioning = Provisioning(silence, outcomes, orders.provision)
        self.retirement = Retirement(
            store, collector, polled, silence, jobs, outcomes, provisioning.forget
        )

        # What follows from their reports.
        self._lost = lost = LostData(store, orders.ask, orders.look_after)
        self._standing = standing = Standing(
            store,
            silence,
            provisioning,
            lambda: self.utc_s,
            orders.look_after,
            lost.ask_for_outages,
        )
        self._effects = ReportEffects(
            calendar, silence, provisioning, standing, contexts, orders, lost
        )
        self._groups = ReportGroups(
            self._commits, call_soon, lambda: self.utc_s, self._stored, self._not_stored
        )

    # From outside.

    def load(self, now_us: int) -> None:
        """Take up what the store knows: keys, watches, open silences, what people ordered."""
        self._now_us = now_us
        self.collector.begin(now_us)
        utc_s = self.utc_s
        self.load_keys()
        self._lost.load()
        self.retirement.load()
        self._outcomes.load()
        self.registrations.load(now_us)
        self.polled.load(utc_s)
        # One that fell silent while this program did not run is late, when it has had time since.
        self._watch_all(lambda heard_s: min(heard_s, utc_s))
        version = self.template.version
        self.store.write_now(lambda c: end_cut_off_jobs(c, utc_s, version))
        self.orders.take_up()

    def load_keys(self, esns: Sequence[str] | None = None) -> None:
        """Read titles, keys and numbers from the store, of some SmartMeters or of all."""
        self._keys.load(esns)
        self.waking.load(esns)

    @property
    def utc_s(self) -> int:
        """Give the calendar's second as of the last instant that was told."""
        return self.calendar.utc_s(self._now_us) or 0

    def _now(self) -> tuple[int, int]:
        return self.utc_s, self._now_us

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a connection."""
        self._now_us = now_us
        self.collector.receive(path, octets, now_us)
        self._settle()

    def disconnected(self, path: Hashable) -> None:
        """A connection has gone."""
        self.collector.path_closed(path)
        for esn in self.collector.paths.closed(path):
            self.jobs.disconnected(esn, self._now_us)
        self._settle()

    def refused(self, reason: str, now_us: int) -> None:
        """Note octets that were no message at all."""
        self._now_us = now_us
        self.figures.refused += 1
        self._refusals.note("", reason)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self._now_us = now_us
        if abs(self.calendar.moved_us - self._planned_us) > CLOCK_SET_US * self.calendar.rate:
            self._clock_was_set()
        self.collector.expire(now_us)
        self.jobs.expire(now_us)
        self.silence.tick(self.utc_s)
        for esn in self.registrations.lapsed(now_us):
            self._departed(esn, lambda: None)
        for due in self.polled.plan.tick(self.utc_s):
            self._poll(due)
        self._settle()
        refused = self._refusals.take(self.utc_s)
        if refused is not None:
            self._commits.try_write(refused, self._refusals.stored)

    def plain_answered(self, now_us: int) -> None:
        """Take what the shell of the plain meters has brought; what is due waits for its turn."""
        self._now_us = now_us
        self._settle()

    def deadline_us(self) -> int | None:
        """Give when a wait for an answer or another try is over; the rest is by the calendar."""
        return earliest(self.collector.deadline_us(), self.jobs.deadline_us())

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its connection."""
        return self.collector.outgoing()

    def way_found(self, title: ApTitle, path: Hashable, now_us: int) -> None:
        """A node that was called is reached by ``path``: what waits for it goes on."""
        self._now_us = now_us
        esn = self.meters.esn(title)
        if esn is not None and esn not in self.retirement:
            self._dispatch.way_found(esn, path, now_us)
        self.collector.relay.way_found(title, path, now_us)
        self._settle()

    def way_lost(self, title: ApTitle) -> None:
        """A node that was called cannot be reached; its jobs try again by themselves."""
        self.collector.relay.way_lost(title)

    def connected(self, esn: str) -> bool:
        """Tell whether a SmartMeter has a connection."""
        return esn in self.collector.paths

    # What people order.

    def request(self, esn: str, kind: Kind, requested_by: str) -> int:
        """Begin what a person asked for, give the job's number; SettingsError if it cannot be."""
        number = self.orders.request(esn, kind, requested_by)
        self._settle_for_a_person()
        return number

    def upgrade(
        self, esns: Sequence[str], image: Image, activation_s: int, requested_by: str
    ) -> dict[str, int]:
        """Send an image to a list of SmartMeters; give the number of each job that was begun."""
        numbers = self.orders.upgrade(esns, image, activation_s, requested_by)
        self._settle_for_a_person()
        return numbers

    def cancel(self, jobs: Sequence[Job], requested_by: str) -> None:
        """End jobs that have not ended, for a person."""
        self.orders.cancel(jobs, requested_by)
        self._settle_for_a_person()

    def _settle_for_a_person(self) -> None:
        """Act on an order that is durable, whatever the store refuses from now on."""
        with suppress(StorageError):
            self._settle()

    # What is due.

    def _watch_all(self, since_s: Callable[[int], int]) -> None:
        """Watch over all, each by the template that it keeps to, from when it was heard."""
        sql = "SELECT esn, heard_s, config_version FROM meters WHERE state!=?"
        for row in self.store.read(sql, State.RETIRED):
            since = since_s(row["heard_s"])
            self._outcomes.watch(row["esn"], row["config_version"], since, self.utc_s)
        for row in self.store.read("SELECT DISTINCT esn FROM silences WHERE ended_s = 0"):
            self.silence.resume(row["esn"], self.utc_s)

    def _clock_was_set(self) -> None:
        """Plan by what the calendar shows now; nobody is late for what was due before."""
        self._planned_us = self.calendar.moved_us
        self.collector.begin(self._now_us)
        self.polled.plan_anew(self.utc_s)
        self._watch_all(lambda heard_s: self.utc_s)

    def _poll(self, due: PollDue) -> None:
        """Read a plain meter as its schedule says, unless the poll before it still goes on.

        That one, or the next, brings what this one would have.
        """
        if not self.polled.begin(due):
            return
        script = self.polled.script(due, lambda: self.utc_s)
        job = Job(UNLISTED, due.esn, Kind.POLL, script, SYSTEM, POLL_ATTEMPTS, about=due)
        job.begins_anew = True  # what the meter lacks may be another matter at the next try
        if self.jobs.submit(job, self._now_us):
            self.figures.scheduled_polls += 1
        else:
            self.polled.end(due)

    # What happens.

    def _settle(self) -> None:
        """Act on what has happened until nothing is left.

        An error keeps no other event from its turn and is raised at the end; of several, the first
        that is no StorageError, as the store tells of those itself.
        """
        fault: Exception | None = None
        busy = True
        while busy:
            busy = False
            for part in (self.collector, self.polled, self.silence, self.jobs):
                for event in part.events():
                    busy = True
                    try:
                        self._happened(event)
                    except Exception as error:
                        if fault is None or isinstance(fault, StorageError):
                            fault = error
        self._ids.reserve(self.collector.node.next_invocation_id)
        if fault is not None:
            raise fault

    def _happened(self, event: Event) -> None:
        match event:
            case Send():
                self._dispatch.send(event, self._now_us)
            case JobChanged():
                self._job_changed(event)
            case Overdue():
                self._standing.overdue(event)
            case HeardAgain(esn):
                self._standing.heard_again(esn)
            case ReportArrived():
                self._groups.add(event)
            case RegistrationAsked():
                self._registration(event)
            case NotificationArrived():
                self._notification(event)
            case DeregistrationAsked(token, esn):
                self._departed(esn, lambda: self.collector.answer(token, [b"\0"], self._now_us))
            case Answered(transaction, responses):
                self.jobs.answered(transaction, list(responses), self._now_us)
            case Unanswered(transaction, cause, heard):
                self.jobs.unanswered(transaction, cause, self._now_us, heard)
            case PathDoubted(esn):
                self._dispatch.doubted(esn)
            case Refused():
                self._refused(event)
            case KeyUsed(esn):
                self._keys.used(esn, self._now_us)
            case KeyLost(esn):
                self._key_lost(esn)

    def _job_changed(self, event: JobChanged) -> None:
        self._outcomes.changed(event, self.utc_s)
        job = event.job
        if job.kind == Kind.KEY and job.state == DONE:
            self._keys.used(job.esn, self._now_us)
        elif job.kind == Kind.PROVISION:
            self._provisioning.ended(job, self._now_us)

    def _kept(self, esn: str, kind: Kind) -> None:
        """What a job brought is durable; of a poll also that it cannot be made so."""
        if kind is Kind.POLL:
            self.jobs.kept(esn, self._now_us)
            return
        self._lost.had(esn, kind)
        if kind is Kind.OUTAGES:
            self._standing.log_read(esn)

    def _registration(self, event: RegistrationAsked) -> None:
        utc_s, esn, register = self.utc_s, event.esn, event.register
        heard_at = self.shell.address_of(event.path, False)
        place = place_of(int(register.connection_type), register.address, heard_at)
        if not self.registrations.room_for(esn, register):
            self.collector.answer(event.token, [bytes([ResponseCode.bsy])], self._now_us)
            return

        def after(future: Future[int]) -> None:
            if future.exception() is not None or esn in self.retirement:
                return  # not stored, so not answered: the SmartMeter tries again
            self._heard(esn, event.path)
            self.collector.accept(event, place, self._now_us)
            self.jobs.reachable(esn, self._now_us)
            if register.node_type & NodeType.END_DEVICE:
                self._provisioning.registered(esn, future.result(), self._now_us)

        self._commits.write(lambda c: store_registration(c, esn, register, place, utc_s), after)

    def _notification(self, event: NotificationArrived) -> None:
        """Keep tables that a plain C12.22 node told; they are arrived data, and no order."""
        utc_s, esn, parts = self.utc_s, event.esn, event.parts

        def after(future: Future[None]) -> None:
            code = ResponseCode.ok if future.exception() is None else ResponseCode.err
            self._heard(esn, event.path)
            self.figures.notifications += 1
            self.collector.answer(event.token, [bytes([code])] * len(parts), self._now_us)

        self._commits.write(lambda c: records.store_notification(c, esn, parts, utc_s), after)

    def _departed(self, esn: str, then: Callable[[], None]) -> None:
        """A registration has ended."""

        def after(future: Future[None]) -> None:
            if future.exception() is None:
                self.collector.departed(esn, self._now_us)
                then()

        self._commits.write(lambda c: store_departure(c, esn), after)

    def _stored(self, report: ReportArrived, new: bool) -> None:
        """A report is durable: acknowledge it, and see what follows from one that is new."""
        esn = report.esn
        self._heard(esn, report.path)
        self.collector.acknowledge(report, self._now_us)
        self.on_stored(Stored(esn, report.header, report.parts, not new))
        self.figures.report(self._now_us, not new)
        if new and esn not in self.retirement:
            self._effects.follow(report, self.utc_s, self._now_us)

    def _not_stored(self, report: ReportArrived) -> None:
        self.collector.reject(report, self._now_us)

    def _heard(self, esn: str, path: Hashable) -> None:
        if esn not in self.retirement:
            self._dispatch.heard(esn, path, self._now_us)

    def _refused(self, event: Refused) -> None:
        self.figures.refused += 1
        self._refusals.note(event.title, event.reason, event.unknown)

    def _key_lost(self, esn: str) -> None:
        if esn in self.collector.paths and self._keys.may_give_anew(esn, self._now_us):
            self.orders.change_key(esn, SYSTEM)

    def _key_changed(self, esn: str) -> None:
        """Ask something under the new key: the module lets go of the old one then."""
        self.orders.submit(esn, Kind.PING, SYSTEM, exchanges.ping)
