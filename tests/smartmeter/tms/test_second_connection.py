"""A node that asks on one connection and answers on another, as some makers' nodes do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from protocols.c1222.envelope import decode_apdu
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.tcp import TcpBearer
from smartmeter.meter.meter import MeterSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MASTER, MODEL, factory_of
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from tests.smartmeter.tms.running import running_tms
from tests.waiting import until

FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")


class TwoConnections:
    """Requests on one, answers on the other; implements Connection."""

    def __init__(self, asks: Connection, answers: Connection) -> None:
        self._asks, self._answers = asks, answers
        self.answered = 0

    def send(self, octets: bytes) -> None:
        if decode_apdu(octets).is_response:
            self.answered += 1
            self._answers.send(octets)
        else:
            self._asks.send(octets)

    async def receive(self, take: Callable[[bytes], None]) -> None:
        await asyncio.gather(self._asks.receive(take), self._answers.receive(take))

    def close(self) -> None:
        self._asks.close()
        self._answers.close()


class TwoConnectionsBearer:
    stands_by = False

    def __init__(self, port: int) -> None:
        self.settings = BearerSettings("two", f"tcp:127.0.0.1:{port}")
        self.made: list[TwoConnections] = []

    async def connect(self) -> Connection:
        inner = TcpBearer(self.settings)
        self.made.append(TwoConnections(await inner.connect(), await inner.connect()))
        return self.made[-1]


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path, Calendar(wall_utc_us(), 60, monotonic_us())) as server:
        server.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
        yield server


async def test_answers_on_a_second_connection_end_the_jobs_that_asked(tms: TmsServer) -> None:
    settings = MeterSettings(serial=FACTORY.esn, seed=1, master_password=MASTER)
    device = SmartMeter(FACTORY, settings, tms.calendar, monotonic_us(), direct=True)
    bearer = TwoConnectionsBearer(tms.address[1])
    running = asyncio.create_task(NodeHost(device, [bearer]).run())
    try:
        provisioned = "SELECT count(*) FROM meters WHERE provisioned_s != 0"
        await until(lambda: tms.store.number(provisioned) == 1)
        service = Service(tms)
        number = service.request(FACTORY.esn, str(Kind.READ), "a person")
        tms.flush()
        await until(lambda: service.work.one(number)["state"] == "done")
        assert bearer.made[0].answered >= 2 and len(bearer.made) == 1
    finally:
        await ended(running)
