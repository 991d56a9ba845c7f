"""A probe that is moved to another meter, or a meter that is exchanged, known by its serial number.

What each meter measured comes from the books that the simulated meters keep for themselves.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from ansi_tables import layout_for
from ansi_tables.ssi_tables import (
    AlarmSource,
    Cause,
    Command,
    Condition,
    Content,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.ssi.memory import MEMORY_PAGE
from smartmeter.ssi.meter_data import LATEST_CLOCK_S
from smartmeter.ssi.states import State
from tests.smartmeter.ssi import host
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    GENERAL,
    OUTAGE,
    FailingNvram,
    Street,
    command,
    decoded,
    monitor,
    own_read,
    own_write,
    schedule,
    schedules,
)
from tests.smartmeter.ssi.other_meter import DAY_US, HOUR_S, QUARTER_S, other_meter, put

EPOCH_S = EPOCH_US // US_PER_S
WATCHED = {"GENERAL": {**GENERAL, "STATUS_PERIOD_MS": 20_000}}
REGISTER = {"TABLE": 23, "PATH": "TOT_DATA_BLOCK.SUMMATIONS.0", "PERIOD_MS": 20_000}
Row = tuple[int, int, int, tuple[int, ...]]


def provisioned(**tables: Any) -> Street:
    street = Street()
    street.run(10)
    content = Content.LOAD_PROFILE | Content.EVENT_LOG
    tables = {"SCHEDULES": schedules(schedule(CONTENT=content)), **tables}
    assert set(street.provision(**tables)) == {b"\0"}
    return street


def rows(street: Street) -> list[Row]:
    """Give what was reported: ring epoch, sequence, end, values."""
    return [
        (part["RING_EPOCH"], part["FIRST_SEQUENCE"] + n, one["END_TIME"], tuple(one["VALUES"]))
        for part in street.host.parts(SsiTable.LOAD_PROFILE_PART)
        for n, one in enumerate(part["INTERVALS"])
    ]


def measured(book: list[Interval], epoch: int, after_s: int, until_s: int) -> list[Row]:
    """Give what a meter measured in a span of time, as it is to be reported."""
    return [
        (epoch, one.sequence, one.end_utc_s, tuple(one.values))
        for one in book
        if after_s < one.end_utc_s <= until_s
    ]


def changes(street: Street) -> list[str]:
    alarms = street.host.parts(SsiTable.ALARM)
    return [one["TEXT"] for one in alarms if one["CODE"] == ModuleAlarm.METER_CHANGED]


def now_s(street: Street) -> int:
    return EPOCH_S + street.world.now_us // US_PER_S


def test_what_another_meter_measured_before_it_came_is_not_reported_and_the_change_is() -> None:
    street, other = provisioned(), other_meter()
    street.run(5 * HOUR_S)
    first, moved_s = street.device.meter, now_s(street)
    put(street, other.meter)
    street.run(3 * HOUR_S)
    assert changes(street) == ["meter OTHER77, before SM000001"]
    told = measured(street.journal, 1, 0, moved_s) + measured(other.book, 2, moved_s, now_s(street))
    assert rows(street) == told
    back_s = now_s(street)
    put(street, first)
    street.run(2 * HOUR_S)
    assert changes(street)[1:] == ["meter SM000001, before OTHER77"]
    assert rows(street) == told + measured(street.journal, 3, back_s, now_s(street))
    entries = [one for part in street.host.parts(SsiTable.EVENT_PART) for one in part["ENTRIES"]]
    assert not [one for one in entries if one["TIME"] <= EPOCH_S - 3600]


@pytest.mark.parametrize("seconds", [3, 50, 3000])
def test_the_same_meter_after_a_silence_is_the_same(seconds: int) -> None:
    street = provisioned(**WATCHED)
    street.run(2 * HOUR_S)
    meter, silent = street.device.meter, other_meter().meter
    silent.mains(False, street.world.now_us)
    put(street, silent)
    street.run(seconds)
    put(street, meter)
    street.run(2 * HOUR_S)
    assert not changes(street)
    assert rows(street) == measured(street.journal, 1, 0, now_s(street))


def test_a_module_that_was_off_when_the_meter_was_exchanged_takes_what_came_since() -> None:
    street, other = provisioned(), other_meter()
    street.run(5 * HOUR_S)
    seen_s = now_s(street)
    put(street, other.meter)
    street.world.now_us += DAY_US
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    assert changes(street) == ["meter OTHER77, before SM000001"]
    told = rows(street)
    assert told[20:] == measured(other.book, 2, seen_s, now_s(street)) and len(told) == 20 + 100


def test_another_meter_that_takes_no_password_is_known_as_another_and_read() -> None:
    street = provisioned()
    street.run(HOUR_S)
    other = other_meter()
    other.meter.access.locked_until_us = DAY_US
    first, moved_s = street.journal, now_s(street)
    put(street, other.meter)
    street.run(HOUR_S)
    assert changes(street) == ["meter OTHER77, before SM000001"]
    module = street.device.module
    assert module.meter is not None and 71 not in module.meter.images, "that is of the one before"
    told = measured(first, 1, 0, moved_s) + measured(other.book, 2, moved_s, now_s(street))
    assert rows(street) == told


def test_monitors_begin_anew_and_tell_nothing_of_the_difference_between_two_meters() -> None:
    monitors = [
        monitor(1, TABLE=1, PATH="MFG_SERIAL_NUMBER", PERIOD_MS=20_000),
        monitor(2, **REGISTER, CONDITION=Condition.RATE, THRESHOLD=1_000, WINDOW_S=600),
        monitor(3, **REGISTER, CONDITION=Condition.ABOVE, THRESHOLD=1),
    ]
    outage = {
        **OUTAGE,
        "SAG_PERMILLE": 900,
        "SWELL_PERMILLE": 1100,
        "NOMINAL_V": 0,
        "VOLTAGE_PERIOD_MS": 20_000,
    }
    street = provisioned(MONITORS={"MONITORS": monitors}, OUTAGE=outage, **WATCHED)
    street.run(HOUR_S + 437)
    before = [one["TEXT"] for one in street.host.parts(SsiTable.ALARM)]
    assert before == ["raised: ST-23 TOT_DATA_BLOCK.SUMMATIONS.0"]
    put(street, other_meter().meter)
    street.run(HOUR_S)
    alarms = [one["TEXT"] for one in street.host.parts(SsiTable.ALARM)]
    assert alarms[1:] == ["meter OTHER77, before SM000001", *before], "raised of this meter, too"


def test_a_silence_of_one_meter_is_not_over_because_another_shows_something_else() -> None:
    name = {"TABLE": 1, "PATH": "MFG_SERIAL_NUMBER"}
    silent = monitor(1, **name, CONDITION=Condition.SILENT, WINDOW_S=60)
    street = provisioned(MONITORS={"MONITORS": [silent]})
    street.run(100)
    put(street, other_meter().meter)
    street.run(50)
    alarms = [one["TEXT"] for one in street.host.parts(SsiTable.ALARM)]
    assert alarms == ["raised: ST-1 MFG_SERIAL_NUMBER", "meter OTHER77, before SM000001"]


def test_a_request_from_the_network_never_reaches_another_meter_than_the_one_that_is_known() -> (
    None
):
    street, other = provisioned(), other_meter().meter
    street.run(HOUR_S)
    put(street, other)
    image = b"POLE 17".ljust(20)
    assert street.ask(encode_request(FullWrite(5, image))) == [b"\x07"], "dnr: not ready"
    assert other.table(5, street.world.now_us) != image
    street.run(1)
    assert street.ask(encode_request(FullWrite(5, image))) == [b"\0"], "now it is known"
    assert other.table(5, street.world.now_us) == image


@pytest.mark.parametrize("restarts", [False, True])
def test_of_what_was_ordered_while_the_former_meter_was_away_this_one_is_not_changed(
    restarts: bool,
) -> None:
    reset = schedule(2, KIND=ScheduleKind.MONTHLY, DAY=28, TASK=Task.DEMAND_RESET)
    street, other = provisioned(SCHEDULES=schedules(schedule(), reset)), other_meter()
    street.run(HOUR_S)
    street.device.meter.mains(False, street.world.now_us)
    for number in (1, 2):
        order = command(Command.REPORT_NOW, SCHEDULE_NBR=number)
        assert street.ask(own_write(SsiTable.COMMAND, order)) == [b"\0"]
    street.run(600)
    put(street, other.meter)
    street.run(20 if restarts else 600)
    if restarts:
        street.device.restart(street.world.now_us)
        street.run(600)
    assert changes(street) and not other.meter.table(23, street.world.now_us)[0], "its resets"
    causes = [report.header["CAUSE"] for report in street.host.reports]
    assert causes.count(Cause.ON_DEMAND) == 1
    assert not street.device.module.parts.memory.orders


def test_a_head_end_that_asks_is_given_no_interval_of_before_the_change() -> None:
    street, other = provisioned(), other_meter()
    street.run(HOUR_S)
    moved_s = now_s(street)
    put(street, other.meter)
    street.run(HOUR_S)
    select = command(Command.SELECT_INTERVALS, FIRST_SEQUENCE=5, COUNT=200)
    _, answer = street.ask(
        own_write(SsiTable.COMMAND, select), own_read(SsiTable.LOAD_PROFILE_PART)
    )
    part = decoded(SsiTable.LOAD_PROFILE_PART, answer)
    ends = [one["END_TIME"] for one in part["INTERVALS"]]
    assert part["RING_EPOCH"] == 2 and ends == [
        moved_s // 900 * 900 + n * 900 for n in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize("ahead_s", [120, -120, 5 * HOUR_S])
def test_the_clock_of_another_meter_is_compared_and_its_intervals_keep_their_times(
    ahead_s: int,
) -> None:
    street, other = provisioned(GENERAL={**GENERAL, "CLOCK_REFUSE_S": 600}), other_meter()
    street.run(HOUR_S)
    moved_s = now_s(street)
    other = other_meter(ahead_s=ahead_s)
    put(street, other.meter)
    street.run(HOUR_S)
    assert changes(street)
    told = [row for row in rows(street) if row[0] == 2]
    assert 3 <= len(told) <= 5
    assert told == measured(other.book, 2, moved_s + ahead_s - QUARTER_S, 1 << 40)[-len(told) :]
    ahead = street.device.module.parts.tasks.clock.ahead_s
    assert abs(ahead - (ahead_s if ahead_s > 600 else 0)) < 5


def test_a_meter_that_comes_with_a_clock_that_is_not_set_is_told_of_all_the_same() -> None:
    street, far_s = provisioned(), LATEST_CLOCK_S + 86_400 - EPOCH_S
    street.run(HOUR_S)
    put(street, other_meter(ahead_s=far_s).meter)
    street.run(60 + QUARTER_S)
    assert changes(street) == ["meter OTHER77, before SM000001"]


@pytest.mark.parametrize("how", ["no table", "refused", "blank"])
def test_meters_that_do_not_tell_their_serial_number_are_not_told_apart(how: str) -> None:
    street = provisioned()
    meters = street.device.meter, other_meter().meter
    for meter in meters:
        _hide(meter, how)
    street.device.nvram.commit({MEMORY_PAGE: None})
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    refusals = [one for one in meters[0].logs.event.list.entries if one is not None]
    put(street, meters[1])
    street.run(HOUR_S)
    assert not changes(street) and street.device.module.state is State.PROVISIONED
    assert not street.device.module.parts.memory.meter
    assert len(refusals) <= 3, "it is not asked again in each session"


def _hide(meter: Meter, how: str) -> None:
    if how == "blank":
        layout = layout_for(1, meter.program.context)
        offset, width = layout.field("MFG_SERIAL_NUMBER")
        image = meter.images[1]
        meter.images[1] = image[:offset] + b" " * width + image[offset + width :]
    elif how == "refused":
        read = meter.access.may_read
        meter.access.may_read = lambda table, *a: table != 1 and read(table, *a)  # type: ignore
    else:
        offset, _ = layout_for(0, meter.program.context).field("STD_TBLS_USED")
        image = bytearray(meter.images[0])
        image[offset] &= ~0b10
        meter.images[0] = bytes(image)


def test_a_memory_of_a_version_that_knew_no_serial_number_learns_it_silently() -> None:
    street = provisioned()
    street.run(HOUR_S)
    page = json.loads(street.device.nvram.get(MEMORY_PAGE) or b"")
    new = ("meter", "meter_serial", "meter_seen_s", "profile_begins", "events_before")
    older = json.dumps({name: item for name, item in page.items() if name not in new})
    street.device.nvram.commit({MEMORY_PAGE: older.encode()})
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    assert street.device.module.parts.memory.meter_serial == "SM000001" and not changes(street)
    assert rows(street) == measured(street.journal, 1, 0, now_s(street))


def test_a_power_cut_at_any_write_of_the_change_applies_it_whole_or_not_at_all() -> None:
    fails_in, written = 0, True
    while written:
        fails_in += 1
        street, other = provisioned(), other_meter(days=1)
        street.run(HOUR_S)
        moved_s = now_s(street)
        failing = FailingNvram(dict(street.device.nvram._pages))
        street.device.nvram = failing
        street.device.restart(street.world.now_us)
        street.run(20)
        put(street, other.meter)
        failing.fails_in = fails_in
        street.run(HOUR_S)
        written = failing.fails_in <= 0 and fails_in < 12
        assert changes(street) == ["meter OTHER77, before SM000001"], fails_in
        told = measured(street.journal, 1, 0, moved_s)
        assert rows(street) == told + measured(other.book, 2, moved_s, now_s(street)), fails_in


@pytest.mark.parametrize("found_by_the_context", [False, True])
def test_another_meter_is_given_the_password_at_once_that_the_one_before_refused(
    monkeypatch: pytest.MonkeyPatch, found_by_the_context: bool
) -> None:
    monkeypatch.setattr(host, "FACTORY", replace(host.FACTORY, optical_password=b"of-other"))
    street = provisioned()
    street.run(86_400)
    assert street.device.module.parts.optical.password_accepted is False
    settings = MeterSettings(seed=77, serial="OTHER77", master_password=b"of-other")
    now_us = street.world.now_us
    put(street, Meter(settings, MemoryNvram(), Calendar(EPOCH_US), 0))
    street.device.meter.advance(now_us)
    if found_by_the_context:
        street.device.module.parts.link.read_again(now_us)
    street.run(HOUR_S)
    alarms = street.host.parts(SsiTable.ALARM)
    told = [one["CODE"] for one in alarms if one["SOURCE"] == AlarmSource.MODULE]
    assert told == [ModuleAlarm.METER_SECURITY, ModuleAlarm.METER_CHANGED]
    assert street.device.module.parts.optical.password_accepted
