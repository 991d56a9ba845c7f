"""Two peers of a TMS: an epoll loop that echoes, and the least that one in Python can do.

The least is the echo's loop, which reads the APDU, opens it, writes one row
for the report and one for each interval, commits what one look at the sockets
brought, and seals an ``ok`` for each.  Nothing is decoded behind the services,
no key is looked up, no replay, repetition, window or configuration is checked,
and nobody else is served meanwhile: no limit beyond this can be met by a TMS
that has to do those things too.
"""

from __future__ import annotations

import resource
import select
import socket
import sqlite3
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.security import EaxPrime, open_apdu
from smartmeter.ssi.factory import Factory

INTERVALS = 4
_TABLES = """
CREATE TABLE reports (esn TEXT, epoch, report_nbr, time_s, services BLOB,
 PRIMARY KEY (esn, epoch, report_nbr)) WITHOUT ROWID;
CREATE TABLE intervals (esn TEXT, set_nbr, epoch, sequence, end_s, raw,
 PRIMARY KEY (esn, set_nbr, epoch, sequence)) WITHOUT ROWID;
"""


def processor_s() -> float:
    """Give the processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def echo_server(pipe: Connection) -> None:
    """Echo whatever comes, in a bare epoll loop; tells processor seconds when asked."""
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server.setblocking(False)
    pipe.send(server.getsockname())
    poll, peers = select.epoll(), {}
    poll.register(server, select.EPOLLIN)
    poll.register(pipe.fileno(), select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == server.fileno():
                peer, _ = server.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.setblocking(False)
                peers[peer.fileno()] = peer
                poll.register(peer, select.EPOLLIN)
            elif number == pipe.fileno():
                if pipe.recv() is None:
                    return
                pipe.send(processor_s())
            elif data := peers[number].recv(65_536):
                peers[number].send(data)
            else:
                poll.unregister(number)
                peers.pop(number).close()


class BareStore:
    """Two tables, written as the TMS's own: WAL, synchronised at each commit."""

    def __init__(self, folder: str) -> None:
        self._connection = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_TABLES)

    def write(self, reports: Sequence[tuple[str, int, bytes]]) -> None:
        """Write a group of reports with their intervals, and commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR IGNORE INTO reports VALUES (?,1,?,0,?)", reports)
        self._connection.executemany(
            "INSERT OR IGNORE INTO intervals VALUES (?,1,1,?,?,'[250, 31]')",
            [
                (esn, number * INTERVALS + interval, number)
                for esn, number, _ in reports
                for interval in range(INTERVALS)
            ],
        )
        self._connection.execute("COMMIT")


class Known:
    """A connection whose SmartMeter is known beforehand."""

    def __init__(self, peer: socket.socket, factory: Factory) -> None:
        self.peer, self.esn, self._cipher = peer, factory.esn, EaxPrime(factory.key)
        self._number = 0

    def opened(self, octets: bytes) -> tuple[tuple[str, int, bytes], bytes]:
        """Give the row of a report, and the APDU that says it is stored."""
        apdu = decode_apdu(octets)
        services = open_apdu(apdu, lambda key_id: self._cipher)
        self._number += 1
        answers = apdu.calling_invocation_id
        envelope = Envelope(self._number, apdu.calling, apdu.called, answers)
        lock = Lock(self._cipher, 0, self._number.to_bytes(4, "big"))
        return (self.esn, self._number, services), build_apdu(envelope, [b"\0", b"\0"], lock)


def bare_server(pipe: Connection, factories: list[Factory]) -> None:
    """Serve the SmartMeters, the first connection the first one's; tells processor seconds."""
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server.setblocking(False)
    pipe.send(server.getsockname())
    poll, known, strangers = select.epoll(), {}, iter(factories)
    poll.register(server, select.EPOLLIN)
    poll.register(pipe.fileno(), select.EPOLLIN)
    with tempfile.TemporaryDirectory() as folder:
        store = BareStore(folder)
        while True:
            rows, answers = [], []
            for number, _ in poll.poll():
                if number == server.fileno():
                    peer, _ = server.accept()
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    known[peer.fileno()] = Known(peer, next(strangers))
                    poll.register(peer, select.EPOLLIN)
                elif number == pipe.fileno():
                    if pipe.recv() is None:
                        return
                    pipe.send(processor_s())
                elif octets := known[number].peer.recv(65_536):
                    row, answer = known[number].opened(octets)
                    rows.append(row)
                    answers.append((known[number].peer, answer))
                else:
                    poll.unregister(number)
                    known.pop(number).peer.close()
            if rows:
                store.write(rows)
            for peer, answer in answers:
                peer.send(answer)
