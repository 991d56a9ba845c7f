"""Plain C12.18 meters that the TMS polls itself: who they are, and when each is due.

They stand behind TCP serial servers and know nothing of schedules; the TMS
keeps the schedules of its template for them.  A meter is entered by a file:
CSV ``esn,address,user_id,password,model``.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import Content, SsiTable
from protocols.errors import LocalProtocolError
from protocols.psem.codec import PASSWORD_OCTETS
from protocols.transports.async_tcp import parse_address
from smartmeter.base.errors import SettingsError
from smartmeter.base.tasks import Recurrence, jitter_s
from smartmeter.tms.csv_list import check_esn, read_rows
from smartmeter.tms.model import YIELDED, State
from smartmeter.tms.shipment import MAX_MODEL
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.template import Template

COLUMNS = ["esn", "address", "user_id", "password", "model"]
MAX_ROWS = 100_000
#: Polls that begin in one turn of the loop: each takes it a fraction of a millisecond.
MAX_DUE = 500


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
    for place, cells in read_rows(text, name, COLUMNS):
        meter = _read_row(cells, place)
        if meter.esn in found or meter.address in addresses or len(found) >= MAX_ROWS:
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
        new += row is None
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


@dataclass(frozen=True)
class PollSchedule:
    """What is read when, as the template's schedule says it to a SmartMeter."""

    number: int
    recurrence: Recurrence
    window_s: int
    load_profile: bool
    event_log: bool
    tables: tuple[int, ...]


def poll_schedules(template: Template) -> tuple[PollSchedule, ...]:
    """Give the reports of a template as polls."""
    value = ssi_tables.decode(SsiTable.SCHEDULES, template.images[SsiTable.SCHEDULES])
    entries = {one["SCHEDULE_NBR"]: one for one in value["SCHEDULES"]}
    found = []
    for due in template.reports():
        entry = entries[due.number]
        tables = [*entry["TABLES"], *(part["TABLE"] for part in entry["PARTS"])]
        found.append(
            PollSchedule(
                due.number,
                due.recurrence,
                due.window_s,
                bool(entry["CONTENT"] & Content.LOAD_PROFILE),
                bool(entry["CONTENT"] & Content.EVENT_LOG),
                tuple(sorted(set(tables))),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class PollDue:
    """It is time to poll a meter."""

    esn: str
    schedule: PollSchedule
    due_s: int


class PollPlan:
    """A machine of due times; a meter's place in a schedule's window follows from its ESN."""

    def __init__(self, schedules: Sequence[PollSchedule]) -> None:
        self._schedules = {one.number: one for one in schedules}
        self._heap: list[tuple[int, str, int, int]] = []
        self._known: set[str] = set()

    def __contains__(self, esn: str) -> bool:
        return esn in self._known

    def add(self, esn: str, polled: Mapping[int, int], utc_s: int) -> None:
        """Begin with a meter; ``polled`` gives the last due second that was served, by schedule.

        What was missed while nobody watched is polled at once, once.
        """
        if esn in self._known:
            return
        self._known.add(esn)
        for one in self._schedules.values():
            due_s = one.recurrence.latest(utc_s)
            if due_s is not None and due_s > polled.get(one.number, 0):
                heapq.heappush(self._heap, (utc_s, esn, one.number, due_s))
            else:
                self._next(esn, one, utc_s)

    def remove(self, esn: str) -> None:
        """Forget a meter."""
        self._known.discard(esn)
        self._heap = [entry for entry in self._heap if entry[1] != esn]
        heapq.heapify(self._heap)

    def tick(self, utc_s: int) -> list[PollDue]:
        """Give what is due, the first ``MAX_DUE`` of it: the rest is given in the next turns."""
        found: list[PollDue] = []
        while len(found) < MAX_DUE and self._heap and self._heap[0][0] <= utc_s:
            _, esn, number, due_s = heapq.heappop(self._heap)
            schedule = self._schedules[number]
            found.append(PollDue(esn, schedule, due_s))
            self._next(esn, schedule, max(due_s, utc_s - schedule.window_s))
        return found

    def next_due_s(self, esn: str, utc_s: int) -> int | None:
        """Give when a meter is polled next."""
        dues = (one.recurrence.following(utc_s) for one in self._schedules.values())
        return min((due for due in dues if due is not None), default=None)

    def _next(self, esn: str, schedule: PollSchedule, after_s: int) -> None:
        due_s = schedule.recurrence.following(after_s)
        if due_s is not None:
            at_s = due_s + jitter_s(esn, schedule.number, schedule.window_s)
            heapq.heappush(self._heap, (at_s, esn, schedule.number, due_s))


def polled_meters(rows: Iterable[sqlite3.Row]) -> dict[str, PolledMeter]:
    """Give what the store holds of them."""
    return {
        row["esn"]: PolledMeter(
            row["esn"], row["address"], row["user_id"], octets_of(row["password"]), row["model"]
        )
        for row in rows
    }
