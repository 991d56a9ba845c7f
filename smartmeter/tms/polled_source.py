"""The source of plain meters: the TMS asks them itself, on the schedules that it knows.

A machine: ``take`` gives what is to be asked to the shell (``tms.poller``),
which brings back answers.  What a poll brought is stored as the reports of a
SmartMeter are, so that pages and exports need not know the difference.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansi_tables.meaning.identity import IDENTITY
from protocols.errors import LocalProtocolError
from protocols.machine import Event
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.model import NO_ANSWER, NOTHING_GIVEN, State
from smartmeter.tms.poll_plan import PollDue, PollPlan, poll_schedules
from smartmeter.tms.polled_list import PolledMeter, polled_meters
from smartmeter.tms.polled_reading import Known, PlainReading, poll
from smartmeter.tms.source import ABANDONED, Answered, Unanswered
from smartmeter.tms.store import records
from smartmeter.tms.store.interval_rows import BACK_FILL, store_intervals
from smartmeter.tms.store.queries import Gaps, among, context_tables, gaps_by_set
from smartmeter.tms.store.readings import keep_reading
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.taking_over import Begins, newest_epoch, store_cut, store_taken_over
from smartmeter.tms.template import Template

POLL = "poll"
#: Requests that wait for the shell.
MAX_WAITING = 100_000


@dataclass(frozen=True)
class Question:
    """Services for one meter, to be asked in one session."""

    transaction: int
    meter: PolledMeter
    services: tuple[bytes, ...]


class PolledSource:
    """All plain meters of one TMS; implements ``tms.source.Source``."""

    def __init__(self, store: Store, template: Template) -> None:
        self._store, self._schedules = store, poll_schedules(template)
        self.plan = PollPlan(self._schedules)
        self.meters: dict[str, PolledMeter] = {}
        #: Who did not answer when it was asked last.
        self.silent: set[str] = set()
        self._waiting: dict[int, Question] = {}
        self._under_way: set[tuple[str, int]] = set()
        self._transaction = 0
        self._events: list[Event] = []

    def load(self, utc_s: int, esns: Sequence[str] | None = None) -> None:
        """Take up what the store knows, of some of them or of all."""
        which, values = among(esns)
        sql = f"SELECT * FROM polled_meters JOIN meters USING (esn) WHERE {which}"
        rows = self._store.read(sql, *values)
        found = polled_meters(rows)
        if esns is None:
            self.meters = found
        else:
            self.meters.update(found)
        self.silent.update(row["esn"] for row in rows if row["state"] == State.SILENT)
        new = (row["esn"] for row in rows if row["state"] != State.RETIRED)
        for esn in (esn for esn in new if esn not in self.plan):
            last = self._store.read(
                "SELECT schedule_nbr, max(due_s) AS due_s FROM polls WHERE esn=?"
                " GROUP BY schedule_nbr",
                esn,
            )
            self.plan.add(esn, {row["schedule_nbr"]: row["due_s"] for row in last}, utc_s)

    def plan_anew(self, utc_s: int) -> None:
        """The clock was set: plan all polls by what it shows now."""
        self.plan = PollPlan(self._schedules)
        self.load(utc_s)

    def remove(self, esn: str) -> None:
        """Ask a meter no more; what is under way ends without being kept."""
        del self.meters[esn]
        self.silent.discard(esn)
        self.rest(esn)

    def rest(self, esn: str) -> None:
        """Poll a meter no more until it is loaded again."""
        self.plan.remove(esn)
        self._under_way = {name for name in self._under_way if name[0] != esn}

    def ask(self, esn: str, services: Sequence[bytes], now_us: int) -> int:
        """Let a meter be asked; give the transaction, which is never one of C12.22."""
        if len(self._waiting) >= MAX_WAITING:
            raise LocalProtocolError("too many requests wait for plain meters")
        self._transaction -= 1
        question = Question(self._transaction, self.meters[esn], tuple(services))
        self._waiting[self._transaction] = question
        return self._transaction

    def abandon(self, transaction: int, now_us: int) -> None:
        """Ask no question that still waits; a session that was begun goes on to its end."""
        if self._waiting.pop(transaction, None) is not None:
            self.unanswered(transaction, ABANDONED)

    def take(self) -> list[Question]:
        """Give what is to be asked, and forget it."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting

    def answered(self, transaction: int, responses: Sequence[bytes]) -> None:
        """The shell has an answer."""
        self._events.append(Answered(transaction, tuple(responses)))

    def unanswered(self, transaction: int, cause: str, heard: bool = False) -> None:
        """The shell has none, or was refused (``heard``)."""
        self._events.append(Unanswered(transaction, cause, heard))

    def events(self) -> list[Event]:
        """Give what happened."""
        events, self._events = self._events, []
        return events

    def begin(self, due: PollDue) -> bool:
        """Note that a poll begins; False while the one before on its schedule goes on."""
        name = due.esn, due.schedule.number
        if name in self._under_way:
            return False
        self._under_way.add(name)
        return True

    def end(self, due: PollDue) -> None:
        """Note that a poll has ended."""
        self._under_way.discard((due.esn, due.schedule.number))

    def script(
        self, due: PollDue, now_s: Callable[[], int]
    ) -> Callable[[], Exchange[PlainReading]]:
        """Give the script of a poll; what is known is looked up when it begins."""

        def begin() -> Exchange[PlainReading]:
            row = self._store.one(
                "SELECT context_id, heard_s, taken_over FROM meters JOIN polled_meters USING (esn)"
                " WHERE esn=?",
                due.esn,
            )
            schedule = due.schedule
            sql = "SELECT count(*) FROM silences WHERE esn=? AND ended_s=0"
            if self._store.number(sql, due.esn):
                # Whichever poll ends a silence also fills the gap that it left.
                schedule = replace(schedule, load_profile=True)
            sql = "SELECT image FROM images WHERE esn=? AND table_nbr=?"
            told = self._store.one(sql, due.esn, IDENTITY)
            identity = bytes(told["image"]) if told is not None else None
            begins = Begins.of(row["taken_over"]) if row is not None else Begins()
            known = Known(
                context_tables(self._store, due.esn, row["context_id"]) if row is not None else {},
                self._gaps(due.esn, begins),
                identity,
                row["heard_s"] if row is not None else 0,
                now_s,
                begins.log_before,
                begins.uncut,
            )
            return poll(schedule, known)

        return begin

    def _gaps(self, esn: str, begins: Begins) -> Mapping[int, Gaps]:
        """Give what is missing of each set; of a ring that was taken over, nothing before."""
        found = gaps_by_set(self._store, esn)
        sql = "SELECT 1 FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch>=? LIMIT 1"
        for set_nbr, (epoch, first) in begins.rings.items():
            if self._store.one(sql, esn, set_nbr, epoch) is None:
                found[set_nbr] = ((first, None),)
        return found


def store_poll(
    connection: sqlite3.Connection, due: PollDue, reading: PlainReading, utc_s: int
) -> None:
    """Keep what a poll brought: all of it or nothing."""
    esn = due.esn
    for table, image in {**reading.context, **reading.images}.items():
        records.store_image(connection, esn, table, image, utc_s)
        keep_reading(connection, esn, table, utc_s, reading.context_id, utc_s)
    connection.executemany(
        "INSERT OR REPLACE INTO contexts VALUES (?,?,?,?)",
        [(esn, reading.context_id, table, image) for table, image in reading.context.items()],
    )
    if reading.taken_over is not None:
        store_taken_over(connection, esn, reading.taken_over, utc_s)
    elif reading.cut:
        store_cut(connection, esn, reading.cut)
    stored = 0
    epochs: dict[int, int] = {}
    for run in reading.profile:
        set_nbr = run["SET"]
        if set_nbr not in epochs:
            # The epoch of a meter that took over was told just now.
            is_next = set_nbr in reading.anew
            epochs[set_nbr] = newest_epoch(connection, esn, set_nbr) + is_next
        part: Mapping[str, Any] = {**run, "RING_EPOCH": epochs[set_nbr]}
        stored += store_intervals(connection, esn, part, POLL, utc_s)
    if reading.events:
        records.store_events(connection, esn, {"ENTRIES": reading.events}, utc_s)
    contents = [f"ST-{table}" for table in sorted(reading.images)]
    contents += [f"ST-{63 + set_nbr}" for set_nbr in epochs]
    contents += ["ST-76"] if reading.events else []
    _note(connection, due, utc_s, "", stored, contents)
    connection.execute(
        "UPDATE meters SET heard_s=?, context_id=? WHERE esn=?", (utc_s, reading.context_id, esn)
    )
    _hear(connection, esn, stored, utc_s)


def _hear(connection: sqlite3.Connection, esn: str, stored: int, utc_s: int) -> None:
    """A meter has answered: an episode of silence ends, and what it lacked was read just now."""
    ended = connection.execute(
        "UPDATE silences SET ended_s=?, filled=filled+? WHERE esn=? AND ended_s=0",
        (utc_s, stored, esn),
    ).rowcount
    if ended:
        connection.execute(
            "UPDATE intervals SET source=? WHERE esn=? AND received_s=? AND source=?",
            (BACK_FILL, esn, utc_s, POLL),
        )
    connection.execute(
        "UPDATE meters SET state=?, cause='', state_since_s=? WHERE esn=? AND state!=?",
        (State.POLLED, utc_s, esn, State.POLLED),
    )


def store_failed_poll(
    connection: sqlite3.Connection, due: PollDue, cause: str, utc_s: int, answered: bool = False
) -> None:
    """Keep that a poll failed: the meter is silent, or gives nothing, until one succeeds."""
    _note(connection, due, utc_s, cause, 0, [])
    text = f"{NOTHING_GIVEN if answered else NO_ANSWER}: {cause}"
    known = connection.execute(
        "UPDATE silences SET cause=? WHERE esn=? AND ended_s=0", (text, due.esn)
    ).rowcount
    if not known:
        connection.execute(
            "INSERT INTO silences (esn, schedule_nbr, due_s, noticed_s, cause) VALUES (?,?,?,?,?)",
            (due.esn, due.schedule.number, due.due_s, utc_s, text),
        )
    connection.execute(
        "UPDATE meters SET state=?, cause=?, state_since_s=CASE state WHEN ? THEN state_since_s"
        " ELSE ? END WHERE esn=?",
        (State.SILENT, text, State.SILENT, utc_s, due.esn),
    )


def _note(
    connection: sqlite3.Connection,
    due: PollDue,
    utc_s: int,
    cause: str,
    intervals: int,
    contents: Sequence[str],
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO polls VALUES (?,?,?,?,?,?,?)",
        (due.esn, due.schedule.number, due.due_s, utc_s, cause, intervals, json.dumps(contents)),
    )
