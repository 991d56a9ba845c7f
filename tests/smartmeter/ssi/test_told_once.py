"""What is told once is told once over restarts too; what the module did not do is not kept back."""

from dataclasses import replace
from typing import Any

import pytest

from ansi_tables.ssi_tables import AlarmSource, Cause, Command, ModuleAlarm, SsiTable, Task
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.trouble import Trouble
from smartmeter.network.faults import Partition
from smartmeter.ssi.states import ErrorCode
from tests.smartmeter.ssi.host import (
    GENERAL,
    Street,
    command,
    monitor,
    own_write,
    schedule,
    schedules,
    script_table,
)

HOUR_S = 3600
WATCHED = {**GENERAL, "STATUS_PERIOD_MS": 2000}


def watching(codes: tuple[int, ...], profile: DeviceProfile | None = None) -> Street:
    """Have a module that tells these standard events at once."""
    settings = MeterSettings() if profile is None else MeterSettings(profile=profile)
    street = Street(meter=settings)
    street.run(10)
    entries = [{"SOURCE": 1, "CODE": code, "DISPOSITION": 2} for code in codes]
    disposition = {"DEFAULT": 0, "ENTRIES": entries}
    street.provision(
        GENERAL=WATCHED, DISPOSITION=disposition, SCHEDULES=schedules(schedule(JITTER_S=0))
    )
    street.run(60)
    return street


def told(street: Street, source: AlarmSource) -> list[int]:
    return [one["CODE"] for one in street.host.parts(SsiTable.ALARM) if one["SOURCE"] == source]


def reset_by_hand(street: Street) -> None:
    meter = street.device.meter
    meter.advance(street.world.now_us)
    utc_s = meter.clock.utc_s(street.world.now_us)
    assert meter.metering.read_and_reset(utc_s, read=False, reset=True)[1]


@pytest.mark.parametrize("hand_first", [True, False])
def test_a_reset_by_hand_within_a_minute_of_the_modules_own_is_told(hand_first: bool) -> None:
    street = watching((EventCode.DEMAND_RESET,))
    order = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=1))
    acts: list[Any] = [lambda: street.ask(order), lambda: reset_by_hand(street)]
    for act in reversed(acts) if hand_first else acts:
        act()
        street.run(20)
    assert street.device.meter.metering.registers.resets == 2
    assert told(street, AlarmSource.METER_STANDARD) == [EventCode.DEMAND_RESET]


def test_forced_resets_between_two_looks_at_the_log_are_each_the_modules_own() -> None:
    street = watching((EventCode.DEMAND_RESET,))
    order = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET, FORCE=1))
    before = street.device.meter.metering.registers.resets
    assert street.ask(order, order, order) == [b"\0"] * 3
    street.run(20)
    assert street.device.meter.metering.registers.resets == before + 3
    assert told(street, AlarmSource.METER_STANDARD) == []
    reset_by_hand(street)
    street.run(20)
    assert told(street, AlarmSource.METER_STANDARD) == [EventCode.DEMAND_RESET]


def unlogged(event: int) -> DeviceProfile:
    """Give a meter whose log leaves an event out, as ST-75 says."""
    profile, name = PROFILES["residential"], "STD_EVENTS_MONITORED_FLAGS"
    less = {**profile.tables[75], name: frozenset(profile.tables[75][name]) - {event}}
    return replace(profile, tables={**profile.tables, 75: less})


def test_a_status_bit_of_which_the_log_does_not_tell_is_told_as_the_event_would_be() -> None:
    tamper = EventCode.TAMPER_ATTEMPT
    street = watching((tamper, EventCode.LOW_BATTERY), unlogged(tamper))
    for trouble in (Trouble.TAMPER, Trouble.LOW_BATTERY):
        street.device.meter.inject(trouble, street.world.now_us)
        street.run(20)
    assert told(street, AlarmSource.METER_STATUS) == [12]
    assert told(street, AlarmSource.METER_STANDARD) == [EventCode.LOW_BATTERY]


def test_a_meter_that_answers_again_after_a_restart_of_the_module_is_told_as_back_once() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(60)
    meter = street.device.meter
    meter.mains(False, street.world.now_us)
    street.run(HOUR_S)
    for _ in range(2):
        street.device.restart(street.world.now_us)
        street.run(HOUR_S)
    meter.mains(True, street.world.now_us)
    street.run(HOUR_S)
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    of_link = {ModuleAlarm.METER_UNREACHABLE, ModuleAlarm.METER_BACK}
    codes = [code for code in told(street, AlarmSource.MODULE) if code in of_link]
    assert codes == [ModuleAlarm.METER_UNREACHABLE, ModuleAlarm.METER_BACK]
    alarms = street.host.parts(SsiTable.ALARM)
    assert all(one["TIME"] for one in alarms)


def test_a_table_that_stays_unreadable_is_told_once_a_day_and_delays_nothing_else() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, CONTENT=0, TABLES=[23])))
    street.run(HOUR_S)
    shown = script_table(street, 63)
    shown[0] = shown[0][:3]
    of_link = [ModuleAlarm.METER_UNREACHABLE, ModuleAlarm.METER_BACK]
    for days in (1, 2):
        street.run(23 * HOUR_S)
        assert told(street, AlarmSource.MODULE) == of_link * days
        street.run(2 * HOUR_S)
    registers = [n for report in street.host.reports for n, _ in report.parts].count(23)
    assert len(street.host.intervals()) < len(street.journal) and registers > 190
    del street.device.meter.table  # the genuine one again
    street.run(HOUR_S)
    assert len(street.host.intervals()) == len(street.journal)


def test_a_meter_whose_clock_stays_far_off_is_told_once_over_restarts_and_again_the_next_time() -> (
    None
):
    street = Street(meter_ahead_s=3 * HOUR_S)
    street.run(10)
    checked = schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK))
    street.provision(SCHEDULES=checked)
    for ahead_s in (3 * HOUR_S, 0, 2 * HOUR_S):
        now_us = street.world.now_us
        true_us = street.calendar.utc_us(now_us) or 0
        street.device.meter.set_clock(true_us + ahead_s * 10**6, now_us)
        for _ in range(2):
            street.run(HOUR_S)
            street.device.restart(street.world.now_us)
        street.run(HOUR_S)
        assert street.device.module.parts.life.has(ErrorCode.CLOCK_OFF) is bool(ahead_s)
    assert clock_off_told(street) == 2


def clock_off_told(street: Street) -> int:
    return told(street, AlarmSource.MODULE).count(ModuleAlarm.CLOCK_OFF)


def test_a_clock_that_was_right_for_one_start_of_the_module_is_told_of_the_next_time() -> None:
    street = Street(meter_ahead_s=3 * HOUR_S)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    for ahead_s in (0, 3 * HOUR_S):
        assert clock_off_told(street) == 1
        now_us = street.world.now_us
        true_us = street.calendar.utc_us(now_us) or 0
        street.device.meter.set_clock(true_us + ahead_s * 10**6, now_us)
        street.device.restart(now_us)
        street.run(HOUR_S if ahead_s else 30)
    assert clock_off_told(street) == 2


def test_a_clock_that_stays_far_off_is_not_told_again_where_the_tms_is_heard_late() -> None:
    street = Street(meter_ahead_s=3 * HOUR_S)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK)))
    cut = Partition()
    street.link.wrap(cut)
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    assert not street.device.module.parts.life.has(ErrorCode.CLOCK_OFF), (
        "it has only the meter's time"
    )
    street.link.unwrap(cut)
    street.run(HOUR_S)
    assert street.device.module.parts.life.has(ErrorCode.CLOCK_OFF)
    assert clock_off_told(street) == 1


def test_a_monitor_that_is_impossible_is_not_told_again_after_a_restart() -> None:
    street = Street()
    street.run(10)
    away = monitor(1, TABLE=2047, PATH="", WIDTH=4, PERIOD_MS=60_000)
    wrong = monitor(2, PATH="NO_SUCH_FIELD")
    street.provision(MONITORS={"MONITORS": [away, wrong]}, SCHEDULES=schedules(schedule()))
    for _ in range(3):
        street.run(1000)
        street.device.restart(street.world.now_us)
    street.run(1000)
    assert told(street, AlarmSource.MODULE) == [ModuleAlarm.MONITOR_IMPOSSIBLE] * 2


def test_a_season_that_two_schedules_follow_is_reported_once() -> None:
    street = Street(baud=9600)
    street.run(30)
    follow = {"TASK": Task.FOLLOW_UP, "PERIOD_MIN": 60, "PRIORITY": 0}
    street.provision(SCHEDULES=schedules(schedule(1, **follow), schedule(2, **follow)))
    street.run(2 * HOUR_S)
    street.device.module.parts.memory.seen.season = (
        3  # as if the meter had been in another one before
    )
    street.run(2 * HOUR_S)
    found = [one for one in street.host.reports if one.header["CAUSE"] == Cause.SCHEDULE]
    assert len(found) == 1


def test_status_bits_that_are_set_before_the_first_look_are_told_by_it_and_once() -> None:
    street = Street()
    street.run(10)
    for trouble in (Trouble.LOW_BATTERY, Trouble.TAMPER):
        street.device.meter.inject(trouble, street.world.now_us)
    street.run(10)
    entries = [{"SOURCE": AlarmSource.METER_STATUS, "CODE": 8, "DISPOSITION": 2}]
    street.provision(GENERAL=WATCHED, DISPOSITION={"DEFAULT": 0, "ENTRIES": entries})
    for _ in range(2):
        street.run(20)
        assert told(street, AlarmSource.METER_STATUS) == [8]
        street.device.restart(street.world.now_us)


def test_what_came_while_nobody_looked_at_the_meter_is_told_when_somebody_looks_again() -> None:
    tamper = EventCode.TAMPER_ATTEMPT
    street = watching((tamper, EventCode.LOW_BATTERY), unlogged(tamper))
    street.provision(GENERAL=GENERAL)
    street.run(20)
    for trouble in (Trouble.TAMPER, Trouble.LOW_BATTERY):
        street.device.meter.inject(trouble, street.world.now_us)
    street.run(20)
    assert told(street, AlarmSource.METER_STATUS) == []
    street.provision(GENERAL=WATCHED)
    street.run(20)
    assert told(street, AlarmSource.METER_STATUS) == [12]
    assert told(street, AlarmSource.METER_STANDARD) == [EventCode.LOW_BATTERY]
