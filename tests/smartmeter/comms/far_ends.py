"""Far ends of bearers: for each kind a head-end that can come, go and come again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node
from protocols.machine import HangUp
from smartmeter.comms.answered_calls import CallCarrier
from smartmeter.comms.bearer import Bearer, BearerSettings
from smartmeter.comms.bearers import make_bearer
from smartmeter.comms.caller import Caller
from smartmeter.comms.carrier import Carrier, carrying
from smartmeter.comms.listener import Listener
from smartmeter.comms.mqtt_carrier import MqttCarrier
from smartmeter.comms.paths import Path
from smartmeter.comms.sms import SmsCarrier
from smartmeter.comms.tls import TlsFiles, server_tls
from tests.protocols.c1222.conversation import METER, OPEN, Talk, request
from tests.protocols.modem.pty_modem import PtyModem
from tests.smartmeter.broker import Broker

LIMIT = 4096
NODE = "SM000001"
HEAD_END_NUMBER, NODE_NUMBER = "+15550000001", "+15550000002"


class TrunkEnd:
    """What one modem hears of the other in a call."""

    def __init__(self) -> None:
        self.peer: TrunkEnd
        self._out = bytearray()
        self._gone = False

    def receive(self, data: bytes, now_us: int) -> None:
        self.peer._out += data

    def outgoing(self) -> bytes:
        octets, self._out = bytes(self._out), bytearray()
        return octets

    def hung_up(self) -> None:
        self.peer._gone = True

    def expire(self, now_us: int) -> None: ...
    def sent(self, now_us: int) -> None: ...

    def deadline_us(self) -> int | None:
        return None

    def events(self) -> list[Any]:
        return [HangUp("the other has hung up")] if self._gone and not self._out else []


class Modems:
    """Two modems that reach each other by number."""

    def __init__(self) -> None:
        self.of_node, self.of_head_end = PtyModem(), PtyModem()
        self.of_node.own_number, self.of_head_end.own_number = NODE_NUMBER, HEAD_END_NUMBER
        self.of_node.network[HEAD_END_NUMBER] = self.of_head_end
        self.of_head_end.network[NODE_NUMBER] = self.of_node

    def dial(self) -> TrunkEnd:
        """The node dials the head-end: give what it hears, and ring there."""
        caller, called = TrunkEnd(), TrunkEnd()
        caller.peer, called.peer = called, caller
        self.of_head_end.ring(called)
        return caller

    def cut(self) -> None:
        """End a call, and let no other come about."""
        self.of_node.numbers.clear()
        for modem in (self.of_node, self.of_head_end):
            if modem.far is not None:
                modem.lose_carrier()

    def close(self) -> None:
        self.of_node.close()
        self.of_head_end.close()


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
    modems: Modems | None = None

    #: Where nobody is told that the far end has gone.
    @property
    def tells_of_its_end(self) -> bool:
        return not self.kind.startswith("udp") and self.kind != "sms"

    def bearer(self, **changes: Any) -> Bearer:
        kind = {"tcp-called": "listen", "tcp6": "tcp", "udp6": "udp"}.get(self.kind, self.kind)
        host = "[::1]" if self.kind.endswith("6") else "127.0.0.1"
        address = f"{kind}:{host}:{self.port}"
        if self.modems is not None:
            address = f"{kind}:{HEAD_END_NUMBER}@{self.modems.of_node.name}"
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
        elif self.kind == "sms":
            assert self.modems is not None
            carriers.append(SmsCarrier(self.modems.of_head_end.name))
        elif self.kind == "modem":
            assert self.modems is not None
            self.modems.of_node.numbers[HEAD_END_NUMBER] = self.modems.dial
            carriers.append(CallCarrier(self.modems.of_head_end.name, LIMIT))
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
            if self.kind == "modem" and self.modems is not None:
                self.modems.cut()


@asynccontextmanager
async def connected(bearer: Bearer, patience_s: float = 60.0) -> AsyncIterator[Any]:
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


__all__ = ["LIMIT", "NODE", "Answering", "FarEnd", "connected", "request"]
