"""What came from one meter: load profile, registers, events, and the messages that brought them.

Values only, bounded in size; UnknownMeter for one that the TMS does not know, SettingsError for
what is asked wrongly.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.events import event_text
from ansi_tables.meaning.register_tables import readings
from ansi_tables.meaning.registers import Kind as RegisterKind
from ansi_tables.meaning.scale import Exact, digits
from ansi_tables.ssi_tables import Cause
from smartmeter.base.errors import SettingsError
from smartmeter.tms.interval_channels import Channel, channels_of
from smartmeter.tms.jobs import DONE, FAILED
from smartmeter.tms.store.interval_rows import BACK_FILL
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.places import MAX_SECOND, Tenure, in_its_place, tenure
from smartmeter.tms.store.queries import bounded, context_tables, meter_row
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.wording import code_name, iso

MAX_INTERVALS = 40_000
#: Another meter in the place numbers its log anew, and a clock may have been wrong: none is newer
#: than when it came.
_NEWEST_ENTRY = (
    "CASE WHEN time_s BETWEEN 1 AND received_s THEN time_s ELSE received_s END DESC, sequence DESC"
)
#: What pages and the API call a register whose kind has a longer name.
_REGISTER_KINDS = {
    RegisterKind.SUMMATION: "register",
    RegisterKind.PRESENT_DEMAND: "present",
    RegisterKind.PRESENT_VALUE: "present",
}


class Collected:
    """Looks into the store; raw counts are scaled here, when somebody looks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load_profile(
        self,
        esn: str,
        from_s: int | None = None,
        to_s: int | None = None,
        set_nbr: int = 1,
        limit: int = MAX_INTERVALS,
        place: bool = False,
    ) -> dict[str, Any]:
        """Give the newest intervals of a set as columns: ends (UTC seconds), lengths, each channel.

        ``place``: of the meters in whose place it was put, too, each for its time.

        Values are exact in the channel's unit (a number, or text with decimals); raw counts where
        the meter does not tell the unit.  Each interval is read by the context that it was recorded
        under: a channel that the meter records no longer, or not yet, has null there.
        """
        meter_row(self._store, esn)
        if to_s is not None and to_s < (from_s or 0):
            raise SettingsError("to_s", "is before from_s", "give a later second")
        span = (from_s or 0) - 1, MAX_SECOND if to_s is None else to_s
        left = max(1, min(limit, MAX_INTERVALS))
        rows: list[sqlite3.Row] = []
        for each in in_its_place(self._store, esn) if place else [esn]:
            one = tenure(self._store, each, *span) if place else Tenure(each, *span)
            rows += self._store.read(
                "SELECT esn, end_s, length_s, raw, status, source, context_id FROM intervals"
                " WHERE esn=? AND set_nbr=? AND end_s>? AND end_s<=?"
                " ORDER BY ring_epoch DESC, sequence DESC LIMIT ?",
                *(one.esn, set_nbr, one.from_s, one.to_s, left - len(rows)),
            )
        columns = self._columns(set_nbr, rows)
        rows.reverse()
        return {
            "set": set_nbr,
            "channels": list(columns),
            "end_s": [one["end_s"] for one in rows],
            "length_s": [one["length_s"] for one in rows],
            "values": [column[::-1] for column in columns.values()],
            "status": [octets_of(one["status"]).hex() for one in rows],
            "back_filled": [n for n, one in enumerate(rows) if one["source"] == BACK_FILL],
        }

    def _columns(
        self, set_nbr: int, rows: Sequence[sqlite3.Row]
    ) -> dict[str, list[int | str | None]]:
        """Give the values of each channel by its name, in the order of the rows."""
        layouts: dict[tuple[str, int, int], list[Channel]] = {}
        columns: dict[str, list[int | str | None]] = {}
        for at, row in enumerate(rows):
            counts = json.loads(row["raw"])
            layout = row["esn"], row["context_id"], len(counts)
            if layout not in layouts:
                context = context_tables(self._store, row["esn"], row["context_id"])
                layouts[layout] = channels_of(context, set_nbr, len(counts))
            for (name, scale), count in zip(layouts[layout], counts, strict=True):
                value = count if scale is None else _number(scale.value(count))
                if name not in columns:
                    columns[name] = [None] * len(rows)
                columns[name][at] = value
        return columns

    def registers(self, esn: str) -> dict[str, Any]:
        """Give registers as they last came, scaled where the meter tells how."""
        row = meter_row(self._store, esn)
        found = [
            {
                "kind": _REGISTER_KINDS.get(one.kind, one.kind.value),
                "index": one.index,
                "tier": one.tier,
                "name": one.name,
                "raw": str(one.raw),
                "value": "" if one.value is None else str(_number(one.value)),
                "unit": one.source.measure or "raw",
            }
            for one in readings(self._snapshot(esn, row["context_id"]))
        ]
        taken = self._store.number(
            "SELECT max(received_s) FROM images WHERE esn=? AND table_nbr IN (23, 28)", esn
        )
        return {"taken": iso(taken), "registers": found}

    def _snapshot(self, esn: str, context_id: int) -> Snapshot:
        images = context_tables(self._store, esn, context_id)
        for r in self._store.read(
            "SELECT table_nbr, image FROM images WHERE esn=? AND table_nbr < 2048", esn
        ):
            images.setdefault(r["table_nbr"], octets_of(r["image"]))
        return Snapshot(images)

    def _newest(self, table: str, order: str, esn: str, limit: int) -> list[sqlite3.Row]:
        meter_row(self._store, esn)
        sql = f"SELECT * FROM {table} WHERE esn=? ORDER BY {order} LIMIT ?"
        return self._store.read(sql, esn, bounded(limit))

    def events(self, esn: str, limit: int = 50) -> list[dict[str, Any]]:
        """Give the newest entries of the meter's log, newest first."""
        rows = self._newest("events", _NEWEST_ENTRY, esn, limit)
        return [
            {
                "sequence": r["sequence"],
                "time": iso(r["time_s"]),
                "code": r["code"],
                "text": event_text(r["code"]),
                "user": r["user_id"],
                "argument": octets_of(r["argument"]).hex(),
            }
            for r in rows
        ]

    def messages(self, esn: str, limit: int = 50) -> list[dict[str, Any]]:
        """Give the newest reports of a SmartMeter, newest first."""
        rows = self._newest("reports", "epoch DESC, number DESC", esn, limit)
        return [
            {
                "number": r["number"],
                "cause": code_name(Cause, r["cause"]),
                "time": iso(r["time_s"]),
                "due": iso(r["due_s"]),
                "contents": ", ".join(json.loads(r["contents"])),
            }
            for r in rows
        ]

    def polls(self, esn: str, limit: int = 50) -> list[dict[str, Any]]:
        """Give the newest scheduled polls of a plain meter, newest first."""
        rows = self._newest("polls", "ended_s DESC, schedule_nbr", esn, limit)
        return [
            {
                "schedule": r["schedule_nbr"],
                "due": iso(r["due_s"]),
                "time": iso(r["ended_s"]),
                "state": FAILED if r["cause"] else DONE,
                "cause": r["cause"],
                "intervals": r["intervals"],
                "contents": ", ".join(json.loads(r["contents"])),
            }
            for r in rows
        ]


def _number(value: Exact | None) -> int | str | None:
    """Give an exact value as JSON holds it without loss: an integer, or text."""
    if value is None:
        return None
    if value == int(value):
        return int(value)
    return digits(value)
