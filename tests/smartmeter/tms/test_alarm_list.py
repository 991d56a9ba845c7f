"""Alarms by the hundred thousand: counted as they come, listed of one meter, closed together."""

import sqlite3
from collections.abc import Iterator

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms import alarm_list
from smartmeter.tms.alarm_list import AlarmList

METERS = ("SM1", "SM2", "SM3")


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    opened = MemoryStore()
    opened.write_now(lambda c: tell(c, 0, 4))
    yield opened
    opened.close()


def tell(connection: sqlite3.Connection, first: int, end: int) -> None:
    """Enter alarms of each meter."""
    rows = [(esn, number) for number in range(first, end) for esn in METERS]
    connection.executemany(
        "INSERT INTO alarms (esn, epoch, alarm_nbr, source, code, disposition, time_s,"
        " monitor_nbr, value, text, received_s) VALUES (?, 1, ?, 3, 1, 2, 5, 0, 0, 'text', 5)",
        rows,
    )


def open_ones(store: MemoryStore) -> int:
    return store.number("SELECT count FROM totals WHERE name='open_alarms'")


def test_how_many_are_open_is_known_without_counting_them(store: MemoryStore) -> None:
    listed = AlarmList(store)
    assert open_ones(store) == listed.page(only_open=True)["total"] == 12
    listed.close(3, "ann")
    with pytest.raises(SettingsError, match="alarm 3: is not open"):
        listed.close(3, "bob")
    store.write_now(lambda c: tell(c, 4, 5))
    assert open_ones(store) == listed.page(only_open=True)["total"] == 14
    store.write_now(lambda c: c.execute("DELETE FROM alarms WHERE id IN (3, 4)").rowcount)
    assert open_ones(store) == store.number("SELECT count(*) FROM alarms WHERE closed_by=''")
    assert listed.page()["total"] == store.number("SELECT count(*) FROM alarms") == 13


def test_alarms_are_closed_together_of_one_meter_or_all_and_what_came_later_stays_open(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_list, "CLOSED_AT_ONCE", 3)
    listed = AlarmList(store)
    of_one = listed.page(only_open=True, esn="SM2")
    assert of_one["total"] == 4 and {one["esn"] for one in of_one["alarms"]} == {"SM2"}
    newest = of_one["alarms"][0]["id"]
    store.write_now(lambda c: tell(c, 4, 5))
    closed = [listed.close_some(newest, "ann", "SM2") for _ in range(3)]
    assert closed == [3, 1, 0] and open_ones(store) == 11
    newest = listed.page(only_open=True)["alarms"][0]["id"]
    store.write_now(lambda c: tell(c, 5, 6))
    while listed.close_some(newest, "bob"):
        pass
    assert [one["esn"] for one in listed.page(only_open=True)["alarms"][::-1]] == list(METERS)
    by = {row[0] for row in store.read("SELECT DISTINCT closed_by FROM alarms WHERE esn='SM2'")}
    assert by == {"ann", "bob", ""}


def test_who_goes_on_below_the_last_one_of_a_page_reads_each_once_whatever_comes_meanwhile(
    store: MemoryStore,
) -> None:
    listed, seen = AlarmList(store), [12]
    while page := listed.page(limit=5, only_open=True, before=seen[-1])["alarms"]:
        seen += [one["id"] for one in page]
        number = len(seen)
        store.write_now(lambda c, number=number: tell(c, number, number + 1))
        listed.close(seen[-1], "ann")
    assert seen == list(range(12, 0, -1))
