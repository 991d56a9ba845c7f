"""Monitors, status bits, events and sags: told once, when due."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import layout_for
from ansi_tables.ssi_tables import AlarmSource, Cause, Condition, ModuleAlarm, SsiTable
from protocols.c1218.client import Exchanged
from smartmeter.base.clock import MAX_CALENDAR_S, US_PER_S
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.alarms import NO_MONITOR, NUISANCES, Alarms
from smartmeter.ssi.conditions import Watched, exact, whole
from smartmeter.ssi.log_reading import POWER_DOWN, POWER_UP, LogEntry, LogRead
from smartmeter.ssi.memory import Memory, Seen
from smartmeter.ssi.meter_side import JobDone
from smartmeter.ssi.states import ErrorCode
from smartmeter.ssi.table_monitor import Span, TableMonitor
from smartmeter.ssi.voltages import nominal_v
from smartmeter.tms.template import DEFAULT, make_template
from tests.smartmeter.ssi.host import (
    GENERAL,
    OUTAGE,
    Street,
    failing_memory,
    monitor,
    schedule,
    schedules,
    script_table,
)
from tests.smartmeter.ssi.provisioned import codes, watching

HOUR_S, DAY_S = 3600, 86_400
S = US_PER_S


def watched(**changes: Any) -> Watched:
    return Watched(monitor(**changes), {})


# Conditions.


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (Condition.EQUAL, 100, True),
        (Condition.EQUAL, 99, False),
        (Condition.ABOVE, 101, True),
        (Condition.ABOVE, 100, False),
        (Condition.BELOW, 99, True),
        (Condition.OUTSIDE, 99, True),
        (Condition.OUTSIDE, 150, False),
        (Condition.OUTSIDE, 201, True),
    ],
)
def test_conditions_on_a_value(condition: Condition, value: int, holds: bool) -> None:
    one = watched(CONDITION=condition, THRESHOLD=100, THRESHOLD_HIGH=200)
    assert one.holds(value, False, 0) is holds


@pytest.mark.parametrize("value", [0b100, frozenset({2})])
def test_conditions_on_a_bit_of_a_number_or_a_set(value: Any) -> None:
    assert watched(CONDITION=Condition.BIT_SET, THRESHOLD=2).holds(value, False, 0)
    assert not watched(CONDITION=Condition.BIT_SET, THRESHOLD=1).holds(value, False, 0)
    assert watched(CONDITION=Condition.BIT_CLEAR, THRESHOLD=1).holds(value, False, 0)


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=40), st.integers(0, 50))
def test_a_condition_begins_above_its_threshold_and_ends_when_hysteresis_is_left_behind(
    values: list[int], slack: int
) -> None:
    one, raised = watched(CONDITION=Condition.ABOVE, THRESHOLD=0, HYSTERESIS=slack), False
    for value in values:
        before, raised = raised, one.holds(value, raised, 0)
        assert raised == (value > 0 or (before and value > -slack))


def test_a_power_of_ten_scales_thresholds_exactly() -> None:
    one = watched(CONDITION=Condition.ABOVE, THRESHOLD=15, POWER=-1)
    assert one.holds(2, False, 0) and not one.holds(1, False, 0)


def test_a_rate_is_a_change_within_the_window() -> None:
    one = watched(CONDITION=Condition.RATE, THRESHOLD=10, WINDOW_S=60)
    for second, value in enumerate((0, 3, 6, 9)):
        one.saw(bytes([value]), value, second * 10 * S)
        assert not one.holds(value, False, second * 10 * S)
    one.saw(b"\x0c", 12, 40 * S)
    assert one.holds(12, False, 40 * S)
    one.saw(b"\x0d", 13, 110 * S)
    assert not one.holds(13, True, 110 * S)


def test_a_rate_remembers_a_bounded_number_of_values() -> None:
    one = watched(CONDITION=Condition.RATE, THRESHOLD=900, WINDOW_S=10_000)
    for second in range(1000):
        one.saw(b"", second, second * S)
    assert one.holds(999, False, 1000 * S)
    assert len(one._extremes) <= 65


def test_silence_is_no_change_for_a_time() -> None:
    one = watched(CONDITION=Condition.SILENT, WINDOW_S=60)
    one.saw(b"a", 0, 0)
    one.saw(b"a", 0, 59 * S)
    assert not one.holds(0, False, 59 * S) and one.holds(0, False, 60 * S)
    one.saw(b"b", 0, 70 * S)
    assert not one.holds(0, True, 70 * S)


def test_re_arm_and_rate_limit_hold_back_and_do_not_forget() -> None:
    one = watched(REARM_S=60, MAX_PER_HOUR=3)
    told = []
    for second in range(0, 7200, 10):
        if one.may_tell(second * S):
            one.told(True, second * S)
            told.append(second)
    assert told == [0, 60, 120, 3600, 3660, 3720]


def test_values_become_exact_numbers_whatever_they_are() -> None:
    assert exact(0.5) == Fraction(1, 2) and exact(b"\1\0") == 256 and exact("text") == 0
    assert whole(1 << 70) == (1 << 63) - 1


# Reads are planned.


def bound(*values: dict[str, Any]) -> tuple[Street, TableMonitor]:
    street = Street()
    street.run(10)
    meter = street.device.module.meter
    assert meter is not None
    one = TableMonitor(Seen())
    one.configure(list(values), meter.context, meter.images, 0)
    return street, one


def test_monitors_of_one_table_cost_one_read_where_that_is_cheaper() -> None:
    near = [
        monitor(1, PATH="", OFFSET=0, WIDTH=2),
        monitor(2, PATH="", OFFSET=30, WIDTH=2, PERIOD_MS=1100),
        monitor(3, PATH="", OFFSET=200, WIDTH=1),
        monitor(4, TABLE=3, PATH="", OFFSET=1, WIDTH=2),
    ]
    _, one = bound(*near)
    assert one.due(0) == [Span(3, 1, 2), Span(23, 0, 32), Span(23, 200, 1)]


def test_a_monitor_that_is_nearly_due_is_read_with_its_neighbour() -> None:
    _, one = bound(
        monitor(1, PATH="", OFFSET=0, WIDTH=2, PERIOD_MS=1000),
        monitor(2, PATH="", OFFSET=4, WIDTH=2, PERIOD_MS=1200),
    )
    one.put_off(one.due(0), 0, 0, lambda table: False)
    assert one.due(1000 * 1000) == [Span(23, 0, 6)]


@pytest.mark.parametrize("name", ["MIN_DURATION_MS", "REARM_S", "MAX_PER_HOUR"])
def test_a_change_that_is_held_back_is_told_later_also_where_the_host_tells_of_changes(
    name: str,
) -> None:
    _, one = bound(monitor(1, **{name: 2}))
    told = []
    for second in range(4000):
        now_us = second * S
        if second in (10, 11, 12):
            one.changed(23, now_us)
        if (due_us := one.next_us()) is None or now_us < due_us:
            continue
        spans = one.due(now_us)
        one.put_off(spans, now_us, 0, lambda table: True)
        octets = bytes([max(0, min(second - 9, 3))])  # it changes three times
        told += [second for _ in one.judge([(spans[0], octets)], now_us)]
    expected = {"MIN_DURATION_MS": [11, 13], "REARM_S": [10, 12], "MAX_PER_HOUR": [10, 11, 3610]}
    assert told == expected[name]


def test_an_element_that_the_meter_lacks_is_a_fault_that_is_told_and_stops_nothing() -> None:
    street = Street()
    street.run(10)
    wrong = monitor(1, PATH="NO_SUCH_FIELD")
    unit = monitor(2, TABLE=23, PATH="NBR_DEMAND_RESETS", SCALED=1)
    street.provision(
        MONITORS={"MONITORS": [wrong, unit, monitor(3)]}, SCHEDULES=schedules(schedule())
    )
    street.run(1000)
    told = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert told == [ModuleAlarm.MONITOR_IMPOSSIBLE] * 2
    assert street.device.module.parts.status()["NBR_MONITORS_IMPOSSIBLE"] == 2


def test_monitors_of_two_tables_are_both_read_however_their_periods_meet() -> None:
    _, one = bound(
        monitor(1, PATH="", WIDTH=1, PERIOD_MS=3000),
        monitor(2, TABLE=28, PATH="", WIDTH=1, PERIOD_MS=7500),
    )
    now_us, reads = 0, {23: 0, 28: 0}
    while now_us < 600 * S:
        now_us = max(now_us, one.next_us() or 0)
        spans = one.due(now_us)
        for span in spans:
            reads[span.table] += 1
        now_us += S  # what a look takes
        one.put_off(spans, now_us, 0, lambda table: False)
    assert reads == {23: 143, 28: 71}


def test_monitors_of_what_the_meter_does_not_give_are_faults_that_are_told_once() -> None:
    street = Street()
    street.run(10)
    away = monitor(1, TABLE=2047, PATH="", WIDTH=4, PERIOD_MS=500)
    behind = monitor(3, PATH="", OFFSET=5000, WIDTH=2)
    street.provision(
        MONITORS={"MONITORS": [away, monitor(2), behind]}, SCHEDULES=schedules(schedule())
    )
    street.run(1000)
    alarms = street.host.parts(SsiTable.ALARM)
    assert {one["CODE"] for one in alarms} == {ModuleAlarm.MONITOR_IMPOSSIBLE}
    assert sorted(one["TEXT"] for one in alarms) == [
        "monitor 1: the meter does not give it ST-2047",
        "monitor 3: the meter does not give it ST-23",
    ]
    assert street.device.module.parts.status()["NBR_MONITORS_IMPOSSIBLE"] == 2


@pytest.mark.parametrize("tells_changes", [False, True])
def test_a_monitor_that_the_meter_refuses_takes_no_other_of_its_table_along(
    tells_changes: bool,
) -> None:
    """What several share is refused whole: each is then asked for by itself."""
    places = (Span(23, 0, 2), Span(23, 4, 2), Span(23, 20, 2))
    _, one = bound(
        *(monitor(n, PATH="", OFFSET=place.offset, WIDTH=2) for n, place in enumerate(places, 1))
    )
    looks, verdicts = [], []
    for second in range(5):
        now_us = second * S
        if tells_changes and second != 1:
            one.changed(23, now_us)
        assert one.next_us() == (0 if second == 1 else now_us), "at once, after what was refused"
        spans = one.due(now_us)
        looks.append(spans)
        read = [(span, bytes([second] * span.count)) for span in spans if span.offset != 20]
        read = [] if Span(23, 0, 22) in spans else read
        one.answered(spans, read)
        one.put_off(spans, now_us, 0, lambda table: tells_changes)
        verdicts += one.judge(read, now_us)
    shared = [Span(23, 0, 6), Span(23, 20, 2)]
    assert looks == [[Span(23, 0, 22)], list(places), shared, shared, shared]
    assert one.faults == ["monitor 3: the meter does not give it ST-23"]
    assert [one.monitor["MONITOR_NBR"] for one in verdicts] == [1, 2, 1, 2, 1, 2]


def test_a_monitor_within_what_the_meter_refuses_is_seen_and_told_as_it_is() -> None:
    """What is refused more often puts off nothing that lies within it and comes more seldom."""
    _, one = bound(
        monitor(1, PATH="", OFFSET=0, WIDTH=8),
        monitor(2, PATH="", OFFSET=0, WIDTH=2, PERIOD_MS=3000),
        monitor(3, PATH="", OFFSET=6, WIDTH=2, PERIOD_MS=3000),
    )
    seen, faults = 0, []
    for second in range(12):
        now_us = second * S
        spans = one.due(now_us)
        read = [(span, bytes([second] * 2)) for span in spans if span == Span(23, 0, 2)]
        one.answered(spans, read)
        one.put_off(spans, now_us, 0, lambda table: False)
        seen += len(one.judge(read, now_us))
        faults.append(len(one.faults))
    assert seen == 3, "the first look tells nothing"
    assert faults == [1] + [2] * 11


def test_a_scaled_monitor_compares_in_the_unit_of_the_meter() -> None:
    street = Street()
    street.run(10)
    volts = monitor(
        1,
        TABLE=28,
        PATH="PRESENT_VALUE.0",
        SCALED=1,
        CONDITION=Condition.OUTSIDE,
        THRESHOLD=1,
        THRESHOLD_HIGH=1000,
    )
    over = monitor(2, **{**volts, "MONITOR_NBR": 2, "THRESHOLD": 1000, "THRESHOLD_HIGH": 2000})
    street.provision(MONITORS={"MONITORS": [volts, over]})
    street.run(60)
    raised = {alarm["MONITOR_NBR"] for alarm in street.host.parts(SsiTable.ALARM)}
    assert raised == {2}, "a hundred and some volts, whatever the raw number"


@pytest.mark.parametrize("fails_in", [1, 2, 3])
def test_what_one_look_finds_is_told_whichever_write_fails(fails_in: int) -> None:
    """Two monitors see the same change; a power cut may come before any write."""
    street = Street()
    street.run(10)
    memory, shown = failing_memory(street), script_table(street, 23)
    street.provision(MONITORS={"MONITORS": [monitor(1), monitor(2)]})
    street.run(60)
    shown[0] = bytes([shown[0][0] + 1]) + shown[0][1:]
    memory.fails_in = fails_in
    street.run(60)
    told = [alarm["MONITOR_NBR"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert sorted(n for n in told if n != NO_MONITOR) == [1, 2]


def test_a_change_right_after_a_restart_is_a_change() -> None:
    street = Street()
    street.run(10)
    shown = script_table(street, 23)
    street.provision(MONITORS={"MONITORS": [monitor(1)]})
    street.run(60)
    shown[0] = bytes([shown[0][0] + 1]) + shown[0][1:]
    street.device.restart(street.world.now_us)
    street.run(60)
    assert [alarm["MONITOR_NBR"] for alarm in street.host.parts(SsiTable.ALARM)] == [1]


def test_a_rate_counts_from_when_a_value_was_read_and_not_from_when_the_session_ended() -> None:
    rate = monitor(CONDITION=Condition.RATE, THRESHOLD=10, WINDOW_S=10, PERIOD_MS=3_600_000)
    street = Street()
    street.run(10)
    street.provision(MONITORS={"MONITORS": [rate]})
    street.run(60)
    module, begin_us = street.device.module, street.world.now_us
    span = Span(23, 0, 1)
    for value, read_s, ended_s in ((1, 0, 8), (20, 11, 12), (40, 20, 29)):
        read_us, ended_us = begin_us + read_s * S, begin_us + ended_s * S
        read = JobDone(("watch", (span,)), [(span, bytes([value]))], 0, Exchanged(read_us, read_us))
        module._outcomes.job_done(read, ended_us)
    street.run(60)
    assert [alarm["VALUE"] for alarm in street.host.parts(SsiTable.ALARM)] == [40]


def test_watching_keeps_to_its_share_of_the_port() -> None:
    street = Street(baud=9600)
    street.run(30)
    busy = [monitor(n, PERIOD_MS=100) for n in range(1, 4)]
    street.provision(MONITORS={"MONITORS": busy}, GENERAL={**GENERAL, "DUTY_PERMILLE": 50})
    street.run(20)
    module = street.device.module
    before, begun_us = module.parts.watching.line_us, street.world.now_us
    street.run(300)
    share = (module.parts.watching.line_us - before) / (street.world.now_us - begun_us)
    assert 0.03 < share <= 0.05


# Events and status bits.


def test_every_standard_event_has_a_place_in_the_default_table() -> None:
    entries = DEFAULT["disposition"]["ENTRIES"]
    told = {entry["CODE"] for entry in entries if entry["SOURCE"] == AlarmSource.METER_STANDARD}
    assert set(range(37, 49)) <= told, "errors of the device"
    assert not told & {7, 8, 9, 10, 12, 13, 15, 17, 19, 21, 26, 27}, "what any reading causes"
    make_template()


@pytest.mark.parametrize("code", sorted(NUISANCES))
def test_what_the_module_caused_itself_is_never_told(code: int) -> None:
    alarms = Alarms(Memory())
    entry = {"SOURCE": AlarmSource.METER_STANDARD, "CODE": code, "DISPOSITION": 2}
    alarms.configure({"DEFAULT": 2, "ENTRIES": [entry]})
    assert alarms.event(AlarmSource.METER_STANDARD, code, True) == 0
    assert alarms.event(AlarmSource.METER_STANDARD, code, False) == 2


def test_a_wrong_password_is_told_at_once_as_the_event_that_the_meter_logs() -> None:
    street = watching()
    OpticalPort(street.device.meter).security(b"wrong".ljust(20), street.world.now_us)
    street.run(5)
    assert codes(street) == [(AlarmSource.METER_STANDARD, EventCode.TAMPER_ATTEMPT)]


def test_an_event_without_a_time_is_not_taken_for_the_modules_own_doing() -> None:
    resets = {"SOURCE": 1, "CODE": EventCode.DEMAND_RESET, "DISPOSITION": 2}
    street = watching(DISPOSITION={"DEFAULT": 0, "ENTRIES": [resets]})
    module = street.device.module
    assert not module.parts.memory.resets.reset_s
    sequence = (module.parts.memory.lists.events_judged or 0) + 1
    entry = LogEntry(sequence, 0, 9, EventCode.DEMAND_RESET, False, b"")
    read = JobDone("log", LogRead((entry,), sequence, 0), 0, Exchanged(0, 0))
    module._outcomes.job_done(read, street.world.now_us)
    street.run(5)
    assert codes(street) == [(AlarmSource.METER_STANDARD, EventCode.DEMAND_RESET)]


@pytest.mark.parametrize(
    ("dated_s", "ahead_s", "told_s"),
    [
        (4_260_000_000, -2_000_000_000, MAX_CALENDAR_S - 1),
        (40_000_000, 2_000_000_000, 0),
        (0, -2_000_000_000, 0),
        (1_900_000_000, 3600, 1_899_996_400),
    ],
)
def test_what_a_log_dates_is_told_by_the_modules_clock_as_far_as_its_seconds_reach(
    dated_s: int, ahead_s: int, told_s: int
) -> None:
    """A log may hold a time of the next century, and the meter's clock have lost decades."""
    street = watching(OUTAGE=OUTAGE, GENERAL=GENERAL)
    module = street.device.module
    module.parts.tasks.clock.ahead_s = ahead_s
    sequence = (module.parts.memory.lists.events_judged or 0) + 1
    codes_and_times = [(EventCode.TAMPER_ATTEMPT, 0), (POWER_DOWN, 0), (POWER_UP, 100)]
    entries = tuple(
        LogEntry(sequence + n, dated_s and dated_s + later_s, 0, code, False, b"")
        for n, (code, later_s) in enumerate(codes_and_times)
    )
    read = JobDone("log", LogRead(entries, sequence + 2, 0), 0, Exchanged(0, 0))
    module._outcomes.job_done(read, street.world.now_us)
    street.run(5)
    [alarm] = street.host.parts(SsiTable.ALARM)
    assert alarm["TIME"] == told_s
    outages = [one["START_TIME"] for one in street.host.parts(SsiTable.OUTAGE_RECORD)]
    assert outages == ([told_s] if dated_s == 1_900_000_000 else [])


def test_a_meter_that_others_have_programmed_is_read_again_and_the_tms_told() -> None:
    street = watching()
    module, meter = street.device.module, street.device.meter
    before = module.meter
    assert before is not None
    port, half_hours = OpticalPort(meter), bytes([30]) + before.images[13][1:]
    port.security(meter.access.master_password, street.world.now_us)
    port.write(13, None, half_hours, street.world.now_us)
    port.session_ended(True, street.world.now_us)
    street.run(20)
    assert module.meter is not None and module.meter.images[13] == half_hours
    last = street.host.reports[-1]
    assert last.header["CAUSE"] == Cause.HELLO and (13, half_hours) in last.parts


@pytest.mark.parametrize("lost", [False, True])
def test_a_meter_whose_log_leaves_out_that_it_was_programmed_is_read_again(lost: bool) -> None:
    """Within a day; at once where it did not answer meanwhile."""
    street = watching(GENERAL=GENERAL | {"STATUS_PERIOD_MS": 600_000})
    module, meter = street.device.module, street.device.meter
    assert module.meter is not None
    first, _, last = module.meter.images[27]
    other, before = bytes((first, first, last)), meter.logs.event.list.pointers.added
    port = OpticalPort(meter)
    port.security(meter.access.master_password, street.world.now_us)
    port.write(27, None, other, street.world.now_us)
    assert meter.logs.event.list.pointers.added == before
    if lost:
        meter.mains(False, street.world.now_us)
        street.run(HOUR_S)
        assert module.error is ErrorCode.NONE and not module.parts.link.answers
        meter.mains(True, street.world.now_us)
    street.run(700 if lost else DAY_S)
    assert module.meter.images[27] == other
    hello = [one for one in street.host.reports if one.header["CAUSE"] == Cause.HELLO][-1]
    assert (27, other) in hello.parts


def lock_out(street: Street) -> None:
    """Try wrong passwords until the meter takes none for a time."""
    meter = street.device.meter
    while street.world.now_us >= meter.access.locked_until_us:
        meter.access.try_password(b"wrong".ljust(20), street.world.now_us)


def test_a_meter_that_is_locked_for_a_time_keeps_its_context() -> None:
    street = watching()
    module = street.device.module
    assert module.meter is not None
    images = module.meter.images
    told = len(street.host.reports)
    lock_out(street)
    module.parts.link.read_again(street.world.now_us)
    street.run(5)
    assert module.parts.optical.password_accepted is False
    assert module.meter.images == images
    assert all(one.header["CAUSE"] != Cause.HELLO for one in street.host.reports[told:])


def test_what_a_locked_meter_hides_at_the_start_is_read_when_it_is_no_more() -> None:
    street = watching(GENERAL=GENERAL | {"STATUS_PERIOD_MS": 30_000})
    module = street.device.module
    assert module.meter is not None
    images = module.meter.images
    lock_out(street)
    street.device.restart(street.world.now_us)
    street.run(5)
    module = street.device.module
    assert module.meter is not None and module.meter.images != images
    street.run(200)
    assert module.meter.images == images


def test_a_status_bit_is_told_when_it_is_set_and_an_advisory_rides_on_the_next_report() -> None:
    street = watching()
    module = street.device.module
    width = 3 + module.meter.context.fmt.dim_mfg_status_used if module.meter else 3
    for octets in (b"\0\x10", b"\0\x10", b"\0\0", b"\0\x10"):
        module.parts.watching._status.seen(octets.ljust(width, b"\0"), street.world.now_us)
    assert not codes(street)
    street.run(1000)
    assert codes(street) == [(AlarmSource.METER_STATUS, 12)] * 2


def test_sags_and_swells_of_the_meters_voltages_are_told_with_their_end() -> None:
    outage = {**OUTAGE, "SAG_PERMILLE": 3000, "SWELL_PERMILLE": 3500}  # every voltage is a sag
    street = watching(OUTAGE=outage)
    street.run(1000)
    told = [alarm for alarm in street.host.parts(SsiTable.ALARM) if alarm["SOURCE"] == 0]
    assert {alarm["CODE"] for alarm in told} == {ModuleAlarm.SAG}
    assert all(alarm["TEXT"].startswith("began") for alarm in told)


def voltage_alarms(street: Street) -> list[tuple[ModuleAlarm, str]]:
    told = [alarm for alarm in street.host.parts(SsiTable.ALARM) if alarm["SOURCE"] == 0]
    return [(ModuleAlarm(one["CODE"]), one["TEXT"].split(":")[0]) for one in told]


@pytest.mark.parametrize("profile", ["residential", "industrial"])
def test_a_nominal_voltage_that_is_not_provisioned_is_learned(profile: str) -> None:
    street = Street(meter=MeterSettings(profile=PROFILES[profile]))
    street.run(10)
    learn = {**OUTAGE, "SAG_PERMILLE": 900, "SWELL_PERMILLE": 1100, "NOMINAL_V": 0}
    learn["VOLTAGE_PERIOD_MS"] = 100_000
    street.provision(OUTAGE=learn, SCHEDULES=schedules(schedule()))
    street.run(1000)
    module, meter = street.device.module, street.device.meter
    learned = dict(module.parts.memory.seen.nominal_v)
    assert learned and all(volts > 100 for volts in learned.values())
    assert voltage_alarms(street) == []
    meter.inject("swell", street.world.now_us, percent=120)
    street.run(1000)
    assert set(voltage_alarms(street)) == {(ModuleAlarm.SWELL, "began")}
    street.device.restart(street.world.now_us)
    street.run(1000)
    meter.relieve("swell", street.world.now_us)
    street.run(1000)
    assert set(voltage_alarms(street)) == {(ModuleAlarm.SWELL, one) for one in ("began", "ended")}
    assert street.device.module.parts.memory.seen.nominal_v == learned, "kept over the restart"
    street.provision(OUTAGE={**learn, "NOMINAL_V": 100})
    street.run(1000)
    assert not street.device.module.parts.memory.seen.nominal_v


@pytest.mark.parametrize(
    ("seen", "meant"), [("122.3", 120), ("236", 240), ("7199.6", 7200), ("63.2", 63)]
)
def test_a_voltage_is_taken_as_the_customary_one_next_to_it(seen: str, meant: int) -> None:
    assert nominal_v(Fraction(seen)) == meant


def test_a_nominal_voltage_is_learned_of_a_meter_that_shows_kilovolts() -> None:
    street = Street(meter=MeterSettings(profile=PROFILES["unusual"]))
    street.run(10)
    meter = street.device.module.meter
    assert meter is not None
    layout, units = layout_for(12, meter.context), script_table(street, 12)
    told = layout.decode(units[0])
    for unit in told.UOM_ENTRY:
        unit["MULTIPLIER"] = 2  # 10 ** 3
    units[0] = layout.encode(told)
    at, width = layout_for(28, meter.context).field("PRESENT_VALUE.0")
    values = script_table(street, 28)
    values[0] = values[0][:at] + b"0.277".rjust(width) + values[0][at + width :]
    street.device.restart(street.world.now_us)
    street.provision(OUTAGE={**OUTAGE, "SAG_PERMILLE": 900, "NOMINAL_V": 0})
    street.run(60)
    assert street.device.module.parts.memory.seen.nominal_v == {"PRESENT_VALUE.0": 277}
