"""The module's tasks: what a run of a schedule reads or does, and what follows from its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import Cause, Content, ModuleAlarm, SsiTable, Task
from protocols.c1218.client import Exchanged
from smartmeter.base.clock import Calendar
from smartmeter.base.zone import Zone
from smartmeter.ssi import work
from smartmeter.ssi.clock_check import ClockCheck
from smartmeter.ssi.demand_reset import DemandResets
from smartmeter.ssi.memory import OF_ONE_METER, Memory
from smartmeter.ssi.meter_data import MeterContext, look_at_clock
from smartmeter.ssi.meter_side import Jobs, Priority, Work
from smartmeter.ssi.outbox import LOG_SET, Outbox
from smartmeter.ssi.profile_reading import ProfileRead, profile_sets, ring_shapes
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.reports import (
    INTERVALS_PER_REPORT,
    NO_SCHEDULE,
    PREVIOUS_RESET,
    IntervalPart,
    carry_part,
    carry_table,
    event_parts,
    interval_parts,
    write_own,
)
from smartmeter.ssi.scheduler import Run, Scheduler
from smartmeter.ssi.self_read import SelfReads
from smartmeter.ssi.table_monitor import Span

BEGAN_ANEW = "the load profile began anew"


class TaskRunner:
    """Runs what is due.  Cursors move in the commit of the report that they belong to."""

    def __init__(
        self,
        esn: str,
        memory: Memory,
        reporter: Reporter,
        outbox: Outbox,
        calendar: Calendar,
        door: Jobs,
        status: Callable[[], Mapping[str, Any]],
    ) -> None:
        """``status`` gives the members of the tables that show how the module does."""
        self._memory, self._reporter, self._outbox = memory, reporter, outbox
        self._door, self._status = door, status
        self.scheduler = Scheduler(esn, memory.marks, memory.marked, memory.marked_tasks)
        self.clock = ClockCheck(memory.seen, reporter, calendar, self.scheduler)
        self.resets = DemandResets(memory.resets, reporter)
        self.self_reads = SelfReads(memory.resets, reporter)
        #: The run that reads from the cursors, and those that wait until it has moved them.
        self._reading: Run | None = None
        self._behind: list[Run] = []
        #: The season and calendar whose report was asked for and is not made yet.
        self._season_asked: work.Season | None = None

    def know_rings(self, now_us: int) -> None:
        """Read a load-profile set from its beginning whose ring is another than it was.

        Once it holds as much as the one before, its sequences alone do not tell.
        """
        memory, meter = self._memory, self._reporter.meter
        shapes = ring_shapes(meter) if meter is not None else {}
        for number, shape in shapes.items():
            if memory.lists.profile_shapes.get(number, shape) != shape:
                memory.lists.begin_profile_anew(int(number))
                self._reporter.keep_own(ModuleAlarm.DATA_CLEARED, BEGAN_ANEW, now_us)
        memory.lists.profile_shapes = {**memory.lists.profile_shapes, **shapes}

    # What is due.

    def configure(self, schedules: Sequence[Mapping[str, Any]], zone: Zone, utc_s: int) -> None:
        """Take the schedules; orders of those that are gone, or have another task, are not kept."""
        self.scheduler.configure(schedules, zone, utc_s)
        tasks = {one["SCHEDULE_NBR"]: one["TASK"] for one in schedules if one["ENABLED"]}
        orders = self._memory.orders
        self._memory.orders = [one for one in orders if tasks.get(one[0]) == one[2]]

    def run_now(self, schedule_nbr: int, now_us: int) -> None:
        """Run a schedule out of turn: what it looks for has just happened."""
        schedule = self.scheduler.schedule(schedule_nbr)
        if schedule is not None:
            self._ask(schedule, Cause.SCHEDULE, self._reporter.utc_s(now_us))

    def order(self, schedule_nbr: int, now_us: int) -> bool:
        """Run a schedule out of turn for the TMS: that is done also after a restart.

        False when there is no such schedule.
        """
        schedule = self.scheduler.schedule(schedule_nbr)
        if schedule is None:
            return False
        memory = self._memory
        run = self._ask(schedule, Cause.ON_DEMAND, self._reporter.utc_s(now_us))
        self.scheduler.try_soon(schedule_nbr)
        order = _order(run)
        if order not in memory.orders:
            others = [one for one in memory.orders if one[0] != schedule_nbr]
            memory.orders = [*others, order]
            self._reporter.keep()
        return True

    def go_on(self) -> None:
        """After a start: run what was ordered before it and not done."""
        for schedule_nbr, asked_s, _ in self._memory.orders:
            schedule = self.scheduler.schedule(schedule_nbr)
            if schedule is not None:
                self._ask(schedule, Cause.ON_DEMAND, asked_s)

    def give_up_orders(self) -> None:
        """It is another meter: what would change the one before is not done at this one."""
        self.scheduler.give_up(OF_ONE_METER)

    def _ask(self, schedule: Mapping[str, Any], cause: Cause, asked_s: int) -> Run:
        return self.scheduler.ask(Run(schedule, asked_s, cause, asked=True))

    def report_reset(self, now_us: int) -> None:
        """Report what a demand reset has left in ST-25, as a run of its own."""
        self._once(Cause.ON_DEMAND, now_us, TABLES=[PREVIOUS_RESET])

    def _once(self, cause: Cause, now_us: int, **what: Any) -> None:
        schedule: dict[str, Any] = {"SCHEDULE_NBR": NO_SCHEDULE, "TASK": Task.REPORT}
        schedule |= {"PRIORITY": 0, "CONTENT": 0, "TABLES": [], "PARTS": [], **what}
        self.scheduler.ask(Run(schedule, self._reporter.utc_s(now_us), cause, asked=True))

    def start_due(self, utc_s: int, now_us: int) -> bool:
        """Start what is due; True when something may have ended at once."""
        started = False
        if self._reporter.reset_dropped and self._outbox.room:
            self._reporter.reset_dropped = False
            self.report_reset(now_us)
        runs, self._behind = self._behind, []
        for run in runs + self.scheduler.due(utc_s, now_us):
            if self._reading is not None and _moves_cursors(run):
                self._behind.append(run)
            else:
                started = self._start(run, utc_s, now_us) or started
        return started

    def _start(self, run: Run, utc_s: int, now_us: int) -> bool:
        task = run.schedule["TASK"]
        if task == Task.DEMAND_RESET and not self.resets.may_begin(utc_s):
            self._mark(run)
            self.scheduler.ended(run)
            self._reporter.raise_own(
                ModuleAlarm.RESET_NOT_DUE, "a demand reset within 24 h was left out", now_us
            )
            return False
        if task in (Task.REPORT, Task.HEALTH) and not self._outbox.room:
            self.scheduler.failed(run, now_us)
            return False
        if task == Task.HEALTH:
            # Told of a meter that does not answer, too: nothing is asked of it.
            at_once = Exchanged(now_us, now_us)
            self.done(run, work.Collected((), None, {}, []), at_once, now_us)
            return True
        job, rank = self._work(run, utc_s), run.schedule["PRIORITY"]
        if not self._door.submit(Priority.SCHEDULE, job, run, now_us, rank):
            self.failed(run, now_us)
            return False
        if _moves_cursors(run):
            self._reading = run
        return True

    def _work(self, run: Run, utc_s: int) -> Work:
        meter = self._reporter.meter
        assert meter is not None
        match run.schedule["TASK"]:
            case Task.DEMAND_RESET:
                self.resets.begin(utc_s, run.due_s)
                return partial(self.resets.script, meter, run.due_s)
            case Task.SELF_READ:
                self._memory.resets.self_read_s = utc_s
                return partial(self.self_reads.script, meter, run.due_s)
            case Task.CLOCK_CHECK:
                return partial(look_at_clock, meter)
            case Task.FOLLOW_UP:
                return partial(work.look_at_season, meter)
        return partial(work.collect, meter, self._wanted(meter, run.schedule))

    def _wanted(self, meter: MeterContext, schedule: Mapping[str, Any]) -> work.Wanted:
        content, memory = schedule["CONTENT"], self._memory
        sets = profile_sets(meter) if content & Content.LOAD_PROFILE else ()
        return work.Wanted(
            {set_nbr: memory.lists.profile_first(set_nbr) for set_nbr in sets},
            self._outbox.room * INTERVALS_PER_REPORT // max(1, len(sets)),
            (memory.lists.log_after,) if content & Content.EVENT_LOG else None,
            tuple(schedule["TABLES"]),
            tuple(Span(one["TABLE"], one["OFFSET"], one["COUNT"]) for one in schedule["PARTS"]),
        )

    # What came of it.

    def failed(self, run: Run, now_us: int, is_refused: bool = False) -> None:
        """A run could not be done, or the meter has refused it; it is tried again."""
        self._reporter.raise_fault()
        if run.schedule["TASK"] == Task.DEMAND_RESET:
            self.resets.failed()
        self._read(run)
        if self._is_given_up(run):
            self.scheduler.ended(run)
        else:
            self.scheduler.failed(run, now_us, is_refused)

    def _is_given_up(self, run: Run) -> bool:
        """Tell whether a run was under way for the meter before this one, which it would change."""
        return (
            run.cause is Cause.ON_DEMAND
            and _order(run) not in self._memory.orders
            and run.schedule["TASK"] in OF_ONE_METER
        )

    def _mark(self, run: Run) -> None:
        """Note that a run's outcome is being made durable."""
        self.scheduler.mark(run)
        if run.asked:
            done, orders = [run.number, run.due_s], self._memory.orders
            self._memory.orders = [one for one in orders if one[:2] != done]

    def _read(self, run: Run) -> None:
        if run is self._reading:
            self._reading = None

    def done(self, run: Run, result: Any, last: Exchanged, now_us: int) -> None:
        """A run was done, and read its last at ``last``: make its outcome durable."""
        self._mark(run)
        self.scheduler.ended(run)
        self._read(run)
        match run.schedule["TASK"]:
            case Task.REPORT | Task.HEALTH:
                self._report(run, result, now_us)
                return
            case Task.CLOCK_CHECK if result is None:
                self.clock.lost(now_us)
            case Task.CLOCK_CHECK:
                self.clock.compare(result, last, now_us)
            case Task.DEMAND_RESET if not self._memory.resets.reset_told:
                self._once(run.cause, now_us, TABLES=[PREVIOUS_RESET])
            case Task.FOLLOW_UP:
                self._followed(result, now_us)
        self._reporter.keep()

    def _report(self, run: Run, result: work.Collected, now_us: int) -> None:
        """Put what a run has read into the outbox, with what waits for the next report."""
        services = self._collected(result, now_us)
        if run.number == NO_SCHEDULE and run.schedule["TABLES"] == list(work.SEASON_TABLES):
            assert self._reporter.meter is not None
            self._season_asked = None
            with suppress(TableError):  # cut short: the next look at the season asks for it again
                self._know_season(work.season_of(self._reporter.meter, result.tables))
        is_health = run.schedule["TASK"] == Task.HEALTH
        if is_health or run.schedule["CONTENT"] & Content.MODULE_STATUS:
            services.append(write_own(SsiTable.MODULE_STATUS, self._status()))
        if is_health:
            services.append(write_own(SsiTable.MODULE_HEALTH, self._status()))
        services += self._reporter.waiting_advisories()
        header = self._reporter.header(run.cause, now_us, run.number, run.due_s)
        self._reporter.report(header, services, now_us)

    def _collected(self, read: work.Collected, now_us: int) -> list[bytes | IntervalPart]:
        """Move the cursors over what was read; the report's commit makes that durable."""
        memory = self._memory
        services: list[bytes | IntervalPart] = []
        for profile in read.profiles:
            services += self._intervals(profile, now_us)
        if read.log is not None:
            parts = event_parts(read.log, memory.lists.profile_epoch(LOG_SET))
            # What there is no room for stays in the meter, for a later report.
            room = max(1, self._outbox.room - len(services))
            services += parts[:room]
            memory.lists.events_reported = read.log.last
            if parts[room:]:
                memory.lists.events_reported = parts[room].carried.first - 1
            memory.lists.events_missed += read.log.missed
        for number, image in read.tables.items():
            services += carry_table(number, image)
        for span, octets in read.parts:
            services += carry_part(span.table, span.offset, octets)
        if PREVIOUS_RESET in read.tables:
            memory.resets.reset_told = True
        return services

    def _intervals(self, profile: ProfileRead, now_us: int) -> list[IntervalPart]:
        memory, meter, set_nbr = self._memory, self._reporter.meter, profile.set_nbr
        assert meter is not None
        expected, epoch = memory.lists.profile_next(set_nbr), memory.lists.profile_epoch(set_nbr)
        if profile.anew:
            memory.lists.begin_profile_anew(set_nbr)
            epoch = memory.lists.profile_epoch(set_nbr)
            self._reporter.keep_own(ModuleAlarm.DATA_CLEARED, BEGAN_ANEW, now_us)
        elif expected is not None and profile.oldest > expected:
            lost = profile.oldest - expected
            self._reporter.keep_own(
                ModuleAlarm.GAP, "intervals were overwritten unread", now_us, lost
            )
        if profile.left_out:
            self._leave_out(set_nbr, profile.left_out, now_us)
        memory.lists.profile_cursors = {
            **memory.lists.profile_cursors,
            str(set_nbr): profile.reached,
        }
        return interval_parts(profile, epoch, meter.id)

    def _leave_out(self, set_nbr: int, count: int, now_us: int) -> None:
        """Count intervals that a part has no form for; the first of a ring are told."""
        lists = self._memory.lists
        before = lists.profile_left_out.get(str(set_nbr), 0)
        lists.profile_left_out = {**lists.profile_left_out, str(set_nbr): before + count}
        if not before:
            text = f"set {set_nbr}: intervals without whole numbers left out"
            self._reporter.keep_own(ModuleAlarm.INTERVALS_LEFT_OUT, text, now_us, count)

    def _followed(self, season: work.Season, now_us: int) -> None:
        """Report what a change of season or calendar leaves; the first look only takes note.

        It is known with that report and not before: a power cut between would lose it.
        """
        memory = self._memory
        if not memory.seen.calendar:
            self._know_season(season)
        elif season not in (
            work.Season(memory.seen.season, memory.seen.calendar),
            self._season_asked,
        ):
            self._season_asked = season
            self._once(Cause.SCHEDULE, now_us, TABLES=list(work.SEASON_TABLES))

    def _know_season(self, season: work.Season) -> None:
        self._memory.seen.season, self._memory.seen.calendar = season.season, season.calendar
        self._season_asked = None


def _moves_cursors(run: Run) -> bool:
    """Tell whether a run reports what only one report is to have: intervals, entries of the log."""
    once = Content.LOAD_PROFILE | Content.EVENT_LOG
    return run.schedule["TASK"] == Task.REPORT and bool(run.schedule["CONTENT"] & once)


def _order(run: Run) -> list[int]:
    """Give a run that the TMS has asked for as the memory keeps it."""
    return [run.number, run.due_s, run.schedule["TASK"]]
