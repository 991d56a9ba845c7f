"""The list of plain C12.18 meters that the TMS polls itself: who they are, and how it logs on.

They stand behind TCP serial servers, and are entered by a file: CSV
``esn,address,user_id,password,model``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocols.errors import LocalProtocolError
from protocols.psem.codec import PASSWORD_OCTETS
from protocols.transports.async_tcp import parse_address
from smartmeter.base.errors import SettingsError
from smartmeter.tms.csv_list import check_esn, read_rows
from smartmeter.tms.model import YIELDED, State
from smartmeter.tms.shipment import MAX_MODEL
from smartmeter.tms.store.octets import octets_of

COLUMNS = ["esn", "address", "user_id", "password", "model"]
MAX_ROWS = 100_000


@dataclass(frozen=True)
class PolledMeter:
    """One plain meter: where it is reached, and how the TMS logs on."""

    esn: str
    address: str
    user_id: int
    password: bytes = field(repr=False)
    model: str


def read_polled(text: str, name: str = "list of polled meters") -> list[PolledMeter]:
    """Read a list whole, or refuse it; SettingsError names the line."""
    found: dict[str, PolledMeter] = {}
    addresses: set[str] = set()
    for place, cells in read_rows(text, name, COLUMNS, MAX_ROWS):
        meter = _read_row(cells, place)
        if meter.esn in found or meter.address in addresses:
            raise SettingsError(place, f"{meter.esn} or its address comes twice", "drop one")
        found[meter.esn] = meter
        addresses.add(meter.address)
    return list(found.values())


def _read_row(cells: Sequence[str], place: str) -> PolledMeter:
    esn, address, user_id, password, model = cells
    check_esn(esn, place)
    try:
        parse_address(address)
    except LocalProtocolError as error:
        raise SettingsError(place, str(error), "mend the line") from None
    if not user_id.isdecimal() or len(user_id) > 5 or int(user_id) > 0xFFFF:
        raise SettingsError(place, f"user_id {user_id!r:.20}", "give 0 to 65535")
    if len(password.encode()) > PASSWORD_OCTETS:
        # The password itself is never shown.
        raise SettingsError(place, "the password is too long", f"{PASSWORD_OCTETS} octets fit")
    return PolledMeter(esn, address, int(user_id), password.encode(), model[:MAX_MODEL])


def import_polled(connection: sqlite3.Connection, meters: Sequence[PolledMeter], now_s: int) -> int:
    """Enter plain meters; known ones get address, password and model.  Gives how many were new.

    A retired one yields its address.  IntegrityError when an ESN or an address is another meter's.
    """
    new = 0
    listed = [(one.esn, one.address) for one in meters]
    for table, column in (("polled_meters", "address"), ("meters", "title")):
        # Addresses may have been given to others of the list: nobody is in the way of those.
        connection.executemany(
            f"UPDATE {table} SET {column}=? || esn WHERE esn=? AND {column}!=?"
            " AND esn IN (SELECT esn FROM polled_meters)",
            [(YIELDED, *row) for row in listed],
        )
        connection.executemany(
            f"UPDATE {table} SET {column}=? || esn WHERE {column}=? AND esn!=?"
            " AND esn IN (SELECT esn FROM polled_meters)"
            # Asked of the one meter: a list of all retired ones would be made for each line.
            f" AND (SELECT state FROM meters AS one WHERE one.esn={table}.esn)=?",
            [(YIELDED, address, esn, State.RETIRED) for esn, address in listed],
        )
    for one in meters:
        row = connection.execute(
            "SELECT polled_meters.esn FROM meters LEFT JOIN polled_meters USING (esn)"
            " WHERE meters.esn=?",
            (one.esn,),
        ).fetchone()
        if row is not None and row[0] is None:
            raise sqlite3.IntegrityError(f"{one.esn} is a SmartMeter, which reports by itself")
        sql = "SELECT esn FROM meters WHERE title=? AND esn!=?"
        other = connection.execute(sql, (one.address, one.esn)).fetchone()
        if other is not None:
            text = f"{one.address} of {one.esn} is the address of {other[0]}"
            raise sqlite3.IntegrityError(f"{text}, which has it until it is retired")
        if row is None:  # one that was retired and removed is in service again
            new += 1
            connection.execute("DELETE FROM replacements WHERE old_esn=?", (one.esn,))
        connection.execute(
            "INSERT INTO meters (esn, title, model, state, state_since_s) VALUES (?,?,?,?,?)"
            " ON CONFLICT (esn) DO UPDATE SET title=excluded.title, model=excluded.model",
            (one.esn, one.address, one.model, State.POLLED, now_s),
        )
        connection.execute(
            "INSERT INTO polled_meters (esn, address, user_id, password) VALUES (?,?,?,?)"
            " ON CONFLICT (esn) DO UPDATE SET address=excluded.address,"
            " user_id=excluded.user_id, password=excluded.password",
            (one.esn, one.address, one.user_id, one.password),
        )
    return new


def remove_polled(connection: sqlite3.Connection, esn: str, now_s: int) -> None:
    """Forget a plain meter, its address and its password; what it told stays.

    Entered again it goes on where it stood.
    """
    connection.execute("UPDATE silences SET ended_s=? WHERE esn=? AND ended_s=0", (now_s, esn))
    connection.execute("DELETE FROM polled_meters WHERE esn=?", (esn,))
    connection.execute("DELETE FROM meters WHERE esn=?", (esn,))


def polled_meters(rows: Iterable[sqlite3.Row]) -> dict[str, PolledMeter]:
    """Give what the store holds of them."""
    return {
        row["esn"]: PolledMeter(
            row["esn"], row["address"], row["user_id"], octets_of(row["password"]), row["model"]
        )
        for row in rows
    }
