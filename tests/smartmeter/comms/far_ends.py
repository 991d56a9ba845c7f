"""Far ends of bearers: for each kind a head-end that can come, go and come again."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node
from smartmeter.comms.bearer import Bearer, BearerSettings
from smartmeter.comms.bearers import make_bearer
from smartmeter.comms.caller import Caller
from smartmeter.comms.carrier import Carrier, carrying
from smartmeter.comms.listener import Listener, Path
from smartmeter.comms.mqtt_carrier import MqttCarrier
from smartmeter.comms.tls import TlsFiles, server_tls
from tests.protocols.c1222.conversation import METER, OPEN, Talk, request
from tests.smartmeter.broker import Broker

LIMIT = 4096
NODE = "SM000001"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Answering:
    """A device at the head-end's place that answers every request; implements Handler."""

    def __init__(self) -> None:
        self.talk = Talk()
        self.seen: list[bytes] = []
        self.paths: list[Hashable] = []
        self.gone: list[Hashable] = []

    def receive(self, path: Hashable, octets: bytes) -> None:
        self.seen.append(octets)
        if path not in self.paths:
            self.paths.append(path)
        self.talk.server.receive(path, octets, self.talk.now_us)

    def received(self) -> None:
        for path, octets in self.talk.server.outgoing():
            cast(Path, path).send(octets)

    def closed(self, path: Hashable) -> None:
        self.gone.append(path)

    def refused(self, path: Hashable, reason: str) -> None:
        self.gone.append(path)

    def say(self, octets: bytes) -> None:
        """Send unasked, by the path of the last message."""
        cast(Path, self.paths[-1]).send(octets)


@dataclass
class FarEnd:
    """One kind: the bearer to it, and how the far end comes and goes."""

    kind: str
    port: int
    broker: Broker | None = None
    tls: TlsFiles | None = None

    #: Where nobody is told that the far end has gone.
    @property
    def tells_of_its_end(self) -> bool:
        return not self.kind.startswith("udp")

    def bearer(self, **changes: Any) -> Bearer:
        kind = {"tcp-called": "listen", "tcp6": "tcp", "udp6": "udp"}.get(self.kind, self.kind)
        host = "[::1]" if self.kind.endswith("6") else "127.0.0.1"
        address = f"{kind}:{host}:{self.port}"
        settings = BearerSettings(
            "one", address, node=NODE, tls=self.tls or TlsFiles(), max_apdu_octets=LIMIT
        )
        return make_bearer(BearerSettings(**{**vars(settings), **changes}))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Answering]:
        """Be there."""
        handler = Answering()
        listener = Listener(handler, LIMIT)
        carriers: list[Carrier] = []
        host = "::1" if self.kind.endswith("6") else "127.0.0.1"
        if self.kind in ("tcp", "tls", "tcp6"):
            context = server_tls(self.tls) if self.tls else None
            await listener.listen_tcp(host, self.port, context)
        elif self.kind in ("udp", "udp6"):
            await listener.listen_udp(host, self.port)
        elif self.kind == "tcp-called":
            carriers.append(Caller(f"tcp:127.0.0.1:{self.port}", listener))
        else:
            settings = BearerSettings("broker", f"{self.kind}:127.0.0.1:{self.port}")
            carriers.append(MqttCarrier(settings, LIMIT))
        try:
            async with carrying(carriers, handler):
                yield handler
        finally:
            await listener.close()


async def until(holds: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what a peer does sets no event here
            await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(bearer: Bearer, patience_s: float = 10.0) -> AsyncIterator[Any]:
    """A connection of the bearer, tried until the far end is there; and what arrives on it."""
    async with asyncio.timeout(patience_s):
        while True:
            try:
                connection = await bearer.connect()
                break
            except OSError:
                await asyncio.sleep(0.05)
    arrived: list[bytes] = []
    taking = asyncio.create_task(connection.receive(arrived.append))
    try:
        yield connection, arrived, taking
    finally:
        connection.close()
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(taking, 5)


def unasked(number: int) -> bytes:
    """A request of the head-end to the node."""
    node = Node(ApTitle.parse(".1"), Talk().ring, Talk().clock, SecurityState(number), OPEN)
    node.request([b"\x20"], METER, "x", 0)
    return node.outgoing()[0][1]


__all__ = ["LIMIT", "NODE", "Answering", "FarEnd", "connected", "free_port", "request", "until"]
