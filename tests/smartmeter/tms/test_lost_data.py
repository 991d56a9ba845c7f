"""What a store that came back from a backup lacks is asked for until it was had, or eight times."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from ansi_tables.ssi_tables import Cause
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.lost_data import KINDS, MAX_ASKS, LostData
from smartmeter.tms.model import Kind
from smartmeter.tms.store.pruned_numbers import Numbered, note_pruned
from smartmeter.tms.store.queries import first_missing_entry

ESN = "SM1"


class Desk:
    """Notes what is asked for; ``busy`` work is under way already."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.asked: list[Kind] = []
        self.busy: set[Kind] = set()
        self.begin()

    def begin(self) -> None:
        """Begin anew on the same store."""
        self.lost = LostData(
            self.store,
            lambda esn, kind, script: self._begin(kind),
            lambda esn: 1 if self._begin(Kind.RECOVER) else None,
        )

    def _begin(self, kind: Kind) -> bool:
        if kind not in self.busy:
            self.asked.append(kind)
        return kind not in self.busy

    def tell(self, number: int, cause: Cause = Cause.SCHEDULE) -> list[Kind]:
        """Store a report; give what is asked for then."""
        row = (ESN, 1, number, cause, 1, 0, 0, 1, 1, 0, "[]")
        marks = ",".join("?" * len(row))
        self.store.write_now(lambda c: c.execute(f"INSERT INTO reports VALUES ({marks})", row))
        header = {"CAUSE": cause, "OUTBOX_EPOCH": 1, "REPORT_NBR": number}
        self.lost.reported(ESN, header, ())
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    yield opened
    opened.store.close()


def test_who_goes_on_where_it_stood_is_asked_nothing(desk: Desk) -> None:
    for number in (1, 2, 3):
        assert desk.tell(number) == []


def test_an_alarm_that_overtakes_the_queue_is_no_gap_and_hides_none(desk: Desk) -> None:
    desk.tell(1)
    desk.begin()
    assert desk.tell(3, Cause.ALARM) == [] and desk.tell(2) == []
    desk.begin()
    assert desk.tell(7, Cause.ALARM) == [] and desk.tell(8) == list(KINDS)


def test_what_was_not_had_is_asked_again_with_later_reports_and_not_for_ever(desk: Desk) -> None:
    assert desk.tell(5) == list(KINDS)
    desk.lost.had(ESN, Kind.EVENTS)
    desk.busy.add(Kind.RECOVER)
    assert desk.tell(6) == [Kind.OUTAGES]
    desk.busy.add(Kind.OUTAGES)
    for number in range(7, 20):
        assert desk.tell(number) == [], "what is under way costs no try"
    desk.busy.clear()
    desk.lost.had(ESN, Kind.OUTAGES)
    tries = [desk.tell(number) for number in range(20, 20 + MAX_ASKS)]
    assert tries == [[Kind.RECOVER]] * (MAX_ASKS - 2) + [[]] * 2
    desk.lost.had(ESN, Kind.RECOVER)
    assert desk.tell(99) == [], "each is looked at once since the start"


@pytest.mark.parametrize(
    ("stored", "pruned", "first"),
    [
        ([], [], 1),
        ([1, 2, 3], [], 4),
        ([3, 4], [], 1),
        ([1, 2, 5, 9], [], 3),
        ([5, 9], [(1, 4), (6, 7)], 8),
        ([5, 6], [(1, 4)], 7),
        ([2, 3], [(1, 1)], 4),
        ([7000, 7001], [], 2002),
        (list(range(1, 5010)), [], 5010),
    ],
)
def test_the_log_is_asked_for_from_its_first_hole_on(
    desk: Desk, stored: list[int], pruned: list[tuple[int, int]], first: int
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number in stored:
            row = (ESN, number, 0, 1, 0, b"", 0)
            connection.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        for begin, last in pruned:
            rows = [(number, 0) for number in range(begin, last + 1)]
            note_pruned(connection, (Numbered.EVENT, ESN, 0, 0), rows)

    desk.store.write_now(fill)
    assert first_missing_entry(desk.store, ESN) == first
