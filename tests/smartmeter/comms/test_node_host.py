"""A node on its bearers, over real sockets: the next when one fails, back to the cheap one."""

import asyncio
from collections.abc import Hashable

import pytest

from smartmeter.comms import bearer_health
from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.node import NodeHost
from smartmeter.comms.way import Need
from tests.ports import free_port
from tests.smartmeter.comms.far_ends import FarEnd
from tests.smartmeter.comms.hosted import Node, running
from tests.waiting import until


async def test_when_the_cheap_bearer_goes_the_next_is_used_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bearer_health, "FIRST_REST_US", 20_000)
    cheap, dear = FarEnd("tcp", free_port()), FarEnd("tcp", free_port())
    node = Node()
    first = BearerSettings("cheap", f"tcp:127.0.0.1:{cheap.port}", 1)
    second = BearerSettings("dear", f"tcp:127.0.0.1:{dear.port}", 2)
    async with dear.listening(), running(node, second, first) as host:
        async with cheap.listening():
            await until(lambda: node.heard[-1:] == ["cheap"] and set(node.ways) == {"cheap"})
            assert node.ways["cheap"].cost == 1
        await until(lambda: node.heard[-1] == "dear")
        assert [one["state"] for one in host.bearers()][1] == "up"
        async with cheap.listening():
            await until(lambda: node.heard[-1] == "cheap" and set(node.ways) == {"cheap"})
            node.distrusts.append("cheap")
            host.step()
            await until(lambda: node.heard[-1] == "dear")
            assert host.bearers()[0]["fault"] == "no answer came"


async def test_a_bearer_that_is_opened_when_wanted_is_opened_by_a_call() -> None:
    far, node = FarEnd("tcp", free_port()), Node()
    node.waits = Need.NOTHING
    settings = BearerSettings("one", f"tcp:127.0.0.1:{far.port}", when=When.WANTED)
    async with far.listening() as handler, running(node, settings) as host:
        await asyncio.sleep(0.1)
        assert not handler.paths and host.bearers()[0]["state"] == "idle"
        host.wake()
        await until(lambda: node.heard == ["one"])


async def test_a_host_may_open_the_way_while_another_is_open() -> None:
    far, called, node = FarEnd("tcp", free_port()), FarEnd("tcp-called", free_port()), Node()
    ways = (
        BearerSettings("out", f"tcp:127.0.0.1:{far.port}", 1),
        BearerSettings("in", f"listen:127.0.0.1:{called.port}", 2),
    )
    async with far.listening(), running(node, *ways), called.listening():
        await until(lambda: set(node.heard) == {"out", "in"})
        assert set(node.ways) == {"out", "in"}


async def test_a_fault_of_the_node_ends_the_host() -> None:
    class Broken(Node):
        def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
            raise RuntimeError("a mistake")

    far = FarEnd("tcp", free_port())
    async with far.listening():
        host = NodeHost(Broken(), make_bearers([BearerSettings("a", f"tcp:127.0.0.1:{far.port}")]))
        with pytest.raises(RuntimeError, match="a mistake"):
            await asyncio.wait_for(host.run(), 60)
