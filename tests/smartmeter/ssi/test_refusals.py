"""Reports that the TMS refuses: others go on, nothing is lost, and the first is told."""

import pytest

from ansi_tables.ssi_tables import DEFAULT_BASE, Cause, ModuleAlarm, SsiTable, Task
from smartmeter.comms.way import Need, Way
from smartmeter.ssi.module import ReportSetAside
from tests.smartmeter.ssi.host import (
    PowerCut,
    Report,
    Street,
    cut_nvram,
    raise_alarms,
    schedule,
    schedules,
    small_outbox,
)

HOUR_S = 3600


def quarter_hourly() -> Street:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    return street


def refuse_the_next(street: Street, count: int = 1) -> set[int]:
    """Let the TMS never take the next reports of intervals; give their numbers."""
    numbers: set[int] = set()

    def refuses(report: Report) -> bool:
        number = report.header["REPORT_NBR"]
        if report.header["CAUSE"] == Cause.SCHEDULE and len(numbers) < count:
            numbers.add(number)
        return number in numbers

    street.host.refuses = refuses
    return numbers


def has_intervals(report: Report) -> bool:
    part = DEFAULT_BASE + SsiTable.LOAD_PROFILE_PART
    return any(number == part for number, _ in report.parts)


def told(street: Street) -> list[tuple[int, int]]:
    alarms = street.host.parts(SsiTable.ALARM)
    return [(one["CODE"], one["VALUE"]) for one in alarms]


def assert_all_told_once(street: Street) -> None:
    intervals = [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    assert sorted(street.host.intervals()) == intervals


def test_a_report_that_is_refused_is_set_aside_when_another_was_taken_and_is_told_once() -> None:
    street = quarter_hourly()
    refused = refuse_the_next(street, 3)
    street.run(3 * HOUR_S)
    module = street.device.module
    assert module.parts.outbox.set_aside == sorted(refused) and module.parts.outbox.waiting == 0
    assert told(street) == [(ModuleAlarm.REPORT_REFUSED, min(refused))]
    assert len(street.host.intervals()) == len(street.journal) - 3
    assert sum(isinstance(one, ReportSetAside) for one in street.device.events()) == 3
    street.host.refuses = lambda report: False
    street.run(2 * HOUR_S)
    assert not len(module.parts.outbox)
    assert_all_told_once(street)


def test_a_tms_that_refuses_everything_for_hours_has_nothing_set_aside_and_is_asked_calmly() -> (
    None
):
    street = quarter_hourly()
    street.host.refuses = lambda report: True
    raise_alarms(street, 2)
    street.run(4 * HOUR_S)
    assert street.host.refusals < 4 * 60 + 10 > street.host.registrations
    assert not street.device.module.parts.outbox.set_aside
    street.host.refuses = lambda report: False
    street.run(HOUR_S)
    assert [code for code, _ in told(street)] == [ModuleAlarm.METER_SECURITY] * 2
    assert_all_told_once(street)


def test_what_is_set_aside_calls_for_a_bearer_once_an_hour_only() -> None:
    street = quarter_hourly()
    refuse_the_next(street)
    street.run(HOUR_S)
    network = street.device.module.parts.network
    before = street.host.refusals
    assert street.device.module.parts.outbox.set_aside
    assert network.need(street.world.now_us) is Need.NOTHING
    street.run(10 * HOUR_S)
    assert street.host.refusals == before + 10


def test_what_is_set_aside_gives_way_first_and_its_intervals_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 2)
    street = quarter_hourly()
    refuse_the_next(street, 2)
    street.run(2 * HOUR_S)
    module = street.device.module
    assert len(module.parts.outbox.set_aside) == 2 and module.parts.outbox.room == 8
    street.host.refusing = True
    raise_alarms(street, 12)
    assert not module.parts.outbox.set_aside and module.parts.memory.reports_dropped == 2
    street.host.refusing = False
    street.run(HOUR_S)
    assert_all_told_once(street)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 8))
def test_a_power_cut_at_any_write_around_a_refused_report_loses_and_doubles_nothing(
    step: int, after: bool
) -> None:
    street = quarter_hourly()
    refused = refuse_the_next(street)
    cutting = cut_nvram(street)
    cutting.cut_in, cutting.after = step, after
    try:
        street.run(2 * HOUR_S)
    except PowerCut:
        street.device.restart(street.world.now_us)
        street.run(2 * HOUR_S)
    assert street.device.module.parts.outbox.set_aside == sorted(refused)
    assert told(street) == [(ModuleAlarm.REPORT_REFUSED, min(refused))]
    street.host.refuses = lambda report: False
    street.run(2 * HOUR_S)
    assert_all_told_once(street)


def test_the_alarm_that_tells_of_a_refused_report_does_not_take_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = quarter_hourly()
    street.host.refusing = True
    raise_alarms(street, 12)
    parts = street.device.module.parts
    first = min(parts.outbox.numbers)
    parts.reporter.set_aside(first, "iar", street.world.now_us)
    assert len(parts.outbox) == 12 and parts.outbox.set_aside == [first]
    street.host.refusing = False
    street.run(2 * HOUR_S)
    assert (ModuleAlarm.REPORT_REFUSED, first) in told(street) and not len(parts.outbox)


def test_reports_that_are_refused_for_long_give_way_to_one_gap_that_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 2)
    monkeypatch.setattr("smartmeter.ssi.memory.MAX_GAPS", 4)
    street = quarter_hourly()
    health = schedule(2, TASK=Task.HEALTH, PERIOD_MIN=30)
    street.provision(SCHEDULES=schedules(schedule(), health))
    street.host.refuses = has_intervals
    street.run(8 * HOUR_S)
    module = street.device.module
    made = module.parts.outbox.next_number
    street.run(HOUR_S)
    assert module.parts.outbox.set_aside and len(module.parts.memory.lists.profile_gaps) == 1
    assert module.parts.outbox.next_number == made + 6  # what is due, and nothing read again
    street.host.refuses = lambda report: False
    street.run(2 * HOUR_S)
    assert_all_told_once(street)


def test_a_bearer_that_has_no_room_for_what_is_set_aside_is_not_tried_with_it() -> None:
    street = quarter_hourly()
    refuse_the_next(street)
    hourly = schedule(PERIOD_MIN=60, TABLES=[23, 15, 51, 1])
    street.provision(SCHEDULES=schedules(hourly))
    street.run(3 * HOUR_S)
    assert street.device.module.parts.outbox.set_aside
    before = street.host.refusals
    street.device.bearer_down("link", street.world.now_us)
    street.device.bearer_up("link", street.world.now_us, Way(max_apdu_octets=200))
    street.run(2 * HOUR_S)
    assert street.host.refusals == before
    street.device.bearer_up("link", street.world.now_us, Way())
    street.run(HOUR_S)
    assert street.host.refusals > before


def test_what_is_set_aside_is_tried_every_hour_also_where_more_is_set_aside_each_hour() -> None:
    street = quarter_hourly()
    hourly, health = schedule(PERIOD_MIN=60), schedule(2, TASK=Task.HEALTH, PERIOD_MIN=30)
    street.provision(SCHEDULES=schedules(hourly, health))
    street.host.refuses = has_intervals
    street.run(3 * HOUR_S)
    outbox = street.device.module.parts.outbox
    first = outbox.set_aside[0]
    street.host.refuses = lambda one: one.header["REPORT_NBR"] != first and has_intervals(one)
    street.run(5 * HOUR_S)
    assert first not in outbox.set_aside and len(outbox.set_aside) > 1
