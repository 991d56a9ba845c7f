"""A head-end or relay that opens the connections itself: to nodes that listen (RFC 6142, 3)."""

from __future__ import annotations

import asyncio
import ssl

from smartmeter.comms.bearer import ip_address
from smartmeter.comms.listener import Handler, Listener, TcpPath
from smartmeter.comms.tcp import CONNECT_TIMEOUT_S
from smartmeter.comms.tls import TlsFiles, client_tls

RECONNECT_S = (0.25, 30.0)


class _CalledPath(TcpPath):
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


class Caller:
    """Keeps a connection open to one node; what it carries is as if the node had opened it."""

    def __init__(self, address: str, listener: Listener, tls: TlsFiles | None = None) -> None:
        self._host, self._port = ip_address(address)
        self._listener = listener
        self._tls: ssl.SSLContext | None = None
        if address.startswith("tls:"):
            self._tls = client_tls(tls or TlsFiles())

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; ``handler`` is the listener's own."""
        loop, rest_s = asyncio.get_running_loop(), RECONNECT_S[0]
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    _, path = await loop.create_connection(
                        lambda: _CalledPath(self._listener), self._host, self._port, ssl=self._tls
                    )
                rest_s = RECONNECT_S[0]
                await path.ended.wait()
            except OSError:
                pass  # it is tried again below
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, RECONNECT_S[1])
