"""Worlds in virtual time: sound for any seed, the same for the same seed, loud when not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ansi_tables.ssi_tables import ModuleAlarm
from smartmeter.cli import group
from smartmeter.network.faults import Partition
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.agenda import Agenda
from smartmeter.simulation.checks import Violation
from smartmeter.simulation.count import compare
from smartmeter.simulation.fleet import (
    QUIET_US,
    Fleet,
    FleetFailure,
    FleetSettings,
    run_fleet,
    run_to_the_end,
)
from smartmeter.simulation.swarm import DAY_US, HOUR_US, SCRIPTED, Fault, Kind, swarm
from smartmeter.ssi.outbox import Outbox
from tests.smartmeter.cli.served import smartmeter

A_DAY = ("fleet", "--meters", "1", "--days", "1")


@pytest.mark.parametrize("seed", [1, 4])
def test_everything_arrives_once_and_unaltered_whatever_the_seed_breaks(seed: int) -> None:
    count = run_fleet(FleetSettings(2, 2, seed))
    assert count.sound and count.provisioned == 2
    assert count.intervals_expected >= 2 * 2 * 96 - 2
    assert count.recovered == count.silences and count.restorations == count.outages


@pytest.mark.night
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_bad_month_of_thirty_meters(seed: int) -> None:
    assert run_fleet(FleetSettings(30, 30, seed)).sound


def test_a_quiet_world_needs_no_poll_and_knows_no_silence() -> None:
    count = run_fleet(FleetSettings(2, 1, 5, faults=False))
    assert (count.polls, count.silences, count.outages, count.alarms) == (0, 0, 0, 0)
    assert count.sound and count.reports >= 2 * 96


@pytest.mark.parametrize(
    ("link", "relays"), [(LinkSettings(rate_bps=300), 0), (LinkSettings(delay_us=25_000_000), 1)]
)
def test_over_a_slow_network_modules_report_by_themselves_too(
    link: LinkSettings, relays: int
) -> None:
    count = run_fleet(FleetSettings(1, 1, 5, faults=False, link=link, relays=relays))
    assert count.sound and count.reports >= 96
    assert (count.polls, count.silences) == (0, 0)


@pytest.mark.parametrize(
    ("link", "relays"),
    [
        (LinkSettings(rate_bps=50), 0),
        (LinkSettings(delay_us=12_000_000, duty_period_us=900_000_000, duty_open_us=45_000_000), 1),
    ],
)
def test_over_a_network_that_answers_after_every_wait_all_arrives(
    link: LinkSettings, relays: int
) -> None:
    # A full message takes minutes, or waits for a link that opens each quarter of an hour.
    count = run_fleet(FleetSettings(1, 1, 14, link=link, relays=relays))
    assert count.sound and count.provisioned == 1 and count.reports >= 80


def test_over_a_link_that_loses_two_of_five_messages_all_are_provisioned_soon() -> None:
    link = LinkSettings(500_000, 200_000, 40, 9600)
    fleet = Fleet(FleetSettings(6, 1, 1, faults=False, link=link))
    fleet.run(QUIET_US)
    sql = "SELECT count(*) FROM meters WHERE state='provisioned'"
    assert fleet.store.number(sql) == 6


def test_the_same_seed_gives_the_same_trace_and_count_in_any_process(tmp_path: Path) -> None:
    traces, counts = [], []
    for number in ("1", "2"):
        file = tmp_path / number
        options = ("--seed", "7", "--json", "--trace", str(file))
        done = smartmeter(*A_DAY, *options, PYTHONHASHSEED=number)
        assert done.returncode == 0, done.stderr
        traces.append(file.read_bytes())
        counts.append(done.stdout)
    assert counts[0] == counts[1] and json.loads(counts[0])["seconds"] >= 24 * 3600
    assert traces[0] == traces[1] and len(traces[0].splitlines()) > 200


@pytest.mark.parametrize(
    ("name", "status", "remedy"),
    [("/dev/full", 1, "free some space"), ("/proc/no/such", 2, "choose another")],
)
def test_a_trace_that_cannot_be_written_is_one_line_with_its_name(
    name: str, status: int, remedy: str
) -> None:
    done = smartmeter(*A_DAY, "--trace", name)
    assert done.returncode == status and len(done.stderr.splitlines()) == 1
    assert f"--trace {name}: No " in done.stderr and remedy in done.stderr


def test_another_seed_gives_another_world() -> None:
    lines: dict[int, list[str]] = {1: [], 2: []}
    for seed, found in lines.items():
        fleet = Fleet(FleetSettings(1, 1, seed), found.append)
        fleet.run(4 * HOUR_US)
    assert lines[1] and lines[1] != lines[2]


@pytest.mark.parametrize("dropped", [0, 3])
def test_a_broken_promise_ends_the_run_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, dropped: int
) -> None:
    """Also of a module whose outbox was full once, and had to let three reports go."""

    def forget(outbox: Outbox, number: int, also: object) -> None:
        outbox._entries.clear()

    monkeypatch.setattr(Outbox, "acknowledged", forget)
    fleet = Fleet(FleetSettings(1, 1, 3, faults=False))
    house = fleet.houses["SM000001"]
    fleet.run(2 * HOUR_US)
    cut = Partition()
    house.link.wrap(cut)
    fleet.run(4 * HOUR_US)
    house.link.unwrap(cut)
    house.device.module.parts.memory.reports_dropped = dropped
    with pytest.raises(Violation, match=r"forgotten unsent \(SM000001"):
        fleet.run(6 * HOUR_US)


def test_a_fleet_that_never_settles_fails_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smartmeter.simulation.fleet.DRAIN_US", 0)
    monkeypatch.setattr("smartmeter.simulation.fleet.settled", lambda *_: False)
    with pytest.raises(FleetFailure, match="smartmeter fleet --meters 1 --days 1 --seed 9"):
        run_fleet(FleetSettings(1, 1, 9))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("fleet.settled", lambda *_: False, "after the last fault"),
        ("checks.CAPACITY", 0, "over its bound"),
    ],
)
def test_a_program_that_reads_a_fleet_gets_its_object_also_when_a_promise_is_broken(
    name: str, value: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.simulation.fleet.DRAIN_US", 0)
    monkeypatch.setattr(f"smartmeter.simulation.{name}", value)
    line = ["fleet", "--meters", "1", "--days", "1", "--quiet", "--json"]
    done = CliRunner().invoke(group, line)
    assert done.exit_code == 1 and told in done.stderr
    assert json.loads(done.stdout)["meters"] == 1


def test_swarms_differ_by_seed_and_stay_inside_their_time() -> None:
    esns = ["A", "B"]
    swarms = [swarm(seed, esns, HOUR_US, 20 * DAY_US) for seed in range(12)]
    assert len({frozenset(fault.kind for fault in faults) for faults in swarms}) > 3
    assert {fault.kind for faults in swarms for fault in faults} == set(Kind) - SCRIPTED
    assert swarms[3] == swarm(3, esns, HOUR_US, 20 * DAY_US)
    for faults in swarms:
        assert all(HOUR_US <= f.begin_us <= f.end_us <= 20 * DAY_US for f in faults)


def test_an_agenda_gives_the_earliest_and_keeps_the_last_word() -> None:
    agenda = Agenda()
    agenda.put("a", 5)
    agenda.put("b", 3)
    agenda.put("b", 9)
    agenda.put("c", 4)
    agenda.put("c", None)
    assert agenda.next_us() == 5
    assert agenda.take(4) is None
    assert [agenda.take(10), agenda.take(10), agenda.take(10)] == [(5, "a"), (9, "b"), None]


def test_a_meter_whose_clock_was_set_wrong_is_heard_all_the_same() -> None:
    hour_us = DAY_US + 2 * HOUR_US
    wrong = Fault(hour_us, hour_us + DAY_US, Kind.CLOCK_SET, "SM000001", 41)
    fleet = Fleet(FleetSettings(1, 3, 1, load_step_min=15), faults=[wrong])
    assert run_to_the_end(fleet).sound
    sql = "SELECT text FROM alarms WHERE code=?"
    told = [row["text"] for row in fleet.store.read(sql, ModuleAlarm.CLOCK_OFF)]
    assert told == ["the clocks differ too much"]


def test_a_head_end_that_came_back_from_a_backup_fetches_what_it_had_acknowledged_since() -> None:
    fleet = Fleet(FleetSettings(1, 1, 5, faults=False))
    fleet.run(6 * HOUR_US)
    backup = fleet.store._connection.serialize()
    fleet.run(10 * HOUR_US)
    fleet.store._connection.deserialize(backup)
    fleet.head_end = fleet._open_office()
    fleet.run(11 * HOUR_US)
    fleet.stop_recording()
    fleet.run(12 * HOUR_US)
    expected, stored, altered = compare(fleet.store, fleet.journals)
    assert (stored, altered) == (expected, 0) and expected >= 40
    assert fleet.head_end.figures.polls <= 5, "a ping, what is missing, and two logs, once"


def test_polls_are_counted_from_the_beginning_although_the_head_end_was_begun_anew() -> None:
    faults = [
        Fault(3 * HOUR_US, 5 * HOUR_US, Kind.SILENCE, "SM000001", 10),
        Fault(8 * HOUR_US, 8 * HOUR_US, Kind.HEAD_END, "", 10),
    ]
    fleet = Fleet(FleetSettings(1, 1, 1), faults=faults)
    told = run_to_the_end(fleet).polls
    assert fleet.head_end.figures.polls < told
    sql = "SELECT sum(polls) FROM jobs WHERE kind NOT IN ('provision', 'key')"
    assert told == fleet.store.number(sql)
