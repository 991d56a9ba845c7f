"""A node that says what it is told to, on a host of its own."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from tests.protocols.c1222.conversation import READ_1, request


class Node:
    """Asks once on every bearer that comes; implements SmartNode."""

    def __init__(self) -> None:
        self.ways: dict[Hashable, Way] = {}
        self.heard: list[Hashable] = []
        self.waits = Need.ROUTINE
        self.distrusts: list[Hashable] = []
        self._out: list[tuple[Hashable, bytes]] = []

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        self.heard.append(path)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        out, self._out = self._out, []
        return out

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        self.ways[path] = way
        self._out.append((path, request([READ_1], len(self.heard))))

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        del self.ways[path]

    def need(self, now_us: int) -> Need:
        return self.waits

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        return 0

    def doubted(self) -> list[Hashable]:
        doubted, self.distrusts = self.distrusts, []
        return doubted

    def expire(self, now_us: int) -> None:
        pass

    def deadline_us(self) -> int | None:
        return None


@asynccontextmanager
async def running(node: Node, *settings: BearerSettings) -> AsyncIterator[NodeHost]:
    host = NodeHost(node, make_bearers(settings, "SM1"))
    task = asyncio.create_task(host.run())
    try:
        yield host
        assert not task.done(), task.result()
    finally:
        await ended(task)
