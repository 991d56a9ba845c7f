"""The scheduler between runs: what fails is tried again, and nothing is asked of an idle one."""

import json
from itertools import count
from typing import Any

import pytest

from ansi_tables.ssi_tables import (
    CatchUp,
    Cause,
    Command,
    Content,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.c1218.client import Exchanged
from smartmeter.base.clock import US_PER_S
from smartmeter.base.zone import UTC_ZONE
from smartmeter.ssi.memory import MEMORY_PAGE
from smartmeter.ssi.meter_side import MAX_JOBS, Priority
from smartmeter.ssi.scheduler import Run, Scheduler
from smartmeter.ssi.states import State
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    Street,
    command,
    monitor,
    own_write,
    schedule,
    schedules,
)

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
BEGIN_S = EPOCH_US // US_PER_S
MAX_STEPS = 2000


def scheduler(*values: dict[str, Any], utc_s: int = BEGIN_S) -> Scheduler:
    found = Scheduler("SM000001", {}, {}, {})
    found.configure(list(values), UTC_ZONE, utc_s)
    return found


def test_a_schedule_that_was_changed_just_before_a_power_cut_counts_from_then_on() -> None:
    marks: dict[str, int] = {}
    marked: dict[str, list[int]] = {}
    later_s = BEGIN_S + 20 * DAY_S
    for day, utc_s, marked_before in ((1, BEGIN_S, marked), (15, later_s, marked)):
        found = Scheduler("SM000001", marks, marked_before, {})
        found.configure([schedule(KIND=ScheduleKind.MONTHLY, DAY=day)], UTC_ZONE, utc_s)
        assert not found.due(utc_s, 0)
    assert marks == {"1": later_s}
    same = Scheduler("SM000001", {"1": BEGIN_S}, {}, {})  # as a version before kept it
    same.configure([schedule(KIND=ScheduleKind.MONTHLY, DAY=15)], UTC_ZONE, later_s)
    assert [run.due_s for run in same.due(later_s, 0)] == [BEGIN_S + 14 * DAY_S]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (ScheduleKind.INTERVAL, {"DAY": 3, "ONCE_TIME": 9}),
        (ScheduleKind.HOURLY, {"PERIOD_MIN": 30, "DAY": 3}),
        (ScheduleKind.DAILY, {"PERIOD_MIN": 30, "DAY": 3, "PRIORITY": 5}),
        (ScheduleKind.WEEKLY, {"PERIOD_MIN": 30, "ONCE_TIME": 9}),
        (ScheduleKind.ONCE, {"PERIOD_MIN": 30, "AT_MINUTE": 9, "DAY": 3}),
    ],
)
def test_a_schedule_of_which_only_that_changes_which_does_not_matter_misses_no_run(
    kind: ScheduleKind, changes: dict[str, Any]
) -> None:
    one = schedule(KIND=kind, ONCE_TIME=BEGIN_S + HOUR_S)
    found, later_s = scheduler(one), BEGIN_S + 8 * DAY_S
    due = found.next_utc_s()
    found.configure([one | changes], UTC_ZONE, later_s)
    assert found.next_utc_s() == due and found.due(later_s, 0)


def test_what_was_missed_of_a_schedule_is_not_made_up_for_as_what_it_does_from_then_on() -> None:
    marks: dict[str, int] = {}
    marked: dict[str, list[int]] = {}
    tasks: dict[str, int] = {}
    later_s = BEGIN_S + 3 * DAY_S + HOUR_S
    daily = schedule(KIND=ScheduleKind.DAILY, TASK=Task.SELF_READ)
    Scheduler("SM000001", marks, marked, tasks).configure([daily], UTC_ZONE, BEGIN_S)
    reset = schedule(KIND=ScheduleKind.DAILY, TASK=Task.DEMAND_RESET)
    for task, due in ((daily, True), (reset, False)):
        found = Scheduler("SM000001", marks, marked, tasks)  # after a power cut
        found.configure([task], UTC_ZONE, later_s)
        assert bool(found.due(later_s, 0)) is due
    assert found.due(later_s + DAY_S, 0)


def run_bounded(street: Street, seconds: int) -> None:
    """Run a world in which nobody may be busy without end."""
    steps = count()
    end_us = street.world.now_us + seconds * US_PER_S
    street.world.run(end_us, lambda: next(steps) > MAX_STEPS)
    assert street.world.now_us == end_us, "somebody is busy for ever"


def away_street(**changes: Any) -> Street:
    """Give a provisioned street whose meter answers nobody."""
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(CONTENT=Content.EVENT_LOG, **changes)))
    street.device.meter.mains(False, street.world.now_us)
    return street


def test_a_run_on_demand_that_fails_is_tried_again_and_keeps_nobody_busy() -> None:
    street = away_street(KIND=ScheduleKind.DAILY)
    now = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
    assert street.ask(now) == [b"\0"]
    run_bounded(street, HOUR_S // 2)
    street.device.meter.mains(True, street.world.now_us)
    run_bounded(street, 120)
    causes = [report.header["CAUSE"] for report in street.host.reports]
    assert causes.count(Cause.ON_DEMAND) == 1


def test_a_run_on_demand_comes_once_however_often_the_module_restarts_before_and_after() -> None:
    street = away_street(KIND=ScheduleKind.DAILY)
    now = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
    assert street.ask(now, now) == [b"\0"] * 2
    for back in (False, False, True, True):
        street.device.restart(street.world.now_us)
        street.device.meter.mains(back, street.world.now_us)
        run_bounded(street, 300)
    causes = [report.header["CAUSE"] for report in street.host.reports]
    assert causes.count(Cause.ON_DEMAND) == 1
    assert not street.device.module.parts.memory.orders


def test_two_orders_while_the_meter_is_away_leave_none_for_the_next_start() -> None:
    street = away_street(KIND=ScheduleKind.DAILY)
    for _ in range(2):
        street.run(60)
        now = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
        assert street.ask(now) == [b"\0"]
    street.device.meter.mains(True, street.world.now_us)
    street.run(600)
    assert not street.device.module.parts.memory.orders


def test_an_order_of_what_waits_already_is_done_after_a_restart_too() -> None:
    """A look at the season, which the meter's log called for."""
    street = away_street(KIND=ScheduleKind.DAILY, TASK=Task.FOLLOW_UP)
    device, orders = street.device, [[1, BEGIN_S + 10, int(Task.FOLLOW_UP)]]
    device.module.parts.tasks.run_now(1, street.world.now_us)
    street.run(600)
    now = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
    assert street.ask(now) == [b"\0"]
    assert device.module.parts.memory.orders == orders
    device.restart(street.world.now_us)
    assert device.module.parts.memory.orders == orders
    device.meter.mains(True, street.world.now_us)
    street.run(600)
    assert not device.module.parts.memory.orders


@pytest.mark.parametrize("fails_first", [0, 1])
def test_of_equal_runs_that_fail_the_last_one_asked_for_is_tried_again(fails_first: int) -> None:
    one = schedule(KIND=ScheduleKind.DAILY)
    found = scheduler(one)
    runs = [Run(one, BEGIN_S + number, Cause.ON_DEMAND, asked=True) for number in range(2)]
    for run in runs:
        assert found.ask(run) and found.due(BEGIN_S, 0) == [run]
    for number in (fails_first, 1 - fails_first):
        found.failed(runs[number], 0)
    assert found.due(BEGIN_S, HOUR_S * US_PER_S) == [runs[1]]


def test_orders_that_an_earlier_version_kept_in_another_form_stop_no_module() -> None:
    street = away_street(KIND=ScheduleKind.DAILY)
    device = street.device
    members = json.loads(device.nvram.get(MEMORY_PAGE) or b"{}")
    page = json.dumps(members | {"runs_asked": [[1, 1800]]}).encode()
    device.nvram.commit({MEMORY_PAGE: page})
    device.restart(street.world.now_us)
    device.meter.mains(True, street.world.now_us)
    street.run(600)
    assert device.module.state is State.PROVISIONED


@pytest.mark.parametrize("between", [{"ENABLED": 0}, {}])
def test_a_run_on_demand_is_not_done_as_what_its_schedule_becomes(between: dict[str, Any]) -> None:
    street = away_street(KIND=ScheduleKind.DAILY)
    now = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
    assert street.ask(now) == [b"\0"]
    reset = {"KIND": ScheduleKind.DAILY, "TASK": Task.DEMAND_RESET}
    for changes in (between, reset):
        street.provision(SCHEDULES=schedules(schedule(**changes)))
        street.run(10)
    street.device.restart(street.world.now_us)
    street.device.meter.mains(True, street.world.now_us)
    street.run(600)
    memory = street.device.module.parts.memory
    assert not memory.resets.reset_s and not memory.orders


def test_a_run_that_is_due_when_one_is_asked_for_is_not_taken_for_it() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(KIND=ScheduleKind.DAILY)))
    tasks, memory = street.device.module.parts.tasks, street.device.module.parts.memory
    assert tasks.order(1, street.world.now_us)
    orders = list(memory.orders)
    asked_s = orders[0][1]
    due = Run(schedule(TASK=Task.CLOCK_CHECK), asked_s, Cause.SCHEDULE)
    now_us = street.world.now_us
    tasks.done(due, asked_s, Exchanged(now_us, now_us), now_us)
    assert memory.orders == orders


def test_a_run_that_is_skipped_after_it_failed_keeps_nobody_busy() -> None:
    street = away_street(KIND=ScheduleKind.DAILY, AT_MINUTE=2, CATCH_UP=CatchUp.SKIP)
    run_bounded(street, HOUR_S // 2)


def test_a_failed_run_that_a_set_clock_puts_off_is_not_tried_before_it_is_due() -> None:
    found = scheduler(schedule(KIND=ScheduleKind.DAILY, AT_MINUTE=10))
    (run,) = found.due(BEGIN_S + 600, 0)
    found.failed(run, 0)
    found.clock_set(BEGIN_S - HOUR_S)
    now_us = 100 * US_PER_S
    assert found.due(BEGIN_S - HOUR_S + 100, now_us) == []
    assert found.retry_us(now_us) is None
    assert found.next_utc_s() == BEGIN_S + 600


def test_what_is_to_run_once_runs_once_however_the_clock_is_set() -> None:
    once = schedule(KIND=ScheduleKind.ONCE, ONCE_TIME=BEGIN_S + 2 * HOUR_S)
    found = scheduler(once, utc_s=BEGIN_S + DAY_S)  # by a clock that is a day ahead
    found.clock_set(BEGIN_S)
    assert found.due(BEGIN_S + HOUR_S, 0) == []
    (run,) = found.due(BEGIN_S + 2 * HOUR_S, 0)
    found.mark(run)
    found.ended(run)
    found.clock_set(BEGIN_S)
    assert found.due(BEGIN_S + 3 * HOUR_S, 0) == [] and found.next_utc_s() is None


def test_a_run_under_way_while_the_clock_is_set_back_holds_up_none_of_the_time_that_comes() -> None:
    found = scheduler(schedule())
    (run,) = found.due(BEGIN_S + 365 * DAY_S, 0)
    found.clock_set(BEGIN_S + MINUTE_S)
    found.mark(run)
    found.ended(run)
    assert found.next_utc_s() == BEGIN_S + 15 * MINUTE_S


def test_of_all_missed_runs_one_that_fails_is_done_before_the_next() -> None:
    found = scheduler(schedule(KIND=ScheduleKind.HOURLY, CATCH_UP=CatchUp.RUN_ALL))
    utc_s, now_us, done = BEGIN_S + 4 * HOUR_S, 0, []
    for turn in range(6):
        (run,) = found.due(utc_s, now_us)
        assert found.due(utc_s, now_us) == []
        if turn in (1, 2):
            found.failed(run, now_us)
            now_us += 4 * US_PER_S
            continue
        found.mark(run)
        found.ended(run)
        done.append((run.due_s - BEGIN_S, run.cause))
    assert found.due(utc_s, now_us) == []
    missed = [(hours * HOUR_S, Cause.CATCH_UP) for hours in (1, 2, 3)]
    assert done == [*missed, (4 * HOUR_S, Cause.SCHEDULE)]


@pytest.mark.parametrize(
    ("changes", "due"),
    [({"KIND": ScheduleKind.HOURLY}, False), ({"PRIORITY": 7, "JITTER_S": 60}, True)],
)
def test_a_schedule_that_is_due_at_other_times_counts_from_now_on(
    changes: dict[str, Any], due: bool
) -> None:
    daily = schedule(KIND=ScheduleKind.DAILY, CATCH_UP=CatchUp.RUN_ALL)
    found = scheduler(daily)
    later_s = BEGIN_S + DAY_S + HOUR_S // 2
    found.configure([daily | changes], UTC_ZONE, later_s)
    assert bool(found.due(later_s, 0)) is due


def test_a_run_that_was_asked_for_leaves_what_is_due_to_its_schedule() -> None:
    hourly = schedule(KIND=ScheduleKind.HOURLY)
    found = scheduler(hourly)
    utc_s = BEGIN_S + HOUR_S
    asked = Run(hourly, utc_s, Cause.ON_DEMAND, asked=True)
    found.ask(asked)
    found.ask(asked)
    runs = found.due(utc_s, 0)
    assert [run.cause for run in runs] == [Cause.ON_DEMAND]
    found.mark(asked)
    found.ended(asked)
    assert [run.cause for run in found.due(utc_s, 0)] == [Cause.SCHEDULE]


def test_a_port_at_which_too_many_jobs_wait_keeps_nobody_busy() -> None:
    street = Street()
    street.run(10)
    street.provision(MONITORS={"MONITORS": [monitor(PERIOD_MS=1000)]})
    street.run(5)
    street.device.meter.mains(False, street.world.now_us)
    now_us = street.world.now_us
    for _ in range(MAX_JOBS + 1):
        street.device.module.parts.optical.submit(
            Priority.REQUEST, lambda limits: iter(()), "", now_us
        )
    run_bounded(street, 10)
