"""Demand resets and self-reads: each that is meant is done once, and told."""

import pytest

from ansi_tables.ssi_tables import (
    Cause,
    Command,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.c1218.device import Refused
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S
from smartmeter.network.faults import Partition
from smartmeter.ssi.log_reading import SELF_READ
from smartmeter.ssi.memory import Memory, Resets
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    FACTORY,
    PowerCut,
    Street,
    command,
    cut_nvram,
    failing_memory,
    own_write,
    schedule,
    schedules,
)
from tests.smartmeter.ssi.other_meter import other_meter, put
from tests.smartmeter.ssi.provisioned import alarm_codes, provisioned, reported

HOUR_S, DAY_S = 3600, 86_400
EPOCH_S = EPOCH_US // US_PER_S


def test_a_demand_reset_on_schedule_is_done_once_a_day_and_its_record_reported() -> None:
    daily = schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=30)
    street = provisioned(daily)
    street.run(3 * DAY_S)
    assert street.device.meter.metering.registers.resets == 3
    records = [r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]
    assert len(records) == 3


def test_a_second_reset_within_a_day_is_left_out_and_told() -> None:
    street = provisioned(schedule(TASK=Task.DEMAND_RESET, PERIOD_MIN=60))
    street.run(3 * HOUR_S + 60)
    assert street.device.meter.metering.registers.resets == 1
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    assert set(alarm_codes(street)) == {ModuleAlarm.RESET_NOT_DUE}


@pytest.mark.parametrize(("wrong_days", "unheard_h"), [(-3, 5), (3, 1)])
def test_a_reset_within_a_day_is_left_out_also_where_the_clock_was_set_by_days_between(
    wrong_days: int, unheard_h: int
) -> None:
    """A module that starts beside a wrong clock believes it until the TMS is heard."""
    street = provisioned(schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=720))
    street.run(DAY_S + 10 * HOUR_S)
    registers = street.device.meter.metering.registers
    assert registers.resets == 1
    now_us = street.world.now_us
    true_us = street.calendar.utc_us(now_us) or 0
    street.device.meter.set_clock(true_us + wrong_days * DAY_S * US_PER_S, now_us)
    street.link.wrap(cut := Partition())
    street.device.restart(now_us)
    street.run(unheard_h * HOUR_S)
    assert registers.resets == 2
    street.link.unwrap(cut)
    street.run((14 - unheard_h) * HOUR_S)
    assert registers.resets == 2
    street.run(2 * DAY_S)
    assert registers.resets >= 3


def test_a_daily_reset_is_done_also_on_a_day_on_which_the_meters_clock_was_corrected() -> None:
    """It comes two minutes sooner than after 24 hours: that is no second one."""
    daily = schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=720)
    check = schedule(2, TASK=Task.CLOCK_CHECK, KIND=ScheduleKind.HOURLY, AT_MINUTE=10)
    street = provisioned(daily, check)
    street.run(18 * HOUR_S)
    meter, now_us = street.device.meter, street.world.now_us
    meter.set_clock((street.calendar.utc_us(now_us) or 0) + 120 * US_PER_S, now_us)
    street.run(DAY_S)
    assert meter.metering.registers.resets == 2
    assert ModuleAlarm.RESET_NOT_DUE not in alarm_codes(street)


def test_a_reset_of_a_meter_that_was_replaced_is_none_of_the_next_whose_clock_differs() -> None:
    street = provisioned(
        schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=720),
        schedule(2, TASK=Task.CLOCK_CHECK, KIND=ScheduleKind.HOURLY, AT_MINUTE=10),
    )
    street.run(13 * HOUR_S)
    assert street.device.module.parts.status()["LAST_DEMAND_RESET_TIME"]
    put(street, other_meter(ahead_s=120).meter)
    street.run(3 * HOUR_S)
    parts = street.device.module.parts
    assert parts.memory.meter_serial == "OTHER77"
    assert parts.status()["LAST_DEMAND_RESET_TIME"] == 0


def test_a_reset_on_demand_is_refused_within_a_day_unless_it_is_forced() -> None:
    street = provisioned(schedule())
    reset = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=0))
    forced = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=1))
    assert street.ask(reset) == [b"\0"]
    street.run(60)
    assert street.ask(reset) == [b"\4"]
    assert street.ask(forced) == [b"\0"]
    street.run(60)
    assert street.device.meter.metering.registers.resets == 2
    assert len([r for r in reported(street, Cause.ON_DEMAND) if r.parts[0][0] == 25]) == 2


def test_a_power_cut_between_reset_and_report_resets_once_and_reports() -> None:
    street = provisioned(schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=30))
    street.world.run(
        street.world.now_us + HOUR_S * US_PER_S,
        lambda: street.device.meter.metering.registers.resets == 1,
    )
    street.device.restart(street.world.now_us)
    street.run(2 * HOUR_S)
    assert street.device.meter.metering.registers.resets == 1
    assert [r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]


def test_what_became_of_a_reset_is_not_asked_of_another_meter() -> None:
    resets = Resets(reset_before_s=0, reset_open=True, reset_count=5, reset_s=1, reset_told=False)
    memory = Memory(resets=resets)
    memory.forget_meter({}, None, None)
    assert memory.resets is resets == Resets()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_power_cut_at_any_write_of_a_reset_resets_once_and_tells_nothing_wrong(
    step: int, after: bool
) -> None:
    street = Street()
    cutting = cut_nvram(street)
    street.run(10)
    monthly = {"KIND": ScheduleKind.MONTHLY, "DAY": 1, "AT_MINUTE": 30}
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.DEMAND_RESET, **monthly)))
    street.run(1500)
    cutting.cut_in, cutting.after = step, after
    with pytest.raises(PowerCut):
        street.run(HOUR_S)
    cutting.cut_in = 0
    street.device.restart(street.world.now_us)
    street.run(2 * HOUR_S)
    assert street.device.meter.metering.registers.resets == 1
    assert alarm_codes(street) == []
    assert len([r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]) == 1


@pytest.mark.parametrize("fails_in", range(1, 7))
def test_an_ordered_reset_is_done_once_and_told_once_whichever_write_fails(fails_in: int) -> None:
    yearly = {"KIND": ScheduleKind.ONCE, "ONCE_TIME": EPOCH_S + 365 * DAY_S}
    street = provisioned(schedule(TASK=Task.DEMAND_RESET, **yearly))
    memory = failing_memory(street)
    memory.fails_in = fails_in
    order = own_write(SsiTable.COMMAND, command(Command.REPORT_NOW, SCHEDULE_NBR=1))
    street.host.node.request([order], FACTORY.title, "link", street.world.now_us, key_id=0)
    street.run(60)
    street.device.restart(street.world.now_us)
    street.run(600)
    assert street.device.meter.metering.registers.resets == 1
    assert len([r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]) == 1


def lose_meter(street: Street) -> None:
    """Take the meter's mains away, with what is on the line, until its module gives it up."""
    street.device.meter.mains(False, street.world.now_us)
    street.device._line.clear()
    street.run(40)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_reset_whose_answer_is_lost_is_done_once_also_where_the_meter_is_away_for_days(
    ordered: bool, restarts: bool
) -> None:
    street = Street(baud=9600)
    street.run(30)
    day = 15 if ordered else 1
    monthly = {"KIND": ScheduleKind.MONTHLY, "DAY": day, "AT_MINUTE": 5}
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.DEMAND_RESET, **monthly)))
    meter, tasks = street.device.meter, street.device.module.parts.tasks
    if ordered:
        assert tasks.order(1, street.world.now_us)
        street.device.expire(street.world.now_us)
    assert street.world.run(
        street.world.now_us + HOUR_S * US_PER_S, lambda: meter.metering.registers.resets == 1
    )
    lose_meter(street)
    if restarts:
        street.device.restart(street.world.now_us)
    street.run(2 * DAY_S)
    meter.mains(True, street.world.now_us)
    street.run(HOUR_S)
    assert meter.metering.registers.resets == 1
    assert not street.device.module.parts.memory.resets.reset_open


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_reset_whose_answer_the_line_loses_is_done_once(lost: str) -> None:
    """What the meter has done is found out when it answers again: by its own count of resets."""
    street = Street(baud=9600)
    street.run(30)
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.DEMAND_RESET, AT_MINUTE=5)))
    meter, module = street.device.meter, street.device.module
    lose_at = {
        "request": lambda: module.parts.memory.resets.reset_open,
        "answer": lambda: meter.metering.registers.resets == 1,
    }
    assert street.world.run(street.world.now_us + HOUR_S * US_PER_S, lose_at[lost])
    lose_meter(street)
    meter.mains(True, street.world.now_us)
    street.run(HOUR_S)
    assert meter.metering.registers.resets == 1
    assert len([r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]) == 1


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_self_read_whose_answer_the_line_loses_is_done_once(lost: str) -> None:
    street = Street(baud=9600)
    street.run(30)
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.SELF_READ, PERIOD_MIN=60)))
    meter, module = street.device.meter, street.device.module
    reads = meter.metering.billing.self_reads.pointers
    lose_at = {
        "request": lambda: module.parts.memory.resets.self_read_asked is not None,
        "answer": lambda: reads.added == 1,
    }
    assert street.world.run(street.world.now_us + 2 * HOUR_S * US_PER_S, lose_at[lost])
    lose_meter(street)
    meter.mains(True, street.world.now_us)
    street.run(HOUR_S // 2)
    assert reads.added == 1
    expected = module.parts.memory.resets.effects_due[str(SELF_READ)]
    assert len(expected) == 1, "another of that time in the meter's log is not the module's"
    street.run(HOUR_S)
    assert reads.added == 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_a_power_cut_at_any_write_of_a_self_read_reads_once(step: int, after: bool) -> None:
    street = Street()
    cutting = cut_nvram(street)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.SELF_READ, PERIOD_MIN=60)))
    street.run(HOUR_S // 2)
    cutting.cut_in, cutting.after = step, after
    with pytest.raises(PowerCut):
        street.run(HOUR_S)
    cutting.cut_in = 0
    street.device.restart(street.world.now_us)
    street.run(HOUR_S // 2)
    assert street.device.meter.metering.billing.self_reads.pointers.added == 1


def refuse_answers(street: Street) -> None:
    """Let the meter carry procedures out, and show nobody what became of them (ST-08)."""
    meter = street.device.meter
    genuine = meter.table

    def table(number: int, now_us: int) -> bytes:
        if number == 8:
            raise Refused(ResponseCode.isc)
        return genuine(number, now_us)

    meter.table = table  # type: ignore[method-assign]


@pytest.mark.parametrize("task", [Task.DEMAND_RESET, Task.SELF_READ])
def test_what_a_meter_does_without_showing_its_answer_is_done_once(task: Task) -> None:
    street = provisioned(schedule(TASK=task, KIND=ScheduleKind.DAILY, AT_MINUTE=5))
    refuse_answers(street)
    street.run(HOUR_S)
    metering = street.device.meter.metering
    assert metering.registers.resets + metering.billing.self_reads.pointers.added == 1
    records = [r for r in street.host.reports if any(n == 25 for n, _ in r.parts)]
    assert len(records) == (task == Task.DEMAND_RESET)


@pytest.mark.parametrize("task", [Task.DEMAND_RESET, Task.SELF_READ])
def test_what_a_meter_that_counts_nothing_refuses_for_a_lost_session_is_done_in_the_next(
    task: Task,
) -> None:
    street = provisioned(schedule(TASK=task, KIND=ScheduleKind.DAILY, AT_MINUTE=5))
    meter = street.device.meter
    genuine_table, genuine_write = meter.table, meter.write_table
    lost = [1, 7]

    def table(number: int, now_us: int) -> bytes:
        if number in (23, 26):
            raise Refused(ResponseCode.onp)
        if number == 1 and lost == [1]:
            lost.clear()
            raise Refused(ResponseCode.isss)
        return genuine_table(number, now_us)

    def write_table(number: int, data: bytes, now_us: int) -> None:
        if number == 7 and 7 in lost:
            lost.remove(7)
            raise Refused(ResponseCode.isss)
        genuine_write(number, data, now_us)

    meter.table, meter.write_table = table, write_table  # type: ignore[method-assign]
    street.run(HOUR_S)
    metering = meter.metering
    assert not lost
    assert metering.registers.resets + metering.billing.self_reads.pointers.added == 1


def test_a_reset_on_demand_whose_answer_the_meter_does_not_show_is_not_told_as_refused() -> None:
    street = provisioned(schedule())
    refuse_answers(street)
    assert street.ask(own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET))) == [b"\1"]
    street.run(60)
    assert street.device.meter.metering.registers.resets == 1
    assert [r for r in reported(street, Cause.ON_DEMAND) if r.parts[0][0] == 25]


def test_a_reset_that_failed_leaves_the_last_one_known() -> None:
    street = provisioned(schedule())
    forced = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=1))
    unforced = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=0))
    assert street.ask(forced) == [b"\0"]
    street.device.meter.mains(False, street.world.now_us)
    assert street.ask(forced) != [b"\0"]
    street.device.meter.mains(True, street.world.now_us)
    street.run(120)
    assert street.ask(unforced) == [b"\4"]
    assert street.device.meter.metering.registers.resets == 1


def test_a_reset_that_was_meant_when_the_module_was_cut_off_counts_as_not_done() -> None:
    street = provisioned(schedule())
    parts = street.device.module.parts
    parts.tasks.resets.begin(EPOCH_S + 60, EPOCH_S + 60)
    parts.reporter.keep()
    street.device.restart(street.world.now_us)
    street.run(60)
    unforced = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=0))
    assert street.ask(unforced) == [b"\0"]


def test_a_reset_that_fails_leaves_the_one_before_moved_with_the_clock() -> None:
    parts = provisioned(schedule()).device.module.parts
    resets = parts.tasks.resets
    resets.begin(EPOCH_S, EPOCH_S)
    resets.give_up()
    resets.begin(EPOCH_S + DAY_S, EPOCH_S + DAY_S)
    resets.clock_set(-2 * DAY_S)
    assert not resets.failed()
    assert parts.memory.resets.reset_s == EPOCH_S - 2 * DAY_S
