"""What reports carried that had to give way comes with later ones, once, or is counted."""

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    DEFAULT_BASE,
    AlarmSource,
    Command,
    Content,
    Disposition,
    ModuleAlarm,
    SsiTable,
)
from smartmeter.base.clock import US_PER_S
from smartmeter.ssi.alarms import MAX_ADVISORIES, Alarms
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.outbox import LOG_SET
from smartmeter.ssi.reports import PREVIOUS_RESET
from tests.smartmeter.ssi.host import (
    OUTAGE,
    Street,
    command,
    own_write,
    raise_alarms,
    schedule,
    schedules,
    small_outbox,
)

HOUR_S, PERIOD_S = 3600, 900
EXCEPTIONS = 9
CONTENT = Content.LOAD_PROFILE | Content.EVENT_LOG


def full_outbox(monkeypatch: pytest.MonkeyPatch) -> Street:
    """Have a module with six scheduled reports of advisories, outages and the log pushed out."""
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 2)
    street = Street()
    street.run(10)
    outage = {**OUTAGE, "DISPOSITION": Disposition.ADVISORY}
    street.provision(OUTAGE=outage, SCHEDULES=schedules(schedule(CONTENT=CONTENT)))
    street.run(HOUR_S)
    street.host.refusing = True
    for number in range(6):
        now_us = street.world.now_us
        street.device.module.parts.reporter.raise_own(ModuleAlarm.SAG, f"sag {number}", now_us)
        street.device.meter.mains(False, now_us)
        street.run(100)
        street.device.meter.mains(True, street.world.now_us)
        street.run(PERIOD_S - 100)
    street.run(HOUR_S)
    raise_alarms(street, EXCEPTIONS)
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    assert street.device.module.parts.memory.reports_dropped
    return street


def test_what_a_reset_left_and_the_hello_come_again_where_they_gave_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(60)
    street.host.reports.clear()
    street.host.refusing = True
    street.ask(own_write(SsiTable.COMMAND, command(Command.SEND_CONTEXT)))
    street.ask(own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET)))
    street.run(60)
    raise_alarms(street, 12)
    assert street.device.module.parts.memory.reports_dropped == 2
    street.host.refusing = False
    street.run(2 * HOUR_S)
    numbers = [number for one in street.host.reports for number, _ in one.parts]
    assert numbers.count(PREVIOUS_RESET) == 1
    assert numbers.count(DEFAULT_BASE + SsiTable.MODULE_VERSION) == 1


def test_advisories_outages_and_the_log_of_reports_that_give_way_come_later_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = full_outbox(monkeypatch)
    street.host.refusing = False
    street.run(2 * HOUR_S)
    told = street.host.parts(SsiTable.ALARM)
    sags = sorted(one["TEXT"] for one in told if one["CODE"] == ModuleAlarm.SAG)
    assert sags == [f"sag {number}" for number in range(6)]
    outages = sorted(one["OUTAGE_NBR"] for one in street.host.parts(SsiTable.OUTAGE_RECORD))
    assert outages == list(range(1, 7))
    parts = street.host.parts(SsiTable.EVENT_PART)
    sequences = sorted(entry["SEQUENCE"] for part in parts for entry in part["ENTRIES"])
    assert sequences == list(range(sequences[0], sequences[-1] + 1))
    assert sequences[-1] == street.device.module.parts.memory.lists.events_reported
    memory = street.device.module.parts.memory
    assert not memory.lists.profile_gaps and not memory.lists.events_missed
    dropped = [one["VALUE"] for one in told if one["CODE"] == ModuleAlarm.OUTBOX_OVERFLOW]
    assert dropped == [memory.reports_dropped]


def test_entries_of_them_that_the_meter_refuses_for_a_while_are_not_taken_for_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = full_outbox(monkeypatch)
    street.device.meter.access.locked_until_us = street.world.now_us + HOUR_S * US_PER_S
    street.host.refusing = False
    street.run(3 * HOUR_S)
    parts = street.host.parts(SsiTable.EVENT_PART)
    sequences = sorted(entry["SEQUENCE"] for part in parts for entry in part["ENTRIES"])
    memory = street.device.module.parts.memory
    assert sequences == list(range(sequences[0], memory.lists.events_reported + 1))
    assert not memory.lists.profile_gaps and not memory.lists.events_missed


def test_entries_of_them_that_the_meter_has_no_more_are_counted_as_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = full_outbox(monkeypatch)
    memory = street.device.module.parts.memory
    [lost] = [gap for gap in memory.lists.profile_gaps if gap[0] == LOG_SET]
    assert not memory.lists.events_missed
    street.device.meter.logs.event.list.pointers.clear()
    street.host.refusing = False
    street.run(2 * HOUR_S)
    parts = street.host.parts(SsiTable.EVENT_PART)
    sequences = {entry["SEQUENCE"] for part in parts for entry in part["ENTRIES"]}
    assert sequences and not sequences.intersection(range(*lost[2:]))
    assert memory.lists.events_missed == lost[3] - lost[2] and not memory.lists.profile_gaps


def test_advisories_that_are_too_many_are_counted_and_lost_intervals_are_one_number() -> None:
    memory = Memory()
    alarms = Alarms(memory)

    def keep(code: ModuleAlarm, value: int = 0) -> None:
        alarm = alarms.value(
            AlarmSource.MODULE, code, Disposition.ADVISORY, 1, f"{code}", value=value
        )
        alarms.keep(alarm)

    keep(ModuleAlarm.GAP, 4)
    for _ in range(MAX_ADVISORIES + 5):
        keep(ModuleAlarm.SAG)
    keep(ModuleAlarm.GAP, 7)
    waiting = [ssi_tables.decode(SsiTable.ALARM, bytes.fromhex(one)) for one in memory.advisories]
    values = {one["CODE"]: one["VALUE"] for one in waiting}
    sags = [one for one in waiting if one["CODE"] == ModuleAlarm.SAG]
    assert len(waiting) == MAX_ADVISORIES and values[ModuleAlarm.GAP] == 11
    assert values[ModuleAlarm.OUTBOX_OVERFLOW] == MAX_ADVISORIES + 5 - len(sags)


def test_an_alarm_for_which_there_is_no_place_does_not_give_way_to_advisories() -> None:
    memory = Memory()
    alarms = Alarms(memory)
    for code, disposition, times in (
        (ModuleAlarm.UPGRADE_FAILED, Disposition.ALARM, 1),
        (ModuleAlarm.SAG, Disposition.ADVISORY, MAX_ADVISORIES + 5),
    ):
        for _ in range(times):
            alarms.keep(alarms.value(AlarmSource.MODULE, code, disposition, 1, ""))
    assert len(memory.advisories) == MAX_ADVISORIES
    [alarm] = alarms.take(Disposition.ALARM)
    assert alarm["CODE"] == ModuleAlarm.UPGRADE_FAILED


def telling_at_once(code: ModuleAlarm) -> Street:
    """Have a module without a schedule that tells this of itself at once."""
    street = Street()
    street.run(10)
    entries = [{"SOURCE": AlarmSource.MODULE, "CODE": code, "DISPOSITION": Disposition.ALARM}]
    street.provision(DISPOSITION={"DEFAULT": Disposition.LOG, "ENTRIES": entries})
    street.run(60)
    return street


def test_a_gap_of_which_the_meter_has_nothing_left_is_told_at_once_where_that_is_wanted() -> None:
    street = telling_at_once(ModuleAlarm.GAP)
    memory = street.device.module.parts.memory
    memory.lists.add_gap([1, memory.lists.profile_epoch(1), -50, -40])
    street.device.expire(street.world.now_us)
    street.run(60)
    [gap] = [one for one in street.host.parts(SsiTable.ALARM) if one["CODE"] == ModuleAlarm.GAP]
    assert gap["VALUE"] == 10 and not memory.lists.profile_gaps and not memory.advisories


def test_dropped_reports_are_told_as_soon_as_there_is_room_also_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = telling_at_once(ModuleAlarm.OUTBOX_OVERFLOW)
    street.host.refusing = True
    raise_alarms(street, 13)
    street.device.restart(street.world.now_us)
    street.run(60)
    street.host.refusing = False
    street.run(300)
    told = street.host.parts(SsiTable.ALARM)
    dropped = [one["VALUE"] for one in told if one["CODE"] == ModuleAlarm.OUTBOX_OVERFLOW]
    assert dropped == [street.device.module.parts.memory.reports_dropped]


def test_an_alarm_counts_every_report_that_is_dropped_and_takes_the_place_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = telling_at_once(ModuleAlarm.OUTBOX_OVERFLOW)
    street.host.refusing, parts = True, street.device.module.parts
    for first in (0, 40):
        for number in range(first, first + 40):
            parts.reporter.raise_own(ModuleAlarm.METER_SECURITY, f"{number}", street.world.now_us)
        # What counts takes the place of the one that is acknowledged, and gives way itself.
        parts.outbox.acknowledged(min(parts.outbox.numbers), {})
        street.run(60)
    street.host.refusing = False
    street.run(300)
    told = street.host.parts(SsiTable.ALARM)
    left = [one["TEXT"] for one in told if one["CODE"] == ModuleAlarm.METER_SECURITY]
    assert sorted(map(int, left)) == list(range(69, 80))
    dropped = [one["VALUE"] for one in told if one["CODE"] == ModuleAlarm.OUTBOX_OVERFLOW]
    assert dropped == [parts.memory.reports_dropped]


def told_alarms(street: Street) -> list[int]:
    told = street.host.parts(SsiTable.ALARM)
    return sorted(int(one["TEXT"]) for one in told if one["CODE"] == ModuleAlarm.METER_SECURITY)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_hello_waits_until_it_takes_the_place_of_no_exception(
    monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = Street()
    street.run(10)
    street.host.reports.clear()
    street.host.refusing = True
    raise_alarms(street, 12)
    street.ask(own_write(SsiTable.COMMAND, command(Command.SEND_CONTEXT)))
    street.run(300)
    if restarts:
        street.device.restart(street.world.now_us)
        street.run(300)
    street.host.refusing = False
    street.run(300)
    assert told_alarms(street) == list(range(12))
    assert len(street.host.parts(SsiTable.MODULE_VERSION)) == 1
    assert not street.device.module.parts.memory.reports_dropped


def test_entries_of_the_log_for_which_there_is_no_room_come_later_and_push_no_exception_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_outbox(monkeypatch, 12, 4)
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(CONTENT=CONTENT)))
    street.run(HOUR_S)
    monkeypatch.setattr("smartmeter.ssi.reports.ROOM_OCTETS", 300)
    meter = street.device.meter
    for on in (False, True) * 50:
        meter.mains(on, street.world.now_us)
    street.host.refusing = True
    raise_alarms(street, 7)
    street.run(HOUR_S)
    assert len(street.device.module.parts.outbox) < 12
    street.host.refusing = False
    street.run(2 * HOUR_S)
    assert told_alarms(street) == list(range(7))
    parts = street.host.parts(SsiTable.EVENT_PART)
    sequences = [entry["SEQUENCE"] for part in parts for entry in part["ENTRIES"]]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    memory = street.device.module.parts.memory
    assert len(sequences) >= 100 and sequences[-1] == memory.lists.events_reported
    assert not memory.reports_dropped and not memory.lists.events_missed
