"""What came from one meter: load profile, registers, events, and the messages that brought them.

Values only, bounded in size; UnknownMeter for one that the TMS does not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.events import event_text
from ansi_tables.meaning.channels import ChannelSource, channel_sources
from ansi_tables.meaning.register_tables import readings
from ansi_tables.meaning.registers import Kind as RegisterKind
from ansi_tables.meaning.scale import Exact, digits
from ansi_tables.ssi_tables import Cause
from smartmeter.tms.jobs import DONE, FAILED
from smartmeter.tms.store.queries import bounded, meter_row
from smartmeter.tms.store.records import BACK_FILL
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.wording import code_name, iso

MAX_INTERVALS = 40_000
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
        self, esn: str, from_s: int | None = None, to_s: int | None = None, set_nbr: int = 1
    ) -> dict[str, Any]:
        """Give columns of a set: interval ends (UTC seconds), a list of values for each channel.

        Values are exact in the channel's unit (a number, or text with decimals);
        raw counts where the meter does not tell the unit.
        """
        row = meter_row(self._store, esn)
        end_s = (1 << 40) if to_s is None else to_s
        rows = self._store.read(
            "SELECT end_s, raw, status, source FROM intervals"
            " WHERE esn=? AND set_nbr=? AND end_s>=? AND end_s<=?"
            " ORDER BY ring_epoch DESC, sequence DESC LIMIT ?",
            esn,
            set_nbr,
            from_s or 0,
            end_s,
            MAX_INTERVALS,
        )[::-1]
        values = [json.loads(one["raw"]) for one in rows]
        known = channel_sources(self._snapshot(esn, row["context_id"]), set_nbr)
        columns = []
        for index in range(max((len(one) for one in values), default=0)):
            channel = known[index] if index < len(known) else None
            counts = [one[index] if index < len(one) else None for one in values]
            if channel is not None and channel.source.measure:
                columns.append([None if c is None else _number(channel.value(c)) for c in counts])
            else:
                columns.append(counts)
        names = _channel_names(known, len(columns))
        return {
            "set": set_nbr,
            "channels": names,
            "end_s": [one["end_s"] for one in rows],
            "values": columns,
            "status": [bytes(one["status"]).hex() for one in rows],
            "back_filled": [n for n, one in enumerate(rows) if one["source"] == BACK_FILL],
        }

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
        images = {
            r["table_nbr"]: bytes(r["image"])
            for r in self._store.read(
                "SELECT table_nbr, image FROM contexts WHERE esn=? AND context_id=?",
                esn,
                context_id,
            )
        }
        for r in self._store.read(
            "SELECT table_nbr, image FROM images WHERE esn=? AND table_nbr < 2048", esn
        ):
            images.setdefault(r["table_nbr"], bytes(r["image"]))
        return Snapshot(images)

    def events(self, esn: str, limit: int = 50) -> list[dict[str, Any]]:
        """Give the newest entries of the meter's log, newest first."""
        meter_row(self._store, esn)
        rows = self._store.read(
            "SELECT * FROM events WHERE esn=? ORDER BY sequence DESC LIMIT ?", esn, bounded(limit)
        )
        return [
            {
                "sequence": r["sequence"],
                "time": iso(r["time_s"]),
                "code": r["code"],
                "text": event_text(r["code"]),
                "user": r["user_id"],
                "argument": bytes(r["argument"]).hex(),
            }
            for r in rows
        ]

    def messages(self, esn: str, limit: int = 50) -> list[dict[str, Any]]:
        """Give the newest reports of a SmartMeter, newest first."""
        meter_row(self._store, esn)
        rows = self._store.read(
            "SELECT * FROM reports WHERE esn=? ORDER BY epoch DESC, number DESC LIMIT ?",
            esn,
            bounded(limit),
        )
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
        meter_row(self._store, esn)
        rows = self._store.read(
            "SELECT * FROM polls WHERE esn=? ORDER BY ended_s DESC, schedule_nbr LIMIT ?",
            esn,
            bounded(limit),
        )
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


def _channel_names(known: Sequence[ChannelSource], count: int) -> list[str]:
    """Give each channel a name of its own: unit, direction and phase, or its number."""
    names = [f"channel {index} (raw)" for index in range(count)]
    for index, channel in enumerate(known[:count]):
        if told := channel.source.measure:
            names[index] = f"{told}, phase {phase}" if (phase := channel.source.phase) else told
    return [
        f"{name} (channel {index})" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]


def _number(value: Exact | None) -> int | str | None:
    """Give an exact value as JSON holds it without loss: an integer, or text."""
    if value is None:
        return None
    if value == int(value):
        return int(value)
    return digits(value)
