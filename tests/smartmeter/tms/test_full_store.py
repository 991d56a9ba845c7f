"""A database that takes nothing for a while: what the TMS noticed meanwhile is true afterwards."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.model import Kind, State
from smartmeter.tms.polled_list import PolledMeter, import_polled
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.template import make_template

EPOCH_S = 1_767_225_600
FULL = StorageError("tms.sqlite3", "database or disk is full", "free some space")
TEMPLATE = make_template({"schedules": [{"SCHEDULE_NBR": 1, "CONTENT": 1}]})
T = TypeVar("T")


class FillingStore(MemoryStore):
    """Takes, or gives, nothing while it is told so; keeps what is to be tried again, as Store."""

    takes, gives = True, True

    def __init__(self) -> None:
        super().__init__()
        self._owed: list[Any] = []

    def write(self, change: Callable[[sqlite3.Connection], T], again: bool = False) -> Future[T]:
        if self.takes:
            return super().write(change)
        future: Future[T] = Future()
        if again:
            self._owed.append(change)
        else:
            future.set_exception(FULL)
        return future

    def make_room(self) -> None:
        self.takes = True
        for change in self._owed:
            super().write(change)

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        if not self.gives:
            raise FULL
        return super().one(sql, *values)


@pytest.fixture
def store() -> FillingStore:
    return FillingStore()


def a_head_end(store: FillingStore) -> HeadEnd:
    head_end = HeadEnd(store, Calendar(EPOCH_S * US_PER_S), TEMPLATE, lambda function: function())
    head_end.load(0)
    return head_end


def provisioned(store: FillingStore, *esns: str) -> None:
    """Enter SmartMeters that keep to the template and were heard just now."""
    shipped = [Shipped(esn, f".7.{n}", bytes(16), "") for n, esn in enumerate(esns, 1)]
    store.write_now(lambda c: import_shipment(c, shipped, EPOCH_S))
    sql = "UPDATE meters SET config_version=?, heard_s=?, state=?"
    row = (TEMPLATE.version, EPOCH_S, State.PROVISIONED)
    store.write_now(lambda c: c.execute(sql, row).rowcount)


def test_who_fell_silent_while_the_disk_was_full_is_named_when_it_has_room(
    store: FillingStore,
) -> None:
    provisioned(store, "SM1", "SM2")
    head_end = a_head_end(store)
    store.takes = False
    with pytest.raises(StorageError, match="is full"):
        head_end.expire(1800 * US_PER_S)  # nobody can be looked after: that work is not durable
    store.make_room()
    assert store.number("SELECT count(*) FROM silences WHERE ended_s=0") == 2
    assert store.number("SELECT count(*) FROM meters WHERE state=?", State.OVERDUE) == 2
    head_end.expire(4 * 3600 * US_PER_S)
    assert {job.esn for job in head_end.jobs.under_way()} == {"SM1", "SM2"}


def test_work_that_ended_while_the_disk_was_full_is_under_way_no_more(store: FillingStore) -> None:
    provisioned(store, "SM1")
    head_end = a_head_end(store)
    head_end.request("SM1", Kind.PING, "ann")
    store.takes = False
    for second in range(60):
        head_end.expire(second * US_PER_S)
    assert not head_end.jobs.under_way()
    store.make_room()
    row = store.one("SELECT state, cause FROM jobs")
    assert row is not None and tuple(row) == ("failed", "not connected")


def test_a_poll_that_could_not_look_up_what_is_known_blames_no_meter_and_the_next_begins(
    store: FillingStore,
) -> None:
    plain = [PolledMeter("P1", "tcp:192.0.2.1:1", 2, b"", "")]
    store.write_now(lambda c: import_polled(c, plain, EPOCH_S))
    head_end = a_head_end(store)
    store.gives = False
    for second in range(60):
        head_end.expire(second * US_PER_S)
    store.gives = True
    assert not head_end.polled.take() and not head_end.jobs.under_way()
    row = store.one("SELECT state FROM meters")
    assert row is not None and row[0] == State.POLLED
    head_end.expire(1000 * US_PER_S)
    assert len(head_end.polled.take()) == 1


def test_what_nobody_foresaw_is_told_although_the_store_takes_nothing_either(
    store: FillingStore,
) -> None:
    provisioned(store, "SM1", "SM2")
    head_end = a_head_end(store)
    store.write_now(lambda c: c.execute("UPDATE meters SET base='x' WHERE esn='SM1'").rowcount)
    store.takes = False
    with pytest.raises(ValueError, match="invalid literal"):
        head_end.expire(1800 * US_PER_S)
