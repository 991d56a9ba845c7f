"""What is old goes, and what was stored once is never stored again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import DAY_S
from smartmeter.simulation.fleet import EPOCH_US, Fleet, FleetSettings
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.simulation.swarm import DAY_US
from smartmeter.tms.retention import steps
from smartmeter.tms.store import pruning
from smartmeter.tms.store.interval_rows import store_intervals
from smartmeter.tms.store.pruned_numbers import Numbered, note_pruned, pruned_until
from smartmeter.tms.store.queries import gaps
from smartmeter.tms.store.records import store_events
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.tms.reporting import UTC_S, Office
from tests.smartmeter.tms.stored import part
from tests.waiting import wait_until

RING = (Numbered.INTERVAL, "SM1", 1, 1)
NOW_S = 1_767_225_600
NUMBERS = st.lists(st.sets(st.integers(0, 30), min_size=1), max_size=6)


def prune(store: Store, keep_days: int = 30, now_s: int = NOW_S) -> None:
    script = steps(store, keep_days, now_s)
    told: Any = None
    while True:
        try:
            told = store.write_now(script.send(told))
        except StopIteration:
            return


def keep(store: Store, what: dict[str, Any], received_s: int) -> int:
    return store.write_now(lambda c: store_intervals(c, "SM1", what, "report", received_s))


def held(store: Store) -> list[tuple[int, int]]:
    rows = store.read("SELECT ring_epoch, sequence FROM intervals ORDER BY 1, 2")
    return [(row[0], row[1]) for row in rows]


def days_ago(days: float) -> int:
    return NOW_S - int(days * DAY_S)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = MemoryStore()
    yield opened
    opened.close()


def test_a_clock_that_is_ahead_by_years_drops_nothing(store: Store) -> None:
    sql = "INSERT INTO meters (esn, title, heard_s) VALUES ('SM1', '.7.1', ?)"
    store.write_now(lambda c: c.execute(sql, (NOW_S,)).rowcount)
    keep(store, part(0, [days_ago(40), days_ago(20), days_ago(1)]), days_ago(1))
    keep(store, part(3, [NOW_S, NOW_S]), NOW_S)
    store.write_now(lambda c: c.execute("UPDATE intervals SET received_s=end_s").rowcount)
    prune(store, now_s=NOW_S + 7000 * DAY_S)
    assert held(store) == [(1, 1), (1, 2), (1, 3), (1, 4)]


def test_a_clock_that_is_ahead_by_years_drops_nothing_though_modules_take_it_over() -> None:
    fleet = Fleet(FleetSettings(3, 1, 1, faults=False))
    fleet.run(DAY_US)
    fleet._calendar.set(EPOCH_US + 400 * DAY_US, fleet.now_us)
    fleet.run(fleet.now_us + DAY_US // 2)
    ahead_s = fleet.head_end.utc_s
    assert fleet.store.number("SELECT min(heard_s) FROM meters") > ahead_s - 7200, "by that time"
    before = held(fleet.store), fleet.store.number("SELECT count(*) FROM reports")
    prune(fleet.store, now_s=ahead_s)
    assert (held(fleet.store), fleet.store.number("SELECT count(*) FROM reports")) == before


def test_one_clock_of_many_that_is_wrong_keeps_nothing_longer_and_drops_nothing(
    store: Store,
) -> None:
    sql = "INSERT INTO meters (esn, title, heard_s) VALUES (?, ?, ?)"
    for number, end_s in enumerate((NOW_S, NOW_S, NOW_S, days_ago(5000), days_ago(-5000)), 1):
        row = f"SM{number}", f".7.{number}", NOW_S
        store.write_now(lambda c, row=row: c.execute(sql, row).rowcount)
        value = part(5, [end_s])
        store.write_now(lambda c, r=row, v=value: store_intervals(c, r[0], v, "report", NOW_S))
    keep(store, part(0, [days_ago(40), days_ago(20)]), days_ago(40))
    store.write_now(lambda c: c.execute("UPDATE intervals SET received_s=end_s").rowcount)
    store.write_now(
        lambda c: c.execute(f"UPDATE intervals SET received_s={NOW_S} WHERE sequence=5")
    )
    prune(store)
    rows = store.read("SELECT sequence FROM intervals WHERE esn='SM1'")
    assert [row[0] for row in rows] == [1, 5]


def test_who_was_heard_last_by_a_clock_that_was_ahead_keeps_nothing_longer(store: Store) -> None:
    sql = "INSERT INTO meters (esn, title, heard_s) VALUES (?, ?, ?)"
    for number, heard_s in ((1, NOW_S), (2, days_ago(-5000))):
        row = f"SM{number}", f".7.{number}", heard_s
        store.write_now(lambda c, row=row: c.execute(sql, row).rowcount)
    last = part(0, [days_ago(400)])
    store.write_now(lambda c: store_intervals(c, "SM2", last, "report", days_ago(-5000)))
    keep(store, part(0, [days_ago(40)]), days_ago(40))
    keep(store, part(1, [NOW_S]), NOW_S)
    prune(store)
    rows = store.read("SELECT sequence FROM intervals WHERE esn='SM1'")
    assert [row[0] for row in rows] == [1]


def test_a_set_that_a_meter_keeps_no_more_hides_no_clock_that_is_ahead(store: Store) -> None:
    ahead_s = days_ago(-5000)
    sql = "INSERT INTO meters (esn, title, heard_s) VALUES ('SM1', '.7.1', ?)"
    store.write_now(lambda c: c.execute(sql, (ahead_s,)).rowcount)
    keep(store, part(0, [days_ago(2), days_ago(1)]) | {"SET": 2}, days_ago(1))
    keep(store, part(0, [days_ago(2), days_ago(1)]), days_ago(1))
    keep(store, part(2, [NOW_S]), ahead_s)
    prune(store, now_s=ahead_s)
    assert len(held(store)) == 5


@settings(max_examples=40)
@given(NUMBERS)
def test_ranges_hold_just_the_numbers_that_were_noted(batches: list[set[int]]) -> None:
    store = MemoryStore()
    noted: dict[int, int] = {}
    for time_s, batch in enumerate(batches):
        rows = [(number, time_s) for number in sorted(batch)]
        store.write_now(lambda c, rows=rows: note_pruned(c, RING, rows))
        noted |= dict(rows)
    for number in range(-1, 33):
        until_s = store.write_now(lambda c, number=number: pruned_until(c, RING, number))
        assert (until_s is not None) == (number in noted)
        assert until_s is None or until_s >= noted[number]
    ranges = store.read("SELECT first, last FROM pruned ORDER BY first")
    for one, following in pairwise(ranges):
        assert one["last"] + 1 < following["first"], "what has no seam is one range"
    store.close()


#: The first interval of a delivery, how many, and how many days pass before it; so often repeated.
DELIVERIES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6), st.integers(0, 25)), min_size=1, max_size=12
)


@settings(max_examples=60)
@given(DELIVERIES, st.integers(1, 40))
def test_whatever_comes_late_twice_or_across_gaps_is_stored_once_in_all_the_years(
    deliveries: list[tuple[int, int, int]], keep_days: int
) -> None:
    store = MemoryStore()
    now_s, told, stored = NOW_S, set[int](), 0
    for first, count, days in deliveries:
        now_s += days * DAY_S
        ends = [NOW_S + n * DAY_S for n in range(first, first + count)]
        for _ in range(2):
            stored += keep(store, part(first, ends), now_s)
        told |= set(range(first, first + count))
        prune(store, keep_days, now_s)
        assert stored == len(told), "each is new once"
        kept = {sequence for _, sequence in held(store)}
        assert max(told) in kept and kept <= told
        young = {n for n in told if NOW_S + n * DAY_S >= now_s - keep_days * DAY_S}
        assert young <= kept, "what is not old is there"
        assert store.number("SELECT count FROM totals WHERE name='intervals'") == len(kept)
        missing = {n for begin, end in gaps(store, "SM1", 1)[:-1] for n in range(begin, end or 0)}
        assert missing == set(range(min(kept), max(told))) - told, "nobody is asked for what came"
    store.close()


def test_what_is_old_goes_and_comes_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "STEP_ROWS", 3)
    ends = [days_ago(40 - n) for n in range(20)]  # the last ten are not older than thirty days
    for first, some in ((0, ends[:4]), (6, ends[6:])):
        keep(store, part(first, some), days_ago(40))
    late = part(4, ends[4:5])
    assert keep(store, late, days_ago(1)) == 1, "late, and not older than its arrival"
    before = gaps(store, "SM1", 1)
    prune(store)
    assert held(store) == [(1, 4), *((1, n) for n in range(10, 20))]
    assert store.number("SELECT count FROM totals WHERE name='intervals'") == 11
    ranges = [tuple(row) for row in store.read("SELECT first, last FROM pruned ORDER BY first")]
    assert ranges == [(0, 3), (6, 9)], "the gap stays one"
    assert gaps(store, "SM1", 1)[-1] == before[-1], "the newest is known"
    assert keep(store, part(0, ends[:4]), NOW_S) == keep(store, late, NOW_S) == 0
    assert keep(store, part(5, ends[5:6]), NOW_S) == 1, "what never came is taken, however late"
    prune(store, now_s=NOW_S + 100 * DAY_S)
    assert held(store) == [(1, 19)], "the newest of a ring stays for good"


def test_a_ring_that_began_anew_under_the_numbers_of_a_pruned_one_is_kept(store: Store) -> None:
    keep(store, part(0, [days_ago(90 - n) for n in range(5)]), days_ago(80))
    prune(store)
    assert held(store) == [(1, 4)]
    assert keep(store, part(0, [days_ago(2), days_ago(1)], value=9), NOW_S) == 2
    assert held(store) == [(1, 4), (2, 0), (2, 1)]
    assert keep(store, part(0, [days_ago(90), 0]), NOW_S) == 0, "those of the first ring"


def test_entries_of_a_log_that_is_told_anew_after_they_were_dropped_are_known(
    store: Store,
) -> None:
    def entries(*times: int) -> dict[str, Any]:
        named = [{"SEQUENCE": n, "TIME": t, "CODE": 1} for n, t in enumerate(times)]
        return {"ENTRIES": [one | {"USER_ID": 0, "ARGUMENT": b""} for one in named]}

    log = entries(*(days_ago(90 - n) for n in range(5)))
    store.write_now(lambda c: store_events(c, "SM1", log, days_ago(80)))
    prune(store)
    assert store.number("SELECT count(*) FROM events") == 1
    again = entries(*(days_ago(90 - n) for n in range(4)), days_ago(1))
    store.write_now(lambda c: store_events(c, "SM1", again, NOW_S))
    assert store.number("SELECT count(*) FROM events") == 2, "one has a number of old, and is new"


def test_a_report_that_comes_again_after_it_was_dropped_is_acknowledged_and_stores_nothing() -> (
    None
):
    office = Office()
    for number in (1, 2, 4):
        office.send(0, number, 2 * number)
    assert office.answers() == [(0, [ResponseCode.ok] * 2)] * 3
    heard = "UPDATE meters SET heard_s=?"
    office.store.write_now(lambda c: c.execute(heard, (UTC_S + 60 * DAY_S,)).rowcount)
    prune(office.store, 30, UTC_S + 60 * DAY_S)
    assert office.store.number("SELECT count(*) FROM reports") == 1
    for number in (1, 2, 4, 3):
        office.send(0, number, 2 * number)
    assert office.answers() == [(0, [ResponseCode.ok] * 2)] * 4
    rows = office.store.read("SELECT number FROM reports ORDER BY number")
    assert [row["number"] for row in rows] == [3, 4], "the one that had never come is new"
    sequences = office.store.read("SELECT sequence FROM intervals ORDER BY sequence")
    assert [row["sequence"] for row in sequences] == [6, 7, 9]


def test_alarms_that_are_open_work_that_was_done_last_and_outages_stay(store: Store) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for n, closed_by in enumerate(("", "ann", "ann")):
            connection.execute(
                "INSERT INTO alarms (esn, epoch, alarm_nbr, source, code, disposition, time_s,"
                " monitor_nbr, value, text, received_s, closed_by)"
                " VALUES ('SM1', 1, ?, 5, 0, 2, 0, 0, 0, '', ?, ?)",
                (n, days_ago(40 if n < 2 else 1), closed_by),
            )
        for kind, state, ended_s in (
            ("trace", "done", days_ago(90)),
            ("trace", "done", days_ago(80)),
            ("ping", "running", 0),
            ("ping", "done", days_ago(1)),
        ):
            connection.execute(
                "INSERT INTO jobs (esn, kind, state, requested_by, created_s, ended_s)"
                " VALUES ('SM1', ?, ?, 'ann', 1, ?)",
                (kind, state, ended_s),
            )
        for due in (1, 2):
            connection.execute("INSERT INTO polls VALUES ('SM1', 1, ?, ?, '', 0, '[]')", (due, due))
        for time_s in (days_ago(90), days_ago(2)):
            row = (time_s, time_s)
            connection.execute("INSERT INTO readings VALUES ('SM1', ?, 23, 1, x'00', ?)", row)
        connection.execute("INSERT INTO outages VALUES ('SM1', 1, 1, 1, 2, 2)")

    store.write_now(fill)
    prune(store)
    assert [row[0] for row in store.read("SELECT alarm_nbr FROM alarms")] == [0, 2]
    assert [row[0] for row in store.read("SELECT id FROM jobs ORDER BY id")] == [2, 3, 4]
    assert [row[0] for row in store.read("SELECT due_s FROM polls")] == [2]
    assert [row[0] for row in store.read("SELECT time_s FROM readings")] == [days_ago(2)]
    assert store.number("SELECT count(*) FROM outages") == 1


def test_a_step_that_is_cut_off_has_dropped_rows_with_their_numbers_or_neither(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    keep(store, part(0, [days_ago(90 - n) for n in range(5)]), days_ago(80))
    step = next(steps(store, 30, NOW_S))

    def cut(connection: sqlite3.Connection) -> None:
        step(connection)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.write_now(cut)
    assert len(held(store)) == 5 and not store.number("SELECT count(*) FROM pruned")
    store.close()


def test_whatever_is_pruned_is_gone_once_when_the_tms_is_killed_meanwhile(tmp_path: Path) -> None:
    """Each number is that of a row or stands in a range, never both and never neither."""
    seed = time.time_ns()
    print(f"seed {seed}")
    chance, esns, told = Random(seed), [f"SM{n}" for n in range(1, 7)], range(2500)
    store = Store(tmp_path / "tms.sqlite3")
    for esn in esns:
        old = part(0, [days_ago(400) + 900 * n for n in told])
        store.write_now(lambda c, e=esn, p=old: store_intervals(c, e, p, "report", days_ago(300)))
        log = [
            {"SEQUENCE": n, "TIME": days_ago(400), "CODE": 1, "USER_ID": 0, "ARGUMENT": b""}
            for n in told
        ]
        entries = {"ENTRIES": log}
        store.write_now(lambda c, e=esn, v=entries: store_events(c, e, v, days_ago(300)))
    store.close()
    run = ("tms", "run", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--web", "off")
    lefts = [len(esns) * 2 * len(told)]
    for _ in range(2):  # each start takes a second
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "smartmeter", *run, "--keep-days", "30"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.8))
            if lefts[-1] > len(esns) * 2:  # a busy machine may have dropped nothing yet
                wait_until(lambda: _rows(tmp_path / "tms.sqlite3") != lefts[-1])
        finally:
            process.kill()
            process.communicate(timeout=60)
        lefts.append(_left(tmp_path / "tms.sqlite3", esns, set(told)))
    assert lefts[-1] < lefts[0]
    store = Store(tmp_path / "tms.sqlite3")
    prune(store)
    store.close()
    assert _left(tmp_path / "tms.sqlite3", esns, set(told)) == len(esns) * 2, "the newest of each"


def _rows(path: Path) -> int:
    sql = "SELECT (SELECT count(*) FROM intervals) + (SELECT count(*) FROM events)"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute(sql).fetchone()[0])


def _left(path: Path, esns: list[str], told: set[int]) -> int:
    """Count what is left of intervals and entries, and see that the rest stands in ranges."""
    left = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for esn in esns:
            for kind, table in (("interval", "intervals"), ("event", "events")):
                sql = f"SELECT sequence FROM {table} WHERE esn=?"
                rows = [row[0] for row in connection.execute(sql, (esn,))]
                sql = "SELECT first, last FROM pruned WHERE kind=? AND esn=?"
                ranges = connection.execute(sql, (kind, esn)).fetchall()
                gone = [n for first, last in ranges for n in range(first, last + 1)]
                assert sorted(rows + gone) == sorted(told), f"{kind} of {esn}"
                left += len(rows)
        [[total]] = connection.execute("SELECT count FROM totals WHERE name='intervals'")
        assert total == connection.execute("SELECT count(*) FROM intervals").fetchone()[0]
    return left
