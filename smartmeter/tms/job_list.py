"""The work with all meters: a page of it, and ending what people ordered, one job or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from smartmeter.base.errors import SettingsError
from smartmeter.tms.jobs import ENDED, Job
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.store.places import MAX_SECOND
from smartmeter.tms.store.queries import NotThere, bounded, meter_row
from smartmeter.tms.wording import iso


class JobList:
    """Looks into the store; what has not ended is the head-end's."""

    def __init__(self, server: TmsServer) -> None:
        self._server, self._store = server, server.store

    def page(
        self, offset: int = 0, limit: int = 50, esn: str = "", before: int = MAX_SECOND
    ) -> dict[str, Any]:
        """Give one page of jobs, newest first: those with numbers below ``before``.

        With ``before`` the last number of a page, the next page repeats none; an offset moves with
        what comes.
        """
        where, values = ("esn=?", [esn]) if esn else ("TRUE", [])
        count = "SELECT count(*) FROM jobs WHERE esn=?"
        if not esn:  # counted as it comes: there may be a great deal
            count = "SELECT count FROM totals WHERE name='jobs'"
        rows = self._store.read(
            f"SELECT * FROM jobs WHERE {where} AND id<? ORDER BY id DESC LIMIT ? OFFSET ?",
            *(*values, before, bounded(limit), max(0, offset)),
        )
        return {
            "total": self._store.number(count, *values),
            "jobs": [
                {
                    "id": r["id"],
                    "esn": r["esn"],
                    "kind": r["kind"],
                    "state": r["state"],
                    "cause": r["cause"],
                    "requested_by": r["requested_by"],
                    "created": iso(r["created_s"]),
                    "ended": iso(r["ended_s"]),
                    "attempts": r["attempts"],
                }
                for r in rows
            ],
        }

    def one(self, number: int) -> dict[str, Any]:
        """Give one job, with its result as text; NotThere for a number that none has."""
        row = self._store.one("SELECT * FROM jobs WHERE id=?", number)
        if row is None:
            raise NotThere(f"job {number}", "is not known", "look at the list again")
        names = ("id", "esn", "kind", "state", "cause", "attempts", "result")
        return {name: row[name] for name in names}

    def under_way(self) -> Mapping[str, int]:
        """Give how many jobs that people ordered have not ended, by their kind."""
        return Counter(job.kind for job in self._server.head_end.orders.of_people())

    def cancel(self, number: int, user: str) -> str:
        """End a job that a person ordered; give what had gone out of it by then."""
        orders = self._server.head_end.orders
        found = [job for job in orders.of_people() if job.id == number]
        if not found:
            known = self.one(number)
            if known["state"] in ENDED:
                raise SettingsError(f"job {number}", f"has ended: {known['state']}", "look again")
            text = "is the TMS's own work, which it begins again when there is need"
            raise SettingsError(f"job {number}", text, "retire a meter of which nothing is wanted")
        return str(self._cancelled(found, user)[0]["cause"])

    def cancel_all(self, user: str, kind: str = "", esns: Sequence[str] = ()) -> list[Any]:
        """End all jobs that people ordered, of a kind, or of some meters; give each, and its cause.

        One of the two is to be told.
        """
        if kind and kind not in list(Kind):
            raise SettingsError("kind", f"{kind!r:.40} is no job", f"choose of {', '.join(Kind)}")
        if not kind and not esns:
            raise SettingsError("cancel", "neither a kind nor a meter is named", "name one")
        for esn in esns:
            meter_row(self._store, esn)
        return self._cancelled(self._server.head_end.orders.of_people(kind, set(esns)), user)

    def _cancelled(self, jobs: list[Job], user: str) -> list[dict[str, Any]]:
        self._server.head_end.cancel(jobs, user)
        self._server.flush()
        return [{"job": j.id, "esn": j.esn, "kind": j.kind, "cause": j.cause} for j in jobs]
