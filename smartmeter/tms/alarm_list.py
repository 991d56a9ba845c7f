"""The alarms of all meters: a page of them, and closing them, one or many."""

from __future__ import annotations

import sqlite3
from typing import Any

from ansi_tables.ssi_tables import AlarmSource
from smartmeter.base.errors import SettingsError
from smartmeter.tms.store.places import MAX_SECOND
from smartmeter.tms.store.queries import NotThere, bounded
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.wording import alarm_text, code_words, iso

#: Closed in one change: reports that come meanwhile wait for a few hundredths of a second.
CLOSED_AT_ONCE = 5000


class AlarmList:
    """Looks into the store, and closes there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        offset: int = 0,
        limit: int = 50,
        only_open: bool = False,
        esn: str = "",
        before: int = MAX_SECOND,
    ) -> dict[str, Any]:
        """Give one page of alarms, newest first: those with numbers below ``before``.

        ``esn``: of one meter only.  With ``before`` the last number of a page, the next one repeats
        none and leaves none out; an offset moves with what comes and what is closed.
        """
        where, values = _where(only_open, esn)
        rows = self._store.read(
            f"SELECT * FROM alarms WHERE {where} AND id<? ORDER BY id DESC LIMIT ? OFFSET ?",
            *(*values, before, bounded(limit), max(0, offset)),
        )
        sql = f"SELECT count(*) FROM alarms WHERE {where}"
        if not esn:  # counted as they come: there may be a great many
            name = "open_alarms" if only_open else "alarms"
            sql = f"SELECT count FROM totals WHERE name='{name}'"
        total = self._store.number(sql, *values)
        return {"total": total, "alarms": [_alarm(row) for row in rows]}

    def close(self, number: int, user: str) -> None:
        """Close an alarm: somebody has seen to it.  NotThere for a number that none has."""

        def change(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE alarms SET closed_by=? WHERE id=? AND closed_by=''", (user, number)
            ).rowcount

        if not self._store.write_now(change):
            known = self._store.one("SELECT 1 FROM alarms WHERE id=?", number)
            kind, fault = (
                (NotThere, "is not known") if known is None else (SettingsError, "is not open")
            )
            raise kind(f"alarm {number}", fault, "look at the list again")

    def close_some(self, newest: int, user: str, esn: str = "") -> int:
        """Close open alarms with numbers up to ``newest``, some thousands of them; give how many.

        Any thread.  To be called again until there is none: what came after somebody looked
        stays open.
        """
        where, values = _where(True, esn)
        sql = (
            "UPDATE alarms SET closed_by=? WHERE id IN"
            f" (SELECT id FROM alarms WHERE {where} AND id<=? LIMIT {CLOSED_AT_ONCE})"
        )
        row = (user, *values, newest)
        return self._store.write_now(lambda c: c.execute(sql, row).rowcount)

    def close_all(self, newest: int, user: str, esn: str = "") -> int:
        """Close all of them, a change at a time, in a thread that may wait; give how many."""
        closed = 0
        while some := self.close_some(newest, user, esn):
            closed += some
        return closed


def _where(only_open: bool, esn: str) -> tuple[str, list[str]]:
    """Give which alarms are meant; those of one meter are found by its key."""
    opens = "+closed_by=''" if esn else "closed_by=''"
    parts = [*(["esn=?"] if esn else []), *([opens] if only_open else [])]
    return " AND ".join(parts) or "TRUE", [esn] if esn else []


def _alarm(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "esn": row["esn"],
        "time": iso(row["time_s"]),
        "source": code_words(AlarmSource, row["source"]),
        "code": row["code"],
        "text": alarm_text(row["source"], row["code"], row["text"]),
        "value": row["value"],
        "closed_by": row["closed_by"],
    }
