"""Registrations at the TMS as master relay: how long each counts, and which hosts are told.

A registration counts for the period that was granted and a grace, of the
monotonic clock: nodes register again by theirs.  A notification host is a node
of the shipment that registers as one; it is told of every node that comes
(27H) and goes (24H), secured with its own key, and wants no answer.  The
standard's own exchange is not public: this one is a choice of ours.  Where a node
said that it can be called, or its datagram came from, is kept for when it has no connection.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

from protocols.c1222.native_address import NativeAddress
from protocols.c1222.registration import NodeType, Register
from smartmeter.comms.way_finder import ACCEPTS, native_address
from smartmeter.tms.model import US_PER_S
from smartmeter.tms.store.sqlite import Store

#: For how long a registration counts, and how much longer a node may take to ask again.
REGISTRATION_PERIOD_S, GRACE_S = 86_400, 60
#: Each costs a message for each registration.
MAX_HOSTS = 16


class Registrations:
    """Who is registered, until when, and which of them are notification hosts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: In the order in which they lapse: all are granted the same period.
        self._lapses: OrderedDict[str, int] = OrderedDict()
        self.hosts: set[str] = set()
        #: Of those that can be reached without a connection.
        self._addresses: dict[str, NativeAddress] = {}

    def load(self, now_us: int) -> None:
        """Take up what the store knows; after a restart each counts for a whole period again."""
        for row in self._store.read("SELECT esn FROM meters WHERE registered_s != 0"):
            self._keep(row["esn"], now_us)
        self.hosts = {row["esn"] for row in self._store.read("SELECT esn FROM notification_hosts")}
        for row in self._store.read("SELECT * FROM native_addresses"):
            place = native_address(row["connection_type"], row["address"])
            if place is not None:
                self._addresses[row["esn"]] = place

    def address(self, esn: str) -> NativeAddress | None:
        """Give where a node can be called; None for one that only comes itself."""
        return self._addresses.get(esn)

    def has(self, esn: str | None) -> bool:
        """Tell whether a node is registered."""
        return esn in self._lapses

    def room_for(self, esn: str, register: Register) -> bool:
        """Tell whether a node may be taken in as what it says that it is."""
        return not told(register) or esn in self.hosts or len(self.hosts) < MAX_HOSTS

    def came(self, esn: str, register: Register, place: NativeAddress | None, now_us: int) -> None:
        """A registration is durable; ``place`` is where the node can be called."""
        self._keep(esn, now_us)
        self._addresses.pop(esn, None)
        if place is not None:
            self._addresses[esn] = place
        if told(register):
            self.hosts.add(esn)
        else:
            self.hosts.discard(esn)

    def went(self, esn: str) -> None:
        """A node has given its title up, or its registration has lapsed."""
        self._lapses.pop(esn, None)
        self._addresses.pop(esn, None)
        self.hosts.discard(esn)

    def lapsed(self, now_us: int) -> list[str]:
        """Give whose registration is over, and forget it."""
        found = []
        while self._lapses and next(iter(self._lapses.values())) <= now_us:
            found.append(self._lapses.popitem(last=False)[0])
        return found

    def _keep(self, esn: str, now_us: int) -> None:
        self._lapses.pop(esn, None)
        self._lapses[esn] = now_us + (REGISTRATION_PERIOD_S + GRACE_S) * US_PER_S


def told(register: Register) -> bool:
    """Tell whether a node registers as a notification host."""
    return bool(register.node_type & NodeType.NOTIFICATION_HOST)


def store_registration(
    connection: sqlite3.Connection,
    esn: str,
    register: Register,
    place: NativeAddress | None,
    utc_s: int,
) -> int:
    """Enter a registration; give the version of what the node was last provisioned with."""
    connection.execute(
        "UPDATE meters SET registered_s=?, heard_s=?,"
        " state_since_s = CASE state WHEN 'shipped' THEN ? ELSE state_since_s END,"
        " state = CASE state WHEN 'shipped' THEN 'registered' ELSE state END"
        " WHERE esn=?",
        (utc_s, utc_s, utc_s, esn),
    )
    if told(register):
        connection.execute("INSERT OR IGNORE INTO notification_hosts VALUES (?)", (esn,))
    else:
        connection.execute("DELETE FROM notification_hosts WHERE esn=?", (esn,))
    connection.execute("DELETE FROM native_addresses WHERE esn=?", (esn,))
    if place is not None:
        row = esn, int(ACCEPTS[place.protocol]), place.encode()
        connection.execute("INSERT INTO native_addresses VALUES (?, ?, ?)", row)
    sql = "SELECT config_version FROM meters WHERE esn=?"
    return int(connection.execute(sql, (esn,)).fetchone()[0])


def store_departure(connection: sqlite3.Connection, esn: str) -> None:
    """Note that a node is registered no longer; what it sent stays."""
    connection.execute("UPDATE meters SET registered_s=0 WHERE esn=?", (esn,))
    connection.execute("DELETE FROM notification_hosts WHERE esn=?", (esn,))
    connection.execute("DELETE FROM native_addresses WHERE esn=?", (esn,))
