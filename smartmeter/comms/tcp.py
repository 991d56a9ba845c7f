"""C12.22 over TCP (RFC 6142), with TLS if wanted: APDUs on a connection that the device opens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.transports.capture import apdu_notes
from protocols.transports.ip_packets import endpoint
from smartmeter.comms.bearer import BearerSettings, Connection, ip_address
from smartmeter.comms.sockets import CONNECT_TIMEOUT_S, MAX_UNSENT_OCTETS, keep_alive
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.tls_renewal import ClientTls

READ_OCTETS = 65_536


class TcpConnection:
    """One connection; ``counts``: why it was closed, where the peer sent anything but APDUs."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        counts: Counter[str] | None = None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._counts = Counter() if counts is None else counts
        self._heard = False
        ends = [endpoint(writer.get_extra_info(name)) for name in ("sockname", "peername")]
        self._notes = apdu_notes(*ends, listens=False, is_stream=True)

    def send(self, octets: bytes) -> None:
        """Send one APDU."""
        transport = self._writer.transport
        if transport.get_write_buffer_size() > MAX_UNSENT_OCTETS:
            transport.abort()
        elif not transport.is_closing():
            self._notes.sent(octets)
            self._writer.write(octets)

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give APDUs until the connection ends or carries anything else; OSError if it broke."""
        is_tls = self._writer.get_extra_info("ssl_object") is not None
        try:
            await self._receive(take)
        except ConnectionError:
            if self._heard or not is_tls:
                raise
        if not self._heard and is_tls:
            # asyncio's servers close without the alert that would say so.
            raise ConnectionAbortedError("ended at once: is our certificate one that is wanted?")

    async def _receive(self, take: Callable[[bytes], None]) -> None:
        stream = ApduStream()
        try:
            while data := await self._reader.read(READ_OCTETS):
                for octets in stream.feed(data):
                    self._heard = True
                    self._notes.received(octets)
                    take(octets)
                stream.check()
        except ApduRejected as error:
            self._counts[f"closed {error.reason}"] += 1

    def close(self) -> None:
        """End it."""
        self._writer.close()


class TcpBearer:
    """A TMS at a TCP address."""

    stands_by = False

    def __init__(self, settings: BearerSettings, tell: Tell = tell_nobody) -> None:
        self.settings = settings
        self._host, self._port = ip_address(settings.address)
        self._tls = ClientTls(settings.tls, tell) if settings.speaks_tls else None

    async def connect(self) -> Connection:
        """Open a connection; OSError when nobody answers in time."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls.context() if self._tls else None
                )
        except TimeoutError as error:
            raise OSError(f"{self.settings.address}: no answer") from error
        keep_alive(writer.get_extra_info("socket"))
        return TcpConnection(reader, writer)
