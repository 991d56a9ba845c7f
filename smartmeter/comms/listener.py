"""Where nodes are heard: C12.22 over TCP and UDP (RFC 6142) on one address, in an asyncio loop.

A message machine is given APDUs with their path (``paths``) and sends by it.
Everything has a limit: a connection that begins no message, or does not end one,
is closed; so is one that carries anything else, or does not read its answers.
What happened is counted in ``counts``.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import TYPE_CHECKING

from protocols.c1222.segmentation import fitting
from protocols.transports.capture import active
from protocols.transports.ip_packets import endpoint
from smartmeter.base.address import shown
from smartmeter.comms.datagrams import Address, DatagramSocket
from smartmeter.comms.event_loop import connections_granted
from smartmeter.comms.paths import CalledPath, Handler, Path, TcpPath, UdpPath, datagram_came
from smartmeter.comms.sockets import (
    CONNECT_TIMEOUT_S,
    PATIENCE_S,
    cannot_listen,
    group_sockets,
    leave_groups_to_others,
    leave_port_to_connected,
    listening_sockets,
)
from smartmeter.comms.tls_door import BACKLOG, TlsDoor

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

#: Connections at once, where the system grants so many open files; more are refused.
MAX_CONNECTIONS = 100_000
#: Octets of messages that are not whole yet, of all connections; then the oldest is closed.
MAX_PENDING_OCTETS = 64 << 20
SWEEP_S = 1.0
#: A turn of the loop that is longer is shared out more finely.
TURN_S = 0.05
#: Octets a second that a message must grow by to be waited for: half of a line of 300 bit/s.
MIN_OCTETS_PER_S = 19
#: Octets that are read at once, into a buffer that all connections share.
READ_OCTETS = 65_536


class Listener:
    """Listens until it is closed.  What passes goes into the capture of the process, if any.

    With ``segment_octets`` nothing longer leaves in one datagram: it is cut into segments.
    """

    def __init__(
        self,
        handler: Handler,
        limit: int,
        most: int = MAX_CONNECTIONS,
        segment_octets: int | None = None,
    ) -> None:
        self.handler, self.limit, self._segment_octets = handler, limit, segment_octets
        self._capture = active()
        self.buffer = memoryview(bytearray(READ_OCTETS))
        self.counts: Counter[str] = Counter()
        self.paths: set[TcpPath] = set()
        self._most = most
        #: Connections that owe a message: when they are looked at, and what was there before.
        self._owing: dict[TcpPath, tuple[float, int]] = {}
        self._pending = 0
        self._servers: list[asyncio.Server | TlsDoor] = []
        self._tcp_address = ("", 0)
        self._datagrams: list[DatagramSocket] = []
        self._turn_ends: float | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        #: What came before is left from then on: who is behind us may have ended, too.
        self.is_closed = False

    async def listen(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, place: str = ""
    ) -> None:
        """Listen on TCP and UDP, with ``tls`` on TCP alone.

        SettingsError names ``place``, or else the address, when it cannot be.
        """
        try:
            await self.listen_tcp(host, port, tls)
            if tls is None:
                await self.listen_udp(host, self.tcp_address[1])
        except OSError as error:
            raise cannot_listen(place or shown(host, port), error) from error

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen for connections at all addresses of a host; OSError when one is taken."""
        loop = asyncio.get_running_loop()
        # A program takes as many files as it is granted when it begins to serve, and not before.
        self._most = connections_granted(self._most)
        sockets = listening_sockets(host, port, socket.SOCK_STREAM)
        self._tcp_address = endpoint(sockets[0].getsockname())
        door = None if tls is None else TlsDoor(tls, lambda: TcpPath(self), self.counts)
        for bound in sockets:
            if door is not None:
                door.open(bound)
            else:
                made = await loop.create_server(lambda: TcpPath(self), sock=bound, backlog=BACKLOG)
                self._servers.append(made)
        if door is not None:
            self._servers.append(door)
        self._sweep()

    async def listen_udp(self, host: str, port: int) -> None:
        """Listen for datagrams at all addresses of a host; OSError when one is taken."""
        for bound in listening_sockets(host, port, socket.SOCK_DGRAM):
            self._hear(bound, None)

    async def listen_groups(self, port: int) -> None:
        """Hear C12.22's multicast groups too, after ``listen_udp``; answers go to who asked."""
        own = {one.socket.family: one for one in self._datagrams}
        for one in self._datagrams:
            leave_groups_to_others(one.socket)
        for bound in group_sockets(port):
            by = own.get(bound.family) or own.get(socket.AF_INET6)
            if by is not None:
                self._hear(bound, by)
            else:
                bound.close()

    def _hear(self, bound: socket.socket, by: DatagramSocket | None) -> None:
        """Hear a socket; ``by``: it is a group's, and this one answers."""

        def take(octets: bytes, address: Address, at: bytes) -> None:
            datagram_came(self, by or own, octets, address, at if by is None else b"")

        own = DatagramSocket(bound, take)
        self._datagrams.append(own)

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Give the first address that connections are accepted at."""
        return self._tcp_address

    @property
    def udp_address(self) -> tuple[str, int]:
        """Give the first address that datagrams are taken at."""
        return endpoint(self._datagrams[0].name)

    def shared_udp_address(self) -> tuple[str, int] | None:
        """Give where datagrams are taken, for a socket connected to one peer; None without any."""
        for one in self._datagrams:
            leave_port_to_connected(one.socket)
        return self.udp_address if self._datagrams else None

    async def close(self) -> None:
        """Stop listening and end all connections."""
        self.is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for one in self._datagrams:
            one.close()
        for path in list(self.paths):
            path.close()
        await asyncio.sleep(0)

    async def connect(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> CalledPath:
        """Open a connection ourselves; what it carries is as if the peer had.  OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, path = await loop.create_connection(lambda: CalledPath(self), host, port, ssl=tls)
        return path

    def datagram_path(self, host: str, port: int) -> UdpPath | None:
        """Give the path to an IP address; None where no socket of ours can reach it."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        own = {one.socket.family: one for one in self._datagrams}
        by = own.get(family) or own.get(socket.AF_INET6)
        if by is None:
            return None
        address: Address = (host, port)
        if by.socket.family == socket.AF_INET6:
            address = (host if ":" in host else f"::ffff:{host}", port, 0, 0)
        return UdpPath(self, (host, port), address, by)

    # What paths tell.

    def opened(self, path: TcpPath) -> bool:
        """Take a connection in; False when there is no room."""
        if len(self.paths) >= self._most:
            self.counts["refused full"] += 1
            return False
        self.counts["connections"] += 1
        self.paths.add(path)
        if path.owes:
            self._owes(path)
        return True

    def heard(self, path: TcpPath, whole: bool, pending: int) -> None:
        """Octets came: a whole message pays the debt, the beginning of another makes a new one."""
        if whole:
            self._owing.pop(path, None)
        if pending and path not in self._owing:
            self._owes(path)
        self._pending += pending - path.pending
        path.pending = pending
        while self._pending > MAX_PENDING_OCTETS:
            self.refuse(next(one for one in self._owing if one.pending), "too-much-pending")

    def share(self, most: int) -> int:
        """Give how many APDUs of a connection are taken in one turn of the loop.

        In a turn that is long already, one: a connection that is new is answered two turns later.
        """
        loop = asyncio.get_running_loop()
        if self._turn_ends is None:
            self._turn_ends = loop.time() + TURN_S
            loop.call_soon(self._next_turn)
        return most if loop.time() < self._turn_ends else 1

    def _next_turn(self) -> None:
        self._turn_ends = None

    def take(self, path: Path, octets: bytes) -> None:
        """Give one APDU on."""
        self.tell(path, octets, sent=False)
        self.handler.receive(path, octets)

    def refuse(self, path: TcpPath, reason: str) -> None:
        """Close a connection that carries what cannot be recovered, or nothing."""
        self.counts[f"closed {reason}"] += 1
        self._forget(path)
        self.handler.refused(path, reason)
        path.close()

    def lost(self, path: TcpPath) -> None:
        """A connection has ended, perhaps within a message."""
        if path.pending:
            self.counts["closed within a message"] += 1
        self._forget(path)
        if path in self.paths:
            self.paths.discard(path)
            self.handler.closed(path)

    def tell(self, path: Path, octets: bytes, *, sent: bool) -> None:
        """Tell the capture."""
        if self._capture is not None:
            ends = path.local, path.remote
            self._capture.apdu(sent, *ends, path.is_stream, octets, listens=True)

    def send_datagram(self, path: UdpPath, octets: bytes) -> None:
        """Send an APDU in a datagram, or in several."""
        if path.by.is_closing():
            self.counts["unsent"] += 1
            return
        for datagram in fitting(octets, self._segment_octets):
            self.tell(path, datagram, sent=True)
            path.by.sendto(datagram, path.address, path.at)

    def _forget(self, path: TcpPath) -> None:
        self._owing.pop(path, None)
        self._pending -= path.pending
        path.pending = 0

    def _owes(self, path: TcpPath, held: int = 0) -> None:
        self._owing[path] = asyncio.get_running_loop().time() + PATIENCE_S, held

    def _sweep(self) -> None:
        """Close what is too slow; the dictionary is in the order of its dues."""
        loop = asyncio.get_running_loop()
        for path, (due, held) in list(self._owing.items()):
            if due > loop.time():
                break
            if path.pending - held >= MIN_OCTETS_PER_S * PATIENCE_S:
                del self._owing[path]  # to go to the end
                self._owes(path, path.pending)
            else:
                self.refuse(path, "too-slow")
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
