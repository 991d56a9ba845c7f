"""A listener that is served by a handler which keeps what came, and a client of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import cast

from protocols.c1222.stream import ApduStream
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import Path
from tests.protocols.c1222.conversation import Talk

LIMIT = 2048


class Served:
    """A device behind a listener; implements Handler."""

    def __init__(self) -> None:
        self.talk = Talk()
        self.listener = Listener(self, LIMIT, most=50)
        self.reasons: list[str] = []
        self.gone: list[Hashable] = []
        self.seen: list[bytes] = []

    def receive(self, path: Hashable, octets: bytes) -> None:
        self.seen.append(octets)
        self.talk.server.receive(path, octets, self.talk.now_us)

    def received(self) -> None:
        for path, octets in self.talk.server.outgoing():
            cast(Path, path).send(octets)

    def closed(self, path: Hashable) -> None:
        self.gone.append(path)
        self.talk.server.node.path_closed(path)

    def refused(self, path: Hashable, reason: str) -> None:
        self.reasons.append(reason)


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    served = Served()
    await served.listener.listen_tcp("127.0.0.1", 0)
    await served.listener.listen_udp("127.0.0.1", 0)
    try:
        yield served
    finally:
        await served.listener.close()


class Client:
    """A plain TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._stream = reader, writer, ApduStream()

    @classmethod
    async def connect(cls, served: Served) -> "Client":
        return cls(*await asyncio.open_connection(*served.listener.tcp_address))

    async def apdus(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                data = await self.reader.read(4096)
                assert data, "closed"
                found += self._stream.feed(data)
        return found

    async def ended(self) -> bool:
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(100) == b""
        return True


async def call(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)  # the node does not listen yet
