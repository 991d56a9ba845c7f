"""How relay and TMS come to a node that has no connection: it is called, or a relay wakes it.

A node that registered as one that accepts datagrams or connections is reached
at its native address (RFC 6142, 3); one whose number is known is rung by a short
message, opens its own connection and is known again by what it sends.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.errors import ApduRejected
from protocols.c1222.native_address import (
    TCP,
    UDP,
    NativeAddress,
    decode_address,
    sends_datagrams,
)
from protocols.c1222.registration import ConnectionType
from smartmeter.base.clock import monotonic_us
from smartmeter.comms.carrier import Bell
from smartmeter.comms.event_loop import ended
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import CalledPath
from smartmeter.comms.tls_renewal import ClientTls
from smartmeter.comms.udp import EVERYBODY

#: A node is rung no more often: each short message costs money.
RING_AGAIN_US = 60_000_000
#: Nodes that are called at once; the next ones are not.
MAX_CALLS = 64
#: Connection types of nodes that can be called, by protocol; None: by both.
ACCEPTS: dict[int | None, ConnectionType] = {
    None: ConnectionType.CONNECTION
    | ConnectionType.ACCEPTS_CONNECTIONS
    | ConnectionType.CONNECTIONLESS
    | ConnectionType.ACCEPTS_CONNECTIONLESS,
    TCP: ConnectionType.CONNECTION | ConnectionType.ACCEPTS_CONNECTIONS,
    UDP: ConnectionType.CONNECTIONLESS | ConnectionType.ACCEPTS_CONNECTIONLESS,
}


@dataclass
class Ring:
    """A bell, and the numbers of the nodes that it wakes, by the arcs of their titles."""

    bell: Bell
    numbers: Mapping[tuple[int, ...], str] = field(repr=False)


class Seeker(Protocol):
    """Who is told how looking ended."""

    def way_found(self, title: ApTitle, path: Hashable) -> None:
        """A node is reached by ``path``."""

    def way_lost(self, title: ApTitle) -> None:
        """A node cannot be reached now."""


class WayFinder:
    """Looks for nodes; ``seek`` and ``call`` begin, and tell whether there is hope.

    ``known`` gives where a node said that it can be reached.
    """

    def __init__(
        self,
        known: Callable[[ApTitle], NativeAddress | None],
        listener: Listener,
        seeker: Seeker,
        tls: ClientTls | None,
    ) -> None:
        self._known, self._listener, self._seeker = known, listener, seeker
        self._tls, self._counts = tls, listener.counts
        self.ring: Ring | None = None
        self._rung_us: dict[str, int] = {}
        self._calls: dict[tuple[int, ...], asyncio.Task[None]] = {}
        #: The connections that calls came to: a node that is called again has one, not two.
        self._called: dict[tuple[int, ...], CalledPath] = {}

    def seek(self, title: ApTitle) -> bool:
        """Begin to look for a node, or go on; False when nothing is known of it."""
        return self._begin_call(title, then_wake=True) or self._wake(title)

    def call(self, title: ApTitle) -> bool:
        """Begin to call a node that may just be slow: it is not woken, which would cost money.

        False when it listens nowhere.
        """
        return self._begin_call(title, then_wake=False)

    async def stop(self) -> None:
        """Look for nobody any more; raise what a call failed with."""
        for error in await ended(*self._calls.values()):
            raise error

    def _begin_call(self, title: ApTitle, then_wake: bool) -> bool:
        if title.absolute in self._calls:
            return True
        address = self._known(title)
        if address is None or len(self._calls) >= MAX_CALLS:
            return False
        call = asyncio.get_running_loop().create_task(self._call(title, address, then_wake))
        self._calls[title.absolute] = call
        return True

    def _wake(self, title: ApTitle) -> bool:
        number = self.ring.numbers.get(title.absolute) if self.ring is not None else None
        if self.ring is None or number is None:
            return False
        now_us = monotonic_us()
        if number not in self._rung_us or now_us >= self._rung_us[number] + RING_AGAIN_US:
            self._rung_us[number] = now_us
            self._counts["woken"] += 1
            self.ring.bell.wake(number)
        return True

    async def _call(self, title: ApTitle, address: NativeAddress, then_wake: bool) -> None:
        path: Hashable | None = None
        try:
            path = await self._reached(address)
        except OSError:
            self._counts["not reached at its address"] += 1
        finally:
            self._calls.pop(title.absolute, None)
        if path is not None:
            self._seeker.way_found(title, path)
            self._let_go_of_former(title, path)
        elif not then_wake or not self._wake(title):
            self._seeker.way_lost(title)

    async def _reached(self, address: NativeAddress) -> Hashable | None:
        """Give the path to an address: a connection, or else datagrams where it takes both."""
        if address.protocol != UDP:
            try:
                context = self._tls.context() if self._tls else None
                return await self._listener.connect(address.host, address.port, context)
            except OSError:
                if address.protocol == TCP:
                    raise
        return self._listener.datagram_path(address.host, address.port)

    def _let_go_of_former(self, title: ApTitle, path: Hashable) -> None:
        if isinstance(path, CalledPath):
            former = self._called.get(title.absolute)
            self._called[title.absolute] = path
            if former is not None:
                former.close()


def native_address(connection_type: int, octets: bytes) -> NativeAddress | None:
    """Give where a node can be reached and by what (protocol None: by both).

    None for one that only comes itself.
    """
    try:
        address = decode_address(octets)
    except ApduRejected:
        return None
    if address is not None and not _is_one_host(address.host):
        return None
    for protocol, bits in ACCEPTS.items():
        if (
            bits in ConnectionType(connection_type)
            and address is not None
            and address.protocol in (None, protocol)
        ):
            return NativeAddress(address.host, address.port, protocol)
    return None


def place_of(connection_type: int, octets: bytes, heard_at: bytes) -> NativeAddress | None:
    """Give where a node without a connection is reached: where it says that it can be, or else
    where its datagram came from."""
    said = native_address(connection_type, octets)
    return decode_address(heard_at) if said is None and sends_datagrams(heard_at) else said


def _is_one_host(host: str) -> bool:
    """Tell whether an address is that of one host, and no group's nor everybody's."""
    address = ipaddress.ip_address(host)
    return not (address.is_multicast or address.is_unspecified or host == EVERYBODY)
