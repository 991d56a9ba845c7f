"""Tasks on their schedules: clocks in three bands, seasons, gaps, zones."""

from datetime import UTC, datetime, timedelta

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    DEFAULT_BASE,
    CatchUp,
    Cause,
    Content,
    Disposition,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.psem.codec import encode_request, table_data
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, OffsetRead
from smartmeter.base.clock import US_PER_S
from smartmeter.gateway.permissions import LocalPermission
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.network.faults import Partition
from smartmeter.ssi.module import Module
from smartmeter.ssi.parts import MAX_MISSED
from smartmeter.ssi.states import ErrorCode
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    GENERAL,
    PowerCut,
    Street,
    cut_nvram,
    decoded,
    own_read,
    own_write,
    raise_alarms,
    schedule,
    schedules,
    small_outbox,
)
from tests.smartmeter.ssi.provisioned import alarm_codes, provisioned, reported

HOUR_S, DAY_S = 3600, 86_400
EPOCH_S = EPOCH_US // US_PER_S


# Clock.


@pytest.mark.parametrize(
    ("offset_s", "error", "alarms"),
    [
        (0, ErrorCode.NONE, []),
        (3, ErrorCode.NONE, []),
        (-300, ErrorCode.NONE, [ModuleAlarm.CLOCK_OFF]),
        (700, ErrorCode.CLOCK_OFF, [ModuleAlarm.CLOCK_OFF]),
    ],
)
def test_the_clock_check_has_three_bands(
    offset_s: int, error: ErrorCode, alarms: list[ModuleAlarm]
) -> None:
    street = provisioned(
        schedule(TASK=Task.CLOCK_CHECK, PERIOD_MIN=30),
        schedule(2, KIND=ScheduleKind.HOURLY),
        GENERAL={**GENERAL, "CLOCK_REFUSE_S": 600},
    )
    street.run(HOUR_S)
    now_us = street.world.now_us
    module, meter = street.device.module, street.device.meter
    meter.set_clock(meter.clock.utc_us(now_us) + offset_s * US_PER_S, now_us)
    street.run(70 * 60)
    assert module.error is error
    street.run(2 * HOUR_S)
    assert alarm_codes(street) == alarms
    own_us, meter_us = (
        one.calendar.utc_us(street.world.now_us) or 0 for one in (module.parts, meter)
    )
    follows = abs(own_us - meter_us) <= US_PER_S
    assert follows is (error is ErrorCode.NONE)


def test_the_clock_error_ends_when_the_clocks_agree_again() -> None:
    general = {**GENERAL, "CLOCK_REFUSE_S": 600}
    street = provisioned(schedule(TASK=Task.CLOCK_CHECK, PERIOD_MIN=10), GENERAL=general)
    module, meter, now_us = street.device.module, street.device.meter, street.world.now_us
    true_us = meter.clock.utc_us(now_us)
    meter.set_clock(true_us + 700 * US_PER_S, now_us)
    street.run(1300)
    assert module.error is ErrorCode.CLOCK_OFF
    meter.set_clock(true_us + 1300 * US_PER_S, street.world.now_us)
    street.run(1300)
    assert module.error is ErrorCode.NONE


def set_clock(module: Module, utc_s: int, now_us: int) -> None:
    module.parts.calendar.set(utc_s * US_PER_S, now_us)
    module.parts.tasks.scheduler.clock_set(utc_s)
    module.parts.tasks.clock.renew_stamps = True


@pytest.mark.parametrize("step_s", [-2 * DAY_S, -1800, -60, 60, 1800, 5 * DAY_S])
def test_reports_go_on_at_once_after_any_clock_set(step_s: int) -> None:
    check = schedule(2, TASK=Task.CLOCK_CHECK, KIND=ScheduleKind.HOURLY, AT_MINUTE=50)
    street = provisioned(schedule(), check, GENERAL={**GENERAL, "CLOCK_REFUSE_S": 65_000})
    street.run(3 * HOUR_S)
    module, now_us = street.device.module, street.world.now_us
    utc_s = module.parts.calendar.utc_s(now_us)
    assert utc_s is not None
    set_clock(module, utc_s + step_s, now_us)
    before = module.parts.memory.reports
    street.run(HOUR_S)
    assert 3 <= module.parts.memory.reports - before <= 6
    # The TMS takes nothing whose stamp is far off; with the clock right again it all arrives.
    street.run(2 * HOUR_S)
    set_clock(module, utc_s + 3 * HOUR_S, street.world.now_us)
    street.run(HOUR_S)
    expected = [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    assert street.host.intervals() == expected


# Seasons, health, parts.


def test_a_change_of_the_season_is_followed_by_a_report_of_what_it_left() -> None:
    street = provisioned(schedule(TASK=Task.FOLLOW_UP, KIND=ScheduleKind.HOURLY, AT_MINUTE=10))
    street.run(3 * HOUR_S)
    assert not reported(street, Cause.SCHEDULE)
    street.device.module.parts.memory.seen.season = (
        3  # as if the meter had been in another one before
    )
    street.run(3 * HOUR_S)
    [report] = reported(street, Cause.SCHEDULE)
    assert 55 in {number for number, _ in report.parts}


def test_a_season_that_a_power_cut_came_before_the_report_of_is_reported_all_the_same() -> None:
    street = Street()
    cutting = cut_nvram(street)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.FOLLOW_UP, PERIOD_MIN=60)))
    street.run(3 * HOUR_S)
    street.device.module.parts.memory.seen.season = (
        3  # as if the meter had been in another one before
    )
    street.device.module.parts.reporter.keep()
    cutting.cut_in, cutting.after = 1, True
    with pytest.raises(PowerCut):
        street.run(2 * HOUR_S)
    street.device.restart(street.world.now_us)
    street.run(3 * HOUR_S)
    assert len(reported(street, Cause.SCHEDULE)) == 1


def test_a_season_whose_report_found_its_table_cut_short_is_reported_again() -> None:
    street = provisioned(schedule(TASK=Task.FOLLOW_UP, KIND=ScheduleKind.HOURLY, AT_MINUTE=10))
    street.run(3 * HOUR_S)
    street.device.module.parts.memory.seen.season = 3
    meter, looks = street.device.meter, 0
    genuine = meter.table

    def table(asked: int, now_us: int) -> bytes:
        nonlocal looks
        looks += asked == 55
        return genuine(asked, now_us)[: 3 if asked == 55 and looks == 2 else None]

    meter.table = table  # type: ignore[method-assign]
    street.run(4 * HOUR_S)
    told = [dict(report.parts)[55] for report in reported(street, Cause.SCHEDULE)]
    assert told == [genuine(55, 0)[:3], told[1]] and len(told[1]) > 3


def test_a_reset_that_is_refused_leaves_what_an_earlier_one_has_to_report() -> None:
    street = Street(permission=LocalPermission())
    street.run(10)
    street.device.module.parts.memory.resets.reset_told = False
    street.provision(SCHEDULES=schedules(schedule(TASK=Task.DEMAND_RESET, PERIOD_MIN=5)))
    street.run(400)
    assert street.device.meter.metering.registers.resets == 0
    assert not street.device.module.parts.memory.resets.reset_told


def test_a_health_report_tells_how_the_module_does() -> None:
    street = provisioned(schedule(TASK=Task.HEALTH, KIND=ScheduleKind.DAILY, AT_MINUTE=60))
    street.device.restart(street.world.now_us)
    street.run(2 * HOUR_S)
    [health] = street.host.parts(SsiTable.MODULE_HEALTH)
    assert health["NBR_RESTARTS"] == 2 and health["NBR_REPORTS_DROPPED"] == 0
    asked = street.ask(own_read(SsiTable.MODULE_HEALTH))[0]
    assert decoded(SsiTable.MODULE_HEALTH, asked)["NBR_RESTARTS"] == 2


def test_more_entries_than_can_be_told_were_missed_is_told_as_far_as_it_can() -> None:
    street = provisioned(schedule(TASK=Task.HEALTH, KIND=ScheduleKind.HOURLY, AT_MINUTE=5))
    street.device.module.parts.memory.lists.events_missed = 1 << 33
    street.run(HOUR_S)
    [health] = street.host.parts(SsiTable.MODULE_HEALTH)
    assert health["NBR_EVENTS_MISSED"] == MAX_MISSED


def test_a_health_report_is_told_beside_a_meter_that_does_not_answer() -> None:
    street = provisioned(schedule(TASK=Task.HEALTH, KIND=ScheduleKind.HOURLY, AT_MINUTE=5))
    street.run(300)
    street.device.meter.mains(False, street.world.now_us)  # the module has another supply
    before = len(street.host.parts(SsiTable.MODULE_HEALTH))
    street.run(2 * HOUR_S)
    assert len(street.host.parts(SsiTable.MODULE_HEALTH)) == before + 2


def test_a_part_of_a_table_is_reported_with_its_offset() -> None:
    parts = [{"TABLE": 23, "OFFSET": 1, "COUNT": 6}]
    street = provisioned(schedule(CONTENT=0, PARTS=parts))
    street.run(16 * 60)
    [report] = reported(street, Cause.SCHEDULE)
    now = street.device.meter.table(23, street.world.now_us)
    [(number, octets)] = report.parts
    assert number == 23 and len(octets) == 6 and octets[2:] == now[3:7]


def test_a_part_that_no_message_holds_is_reported_in_pieces() -> None:
    parts = [{"TABLE": 64, "OFFSET": 5, "COUNT": 4500}]
    street = provisioned(schedule(CONTENT=0, PARTS=parts))
    street.run(16 * 60)
    [asked] = street.ask(encode_request(OffsetRead(64, 5, 4500)))
    told = [octets for report in reported(street, Cause.SCHEDULE) for _, octets in report.parts]
    assert len(told) > 2 and b"".join(told) == table_data(asked[1:])


# Time zones and missed runs.


def test_a_local_schedule_goes_right_through_the_change_to_summer_time() -> None:
    change = EPOCH_S + 2 * DAY_S + 2 * HOUR_S  # a zone of the test's own: UTC, then one hour more
    zone = {"OFFSET_S": 0, "TRANSITIONS": [{"TIME": change, "OFFSET_S": HOUR_S}]}
    daily = schedule(KIND=ScheduleKind.DAILY, AT_MINUTE=12 * 60, LOCAL=1, CONTENT=Content.EVENT_LOG)
    street = provisioned(daily, ZONE=zone)
    street.run(5 * DAY_S)
    dues = [r.header["DUE_TIME"] - EPOCH_S for r in reported(street, Cause.SCHEDULE)]
    assert dues == [12 * HOUR_S, DAY_S + 12 * HOUR_S] + [n * DAY_S + 11 * HOUR_S for n in (2, 3, 4)]


def without_dates_of_daylight_saving(change: datetime, minute: int) -> Street:
    """Give a street that reports daily in local time, from 20 hours before the change of the hour.

    Its meter tells only whether daylight saving is in force; an hourly clock check sees the change.
    """
    begin = change.replace(tzinfo=UTC) - timedelta(hours=20)
    profile = MeterSettings(profile=PROFILES["bcd-1997"])
    street = Street(meter=profile, epoch_us=int(begin.timestamp()) * US_PER_S)
    street.run(30)
    check = schedule(2, TASK=Task.CLOCK_CHECK, KIND=ScheduleKind.HOURLY, AT_MINUTE=10)
    daily = schedule(KIND=ScheduleKind.DAILY, LOCAL=1, AT_MINUTE=minute, CONTENT=Content.EVENT_LOG)
    street.provision(SCHEDULES=schedules(daily, check))
    return street


def hours_of_reports(street: Street, change: datetime) -> tuple[float, ...]:
    """Give when scheduled reports were due, in hours since the UTC midnight before the change."""
    midnight_s = change.replace(hour=0, tzinfo=UTC).timestamp()
    dues = [r.header["DUE_TIME"] for r in reported(street, Cause.SCHEDULE)]
    return tuple((due - midnight_s) / HOUR_S for due in dues)


@pytest.mark.parametrize(
    ("change", "minute", "hours"),
    [
        (datetime(2026, 3, 8, 9), 360, (12, 36)),
        (datetime(2026, 11, 1, 8), 360, (13, 37)),
        # In the second in which the meter sets its clock back, by a report that sees it.
        (datetime(2026, 11, 1, 8), 120, (8, 33)),
    ],
)
def test_a_local_schedule_follows_a_meter_that_tells_no_dates_of_daylight_saving(
    change: datetime, minute: int, hours: tuple[int, ...]
) -> None:
    """A clock check sees the change; an hour seven hours west comes once a day all the same."""
    street = without_dates_of_daylight_saving(change, minute)
    street.run(2.5 * DAY_S)
    assert hours_of_reports(street, change) == hours


@pytest.mark.parametrize(
    ("change", "minute", "hours"),
    [
        (datetime(2026, 11, 1, 8), 90, (7.5, 32.5)),  # the first of two that are half past one
        (datetime(2026, 11, 1, 8), 360, (13, 37)),
        (datetime(2026, 3, 8, 9), 360, (12, 36)),
    ],
)
@pytest.mark.parametrize("away_min", [0, 15])
def test_a_local_schedule_beside_such_a_meter_comes_once_a_day_also_where_the_module_restarts(
    change: datetime, minute: int, hours: tuple[float, ...], away_min: int
) -> None:
    """Every quarter of an hour, or off until the change or until a quarter after it."""
    street = without_dates_of_daylight_saving(change, minute)
    street.run((19 * 60 + 45) * 60 - 30)
    for _ in range(12):
        street.device.module.dead = bool(away_min)  # as a process that was killed
        street.run(15 * 60 + away_min * 60)
        street.device.restart(street.world.now_us)
    street.run(1.5 * DAY_S)
    assert hours_of_reports(street, change) == hours


@pytest.mark.parametrize(
    ("kind", "changes", "dues"),
    [
        (ScheduleKind.HOURLY, {"AT_MINUTE": 20}, [timedelta(hours=n, minutes=20) for n in (0, 1)]),
        (ScheduleKind.WEEKLY, {"DAY": 5, "AT_MINUTE": 5}, [timedelta(days=1, minutes=5)]),
        (ScheduleKind.MONTHLY, {"DAY": 255, "AT_MINUTE": 5}, [timedelta(days=30, minutes=5)]),
        (ScheduleKind.ONCE, {"ONCE_TIME": EPOCH_S + 7200}, [timedelta(hours=2)]),
    ],
)
def test_each_kind_of_schedule_runs_when_it_is_due(
    kind: ScheduleKind, changes: dict[str, int], dues: list[timedelta]
) -> None:
    street = provisioned(schedule(KIND=kind, CONTENT=Content.MODULE_STATUS, **changes))
    street.run((dues[-1] + timedelta(minutes=30)).total_seconds())
    begin = datetime.fromtimestamp(EPOCH_S, UTC)
    found = [r.header["DUE_TIME"] for r in reported(street, Cause.SCHEDULE)]
    assert found == [int((begin + due).timestamp()) for due in dues]


@pytest.mark.parametrize(
    ("policy", "runs"), [(CatchUp.RUN_ONCE, 2), (CatchUp.RUN_ALL, 4), (CatchUp.SKIP, 1)]
)
def test_what_becomes_of_missed_runs_is_a_parameter(policy: CatchUp, runs: int) -> None:
    hourly = schedule(KIND=ScheduleKind.HOURLY, CONTENT=Content.MODULE_STATUS, CATCH_UP=policy)
    street = provisioned(hourly)
    street.run(HOUR_S / 2)
    street.device.mains(False, street.world.now_us)
    street.run(3 * HOUR_S)
    street.device.mains(True, street.world.now_us)
    street.run(HOUR_S / 2 + 60)
    causes = [r.header["CAUSE"] for r in street.host.reports if r.header["DUE_TIME"]]
    assert len(causes) == runs
    assert causes.count(Cause.CATCH_UP) == (runs - 2 if policy is CatchUp.RUN_ALL else 0)


def test_priorities_decide_who_goes_first() -> None:
    late = schedule(1, PRIORITY=9, CONTENT=Content.MODULE_STATUS)
    soon = schedule(2, PRIORITY=1, CONTENT=Content.MODULE_STATUS)
    street = provisioned(late, soon)
    street.run(16 * 60)
    assert [r.header["SCHEDULE_NBR"] for r in reported(street, Cause.SCHEDULE)] == [2, 1]


def test_a_run_that_comes_later_goes_before_those_of_less_priority_that_wait() -> None:
    what = {"KIND": ScheduleKind.ONCE, "CONTENT": Content.MODULE_STATUS, "TABLES": [23]}
    due_s = EPOCH_S + 600
    slow = [schedule(n, PRIORITY=5, ONCE_TIME=due_s, **what) for n in range(1, 6)]
    soon = schedule(9, PRIORITY=1, ONCE_TIME=due_s + 2, **what)
    street = Street(baud=1200)
    street.run(60)
    street.provision(SCHEDULES=schedules(*slow, soon))
    street.run(15 * 60)
    numbers = [r.header["SCHEDULE_NBR"] for r in reported(street, Cause.SCHEDULE)]
    assert numbers.index(9) <= 2 and [n for n in numbers if n != 9] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("baud", [None, 9600])
def test_intervals_and_entries_that_two_schedules_ask_for_at_once_are_in_one_report_only(
    baud: int | None,
) -> None:
    street = Street(baud=baud)
    street.run(10)
    content = Content.LOAD_PROFILE | Content.EVENT_LOG
    both = schedules(schedule(CONTENT=content), schedule(2, PERIOD_MIN=30, CONTENT=content))
    street.provision(SCHEDULES=both)
    street.run(2 * HOUR_S + 60)
    told = [sequence for sequence, _, _ in street.host.intervals()]
    assert told == [one.sequence for one in street.journal]
    entries = [e["SEQUENCE"] for p in street.host.parts(SsiTable.EVENT_PART) for e in p["ENTRIES"]]
    assert len(entries) == len(set(entries))
    numbers = [report.header["SCHEDULE_NBR"] for report in street.host.reports]
    assert numbers.count(1) >= 8 and numbers.count(2) >= 4


# A full outbox.


def test_scheduled_reports_give_way_to_exceptions_and_their_gap_is_filled_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 2)
    street = provisioned(schedule())
    street.run(HOUR_S)
    cut = Partition()
    street.link.wrap(cut)
    street.run(4 * HOUR_S)
    module = street.device.module
    raise_alarms(street, 9)
    assert module.parts.memory.lists.profile_gaps and len(module.parts.outbox) == 12
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    street.link.unwrap(cut)
    street.run(2 * HOUR_S)
    told = sorted(street.host.intervals())
    assert told == [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    assert reported(street, Cause.CATCH_UP)
    assert alarm_codes(street).count(ModuleAlarm.METER_SECURITY) == 9
    alarms = street.host.parts(SsiTable.ALARM)
    dropped = [one["VALUE"] for one in alarms if one["CODE"] == ModuleAlarm.OUTBOX_OVERFLOW]
    assert dropped == [street.device.module.parts.memory.reports_dropped], "told once, counted"


@pytest.mark.parametrize("disposition", list(Disposition))
def test_what_the_module_loses_is_told_as_its_disposition_says(
    monkeypatch: pytest.MonkeyPatch, disposition: Disposition
) -> None:
    small_outbox(monkeypatch, 6, 2)
    codes = (ModuleAlarm.OUTBOX_OVERFLOW, ModuleAlarm.DATA_CLEARED)
    entries = [{"SOURCE": 0, "CODE": code, "DISPOSITION": disposition} for code in codes]
    street = provisioned(schedule(), DISPOSITION={"DEFAULT": 0, "ENTRIES": entries})
    street.run(HOUR_S)
    cut = Partition()
    street.link.wrap(cut)
    street.run(2 * HOUR_S)
    module = street.device.module
    raise_alarms(street, 4)
    # As if the ring had begun anew.
    module.parts.memory.lists.profile_cursors = {"1": 10_000}
    street.link.unwrap(cut)
    street.run(HOUR_S)
    told = [
        (alarm["CODE"], report.header["CAUSE"])
        for report in street.host.reports
        for number, alarm in report.parts
        if number == DEFAULT_BASE + SsiTable.ALARM and alarm["CODE"] in codes
    ]
    cause = Cause.ALARM if disposition is Disposition.ALARM else Cause.SCHEDULE
    assert {one for one, _ in told} == (set(codes) if disposition else set())
    assert all(one == cause for _, one in told)


def test_a_port_without_room_answers_busy_and_only_delays_what_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = provisioned(schedule())
    street.run(HOUR_S)
    before, lists = len(street.host.intervals()), street.device.module.parts.memory.lists
    with monkeypatch.context() as full:
        full.setattr("smartmeter.ssi.meter_side.MAX_JOBS", 0)
        lists.add_gap([1, lists.profile_epoch(1), 0, 2])
        assert street.ask(encode_request(FullRead(1))) == [bytes([ResponseCode.bsy])]
        street.run(HOUR_S)
        assert len(street.host.intervals()) == before
    street.run(HOUR_S)
    told = [sequence for sequence, *_ in street.host.intervals()[before:]]
    assert sorted(told) == [0, 1, *range(before, before + len(told) - 2)]


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_order_that_fails_is_tried_again_unless_it_was_for_the_meter_before(
    is_kept: bool,
) -> None:
    yearly = {"KIND": ScheduleKind.ONCE, "ONCE_TIME": EPOCH_S + 365 * DAY_S}
    street = provisioned(schedule(TASK=Task.DEMAND_RESET, **yearly))
    parts, now_us = street.device.module.parts, street.world.now_us
    scheduler = parts.tasks.scheduler
    assert parts.tasks.order(1, now_us)
    [run] = scheduler.due(EPOCH_S, now_us)
    if not is_kept:
        parts.memory.forget_meter({}, None, None)
    parts.tasks.failed(run, now_us)
    assert (scheduler.retry_us(now_us) is not None) is is_kept


def test_a_commit_that_is_refused_takes_nothing_from_the_one_before_it_in_the_request() -> None:
    street = Street()
    street.run(30)
    wrong = ssi_tables.encode(SsiTable.COMMIT, {"VERSION": 2, "DIGEST": bytes(32)})
    also = own_write(SsiTable.COMMIT, wrong)
    answers = street.provision(also, SCHEDULES=schedules(schedule()))
    assert answers[-2:] == [b"\0", bytes([ResponseCode.onp])]
    street.run(HOUR_S)
    assert street.host.intervals()
