"""A module that starts beside a meter whose clock is wrong: the TMS's answer gives it the time."""

import json

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import CatchUp, ModuleAlarm, ScheduleKind, SsiTable, Task
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.security import EaxPrime
from smartmeter.base.clock import Calendar
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.network.faults import Partition
from smartmeter.ssi.memory import MEMORY_PAGE
from smartmeter.ssi.outbox import OUTBOX_PAGE
from smartmeter.ssi.parts import MAX_OFFSET_S
from smartmeter.ssi.states import ErrorCode, State, WarningCode
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    FACTORY,
    GENERAL,
    OUTAGE,
    Street,
    schedule,
    schedules,
    script_table,
)

HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
FAR = [-2 * YEAR_S, -3 * DAY_S, -3 * HOUR_S, -720, 720, 901, 3 * HOUR_S, 3 * DAY_S, 2 * YEAR_S]


def apart_s(street: Street) -> int:
    """Give how far the module's clock is from the TMS's."""
    now_us = street.world.now_us
    own, true = street.device.module.parts.calendar.utc_s(now_us), street.calendar.utc_s(now_us)
    assert own is not None and true is not None
    return own - true


def clock_alarms(street: Street) -> list[int]:
    alarms = street.host.parts(SsiTable.ALARM)
    return [one["VALUE"] for one in alarms if one["CODE"] == ModuleAlarm.CLOCK_OFF]


@pytest.mark.parametrize("wrong_s", FAR)
def test_beside_a_meter_whose_clock_is_far_off_it_takes_the_time_of_the_tms(wrong_s: int) -> None:
    street = Street(meter_ahead_s=wrong_s)
    street.run(10)
    module = street.device.module
    assert module.state is State.REGISTERED and module.error is ErrorCode.CLOCK_OFF
    assert abs(apart_s(street)) <= 1
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK)))
    street.run(3 * HOUR_S)
    # It keeps to that time, says so once, and what the meter recorded arrives as it was.
    assert module.error is ErrorCode.CLOCK_OFF and abs(apart_s(street)) <= 1
    assert [abs(told - wrong_s) <= 1 for told in clock_alarms(street)] == [True]
    expected = [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    assert len(expected) >= 12 and street.host.intervals() == expected
    headers = [report.header["TIME"] for report in street.host.reports]
    assert all(EPOCH_US // 1_000_000 <= told <= EPOCH_US // 1_000_000 + DAY_S for told in headers)


@pytest.mark.parametrize("wrong_s", [-590, -4, 0, 4, 590])
def test_beside_a_meter_that_is_near_enough_it_follows_the_meter(wrong_s: int) -> None:
    street = Street(meter_ahead_s=wrong_s)
    street.run(10)
    assert street.device.module.error is ErrorCode.NONE
    assert abs(apart_s(street) - wrong_s) <= 1 and clock_alarms(street) == []


def test_a_band_wider_than_stamps_may_differ_ends_where_they_may() -> None:
    street = Street()
    street.run(10)
    tasks = schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK))
    street.provision(SCHEDULES=tasks, GENERAL={**GENERAL, "CLOCK_REFUSE_S": 65_000})
    now_us = street.world.now_us
    street.device.meter.set_clock(
        street.device.meter.clock.utc_us(now_us) + 2 * 3600 * 10**6, now_us
    )
    street.device.restart(now_us)
    street.run(HOUR_S)
    assert street.device.module.error is ErrorCode.CLOCK_OFF and abs(apart_s(street)) <= 1
    assert len(clock_alarms(street)) == 1


def test_it_follows_the_meter_again_when_somebody_has_set_it() -> None:
    street = Street(meter_ahead_s=3 * DAY_S)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK)))
    street.run(HOUR_S)
    now_us = street.world.now_us
    street.device.meter.set_clock((street.calendar.utc_us(now_us) or 0) - 60 * 10**6, now_us)
    street.run(HOUR_S)
    assert street.device.module.error is ErrorCode.NONE
    assert abs(apart_s(street) + 60) <= 1 and len(clock_alarms(street)) == 2


@pytest.mark.parametrize("ahead_s", [0, 400, 3 * HOUR_S])
def test_a_meter_that_has_lost_its_time_is_told_of_once_and_has_error_6_until_it_is_set(
    ahead_s: int,
) -> None:
    """The module goes on by its own clock, and asks no more often than it is to."""
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK)))
    street.run(HOUR_S)
    module, meter, shown = street.device.module, street.device.meter, script_table(street, 52)
    shown[0] = bytes(len(shown[0]))
    street.run(5 * HOUR_S)
    assert module.error is ErrorCode.CLOCK_OFF and abs(apart_s(street)) <= 1
    codes = [one["CODE"] for one in street.host.parts(SsiTable.ALARM)]
    assert codes == [ModuleAlarm.CLOCK_OFF] and not module.parts.link.failures
    del vars(meter)["table"]
    own_us = street.calendar.utc_us(street.world.now_us) or 0
    meter.set_clock(own_us + ahead_s * 10**6, street.world.now_us)
    street.run(2 * HOUR_S)
    is_off = ahead_s > GENERAL["CLOCK_REFUSE_S"]
    assert module.error is (ErrorCode.CLOCK_OFF if is_off else ErrorCode.NONE)
    assert abs(apart_s(street) - (0 if is_off else ahead_s)) <= 1


@pytest.mark.parametrize("wrong_s", [-DAY_S, -1200, DAY_S])
def test_what_was_run_is_not_run_again_by_a_module_that_starts_beside_a_wrong_clock(
    wrong_s: int,
) -> None:
    street = Street()
    street.run(10)
    hourly = schedule(KIND=ScheduleKind.HOURLY, CATCH_UP=CatchUp.RUN_ALL)
    once = schedule(2, KIND=ScheduleKind.ONCE, ONCE_TIME=EPOCH_US // 10**6 + 7000)
    street.provision(SCHEDULES=schedules(hourly, once))
    street.run(2 * HOUR_S)
    now_us = street.world.now_us
    street.device.meter.clock.calendar = Calendar(
        (street.calendar.utc_us(now_us) or 0) + wrong_s * 10**6, 1, now_us
    )
    street.device.restart(now_us)
    street.run(HOUR_S)
    assert street.device.module.error is ErrorCode.CLOCK_OFF and abs(apart_s(street)) <= 1
    told = [one.header["SCHEDULE_NBR"] for one in street.host.reports]
    assert (told.count(1), told.count(2)) == (3, 1)


def test_a_tms_that_was_wrong_itself_is_followed_back() -> None:
    street = Street()
    street.run(10)
    true_us = street.calendar.utc_us(street.world.now_us) or 0
    street.calendar.set(true_us + 5 * 3600 * 10**6, street.world.now_us)
    street.device.restart(street.world.now_us)
    street.run(10)
    module = street.device.module
    assert module.error is ErrorCode.CLOCK_OFF and abs(apart_s(street)) <= 1
    street.calendar.set(true_us + 10 * 10**6, street.world.now_us)
    street.host.node.locks._last_iv = 0  # its next start
    street.run(2 * HOUR_S)
    assert module.error is ErrorCode.NONE and abs(apart_s(street)) <= 1


@pytest.mark.parametrize("wrong_s", [-2 * YEAR_S, 3 * HOUR_S])
def test_an_outage_that_cost_the_meter_its_clock_is_told_once_with_its_times(wrong_s: int) -> None:
    street = Street()
    street.run(10)
    street.provision(OUTAGE=OUTAGE, GENERAL={**GENERAL, "STATUS_PERIOD_MS": 2000})
    street.run(HOUR_S)
    begin_s, device = street.calendar.utc_s(street.world.now_us) or 0, street.device
    device.mains(False, street.world.now_us)
    street.run(HOUR_S)
    assert device.module.dead
    device.mains(True, street.world.now_us)
    device.meter.set_clock(
        (street.calendar.utc_us(street.world.now_us) or 0) + wrong_s * 10**6, street.world.now_us
    )
    device.restart(street.world.now_us)
    street.run(HOUR_S)
    told = [one for one in street.host.parts(SsiTable.OUTAGE_RECORD) if one["RESTORED"]]
    assert [(one["START_TIME"], one["DURATION_S"]) for one in told] == [(begin_s, HOUR_S)]
    assert street.device.module.error is ErrorCode.CLOCK_OFF


# What nobody with the key has said, or said to this request, moves no clock.


class Wire(Street):
    """A street whose TMS's answers are kept back and looked at."""

    def __init__(self, meter_ahead_s: int) -> None:
        self.kept: list[bytes] = []
        super().__init__(meter_ahead_s=meter_ahead_s)

    def settle(self, now_us: int) -> bool:
        self.kept += [octets for _, octets in self.host.node.outgoing()]
        return super().settle(now_us)


def test_an_answer_that_was_kept_or_forged_moves_no_clock() -> None:
    street = Wire(3 * HOUR_S)
    street.run(1)
    [told] = street.kept
    module = street.device.module
    assert apart_s(street) == 3 * HOUR_S, "the answer is still on the way"
    apdu = decode_apdu(told)
    asked = apdu.called_invocation_id or 0
    in_clear = build_apdu(Envelope(9, FACTORY.title, ApTitle.parse(".1"), asked), [b"\x0b"])
    other = Lock(EaxPrime(bytes(16)), 0, (5).to_bytes(4, "big"))
    guessed = build_apdu(Envelope(9, FACTORY.title, ApTitle.parse(".1"), asked), [b"\x0b"], other)
    shifted = bytearray(told)
    at = told.index(bytes.fromhex("8104")) + 2
    shifted[at : at + 4] = (EPOCH_US // 10**6 - YEAR_S).to_bytes(4, "big")
    for forged in (guessed, bytes(shifted), in_clear):
        module.receive("link", forged, street.world.now_us)
        assert apart_s(street) == 3 * HOUR_S
    # The hint in clear ended the request: the true answer comes too late, and is none later.
    street.run(5)
    module.receive("link", told, street.world.now_us)
    assert apart_s(street) == 3 * HOUR_S
    street.device.restart(street.world.now_us)
    street.run(0.5)
    module = street.device.module
    module.receive("link", told, street.world.now_us)
    assert apart_s(street) == 3 * HOUR_S
    module.receive("link", street.kept[-1], street.world.now_us)
    assert abs(apart_s(street)) <= 1


def test_a_stamp_that_is_no_time_of_whoever_takes_it_in_is_not_taken_for_one() -> None:
    street = Street()
    street.run(10)
    street.device.restart(street.world.now_us)
    street.host.node.locks._last_iv = 0xFFFF0000  # a host that stamps with something else
    street.run(60)
    module = street.device.module
    assert module.state is State.REGISTERED
    assert module.error is ErrorCode.NONE and apart_s(street) == 0


def test_where_nobody_tells_the_time_it_believes_the_meter_after_a_while() -> None:
    street = Street(meter_ahead_s=3 * HOUR_S)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    before = len(street.journal)
    street.device.bearer_down("link", street.world.now_us)
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    module = street.device.module
    assert apart_s(street) == 3 * HOUR_S and len(module.parts.outbox) >= 3
    street.device.bearer_up("link", street.world.now_us)
    street.run(60)
    assert abs(apart_s(street)) <= 1 and not len(module.parts.outbox)
    assert len(street.host.intervals()) == len(street.journal) > before


def test_a_clock_further_off_than_the_status_can_say_is_told_as_far_as_it_can() -> None:
    commercial = MeterSettings(profile=PROFILES["commercial"])  # its seconds reach until 2106
    street = Street(meter=commercial, meter_ahead_s=75 * YEAR_S)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(), schedule(2, TASK=Task.CLOCK_CHECK)))
    street.run(HOUR_S)
    module = street.device.module
    assert module.state is State.PROVISIONED and module.error is ErrorCode.CLOCK_OFF
    image = ssi_tables.encode(SsiTable.MODULE_STATUS, module.parts.status())
    assert ssi_tables.decode(SsiTable.MODULE_STATUS, image)["CLOCK_OFFSET_S"] == MAX_OFFSET_S
    assert abs(apart_s(street)) <= 1


def test_a_clock_at_the_end_of_its_seconds_counts_as_not_set() -> None:
    commercial = MeterSettings(profile=PROFILES["commercial"])
    street = Street(meter=commercial, meter_ahead_s=(1 << 32) - EPOCH_US // 1_000_000 - 60)
    street.run(30)
    module = street.device.module
    assert module.state is State.CONFIGURING and module.error is ErrorCode.CONFIGURATION_FAILED


def test_what_was_acknowledged_by_a_clock_far_ahead_is_as_long_ago_when_that_is_set() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    true_us = street.calendar.utc_us(street.world.now_us) or 0
    street.calendar.set(true_us + 30 * DAY_S * 10**6, street.world.now_us)
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)  # the TMS is wrong, and acknowledges
    parts = street.device.module.parts
    assert parts.memory.acknowledged_s * 10**6 > true_us + 30 * DAY_S * 10**6
    street.calendar.set(true_us + 3600 * 10**6, street.world.now_us)
    street.host.node.locks._last_iv = 0  # its next start
    while abs(apart_s(street)) > 1:
        street.run(10)
    street.link.wrap(Partition())
    street.run(60)
    assert parts.status()["WARNING"] == WarningCode.NONE
    street.run(3 * HOUR_S)
    assert parts.status()["WARNING"] == WarningCode.QUIET


def test_what_a_run_before_dated_by_a_clock_far_ahead_puts_no_warning_off() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    parts = street.device.module.parts
    parts.memory.acknowledged_s += 2 * YEAR_S
    parts.reporter.keep()
    street.link.wrap(Partition())
    street.device.restart(street.world.now_us)
    street.run(HOUR_S / 2)
    parts = street.device.module.parts
    assert parts.status()["WARNING"] == WarningCode.NONE
    street.run(HOUR_S)
    assert parts.status()["WARNING"] == WarningCode.QUIET


def test_an_outbox_that_begins_anew_in_an_epoch_far_ahead_puts_no_warning_off() -> None:
    """It was first used by a clock that was far ahead, and is above the epoch before."""
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    parts, nvram = street.device.module.parts, street.device.nvram
    epoch = parts.outbox.epoch + 2 * YEAR_S
    page = {"epoch": epoch, "next": parts.outbox.next_number}
    nvram.commit({OUTBOX_PAGE: json.dumps(page).encode(), MEMORY_PAGE: b"{"})
    street.link.wrap(Partition())
    street.device.restart(street.world.now_us)
    street.run(HOUR_S / 2)
    parts = street.device.module.parts
    assert parts.outbox.epoch == epoch + 1
    assert parts.status()["WARNING"] == WarningCode.NONE
    street.run(HOUR_S)
    assert parts.status()["WARNING"] == WarningCode.QUIET
