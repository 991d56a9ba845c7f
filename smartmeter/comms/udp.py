"""C12.22 over UDP (RFC 6142): one APDU a datagram, identical octets again until it is answered.

The receiver knows a repeated request by its invocation id and answers it from
its store, so that nothing is served twice.  Where segments are switched on, what is
longer goes in several datagrams; a segment that is only carried on is not repeated.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from protocols.c1222.ap_title import absolute
from protocols.c1222.datagrams import REPEAT_AFTER_S, Awaited, awaited
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.segmentation import fitting
from protocols.transports.capture import Notes, apdu_notes
from protocols.transports.ip_packets import endpoint
from smartmeter.comms.bearer import BearerSettings, Connection, ip_address
from smartmeter.comms.sockets import connected_datagrams

#: The limited broadcast of IPv4.
EVERYBODY = "255.255.255.255"
#: Requests that wait for an answer at once; a node has one or two.
MAX_WAITING = 256


class UdpConnection(asyncio.DatagramProtocol):
    """A socket that is connected to the TMS, or sends to a group and hears whoever answers."""

    def __init__(
        self, group: tuple[str | int, ...] | None = None, segment_octets: int | None = None
    ) -> None:
        self._group, self._segment_octets = group, segment_octets
        self._transport: asyncio.DatagramTransport | None = None
        self._take: Callable[[bytes], None] | None = None
        self._ended = asyncio.Event()
        self._fault: Exception | None = None
        #: By what answers them: a relay carries requests of many.
        self._timers: dict[Awaited, asyncio.TimerHandle] = {}
        self._notes = Notes()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio's call."""
        # asyncio's own datagram transport is no subclass of DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)
        local = endpoint(transport.get_extra_info("sockname"))
        remote = endpoint(self._group or transport.get_extra_info("peername"))
        self._notes = apdu_notes(local, remote, listens=False, is_stream=False)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Give an APDU on; asyncio's call."""
        self._notes.received(data)
        with suppress(ApduRejected):
            self._answered(decode_apdu(data))
        if self._take is not None:
            self._take(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there; asyncio's call."""
        self._fault = exc
        self._ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; asyncio's call."""
        self._ended.set()

    def send(self, octets: bytes) -> None:
        """Send one APDU; a request that may be answered is sent again until it is."""
        self._write(octets)
        asked = awaited(octets)
        if asked is not None and len(self._timers) < MAX_WAITING:
            self._again_later(asked, octets, 0)

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives until the socket is closed; OSError when nobody listens at the other
        end.
        """
        self._take = take
        await self._ended.wait()
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """End it."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._transport is not None:
            self._transport.close()

    def _answered(self, answer: Apdu) -> None:
        """Send a request no more; a node without a title is answered by one that it was given."""
        own_id = answer.called_invocation_id
        if own_id is None:
            return
        for asked in ((own_id, absolute(answer.called)), (own_id, ())):
            if (timer := self._timers.pop(asked, None)) is not None:
                timer.cancel()
                return

    def _again_later(self, asked: Awaited, octets: bytes, turn: int) -> None:
        if (before := self._timers.pop(asked, None)) is not None:
            before.cancel()
        if turn == len(REPEAT_AFTER_S):
            return

        def again() -> None:
            self._write(octets)
            self._again_later(asked, octets, turn + 1)

        loop = asyncio.get_running_loop()
        self._timers[asked] = loop.call_later(REPEAT_AFTER_S[turn], again)

    def _write(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            for datagram in fitting(octets, self._segment_octets):
                self._notes.sent(datagram)
                self._transport.sendto(datagram, self._group)


class UdpBearer:
    """A TMS at a UDP address.

    A relay sends from the address and port that it listens at (``own``; RFC 6142, digest 11.4),
    so that whoever is above reaches it there after a restart too.
    """

    stands_by = False
    own: tuple[str, int] | None = None

    def __init__(self, settings: BearerSettings) -> None:
        self.settings = settings
        self._address = ip_address(settings.address)

    async def connect(self) -> Connection:
        """Make a socket; UDP itself says nothing of whether somebody listens."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        most = self.settings.segment_octets
        if _is_group(host):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
            group = cast(tuple[str | int, ...], found[0][4])
            _, connection = await loop.create_datagram_endpoint(
                lambda: UdpConnection(group, most), family=family, allow_broadcast=True
            )
        else:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            places = [(one[0], cast(tuple[str | int, ...], one[4])) for one in found]
            connected = connected_datagrams(places, self.own)
            _, connection = await loop.create_datagram_endpoint(
                lambda: UdpConnection(segment_octets=most), sock=connected
            )
        return connection


def _is_group(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_multicast or host == EVERYBODY
