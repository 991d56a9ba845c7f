"""C12.22 over TCP where the host opens the connection: the node listens (RFC 6142, 3).

One connection is the way to the host: the last that carried an APDU.  Another
must show one first, and then takes its place: a host that lost its connection is
back at once, and who only connects disturbs nobody.  Until an APDU came, what is
sent goes to all: the host answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from smartmeter.comms.bearer import BearerSettings, Connection, ip_address
from smartmeter.comms.inbox import Inbox
from smartmeter.comms.sockets import PATIENCE_S, keep_alive, listening_sockets
from smartmeter.comms.tcp import TcpConnection
from smartmeter.comms.tls import server_tls
from smartmeter.comms.tls_door import TlsDoor

#: Connections at once, with the one that is the way; for another the oldest of the rest is closed.
MAX_CANDIDATES = 8


class ListeningConnection:
    """A listener, and the one connection on it that is the way."""

    def __init__(self) -> None:
        self._server: asyncio.Server | TlsDoor | None = None
        #: In the order in which they came.
        self._all: dict[TcpConnection, None] = {}
        self._way: TcpConnection | None = None
        self._was_heard = False
        self._inbox = Inbox()
        self._opened, self._ended = asyncio.Event(), asyncio.Event()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen, and wait until a host has come; OSError when the address is taken."""
        if tls is None:
            self._server = await asyncio.start_server(self._accept, host or None, port)
        else:
            self._server = TlsDoor(tls, self._spoken_to, Counter(), MAX_CANDIDATES)
            for bound in listening_sockets(host, port, socket.SOCK_STREAM):
                self._server.open(bound)
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            self.close()
            raise

    def send(self, octets: bytes) -> None:
        """Send one APDU by the way of now, or to all while none of them has spoken."""
        if self._way is not None:
            for connection in (self._way,) if self._was_heard else tuple(self._all):
                connection.send(octets)

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives until the host has gone."""
        self._inbox.open(take)
        await self._ended.wait()

    def close(self) -> None:
        """End it: listen no more."""
        self._ended.set()
        if self._server is not None:
            self._server.close()
        for connection in self._all:
            connection.close()

    def _spoken_to(self) -> asyncio.BaseProtocol:
        """Give what asyncio's own server makes for a connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = TcpConnection(reader, writer)
        if self._ended.is_set():
            connection.close()
            return
        keep_alive(writer.get_extra_info("socket"))
        if len(self._all) >= MAX_CANDIDATES:
            # Never the newest: strangers that say nothing would keep the host out.
            oldest = next(one for one in self._all if one is not self._way)
            del self._all[oldest]
            oldest.close()
        self._all[connection] = None
        if self._way is None:
            self._way = connection
            self._opened.set()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._lost_patience, connection)
        # A task of a server ends with it: asyncio would print one that ends as cancelled.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await connection.receive(lambda octets: self._heard(connection, octets))
        timer.cancel()
        self._all.pop(connection, None)
        connection.close()
        if connection is self._way:
            # While nobody has spoken, any of the others may be the host.
            self._way = None if self._was_heard else next(iter(self._all), None)
            if self._way is None:
                self._ended.set()

    def _heard(self, connection: TcpConnection, octets: bytes) -> None:
        self._was_heard = True
        if connection is not self._way:
            before, self._way = self._way, connection
            if before is not None:
                before.close()
        self._inbox.put(octets)

    def _lost_patience(self, connection: TcpConnection) -> None:
        if connection is not self._way:
            connection.close()


class ListeningBearer:
    """Listens at an address, with TLS if a certificate is set; stands by for a host."""

    stands_by = True

    def __init__(self, settings: BearerSettings) -> None:
        self.settings = settings
        self._address = ip_address(settings.address)
        self._tls = server_tls(settings.tls) if settings.tls.certificate is not None else None

    async def connect(self) -> Connection:
        """Wait until a host has opened a connection; OSError when the address is taken."""
        connection = ListeningConnection()
        await connection.listen(*self._address, self._tls)
        return connection
