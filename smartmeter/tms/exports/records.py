"""Readings, events, alarms and outages of meters as rows."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.events import event_text
from ansi_tables.ids import name_of
from ansi_tables.meaning.register_tables import closed, current, present
from ansi_tables.meaning.registers import Registers
from ansi_tables.meaning.scale import digits
from ansi_tables.ssi_tables import AlarmSource, Disposition
from smartmeter.tms.exports.archive import Archive
from smartmeter.tms.exports.selection import Row, Selection
from smartmeter.tms.exports.stamps import LocalTime, utc_text
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.wording import alarm_text, code_words


class _Rows(ABC):
    """Rows of one table that have a time, from each stored row none, one or several."""

    columns: tuple[str, ...]
    _table: str
    _key: tuple[str, ...]
    _time = "time_s"

    def __init__(self, archive: Archive, selection: Selection) -> None:
        self._archive, self._selection = archive, selection

    def channels(self) -> tuple[str, ...]:
        """Give nothing: each column has its name."""
        return ()

    def rows(self) -> Iterator[Row]:
        """Give the rows of each meter in the order of its numbers."""
        where = f"{self._time}>=? AND {self._time}<?"
        for one in self._archive.tenures(self._table, self._selection):
            esn, span = one.esn, (one.from_s, one.to_s)
            local = LocalTime(self._archive.images(esn, self._archive.context_id(esn)))
            for row in self._archive.pages(self._table, esn, self._key, where, *span):
                yield from self._told(row, local)

    @abstractmethod
    def _told(self, row: sqlite3.Row, local: LocalTime) -> Iterator[Row]:
        """Give what a stored row tells."""


class Events(_Rows):
    """The entries of the meters' logs."""

    columns = (
        *("esn", "sequence", "time_utc", "time_local", "code", "event", "user_id", "argument"),
        "received_utc",
    )
    _table, _key = "events", ("sequence", "time_s", "code")

    def _told(self, row: sqlite3.Row, local: LocalTime) -> Iterator[Row]:
        yield {
            "esn": row["esn"],
            "sequence": row["sequence"],
            "time_utc": utc_text(row["time_s"]),
            "time_local": local.text(row["time_s"]),
            "code": row["code"],
            "event": event_text(row["code"]),
            "user_id": row["user_id"],
            "argument": octets_of(row["argument"]).hex(),
            "received_utc": utc_text(row["received_s"]),
        }


class Alarms(_Rows):
    """What the modules told at once, or with their next report."""

    columns = (
        *("esn", "epoch", "number", "time_utc", "time_local", "source", "code", "alarm"),
        *("disposition", "monitor", "value", "received_utc", "closed_by"),
    )
    _table, _key = "alarms", ("epoch", "alarm_nbr")

    def _told(self, row: sqlite3.Row, local: LocalTime) -> Iterator[Row]:
        yield {
            "esn": row["esn"],
            "epoch": row["epoch"],
            "number": row["alarm_nbr"],
            "time_utc": utc_text(row["time_s"]),
            "time_local": local.text(row["time_s"]),
            "source": code_words(AlarmSource, row["source"]),
            "code": row["code"],
            "alarm": alarm_text(row["source"], row["code"], row["text"]),
            "disposition": code_words(Disposition, row["disposition"]),
            "monitor": row["monitor_nbr"],
            "value": row["value"],
            "received_utc": utc_text(row["received_s"]),
            "closed_by": row["closed_by"],
        }


class Outages(_Rows):
    """Losses of mains power; one that goes on has no end.  They count by their begin."""

    columns = (
        *("esn", "epoch", "number", "start_utc", "start_local", "end_utc", "end_local"),
        *("duration_s", "told_utc"),
    )
    _table, _key, _time = "outages", ("epoch", "outage_nbr"), "start_s"

    def _told(self, row: sqlite3.Row, local: LocalTime) -> Iterator[Row]:
        start_s, end_s = row["start_s"], row["end_s"]
        yield {
            "esn": row["esn"],
            "epoch": row["epoch"],
            "number": row["outage_nbr"],
            "start_utc": utc_text(start_s),
            "start_local": local.text(start_s),
            "end_utc": utc_text(end_s),
            "end_local": local.text(end_s),
            "duration_s": end_s - start_s if start_s and end_s else None,
            "told_utc": utc_text(row["told_s"]),
        }


#: What gives the registers of a table.
_TABLES: dict[int, Callable[[Snapshot], Registers]] = {
    23: current,
    24: lambda tables: closed(tables, 24),
    25: lambda tables: closed(tables, 25),
    28: present,
}


class Readings(_Rows):
    """Registers of ST-23, ST-24, ST-25 and ST-28 as they came, each by its own context.

    A table that cannot be read without what is missing of its context gives no
    rows: its octets stay in the store.
    """

    columns = (
        *("esn", "time_utc", "time_local", "table", "closed", "kind", "register", "tier"),
        *("value", "unit", "raw", "occurred", "received_utc"),
    )
    _table, _key = "readings", ("time_s", "table_nbr")
    _known: tuple[tuple[str, int], Snapshot] = ("", 0), Snapshot({})

    def _tables(self, esn: str, context_id: int) -> Snapshot:
        """Give a context's tables; the last are remembered, as the next reading mostly has them."""
        if self._known[0] != (esn, context_id):
            self._known = (esn, context_id), Snapshot(self._archive.images(esn, context_id))
        return self._known[1]

    def _told(self, row: sqlite3.Row, local: LocalTime) -> Iterator[Row]:
        table, tables = row["table_nbr"], self._tables(row["esn"], row["context_id"])
        tables.images[table] = octets_of(row["image"])
        try:
            registers = _TABLES[table](tables)
        except TableError:
            return
        for one in registers:
            yield {
                "esn": row["esn"],
                "time_utc": utc_text(row["time_s"]),
                "time_local": local.text(row["time_s"]),
                "table": name_of(table),
                "closed": _moment(registers.taken),
                "kind": one.kind.value,
                "register": one.name,
                "tier": one.tier,
                "value": None if one.value is None else digits(one.value),
                "unit": one.unit,
                "raw": str(one.raw),
                "occurred": _moment(one.time),
                "received_utc": utc_text(row["received_s"]),
            }


def _moment(told: datetime | None) -> str:
    return "" if told is None else told.isoformat()
