"""Paths: where an APDU came from, and where one can be sent; what a listener gives to its handler.

A path is one TCP connection, or the source of a datagram.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from protocols.c1222.errors import ApduRejected
from protocols.c1222.native_address import TCP, UDP, NativeAddress, acceptable_source
from protocols.c1222.stream import ApduStream
from protocols.errors import LocalProtocolError
from protocols.transports.ip_packets import endpoint
from smartmeter.comms.datagrams import Address, DatagramSocket
from smartmeter.comms.sockets import MAX_UNSENT_OCTETS, keep_alive

if TYPE_CHECKING:
    from smartmeter.comms.listener import Listener

#: Messages of one connection that are served before others have their turn.
APDUS_A_TURN = 32


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
        if listener.is_closed:
            return
        share = listener.share(APDUS_A_TURN)
        for octets in found[:share]:
            listener.take(self, octets)
        if found:
            listener.handler.received()
        if rest := found[share:]:
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
            self._listener.tell(self, octets, sent=True)
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
    address: Address
    by: DatagramSocket = field(compare=False, repr=False)
    #: Our address that the datagram came to, and is answered from; empty where it is not known.
    at: bytes = field(default=b"", compare=False, repr=False)
    is_stream = is_slow = False

    @property
    def local(self) -> tuple[str, int]:
        """Give the address that the datagram came to."""
        host, port = self.listener.udp_address
        if self.at:
            family = socket.AF_INET if len(self.at) == 4 else socket.AF_INET6
            return endpoint((socket.inet_ntop(family, self.at), port))
        return host, port

    def send(self, octets: bytes) -> None:
        """Send one APDU as one datagram, from the address and port that it came to."""
        self.listener.send_datagram(self, octets)


def datagram_came(
    listener: Listener, by: DatagramSocket, octets: bytes, address: Address, at: bytes
) -> None:
    """Give a datagram on; what is answered to it goes by one of our own sockets.

    ``at`` is our address that it came to, as far as that is known.
    """
    remote = endpoint(address)
    if len(address) == 2 and by.socket.family == socket.AF_INET6:
        # Answered by a socket for both families.
        address = (f"::ffff:{address[0]}", address[1], 0, 0)
    if not acceptable_source(remote[1]):
        listener.counts["datagram from port 0"] += 1
        return
    listener.take(UdpPath(listener, remote, address, by, at), octets)
    listener.handler.received()


def native_address_of(path: Path, own: bool) -> bytes:
    """Give where a path's far end is, or where it came to, as C12.22 over IP writes it.

    Nothing on other carriers: a broker's address is that of many nodes, and of none; nor are we
    there at an address of IP, and the name of a broker, or a telephone number, is not looked up.
    """
    if not isinstance(path, TcpPath | UdpPath):
        return b""
    host, port = path.local if own else path.remote
    try:
        if own and ipaddress.ip_address(host).is_unspecified:
            host = _facing(path.address if isinstance(path, UdpPath) else path.remote)
        return NativeAddress(host, port, TCP if path.is_stream else UDP).encode()
    except (LocalProtocolError, OverflowError, ValueError, OSError):
        return b""


def _facing(remote: Address) -> str:
    """Give our address on the way to a peer, where we listen on all; nothing is sent.

    Only the whole address of a peer says on which link it is (IPv6).
    """
    family = socket.AF_INET6 if ":" in str(remote[0]) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)
        return endpoint(probe.getsockname())[0]
