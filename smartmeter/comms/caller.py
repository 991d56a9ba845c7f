"""A head-end or relay that opens the connections itself: to nodes that listen (RFC 6142, 3)."""

from __future__ import annotations

import asyncio

from protocols.transports.port import system_words
from smartmeter.comms.bearer import ip_address
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import Handler
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls import TlsFiles
from smartmeter.comms.tls_renewal import ClientTls

RECONNECT_S = (0.25, 30.0)


class Caller:
    """Keeps a connection open to one node; what it carries is as if the node had opened it."""

    def __init__(
        self,
        address: str,
        listener: Listener,
        tls: TlsFiles | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._host, self._port = ip_address(address)
        self._listener = listener
        self._standing = standing or Standing()
        is_tls = address.startswith("tls:")
        self._tls = ClientTls(tls or TlsFiles(), self._standing.tell) if is_tls else None

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; ``handler`` is the listener's own."""
        rest_s = RECONNECT_S[0]
        while True:
            try:
                context = self._tls.context() if self._tls else None
                path = await self._listener.connect(self._host, self._port, context)
                rest_s = RECONNECT_S[0]
                self._standing.works()
                await path.ended.wait()
            except OSError as error:
                self._standing.fails(system_words(error))
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, RECONNECT_S[1])
