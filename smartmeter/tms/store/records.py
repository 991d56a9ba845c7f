"""How what was received is written: changes for the store's writer.

Everything here is carried out inside one savepoint with its report: the report
and all it carries, or nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import Any, Protocol

from ansi_tables.ssi_tables import CONTEXT_TABLES, SsiTable
from smartmeter.tms.store.interval_rows import REPORT, add_to_total, insert_intervals, interval_rows
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.readings import keep_reading

MAX_IMAGE_OCTETS = 1 << 20
#: Lines of the security log, and unknown devices, that are kept.
MAX_SECURITY_EVENTS, MAX_UNKNOWN_DEVICES = 10_000, 1000


@dataclass(slots=True)
class Part:
    """One write of a report: an SSI table's value, or octets of a meter's table from an offset."""

    table: int
    ssi: SsiTable | None
    value: Mapping[str, Any]
    octets: bytes
    offset: int | None


class Report(Protocol):
    """A report as it arrived."""

    esn: str
    header: Mapping[str, Any]
    parts: Sequence[Part]


@dataclass(slots=True)
class Stored:
    """What became of a report; a repeated one stores nothing."""

    esn: str
    header: Mapping[str, Any]
    parts: Sequence[Part]
    repeated: bool


def store_reports(
    connection: sqlite3.Connection, reports: Sequence[Report], received_s: int
) -> list[bool]:
    """Write reports with all they carry; tells for each whether it is new.

    One whose number was stored before, or stands before it here, stores nothing; pruned ones count.
    """
    rows = [_report_row(report, received_s) for report in reports]
    before = connection.total_changes
    connection.execute("SAVEPOINT reports")
    connection.executemany(_INSERT_REPORT, rows)
    new = [True] * len(rows)
    if connection.total_changes - before != len(rows):
        connection.execute("ROLLBACK TO reports")
        new = [connection.execute(_INSERT_REPORT, row).rowcount > 0 for row in rows]
    connection.execute("RELEASE reports")
    fresh = list(compress(reports, new))
    connection.executemany(
        "UPDATE meters SET base=?, config_version=?, context_id=?, module_state=?,"
        " module_warning=?, heard_s=? WHERE esn=?",
        [(*_STANDING_FIELDS(report.header), received_s, report.esn) for report in fresh],
    )
    intervals = []
    for report in fresh:
        for part in report.parts:
            if part.ssi is SsiTable.LOAD_PROFILE_PART:
                intervals += interval_rows(connection, report.esn, part.value, REPORT, received_s)
            else:
                _store_part(connection, report.esn, report.header, part, received_s)
    insert_intervals(connection, intervals)
    add_to_total(connection, "reports", len(fresh))
    return new


_INSERT_REPORT = (
    "INSERT OR IGNORE INTO reports SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11 WHERE NOT EXISTS"
    " (SELECT 1 FROM pruned WHERE kind='report' AND esn=?1 AND set_nbr=0 AND epoch=?2"
    " AND last>=?3 AND first<=?3)"
)
_INSERT_EVENT = (
    "INSERT OR IGNORE INTO events SELECT ?1,?2,?3,?4,?5,?6,?7 WHERE NOT EXISTS"
    " (SELECT 1 FROM pruned WHERE kind='event' AND esn=?1 AND set_nbr=0 AND epoch=0"
    " AND last>=?2 AND first<=?2 AND until_s>=?3)"
)
#: Fields of REPORT_HEADER in the order of the columns.
_REPORT_FIELDS = itemgetter(
    "OUTBOX_EPOCH",
    "REPORT_NBR",
    "CAUSE",
    "SCHEDULE_NBR",
    "TIME",
    "DUE_TIME",
    "CONFIG_VERSION",
    "CONTEXT_ID",
)
#: Fields that tell how the SmartMeter stands.
_STANDING_FIELDS = itemgetter("BASE", "CONFIG_VERSION", "CONTEXT_ID", "STATE", "WARNING")


def _report_row(report: Report, received_s: int) -> tuple[Any, ...]:
    contents = _contents(tuple([(part.ssi, part.table) for part in report.parts]))
    return (report.esn, *_REPORT_FIELDS(report.header), received_s, contents)


@lru_cache(maxsize=1024)
def _contents(tables: tuple[tuple[SsiTable | None, int], ...]) -> str:
    """Give what a report carried, as JSON."""
    names = {ssi.name if ssi is not None else f"ST-{table}" for ssi, table in tables}
    return json.dumps(sorted(names))


def _store_part(
    connection: sqlite3.Connection,
    esn: str,
    header: Mapping[str, Any],
    part: Part,
    received_s: int,
) -> None:
    read_at = part.table, header["TIME"], header["CONTEXT_ID"]
    match part.ssi:
        case SsiTable.EVENT_PART:
            store_events(connection, esn, part.value, received_s)
        case SsiTable.ALARM:
            store_alarm(connection, esn, header["OUTBOX_EPOCH"], part.value, received_s)
        case SsiTable.OUTAGE_RECORD:
            _store_outage(connection, esn, header["OUTBOX_EPOCH"], part.value, received_s)
        case None if part.offset is None:
            store_image(connection, esn, part.table, part.octets, received_s)
            keep_reading(connection, esn, *read_at, received_s)
            if part.table in CONTEXT_TABLES:
                connection.execute(
                    "INSERT OR REPLACE INTO contexts VALUES (?,?,?,?)",
                    (esn, header["CONTEXT_ID"], part.table, part.octets),
                )
        case None:
            _store_piece(connection, esn, part, received_s)
            keep_reading(connection, esn, *read_at, received_s)
        case _:
            store_image(connection, esn, part.table, part.octets, received_s)


def store_events(
    connection: sqlite3.Connection, esn: str, value: Mapping[str, Any], received_s: int
) -> None:
    """Write the entries of an EVENT_PART; those that are there stay."""
    connection.executemany(
        _INSERT_EVENT,
        [
            (
                esn,
                entry["SEQUENCE"],
                entry["TIME"],
                entry["CODE"],
                entry["USER_ID"],
                entry["ARGUMENT"],
                received_s,
            )
            for entry in value["ENTRIES"]
        ],
    )


def store_notification(
    connection: sqlite3.Connection, esn: str, parts: Sequence[Part], received_s: int
) -> None:
    """Keep tables, or octets of them, that a node told by itself."""
    for part in parts:
        if part.offset is None:
            store_image(connection, esn, part.table, part.octets, received_s)
        else:
            _store_octets(connection, esn, part, received_s)
    connection.execute("UPDATE meters SET heard_s=? WHERE esn=?", (received_s, esn))


def store_image(
    connection: sqlite3.Connection, esn: str, table: int, octets: bytes, received_s: int
) -> None:
    """Keep the newest image of a table."""
    connection.execute(
        "INSERT OR REPLACE INTO images VALUES (?,?,?,?)", (esn, table, octets, received_s)
    )


def _store_piece(connection: sqlite3.Connection, esn: str, part: Part, received_s: int) -> None:
    """Add a piece to a table that comes in several, from offset 0 on, in order."""
    if not part.offset:
        store_image(connection, esn, part.table, b"", received_s)
    _store_octets(connection, esn, part, received_s)


def _store_octets(connection: sqlite3.Connection, esn: str, part: Part, received_s: int) -> None:
    """Write octets into the newest image of a table, or keep them beside it where it is shorter."""
    row = connection.execute(
        "SELECT image FROM images WHERE esn=? AND table_nbr=?", (esn, part.table)
    ).fetchone()
    offset = part.offset or 0
    end = offset + len(part.octets)
    held = octets_of(row[0]) if row is not None else b""
    if len(held) >= offset and end <= MAX_IMAGE_OCTETS:
        image = held[:offset] + part.octets + held[end:]
        store_image(connection, esn, part.table, image, received_s)
        return
    connection.execute(
        "INSERT OR REPLACE INTO parts VALUES (?,?,?,?,?)",
        (esn, part.table, offset, part.octets, received_s),
    )


def store_alarm(
    connection: sqlite3.Connection,
    esn: str,
    epoch: int,
    value: Mapping[str, Any],
    received_s: int,
) -> None:
    """Write the value of an ALARM; one that is there stays."""
    connection.execute(
        "INSERT OR IGNORE INTO alarms (esn, epoch, alarm_nbr, source, code, disposition, time_s,"
        " monitor_nbr, value, text, received_s) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            esn,
            epoch,
            value["ALARM_NBR"],
            value["SOURCE"],
            value["CODE"],
            value["DISPOSITION"],
            value["TIME"],
            value["MONITOR_NBR"],
            value["VALUE"],
            value["TEXT"],
            received_s,
        ),
    )


def _store_outage(
    connection: sqlite3.Connection,
    esn: str,
    epoch: int,
    value: Mapping[str, Any],
    received_s: int,
) -> None:
    connection.execute(
        "INSERT INTO outages VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE"
        " SET end_s=max(end_s, excluded.end_s)",
        (esn, epoch, value["OUTAGE_NBR"], value["START_TIME"], value["END_TIME"], received_s),
    )


def store_outage_log(
    connection: sqlite3.Connection, esn: str, log: Mapping[str, Any], received_s: int
) -> None:
    """Enter what OUTAGE_LOG has: ends of outages that are known, and outages that are not.

    An outbox that began anew counts on in another epoch: an outage is known by its start too.
    """
    for one in log["OUTAGES"]:
        known = connection.execute(
            "UPDATE outages SET end_s=max(end_s, ?) WHERE esn=? AND outage_nbr=? AND start_s=?",
            (one["END_TIME"], esn, one["OUTAGE_NBR"], one["START_TIME"]),
        )
        if not known.rowcount:
            _store_outage(connection, esn, log["OUTBOX_EPOCH"], one, received_s)


def store_security_event(
    connection: sqlite3.Connection, time_s: int, title: str, reason: str, count: int
) -> None:
    """Note refusals; the same ones again within the hour only count up."""
    updated = connection.execute(
        # Of two lines, as a clock that was set back a little leaves them, one counts.
        "UPDATE security_events SET count=count+? WHERE id=(SELECT max(id) FROM security_events"
        " WHERE title=? AND reason=? AND time_s>? AND time_s<=?)",
        (count, title, reason, time_s - 3600, time_s),
    )
    if not updated.rowcount:
        connection.execute(
            "INSERT INTO security_events (time_s, title, reason, count) VALUES (?,?,?,?)",
            (time_s, title, reason, count),
        )
        connection.execute(
            "DELETE FROM security_events WHERE id <= (SELECT max(id) FROM security_events) - ?",
            (MAX_SECURITY_EVENTS,),
        )


def store_unknown_device(
    connection: sqlite3.Connection, time_s: int, title: str, count: int
) -> None:
    """Note a title that is in no shipment."""
    connection.execute(
        "INSERT INTO unknown_devices VALUES (?,?,?,?)"
        " ON CONFLICT DO UPDATE SET last_s=excluded.last_s, count=count+excluded.count",
        (title, time_s, time_s, count),
    )


def trim_unknown_devices(connection: sqlite3.Connection, now_s: int) -> None:
    """Keep the titles heard last; a look at the whole list, so once for many notes.

    What a clock that was ahead has dated goes first.
    """
    connection.execute(
        "DELETE FROM unknown_devices WHERE title NOT IN"
        " (SELECT title FROM unknown_devices ORDER BY last_s>?, last_s DESC LIMIT ?)",
        (now_s, MAX_UNKNOWN_DEVICES),
    )
