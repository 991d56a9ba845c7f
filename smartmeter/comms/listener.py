"""Where nodes are heard: C12.22 over TCP and UDP (RFC 6142) on one address, in an asyncio loop.

A path is one TCP connection, or the source of a datagram; a message machine is
given APDUs with their path and sends by it.  Everything has a limit: a
connection that begins no message, or does not end one, is closed; so is one
that carries what is none, or does not read its answers.  What happened is
counted in ``counts``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol, cast

from protocols.c1222.errors import ApduRejected
from protocols.c1222.native_address import (
    DEFAULT_PORT,
    TCP,
    UDP,
    NativeAddress,
    acceptable_source,
)
from protocols.c1222.segmentation import fitting
from protocols.c1222.stream import ApduStream
from protocols.errors import LocalProtocolError
from protocols.transports.capture import active
from protocols.transports.ip_packets import endpoint
from smartmeter.base.address import shown
from smartmeter.base.errors import SettingsError
from smartmeter.comms.sockets import (
    CONNECT_TIMEOUT_S,
    MAX_UNSENT_OCTETS,
    PATIENCE_S,
    group_sockets,
    leave_groups_to_others,
    listening_sockets,
)
from smartmeter.comms.tls_door import BACKLOG, TlsDoor

#: Connections at once; more are refused.
MAX_CONNECTIONS = 100_000
#: Octets of messages that are not whole yet, of all connections; then the oldest is closed.
MAX_PENDING_OCTETS = 64 << 20
SWEEP_S = 1.0
#: Octets that are read at once, into a buffer that all connections share.
READ_OCTETS = 65_536
#: Messages of one connection that are served before others have their turn.
APDUS_A_TURN = 32
#: Half-open connections: probes begin after a minute of silence, and three may be lost.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3))


class Handler(Protocol):
    """What is behind a listener."""

    def receive(self, path: Hashable, octets: bytes) -> None:
        """Take one APDU."""

    def received(self) -> None:
        """All that had come was given: send what there is to send."""

    def closed(self, path: Hashable) -> None:
        """A path has gone."""

    def refused(self, path: Hashable, reason: str) -> None:
        """Something was no message at all, or came too slowly."""


class Path(Hashable, Protocol):
    """Where an APDU came from, and where one can be sent."""

    @property
    def local(self) -> tuple[str, int]:
        """Give our host and port."""

    @property
    def remote(self) -> tuple[str, int]:
        """Give the peer's host and port."""

    @property
    def is_stream(self) -> bool:
        """Tell whether this is a connection."""

    @property
    def is_slow(self) -> bool:
        """Tell whether what is sent may lie in a network for minutes."""

    def send(self, octets: bytes) -> None:
        """Send one APDU; what cannot be sent is dropped."""


class TcpPath(asyncio.BufferedProtocol):
    """One connection.  All of them read into one buffer, from which octets are taken at once."""

    __slots__ = ("_listener", "_stream", "_transport", "local", "pending", "remote")
    is_stream, is_slow = True, False
    #: A peer that connects to us owes a first message.
    owes = True

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._stream = ApduStream(listener.limit)
        self._transport: asyncio.Transport | None = None
        self.local = self.remote = ("", 0)
        self.pending = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio's call."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self.local = endpoint(transport.get_extra_info("sockname"))
        self.remote = endpoint(transport.get_extra_info("peername"))
        keep_alive(transport.get_extra_info("socket"))
        if not self._listener.opened(self):
            self.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give where the octets that came are put; asyncio's call."""
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Cut APDUs out of the stream; asyncio's call."""
        listener = self._listener
        try:
            found = self._stream.feed(bytes(listener.buffer[:nbytes]))
        except ApduRejected as error:
            listener.refuse(self, error.reason)
            return
        listener.heard(self, bool(found), self._stream.pending)
        self._give(found)

    def _give(self, found: list[bytes], is_rest: bool = False) -> None:
        """Give APDUs on, so many at a time that nobody else waits long; then read on."""
        listener = self._listener
        for octets in found[:APDUS_A_TURN]:
            listener.take(self, octets)
        if found:
            listener.handler.received()
        if rest := found[APDUS_A_TURN:]:
            if self._transport is not None:
                self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._give, rest, True)
            return
        if is_rest and self._transport is not None:
            self._transport.resume_reading()
        try:
            self._stream.check()
        except ApduRejected as error:
            listener.refuse(self, error.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; asyncio's call."""
        self._transport = None
        self._listener.lost(self)

    def send(self, octets: bytes) -> None:
        """Send one APDU; a connection that has gone drops it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._listener.counts["unsent"] += 1
        elif transport.get_write_buffer_size() > MAX_UNSENT_OCTETS:
            self._listener.counts["closed unread"] += 1
            transport.abort()
        else:
            self._listener.tell(True, self, octets)
            transport.write(octets)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


class CalledPath(TcpPath):
    """A connection that we have opened: it owes no first message, and tells when it ends."""

    __slots__ = ("ended",)
    owes = False

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.ended = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; asyncio's call."""
        super().connection_lost(exc)
        self.ended.set()


@dataclass(frozen=True)
class UdpPath:
    """The source of a datagram; two of one source are one path."""

    listener: Listener
    remote: tuple[str, int]
    address: tuple[str | int, ...]
    by: asyncio.DatagramTransport = field(compare=False, repr=False)
    is_stream = is_slow = False

    @property
    def local(self) -> tuple[str, int]:
        """Give the address that the datagram came to."""
        return self.listener.udp_address

    def send(self, octets: bytes) -> None:
        """Send one APDU as one datagram, from the port that it came to."""
        self.listener.send_datagram(self, octets)


class _Datagrams(asyncio.DatagramProtocol):
    """One socket; what comes by that of a group is answered by one of our own address."""

    def __init__(self, listener: Listener, answer_by: asyncio.DatagramTransport | None) -> None:
        self._listener = listener
        self._answer_by = answer_by

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is no subclass of DatagramTransport.
        self._answer_by = self._answer_by or cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        listener, by = self._listener, self._answer_by
        assert by is not None
        remote = endpoint(addr)
        if len(addr) == 2 and by.get_extra_info("socket").family == socket.AF_INET6:
            addr = (f"::ffff:{addr[0]}", addr[1], 0, 0)  # answered by a socket for both families
        if not acceptable_source(remote[1]):
            listener.counts["datagram from port 0"] += 1
            return
        listener.take(UdpPath(listener, remote, addr, by), data)
        listener.handler.received()


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
        #: Connections that owe a message, by the time when they must have given it.
        self._owing: dict[TcpPath, float] = {}
        self._pending = 0
        self._servers: list[asyncio.Server | TlsDoor] = []
        self._tcp_address = ("", 0)
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._sweeper: asyncio.TimerHandle | None = None

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
            raise SettingsError(
                place or shown(host, port),
                f"cannot listen: {error.strerror}",
                "choose another port",
            ) from error

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen for connections at all addresses of a host; OSError when one is taken."""
        loop = asyncio.get_running_loop()
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
            await self._hear(bound, None)

    async def listen_groups(self, port: int = DEFAULT_PORT) -> None:
        """Hear C12.22's multicast groups too, after ``listen_udp``; answers go to who asked."""
        own = {one.get_extra_info("socket").family: one for one in self._datagrams}
        for transport in self._datagrams:
            leave_groups_to_others(transport.get_extra_info("socket"))
        for bound in group_sockets(port):
            by = own.get(bound.family) or own.get(socket.AF_INET6)
            if by is not None:
                await self._hear(bound, by)
            else:
                bound.close()

    async def _hear(self, bound: socket.socket, by: asyncio.DatagramTransport | None) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self, by), sock=bound)
        self._datagrams.append(transport)

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Give the first address that connections are accepted at."""
        return self._tcp_address

    @property
    def udp_address(self) -> tuple[str, int]:
        """Give the first address that datagrams are taken at."""
        return endpoint(self._datagrams[0].get_extra_info("sockname"))

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for transport in self._datagrams:
            transport.close()
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
        own = {one.get_extra_info("socket").family: one for one in self._datagrams}
        by = own.get(family) or own.get(socket.AF_INET6)
        if by is None:
            return None
        address: tuple[str | int, ...] = (host, port)
        if by.get_extra_info("socket").family == socket.AF_INET6:
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

    def take(self, path: Path, octets: bytes) -> None:
        """Give one APDU on."""
        self.tell(False, path, octets)
        self.handler.receive(path, octets)

    def refuse(self, path: TcpPath, reason: str) -> None:
        """Close a connection that carries what cannot be recovered, or nothing."""
        self.counts[f"closed {reason}"] += 1
        self._forget(path)
        self.handler.refused(path, reason)
        path.close()

    def lost(self, path: TcpPath) -> None:
        """A connection has ended."""
        self._forget(path)
        if path in self.paths:
            self.paths.discard(path)
            self.handler.closed(path)

    def tell(self, sent: bool, path: Path, octets: bytes) -> None:
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
            self.tell(True, path, datagram)
            path.by.sendto(datagram, path.address)

    def _forget(self, path: TcpPath) -> None:
        self._owing.pop(path, None)
        self._pending -= path.pending
        path.pending = 0

    def _owes(self, path: TcpPath) -> None:
        self._owing[path] = asyncio.get_running_loop().time() + PATIENCE_S

    def _sweep(self) -> None:
        """Close what is too slow; the dictionary is in the order of its dues."""
        loop = asyncio.get_running_loop()
        for path, due in list(self._owing.items()):
            if due > loop.time():
                break
            self.refuse(path, "too-slow")
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)


def native_address_of(path: Path, own: bool) -> bytes:
    """Give where a path's far end is, or where it came to, as C12.22 over IP writes it.

    Nothing for a carrier without IP addresses.
    """
    host, port = path.local if own else path.remote
    try:
        if own and ipaddress.ip_address(host).is_unspecified:
            host = _facing(path.remote)
        return NativeAddress(host, port, TCP if path.is_stream else UDP).encode()
    except (LocalProtocolError, OverflowError, ValueError, OSError):
        return b""


def _facing(remote: tuple[str, int]) -> str:
    """Give our address on the way to a peer, where we listen on all; nothing is sent."""
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return str(probe.getsockname()[0])


def keep_alive(connected: socket.socket | None) -> None:
    """Ask the system to find out when the peer has gone without a word."""
    if connected is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
