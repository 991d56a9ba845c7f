"""Refusals are counted by title and reason, and only strangers are listed as unknown devices."""

from collections.abc import Callable
from pathlib import Path

import pytest

from smartmeter.base.clock import DAY_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.refusals import MAX_KINDS, Refusals
from smartmeter.tms.store.records import store_security_event
from smartmeter.tms.template import make_template
from tests.smartmeter.tms.running import rest, running_tms


def _stored(refusals: Refusals) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Write what was counted into a store; give its refusals and its unknown devices."""
    store = MemoryStore()
    change = refusals.take(1000)
    if change is not None:
        store.write_now(change)
    events = store.read("SELECT title, reason, count FROM security_events")
    unknown = store.read("SELECT title, count FROM unknown_devices")
    return (
        {(row["title"], row["reason"]): row["count"] for row in events},
        {row["title"]: row["count"] for row in unknown},
    )


def test_a_stranger_is_listed_and_one_that_is_known_or_has_no_title_is_not() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    for _ in range(3):
        refusals.note(".7.2", "no-such-key", unknown=True)
    refusals.note("", "not-an-apdu", unknown=True)
    events, unknown = _stored(refusals)
    assert events == {
        (".7.1", "mac-mismatch"): 1,
        (".7.2", "no-such-key"): 3,
        ("", "not-an-apdu"): 1,
    }
    assert unknown == {".7.2": 3}


async def test_a_program_is_told_of_strangers_and_refusals_as_the_page_is(tmp_path: Path) -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    refusals.note(".7.2", "no-such-key", unknown=True)
    async with running_tms(tmp_path) as tms, rest(tms) as client:
        change = refusals.take(1000)
        assert change is not None
        tms.store.write_now(change)
        at = "1970-01-01 00:16:40"
        stranger = {"title": ".7.2", "count": 1, "first": at, "last": at}
        assert (await client.get("/api/unknown-devices")).json() == [stranger]
        told = (await client.get("/api/refusals")).json()
    assert {(one["title"], one["reason"], one["time"], one["count"]) for one in told} == {
        (".7.1", "mac-mismatch", at, 1),
        (".7.2", "no-such-key", at, 1),
    }


def test_what_was_taken_is_not_counted_again() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    assert refusals.take(1000) is not None
    assert refusals.take(1000) is None
    refusals.stored(well=True)
    assert refusals.take(1000) is None


def test_what_could_not_be_stored_is_counted_with_what_came_meanwhile() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    refusals.take(1000)
    for _ in range(2):
        refusals.note(".7.1", "mac-mismatch")
    assert refusals.take(1001) is None, "one is being made"
    refusals.stored(well=False)
    assert _stored(refusals)[0] == {(".7.1", "mac-mismatch"): 3}


def test_what_a_store_has_no_place_to_wait_for_is_counted_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, later = MemoryStore(), list[Callable[[], None]]()
    head_end = HeadEnd(store, Calendar(0), make_template(), later.append)
    head_end.load(0)
    head_end.refused("not-an-apdu", 0)

    def is_full(*_: object) -> None:
        raise StorageError("tms.sqlite3", "changes wait for it", "is its medium sound?")

    with monkeypatch.context() as now:
        now.setattr(store, "write", is_full)
        with pytest.raises(StorageError):
            head_end.expire(0)
    for now_us in range(1, 4):
        head_end.expire(now_us)
        while later:
            later.pop()()
    rows = store.read("SELECT reason, count FROM security_events")
    assert [tuple(row) for row in rows] == [("not-an-apdu", 1)]


def test_more_kinds_than_are_told_apart_count_as_of_nobody() -> None:
    refusals = Refusals()
    for number in range(MAX_KINDS + 5):
        refusals.note(f".7.{number}", "no-such-key", unknown=True)
    refusals.note(".7.0", "no-such-key", unknown=True)
    events, unknown = _stored(refusals)
    assert len(unknown) == MAX_KINDS and unknown[".7.0"] == 2
    assert events["", "of many titles"] == 5


def test_what_is_refused_after_a_clock_was_set_back_is_not_told_as_of_years_ahead() -> None:
    store, ahead_s = MemoryStore(), 400 * DAY_S
    for time_s in (ahead_s, 1000, 2000):
        store.write_now(lambda c, at_s=time_s: store_security_event(c, at_s, ".7.1", "old-key", 1))
    rows = store.read("SELECT time_s, count FROM security_events ORDER BY id")
    assert [tuple(row) for row in rows] == [(ahead_s, 1), (1000, 2)]


def test_a_refusal_counts_once_where_a_clock_that_was_set_back_a_little_left_two_lines() -> None:
    store = MemoryStore()
    for time_s in (1000, 999, 1001):
        store.write_now(lambda c, at_s=time_s: store_security_event(c, at_s, ".7.1", "old-key", 1))
    assert store.number("SELECT sum(count) FROM security_events") == 3
