"""The shipment file: which ESN has which title and key.  CSV ``esn,title,key,model``.

A fifth column, ``wake``, may hold the telephone number that wakes a SmartMeter; where it is empty
or not there, a number that is known stays.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.modem.pdu import is_number
from smartmeter.base.errors import SettingsError
from smartmeter.base.title import node_title
from smartmeter.tms.csv_list import check_esn, read_rows
from smartmeter.tms.model import YIELDED, State

COLUMNS, WAKE_COLUMN = ["esn", "title", "key", "model"], "wake"
MAX_MODEL = 64
MAX_ROWS = 1_000_000
#: Of one that comes over the web page or the API.
MAX_SHIPMENT_OCTETS = 8 << 20


@dataclass(frozen=True)
class Shipped:
    """One SmartMeter that left the factory; ``key`` is its key 0, ``wake`` a number or nothing."""

    esn: str
    title: str
    key: bytes = field(repr=False)
    model: str
    wake: str = ""


def read_shipment(text: str, name: str = "shipment file") -> list[Shipped]:
    """Read a shipment file whole, or refuse it; SettingsError names the line."""
    found: dict[str, Shipped] = {}
    titles: set[tuple[int, ...]] = set()
    for place, cells in read_rows(text, name, COLUMNS, MAX_ROWS, WAKE_COLUMN):
        shipped = _read_row(cells, place)
        title = ApTitle.parse(shipped.title).absolute
        if shipped.esn in found or title in titles:
            raise SettingsError(place, f"{shipped.esn} or its title comes twice", "drop one")
        found[shipped.esn] = shipped
        titles.add(title)
    return list(found.values())


def _read_row(cells: Sequence[str], place: str) -> Shipped:
    esn, title, key, model, wake = cells
    check_esn(esn, place)
    node_title(place, title)
    try:
        octets = bytes.fromhex(key)
    except ValueError:
        # The key itself is never shown.
        raise SettingsError(place, "the key is not hex", "mend the line") from None
    if len(octets) != 16:
        raise SettingsError(place, f"a key of {len(octets)} octets", "write 32 hex digits")
    if wake and not is_number(wake):
        raise SettingsError(place, f"{wake!r:.40} is no telephone number", "write +15551234567")
    return Shipped(esn, title, octets, model[:MAX_MODEL], wake)


def write_shipment(shipped: Sequence[Shipped]) -> str:
    """Give the text of a shipment file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    woken = [WAKE_COLUMN] if any(one.wake for one in shipped) else []
    writer.writerow(COLUMNS + woken)
    for one in shipped:
        cells = [one.esn, one.title, one.key.hex(), one.model, one.wake]
        writer.writerow(cells[: len(COLUMNS + woken)])
    return out.getvalue()


def import_shipment(connection: sqlite3.Connection, shipped: Sequence[Shipped], now_s: int) -> int:
    """Enter SmartMeters that are new; known ones keep their state and get all else.

    Gives how many were new.  IntegrityError when a title is another's, or an ESN a plain meter's.
    A SmartMeter that is retired yields its title.
    """
    new = 0
    titles = {one.esn: ApTitle.parse(one.title) for one in shipped}
    # Two of them may have changed places: neither is in the other's way.
    connection.executemany(
        "UPDATE meters SET title=? || esn WHERE esn=? AND title!=?",
        [(YIELDED, esn, str(title)) for esn, title in titles.items()],
    )
    connection.executemany(
        "UPDATE meters SET title=? || esn WHERE title IN (?,?) AND esn!=? AND state=?",
        [(YIELDED, *_spellings(one), esn, State.RETIRED) for esn, one in titles.items()],
    )
    plain = {row[0] for row in connection.execute("SELECT esn FROM polled_meters")}
    for one in shipped:
        if one.esn in plain:
            raise sqlite3.IntegrityError(f"{one.esn} is a plain meter, which is polled")
        title, spelt = str(titles[one.esn]), _spellings(titles[one.esn])
        sql = "SELECT esn FROM meters WHERE title IN (?,?) AND esn!=?"
        other = connection.execute(sql, (*spelt, one.esn)).fetchone()
        if other is not None:
            text = f"{title} of {one.esn} is the title of {other[0]}"
            raise sqlite3.IntegrityError(f"{text}, which has it until it is retired")
        cursor = connection.execute(
            "INSERT INTO meters (esn, title, model, state_since_s) VALUES (?,?,?,?)"
            " ON CONFLICT (esn) DO NOTHING",
            (one.esn, title, one.model, now_s),
        )
        new += cursor.rowcount
        connection.execute(
            "UPDATE meters SET title=?, model=? WHERE esn=?", (title, one.model, one.esn)
        )
        connection.execute(
            "UPDATE meters SET wake_number=? WHERE esn=? AND ?!=''", (one.wake, one.esn, one.wake)
        )
        sql = "INSERT OR REPLACE INTO keys (esn, key_id, key) VALUES (?,0,?)"
        connection.execute(sql, (one.esn, one.key))
        connection.execute("DELETE FROM unknown_devices WHERE title IN (?,?)", spelt)
    return new


def _spellings(title: ApTitle) -> tuple[str, str]:
    """Give a title as it may be written: absolute, and relative where it is below our base."""
    arcs, depth = title.absolute, len(BASE_ARCS)
    absolute, relative = ApTitle(arcs, False), ApTitle(arcs[depth:], True)
    return str(absolute), str(relative if arcs[:depth] == BASE_ARCS else absolute)
