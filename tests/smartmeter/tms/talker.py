"""Nodes that talk with the TMS as its master relay."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node, ResponseArrived
from protocols.c1222.registration import (
    NodeType,
    Register,
    serial_uid,
)
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import (
    encode_service,
)
from protocols.c1222.stream import ApduStream
from smartmeter.base.clock import monotonic_us
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.smartmeter.tms.peer import HOST_TITLE
from tests.smartmeter.tms.running import running_tms

SEED = 5
METER, HOST = factory_of(1, SEED, "x"), factory_of(2, SEED, "x")


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path) as server:
        shipped = [Shipped(f.esn, str(f.title), f.key, MODEL) for f in (METER, HOST)]
        server.import_shipment(shipped)
        yield server


class Talker:
    """A node with a connection that stays."""

    def __init__(self, factory: Any, tms: TmsServer) -> None:
        self._cipher, self._tms = EaxPrime(factory.key), tms
        self.factory = factory
        self.node = Node(factory.title, self, tms.calendar)
        self._stream = ApduStream()
        self.events: list[Any] = []

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._cipher if key_id == 0 else None

    async def __aenter__(self) -> "Talker":
        self._reader, self._writer = await asyncio.open_connection(*self._tms.address)
        return self

    async def __aexit__(self, *ended: object) -> None:
        self._writer.close()

    async def hear(self, kind: type) -> Any:
        """Give the next event of a kind; the TMS asks meanwhile what it likes."""
        async with asyncio.timeout(60):
            while True:
                for place, event in enumerate(self.events):
                    if isinstance(event, kind):
                        return self.events.pop(place)
                for octets in self._stream.feed(await self._reader.read(4096)):
                    self.node.receive("tcp", octets, monotonic_us())
                self.events += self.node.events()

    async def ask(self, *services: bytes, key_id: int | None = 0) -> tuple[bytes, ...]:
        self.node.request(services, HOST_TITLE, "tcp", monotonic_us(), key_id=key_id)
        for _, octets in self.node.outgoing():
            self._writer.write(octets)
        responses: tuple[bytes, ...] = (await self.hear(ResponseArrived)).responses
        return responses

    async def register(self, node_type: NodeType = NodeType.END_DEVICE, **more: Any) -> bytes:
        factory = self.factory
        service = Register(factory.title, serial_uid(factory.esn), node_type=node_type, **more)
        [answer] = await self.ask(encode_service(service))
        return answer
