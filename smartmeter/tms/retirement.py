"""Meters that were taken out of service: nothing is due of them, and nothing is asked.

What they sent stays and is exported.  The key of a retired SmartMeter stays
known: what bears it is answered with ``isc`` (it is who it says, and may not),
stored nowhere, and listed among what was refused.  So a module keeps what it
has to tell, and when it is brought back nothing is lost and nothing doubled.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from smartmeter.base.errors import SettingsError
from smartmeter.tms.collector import Collector
from smartmeter.tms.job_outcomes import JobOutcomes
from smartmeter.tms.jobs import FAILED, RUNNING, WAITING, JobRunner
from smartmeter.tms.model import YIELDED, State
from smartmeter.tms.polled_source import PolledSource
from smartmeter.tms.registrations import store_departure
from smartmeter.tms.silence import SilenceWatch
from smartmeter.tms.store.places import store_replacement
from smartmeter.tms.store.queries import meter_row
from smartmeter.tms.store.silences import end_silence, store_state
from smartmeter.tms.store.sqlite import Store


class Retirement:
    """Who is out of service; durable before anything follows from it.

    ``forget_refusal``: whoever comes back may be asked to take the template at once.
    """

    def __init__(
        self,
        store: Store,
        collector: Collector,
        polled: PolledSource,
        silence: SilenceWatch,
        jobs: JobRunner,
        outcomes: JobOutcomes,
        forget_refusal: Callable[[str], None],
    ) -> None:
        self._store, self._collector = store, collector
        self._polled, self._silence, self._jobs = polled, silence, jobs
        self._outcomes, self._forget_refusal = outcomes, forget_refusal
        self._esns = collector.retired

    def load(self) -> None:
        """Take up what the store knows."""
        self._esns.clear()
        rows = self._store.read("SELECT esn FROM meters WHERE state=?", State.RETIRED)
        self._esns.update(row["esn"] for row in rows)

    def __contains__(self, esn: str) -> bool:
        return esn in self._esns

    def retire(self, esn: str, cause: str, utc_s: int, now_us: int) -> None:
        """Take a meter out of service; UnknownMeter, or SettingsError when it is so already."""
        if meter_row(self._store, esn)["state"] == State.RETIRED:
            raise SettingsError(esn, "is retired already", "look at its page")
        self._store.write_now(lambda c: store_retired(c, esn, cause, utc_s))
        self._rest(esn, now_us)

    def _rest(self, esn: str, now_us: int) -> None:
        """Ask a meter nothing more, and expect nothing of it."""
        self._esns.add(esn)
        self._silence.forget(esn)
        self._jobs.drop(esn)
        self._forget_refusal(esn)
        if esn in self._polled.meters:
            self._polled.rest(esn)
        else:
            self._collector.departed(esn, now_us)

    def replace(self, esn: str, successor: str, at_s: int, by: str, now: tuple[int, int]) -> None:
        """Put a meter in the place of another, which is taken out of service if it is not yet.

        ``at_s`` is when its time there began; ``now`` is UTC seconds and monotonic microseconds.
        """
        cause = f"replaced by {successor}, {by}"
        is_retired = meter_row(self._store, esn)["state"] == State.RETIRED

        def change(connection: sqlite3.Connection) -> None:
            store_replacement(connection, esn, successor, at_s)
            if is_retired:
                connection.execute("UPDATE meters SET cause=? WHERE esn=?", (cause, esn))
            else:
                store_retired(connection, esn, cause, now[0])

        self._store.write_now(change)
        if not is_retired:
            self._rest(esn, now[1])

    def bring_back(self, esn: str, utc_s: int) -> None:
        """Put a meter into service again, in its place; what was due meanwhile does not count."""
        row = meter_row(self._store, esn)
        if row["state"] != State.RETIRED:
            raise SettingsError(esn, "is in service", "look at its page")
        if row["title"].startswith(YIELDED):
            what, where = "title", "shipment file"
            if esn in self._polled.meters:
                what, where = "address", "list of polled meters"
            fault = f"has no {what}: another meter has it now"
            raise SettingsError(esn, fault, f"enter it with its {what} in a {where}")
        version = self._outcomes.version
        state = self._store.write_now(lambda c: store_brought_back(c, esn, version, utc_s))
        self._esns.discard(esn)
        if state == State.POLLED:
            self._polled.load(utc_s, [esn])
            return
        kept = self._store.number("SELECT config_version FROM meters WHERE esn=?", esn)
        self._outcomes.watch(esn, kept, utc_s, utc_s)


def store_retired(connection: sqlite3.Connection, esn: str, cause: str, utc_s: int) -> None:
    """Name the state, and end what was open: silence, jobs, registration."""
    store_state(connection, esn, State.RETIRED, cause, utc_s)
    connection.execute(
        "UPDATE jobs SET state=?, cause='the meter was retired', ended_s=?"
        " WHERE esn=? AND state IN (?,?)",
        (FAILED, utc_s, esn, WAITING, RUNNING),
    )
    end_silence(connection, esn, utc_s)
    store_departure(connection, esn)


def store_brought_back(connection: sqlite3.Connection, esn: str, version: int, utc_s: int) -> State:
    """Name the state that a meter has without its retirement, and give it; it has its place."""
    connection.execute("DELETE FROM replacements WHERE old_esn=?", (esn,))
    row = connection.execute(
        "SELECT config_version, heard_s, EXISTS (SELECT 1 FROM polled_meters WHERE esn=?)"
        " FROM meters WHERE esn=?",
        (esn, esn),
    ).fetchone()
    state = State.REGISTERED if row[1] else State.SHIPPED
    if row[2]:
        state = State.POLLED
    elif row[0] == version:
        state = State.PROVISIONED
    connection.execute(
        "UPDATE meters SET state=?, cause='', state_since_s=? WHERE esn=?", (state, utc_s, esn)
    )
    return state
