"""Outages with two witnesses, the mains sense and the meter's log: told once, when due."""

import json
from typing import Any

import pytest

from ansi_tables.ssi_tables import (
    AlarmSource,
    Cause,
    Content,
    Disposition,
    ModuleAlarm,
    SsiTable,
)
from protocols.c1218.client import Exchanged
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.ssi.log_reading import POWER_DOWN, POWER_UP, LogEntry, LogRead
from smartmeter.ssi.memory import MAX_POWER_GAPS, Losses
from smartmeter.ssi.meter_side import JobDone
from smartmeter.ssi.outage import LastGasp, Momentary, OutageDetector, Restored
from smartmeter.ssi.status_bits import POWER_FAILURE_BIT
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    GENERAL,
    OUTAGE,
    Street,
    raise_alarms,
    schedule,
    schedules,
)
from tests.smartmeter.ssi.provisioned import codes, watching

HOUR_S, DAY_S = 3600, 86_400
S = US_PER_S
EVENTS_OF_A_SHIFT = schedule(PERIOD_MIN=480, CONTENT=Content.EVENT_LOG)


def detector(threshold_s: int = 30) -> tuple[OutageDetector, Losses, Calendar]:
    memory, calendar = Losses(), Calendar(EPOCH_US)
    one = OutageDetector("SM1", memory, calendar)
    one.configure({**OUTAGE, "THRESHOLD_S": threshold_s})
    return one, memory, calendar


def test_an_outage_that_both_have_seen_is_told_once() -> None:
    """By the sense, by the log, and by the flag in ST-03."""
    flag = {"SOURCE": AlarmSource.METER_STATUS, "CODE": POWER_FAILURE_BIT, "DISPOSITION": 2}
    street = watching(OUTAGE=OUTAGE, DISPOSITION={"DEFAULT": 0, "ENTRIES": [flag]})
    street.run(1000)
    street.device.mains(False, street.world.now_us)
    street.run(1200)
    street.device.mains(True, street.world.now_us)
    street.run(2000)
    records = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert len({record["OUTAGE_NBR"] for record in records}) == 1
    assert [record["RESTORED"] for record in records].count(1) == 1
    assert not codes(street)


def test_many_outages_before_the_log_is_read_are_each_told_once() -> None:
    street = watching(OUTAGE=OUTAGE, GENERAL=GENERAL, SCHEDULES=schedules(EVENTS_OF_A_SHIFT))
    for _ in range(25):
        street.device.mains(False, street.world.now_us)
        street.run(40)
        street.device.mains(True, street.world.now_us)
        street.run(200)
    street.run(8 * HOUR_S)
    records = [one["START_TIME"] for one in street.host.parts(SsiTable.OUTAGE_RECORD)]
    assert sorted(records) == sorted(2 * list(set(records))) and len(set(records)) == 25


def test_an_outage_that_only_the_meter_saw_is_told_from_its_log() -> None:
    street = watching(OUTAGE=OUTAGE)
    street.run(1000)
    street.device.meter.mains(False, street.world.now_us)  # the module has another supply
    street.run(400)
    street.device.meter.mains(True, street.world.now_us)
    street.run(1000)
    [record] = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert record["RESTORED"] == 1 and abs(record["DURATION_S"] - 400) <= 2


def test_where_nothing_watches_the_reports_own_look_at_the_log_tells_of_outages() -> None:
    street = Street()
    street.run(30)
    content = Content.LOAD_PROFILE | Content.EVENT_LOG
    street.provision(SCHEDULES=schedules(schedule(CONTENT=content)), OUTAGE=OUTAGE)
    assert not GENERAL["STATUS_PERIOD_MS"]
    for _ in range(2):
        street.run(HOUR_S)
        street.device.meter.mains(False, street.world.now_us)
        street.run(400)
        street.device.meter.mains(True, street.world.now_us)
    street.run(HOUR_S)
    records = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert [record["OUTAGE_NBR"] for record in records] == [1, 2]
    assert all(abs(record["DURATION_S"] - 400) <= 2 for record in records)


def read_entry(street: Street, code: int, time_s: int) -> None:
    """Let the module read one more entry of the meter's log."""
    module = street.device.module
    sequence = (module.parts.memory.lists.events_judged or 0) + 1
    entry = LogEntry(sequence, time_s, 0, code, False, b"")
    job = JobDone("log", LogRead((entry,), sequence, 0), 0, Exchanged(0, 0))
    module._outcomes.job_done(job, street.world.now_us)


def test_a_module_that_restarts_between_the_meters_two_entries_tells_the_outage() -> None:
    street = Street()
    street.run(10)
    street.provision(OUTAGE=OUTAGE, SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    begin_s = street.device.module.parts.calendar.utc_s(street.world.now_us) or 0
    for code, time_s in ((POWER_DOWN, begin_s), (POWER_UP, begin_s + 600)):
        read_entry(street, code, time_s)
        street.device.restart(street.world.now_us)
        street.run(60)
    told = [one for one in street.host.parts(SsiTable.OUTAGE_RECORD) if one["RESTORED"]]
    assert [(one["START_TIME"], one["DURATION_S"]) for one in told] == [(begin_s, 600)]


@pytest.mark.parametrize(
    ("began", "ended", "lasted_s"), [(-400, None, 400), (None, -100, 0), (None, None, 0)]
)
def test_a_loss_that_the_meter_has_not_dated_was_over_when_its_log_was_read(
    began: int | None, ended: int | None, lasted_s: int
) -> None:
    """By seconds from then, as a meter tells them that has lost its clock in between."""
    street = Street()
    street.run(10)
    street.provision(OUTAGE={**OUTAGE, "THRESHOLD_S": 0}, SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    now_s = street.device.module.parts.calendar.utc_s(street.world.now_us) or 0
    for code, ago in ((POWER_DOWN, began), (POWER_UP, ended)):
        read_entry(street, code, 0 if ago is None else now_s + ago)
    street.run(60)
    [told] = street.host.parts(SsiTable.OUTAGE_RECORD)
    end_s = now_s + (ended or 0)
    times = told["START_TIME"], told["END_TIME"], told["DURATION_S"]
    assert times == (end_s - lasted_s, end_s, lasted_s) and told["RESTORED"]


def test_a_loss_whose_beginning_is_not_dated_did_not_last_from_one_read_to_the_next() -> None:
    """Each of its entries may come in a read of its own."""
    street = Street()
    street.run(10)
    street.provision(OUTAGE=OUTAGE, SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    read_entry(street, POWER_DOWN, 0)
    street.run(HOUR_S)
    read_entry(street, POWER_UP, 0)
    street.run(60)
    assert not street.host.parts(SsiTable.OUTAGE_RECORD)
    assert street.device.module.parts.memory.losses.momentaries == 1


@pytest.mark.parametrize("lasted_s", [100, 7200])
def test_a_loss_without_a_word_soon_after_one_that_was_seen_is_another(lasted_s: int) -> None:
    """A recloser's: the module has no energy left for the second."""
    sense, _, _ = detector()
    begin_s = EPOCH_US // S
    sense.lost(0)
    assert isinstance(sense.returned(5 * S), Momentary)
    for power_up, moment_s in ((False, begin_s), (True, begin_s + 5), (False, begin_s + 45)):
        assert sense.evidence(power_up, moment_s) is None
    end_s = begin_s + 45 + lasted_s
    assert sense.evidence(True, end_s) == Restored(1, begin_s + 45, end_s)


@pytest.mark.parametrize(
    ("tables", "read_within_s"),
    [
        ({}, 600),
        (
            {"GENERAL": GENERAL, "SCHEDULES": schedules(EVENTS_OF_A_SHIFT)},
            8 * HOUR_S,
        ),  # all at once
    ],
)
@pytest.mark.parametrize("meter_only_first", [True, False])
def test_losses_that_only_the_meter_saw_close_to_one_that_both_saw_are_counted(
    meter_only_first: bool, tables: dict[str, Any], read_within_s: int
) -> None:
    street = watching(OUTAGE=OUTAGE, **tables)
    street.run(1000)
    for meter_only in (meter_only_first, not meter_only_first, True):
        loser = street.device.meter if meter_only else street.device
        loser.mains(False, street.world.now_us)
        street.run(2)
        loser.mains(True, street.world.now_us)
        street.run(15)
    street.run(read_within_s)
    assert street.device.module.parts.memory.losses.momentaries == 3
    assert not street.host.parts(SsiTable.OUTAGE_RECORD)


@pytest.mark.parametrize(
    ("ahead_s", "by_the_meters_s"), [(0, 0), (200, 200), (200, 0), (-200, -200)]
)
def test_a_loss_that_only_the_meter_saw_shortly_before_one_that_both_saw_is_another(
    ahead_s: int, by_the_meters_s: int
) -> None:
    """Also where the meter's clock is ahead, or was set so only after it had logged them."""
    sense, memory, _ = detector()
    begin_s = EPOCH_US // S
    sense.lost(20 * S)
    assert isinstance(sense.returned(22 * S), Momentary)
    log_s = [begin_s + by_the_meters_s + after_s for after_s in (0, 2, 20, 22)]
    sense.log_tells(log_s[::2], ahead_s)
    told = [sense.evidence(bool(n % 2), at_s, ahead_s) for n, at_s in enumerate(log_s)]
    assert told == [None, Momentary(2), None, None] and memory.momentaries == 2


def test_what_flickers_before_a_loss_is_that_one_where_the_clocks_are_apart() -> None:
    """By the meter's clock, a minute behind, all of it lies before what the sense has seen."""
    sense, _, _ = detector()
    begin_s = EPOCH_US // S
    sense.lost(0)
    assert isinstance(sense.returned(40 * S), Restored)
    log_s = [begin_s - 60 + after_s for after_s in (0, 3, 6, 40)]
    sense.log_tells(log_s[::2], 0)
    told = [sense.evidence(bool(n % 2), moment_s) for n, moment_s in enumerate(log_s)]
    assert not any(told)


@pytest.mark.parametrize(("duration_s", "kind"), [(10, Momentary), (29, Momentary), (31, Restored)])
def test_the_threshold_parts_momentary_from_sustained_for_both_witnesses(
    duration_s: int, kind: type
) -> None:
    sense, _, _ = detector()
    sense.lost(0)
    assert isinstance(sense.returned(duration_s * S), kind)
    log, memory, _ = detector()
    assert log.evidence(False, 1000) is None
    assert isinstance(log.evidence(True, 1000 + duration_s), kind)
    assert memory.momentaries == (kind is Momentary)


@pytest.mark.parametrize(("lasts_ms", "kind"), [(29_300, Momentary), (30_000, Restored)])
@pytest.mark.parametrize("begins_ms", [0, 699, 900])
def test_the_threshold_counts_how_long_a_loss_lasts_and_not_how_many_seconds_begin_in_it(
    begins_ms: int, lasts_ms: int, kind: type
) -> None:
    sense, _, _ = detector()
    sense.lost(begins_ms * 1000)
    assert isinstance(sense.returned((begins_ms + lasts_ms) * 1000), kind)


@pytest.mark.parametrize("settings", [{"HOLD_UP_MS": 0}, {"LAST_GASP_COUNT": 0}])
def test_where_no_last_gasp_can_leave_a_loss_below_the_threshold_is_momentary(
    settings: dict[str, int],
) -> None:
    street = watching(OUTAGE=OUTAGE | {"THRESHOLD_S": 300} | settings)
    for lasts_s in (5, 290, 310):
        street.device.mains(False, street.world.now_us)
        street.run(lasts_s)
        street.device.mains(True, street.world.now_us)
        street.run(60)
    [told] = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert told["RESTORED"] and told["DURATION_S"] == 310
    assert street.device.module.parts.memory.losses.momentaries == 2


@pytest.mark.parametrize("disposition", [Disposition.LOG, Disposition.ADVISORY])
def test_a_loss_of_which_nobody_is_told_at_once_is_momentary_below_the_threshold(
    disposition: int,
) -> None:
    """There is no last gasp that the threshold would come too late for."""
    sense, memory, _ = detector()
    sense.configure({**OUTAGE, "HOLD_UP_MS": 10_000, "DISPOSITION": disposition})
    sense.lost(0)
    assert not sense.expire(8 * S)
    assert isinstance(sense.returned(9 * S), Momentary) and not memory.outages


@pytest.mark.parametrize("threshold_s", [0, 8, 300])
def test_all_last_gasps_leave_within_the_energy_whatever_their_windows(threshold_s: int) -> None:
    sense, _, _ = detector()
    outage = {"THRESHOLD_S": threshold_s, "LAST_GASP_SPREAD_MS": 60_000, "HOLD_UP_MS": 10_000}
    sense.configure({**OUTAGE, **outage})
    sense.lost(0)
    begin_us = sense.deadline_us() or 0
    [gasp] = sense.expire(begin_us)
    assert isinstance(gasp, LastGasp) and len(gasp.waits_us) == 3 and all(gasp.waits_us)
    assert begin_us + sum(gasp.waits_us) < 10 * S


def test_last_gasps_leave_inside_their_windows_each_meter_at_its_own_moment() -> None:
    moments: dict[str, list[int]] = {}
    for esn in ("SM1", "SM2", "SM3"):
        one = OutageDetector(esn, Losses(), Calendar(EPOCH_US))
        one.configure({**OUTAGE, "LAST_GASP_COUNT": 5, "LAST_GASP_SPREAD_MS": 500})
        at, found = 0, []
        for wait_us in one._waits_us(7, 60 * S):
            at += wait_us
            found.append(at // 1000)
        moments[esn] = found
    for found in moments.values():
        assert len(found) == 5
        assert all(500 * n <= moment < 500 * (n + 1) for n, moment in enumerate(found))
    assert len({tuple(found) for found in moments.values()}) == 3


@pytest.mark.parametrize("gasps", [0, 1, 4])
def test_no_more_last_gasps_than_the_energy_allows_each_in_its_window(gasps: int) -> None:
    threshold_s, spread_ms = 3, 500
    outage = {
        "LAST_GASP_COUNT": gasps,
        "THRESHOLD_S": threshold_s,
        "LAST_GASP_SPREAD_MS": spread_ms,
    }
    street = watching(OUTAGE=OUTAGE | outage)
    street.host.refusing = True
    begin_us = street.world.now_us
    street.device.mains(False, begin_us)
    moments = []
    for _ in range(gasps):
        sent = street.sent
        assert street.world.run(begin_us + 50 * S, lambda sent=sent: street.sent > sent)
        moments.append((street.world.now_us - begin_us) / 1000 - 1000 * threshold_s)
    assert all(spread_ms * n <= one < spread_ms * (n + 1) for n, one in enumerate(moments))
    sent = street.sent
    street.run(50)
    assert street.sent == sent
    street.host.refusing = False
    street.device.mains(True, street.world.now_us)
    street.run(60)
    records = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert [record["RESTORED"] for record in records] == [0, 1]


@pytest.mark.parametrize("step_s", [-900, 250])
@pytest.mark.parametrize("tables", [{}, {"GENERAL": GENERAL}], ids=["watched", "reported"])
def test_an_outage_after_the_meters_clock_was_set_is_told_once(
    step_s: int, tables: dict[str, Any]
) -> None:
    """The meter's log dates it otherwise than the module does, which has not heard of the set."""
    by_reports = schedules(schedule(CONTENT=Content.EVENT_LOG))
    street = watching(OUTAGE=OUTAGE, SCHEDULES=by_reports, **tables)
    meter = street.device.meter
    meter.set_clock(meter.clock.utc_us(street.world.now_us) + step_s * S, street.world.now_us)
    street.device.mains(False, street.world.now_us)
    street.run(50)
    street.device.mains(True, street.world.now_us)
    street.run(2000)
    records = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert [record["RESTORED"] for record in records] == [0, 1]
    assert records[1]["DURATION_S"] == 50


def test_a_loss_is_told_by_the_meters_log_alone_where_outages_are_not_watched() -> None:
    everything = {"DEFAULT": 2, "ENTRIES": []}
    street = watching(OUTAGE=OUTAGE | {"ENABLED": 0}, DISPOSITION=everything)
    before = len(codes(street))
    street.device.mains(False, street.world.now_us)
    street.run(50)
    street.device.mains(True, street.world.now_us)
    street.run(200)
    meter = AlarmSource.METER_STANDARD
    assert codes(street)[before:] == [(meter, POWER_DOWN), (meter, POWER_UP)]


def test_a_clock_that_is_set_in_an_outage_does_not_change_its_length() -> None:
    sense, _, calendar = detector()
    sense.lost(0)
    calendar.set(EPOCH_US + 900 * S, 40 * S)
    sense.clock_set(860)
    assert sense.returned(100 * S) == Restored(1, EPOCH_US // S + 860, EPOCH_US // S + 960)


def test_an_outage_over_which_the_clock_went_back_does_not_end_before_it_began() -> None:
    """A module without hold-up comes back with the time of a meter that was set meanwhile."""
    sense, memory, calendar = detector(threshold_s=0)
    sense.lost(200 * S)
    calendar.set(EPOCH_US, 201 * S)
    restarted = OutageDetector("SM1", memory, calendar)
    restarted.configure({**OUTAGE, "THRESHOLD_S": 0})
    began_s = EPOCH_US // S
    assert restarted.returned(201 * S) == Restored(1, began_s, began_s)
    assert restarted.evidence(False, began_s - 1) is None
    assert restarted.evidence(True, began_s) is None, "the meter's log tells of the same"


@pytest.mark.parametrize("step_s", [-100, -30, 0, 30, 100])
def test_a_loss_soon_after_another_is_told_also_where_the_clock_was_set_before_both(
    step_s: int,
) -> None:
    """The second only the meter saw, and the module learns of the set when it reads of both."""
    sense, _, _ = detector(threshold_s=1)
    sense.lost(1000 * S)
    seen = sense.returned(1020 * S)
    assert isinstance(seen, Restored)
    sense.clock_set(step_s)
    begins_s = [seen.start_s + step_s, seen.start_s + step_s + 24]
    sense.log_tells(begins_s, 0)
    told = []
    for begin_s, end_s in ((begins_s[0], seen.end_s + step_s), (begins_s[1], begins_s[1] + 100)):
        told += [sense.evidence(False, begin_s), sense.evidence(True, end_s)]
    assert told == [None, None, None, Restored(2, begins_s[1], begins_s[1] + 100)]


def test_what_is_known_of_losses_stays_bounded_however_often_the_clock_is_set() -> None:
    """A meter that logs nothing, and has no time after a loss: the TMS tells it each time."""
    sense, memory, _ = detector()
    for n in range(20):
        sense.lost(n * 1000 * S)
        sense.returned((n * 1000 + 100) * S)
        sense.clock_set(DAY_S)
    assert len(memory.power_gaps) <= MAX_POWER_GAPS and len(memory.gaps_logged) <= MAX_POWER_GAPS
    # Those of the future say nothing of what the log will have.
    sense.log_was_read(EPOCH_US // S + 19_200)
    assert [start_s - EPOCH_US // S for start_s, _ in memory.power_gaps] == [
        16_000,
        17_000,
        18_000,
        19_000,
    ]


def test_alarms_that_wait_do_not_use_up_the_energy_of_the_last_gasp() -> None:
    street = watching(OUTAGE=OUTAGE)
    street.host.refusing = True
    raise_alarms(street, OUTAGE["LAST_GASP_COUNT"])
    street.run(200)
    street.host.refusing = False
    street.device.mains(False, street.world.now_us)
    street.run(50)
    told = [report.header["CAUSE"] for report in street.host.reports][-3:]
    assert told == [Cause.OUTAGE, Cause.ALARM, Cause.ALARM]


def test_a_last_gasp_does_not_wait_for_the_answer_to_a_registration() -> None:
    """The network may have lost its mains too: the answer may never come."""
    street = watching(OUTAGE=OUTAGE | {"THRESHOLD_S": 3, "HOLD_UP_MS": 8000})
    street.host.takes_in = False
    network = street.device.module.parts.network
    network.registration.holds = False
    network.poll(street.world.now_us)
    street.device.mains(False, street.world.now_us)
    street.run(8)
    [told] = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert not told["RESTORED"]


def test_a_meter_that_is_silent_in_an_outage_is_told_as_the_outage_alone() -> None:
    street = watching(OUTAGE=OUTAGE | {"HOLD_UP_MS": 3_600_000})
    street.device.mains(False, street.world.now_us)
    street.run(1200)
    street.device.mains(True, street.world.now_us)
    street.run(1200)
    assert len(street.host.parts(SsiTable.OUTAGE_RECORD)) == 2
    assert not codes(street)
    street.device.mains(False, street.world.now_us)
    street.run(1200)
    street.device.module.mains(True, street.world.now_us)
    street.run(300)
    assert codes(street) == [(AlarmSource.MODULE, ModuleAlarm.METER_UNREACHABLE)]


@pytest.mark.parametrize("outages", [3, 20])
def test_the_last_outages_are_kept(outages: int) -> None:
    sense, memory, _ = detector()
    at_us = 0
    for _ in range(outages):
        sense.lost(at_us)
        at_us += 100 * S
        sense.returned(at_us)
        at_us += 1000 * S
    assert len(memory.outages) == min(outages, 16) >= min(outages, 5)
    assert [entry[0] for entry in memory.outages][-1] == outages


def test_an_outage_that_took_meter_and_module_is_told_after_the_restart() -> None:
    street = watching(OUTAGE=OUTAGE)
    street.run(60)
    street.device.meter.mains(False, street.world.now_us)
    street.world.run(street.world.now_us + 3600 * S)
    street.device.meter.mains(True, street.world.now_us)
    # A board without a supply of its own: nothing of the outage was seen, and the log has moved.
    street.device.nvram.commit({"module": without_the_log_monitor(street)})
    street.device.restart(street.world.now_us)
    street.run(60)
    [told] = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert told["RESTORED"] and told["DURATION_S"] == 3600


def test_an_outage_in_which_the_module_was_restarted_ends_when_the_mains_return() -> None:
    street = watching(OUTAGE=OUTAGE | {"HOLD_UP_MS": 600_000})
    street.device.mains(False, street.world.now_us)
    street.run(40)
    street.device.restart(street.world.now_us)
    street.run(80)
    street.device.mains(True, street.world.now_us)
    street.run(60)
    told = street.host.parts(SsiTable.OUTAGE_RECORD)[-1]
    assert told["RESTORED"] and 119 <= told["DURATION_S"] <= 120


def test_a_meter_without_mains_is_asked_for_its_context_ever_more_rarely() -> None:
    street = watching(OUTAGE=OUTAGE | {"HOLD_UP_MS": 3_600_000})
    street.device.mains(False, street.world.now_us)
    link = street.device.module.parts.link
    link.read_again(street.world.now_us)
    street.run(600)
    first = link.failures
    street.run(600)
    assert link.failures - first <= 3 * 600 // 60, "a minute lies between two tries of each kind"
    street.device.mains(True, street.world.now_us)
    street.run(120)
    assert link.read_due_us is not None and link.read_due_us > street.world.now_us + 60 * US_PER_S


def without_the_log_monitor(street: Street) -> bytes:
    page = json.loads(street.device.nvram.get("module") or b"{}")
    page["watch"] = {}
    return json.dumps(page).encode()
