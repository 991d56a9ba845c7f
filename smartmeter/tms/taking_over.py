"""Another meter at the address of a plain one: told by an alarm, and its lists cut at the change.

A serial server was moved, or the meter exchanged.  What the new one recorded before the old one
was heard last is not of this place; what it recorded since is, in ring epochs of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.meaning.identity import IDENTITY, Identity, identity_of
from ansi_tables.ssi_tables import AlarmSource, Disposition, ModuleAlarm
from smartmeter.tms.store.records import store_alarm

#: Alarms of the TMS itself have an outbox epoch that no module has.
OWN_EPOCH = 0
_NEWEST_EPOCH = "SELECT max(ring_epoch) FROM intervals WHERE esn=? AND set_nbr=?"


@dataclass(frozen=True)
class TakenOver:
    """Who was there ``before`` and who is now, by serial number, and where its lists begin.

    ``begins`` gives the sequence of an interval by its set, ``uncut`` the UTC second since which
    a set that is refused is of this place; entries of the log up to ``log_before`` are not.
    """

    before: str
    serial: str
    begins: Mapping[int, int]
    log_before: int | None
    uncut: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Begins:
    """Where the lists of the meter that took over begin: ring epoch and sequence by set.

    ``uncut`` are the sets that it has refused since, each with the UTC second of the change.
    """

    rings: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    log_before: int | None = None
    uncut: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Begins:
        """Read what the store has; empty where no meter took over."""
        held = json.loads(text) if text else {"rings": {}, "log_before": None}
        rings = {int(one): (place[0], place[1]) for one, place in held["rings"].items()}
        uncut = {int(one): int(since_s) for one, since_s in held.get("uncut", {}).items()}
        return cls(rings, held["log_before"], uncut)

    def text(self) -> str:
        """Give it for the store."""
        held = {"rings": dict(self.rings), "log_before": self.log_before}
        return json.dumps(held | {"uncut": dict(self.uncut)})


def identity_in(images: Mapping[int, bytes]) -> Identity | None:
    """Give who a meter is by its ST-00 and ST-01; None where these do not tell."""
    try:
        return identity_of(images.get(IDENTITY, b""), Snapshot(dict(images)).context)
    except TableError:
        return None


def log_before(entries: Sequence[Mapping[str, Any]], since_s: int) -> int | None:
    """Give the number of the newest entry of a log from before an instant; None of an empty log."""
    if not entries:
        return None
    later = [one["SEQUENCE"] for one in entries if one["TIME"] > since_s]
    last: int = max(one["SEQUENCE"] for one in entries)
    return min(later, default=last + 1) - 1


def of_this_place(
    entries: Sequence[Mapping[str, Any]], before: int | None
) -> tuple[Mapping[str, Any], ...]:
    """Leave out the entries up to ``before``, unless the log was begun anew since."""
    newest = max((one["SEQUENCE"] for one in entries), default=0)
    if before is None or newest < before:
        return tuple(entries)
    return tuple(one for one in entries if one["SEQUENCE"] > before)


def store_taken_over(
    connection: sqlite3.Connection, esn: str, taken: TakenOver, utc_s: int
) -> None:
    """Keep where the lists of another meter begin, and raise the alarm that names both."""
    rings = _rings(connection, esn, taken.begins)
    _store_begins(connection, esn, Begins(rings, taken.log_before, taken.uncut))
    sql = "SELECT coalesce(max(alarm_nbr), 0) + 1 FROM alarms WHERE esn=? AND epoch=?"
    alarm = {
        "ALARM_NBR": connection.execute(sql, (esn, OWN_EPOCH)).fetchone()[0],
        "SOURCE": AlarmSource.TMS,
        "CODE": ModuleAlarm.METER_CHANGED,
        "DISPOSITION": Disposition.ALARM,
        "TIME": utc_s,
        "MONITOR_NBR": 0,
        "VALUE": 0,
        "TEXT": f"meter {taken.serial}, before {taken.before}",
    }
    store_alarm(connection, esn, OWN_EPOCH, alarm, utc_s)


def store_cut(connection: sqlite3.Connection, esn: str, cut: Mapping[int, int]) -> None:
    """Keep where sets begin that a meter had refused since it took over."""
    held = begins_of(connection, esn)
    uncut = {one: since_s for one, since_s in held.uncut.items() if one not in cut}
    rings = {**held.rings, **_rings(connection, esn, cut)}
    _store_begins(connection, esn, Begins(rings, held.log_before, uncut))


def _rings(
    connection: sqlite3.Connection, esn: str, begins: Mapping[int, int]
) -> dict[int, tuple[int, int]]:
    return {one: (newest_epoch(connection, esn, one) + 1, first) for one, first in begins.items()}


def _store_begins(connection: sqlite3.Connection, esn: str, begins: Begins) -> None:
    connection.execute("UPDATE polled_meters SET taken_over=? WHERE esn=?", (begins.text(), esn))


def newest_epoch(connection: sqlite3.Connection, esn: str, set_nbr: int) -> int:
    """Give the newest epoch of a ring: it counts how often the ring began anew, from 1 on."""
    stored = connection.execute(_NEWEST_EPOCH, (esn, set_nbr)).fetchone()[0]
    return max(int(stored or 1), begins_of(connection, esn).rings.get(set_nbr, (1, 0))[0])


def begins_of(connection: sqlite3.Connection, esn: str) -> Begins:
    """Give where the lists of a meter begin to be of its place."""
    sql = "SELECT taken_over FROM polled_meters WHERE esn=?"
    row = connection.execute(sql, (esn,)).fetchone()
    return Begins.of(row[0] if row is not None else "")
