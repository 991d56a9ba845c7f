"""A SmartMeter from factory state, by a broker, short messages and calls; and one that is woken."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.c1222.node_events import MAX_APDU_OCTETS
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.answered_calls import CallCarrier
from smartmeter.comms.bearer import Bearer, BearerSettings, When
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.carrier import Carrier, carrying
from smartmeter.comms.event_loop import ended
from smartmeter.comms.mqtt_carrier import MqttCarrier
from smartmeter.comms.node import NodeHost
from smartmeter.comms.sms import SmsCarrier
from smartmeter.comms.way import Carries
from smartmeter.meter.meter import MeterSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MASTER, MODEL, factory_of
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.comms.far_ends import HEAD_END_NUMBER, NODE_NUMBER, Modems
from tests.waiting import until

FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    server = TmsServer(tmp_path, Calendar(wall_utc_us(), 600, monotonic_us()))
    await server.start("127.0.0.1", 0)
    server.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
    yield server
    await server.stop()


async def reports(tms: TmsServer, carrier: Carrier, bearers: list[Bearer]) -> None:
    """Run until the SmartMeter was provisioned and its intervals are stored."""
    settings = MeterSettings(serial=FACTORY.esn, seed=1, master_password=MASTER)
    device = SmartMeter(FACTORY, settings, tms.calendar, monotonic_us(), direct=True)
    host = NodeHost(device, bearers)
    async with carrying([carrier], tms):
        running = asyncio.create_task(host.run())
        try:
            await until(
                lambda: (
                    tms.store.number("SELECT count(*) FROM meters WHERE provisioned_s != 0") == 1
                    and tms.store.number("SELECT count(*) FROM intervals") > 0
                )
            )
        finally:
            await ended(running)


@NEEDS_MOSQUITTO
async def test_a_broker_carries_registration_provisioning_and_reports(tms: TmsServer) -> None:
    broker = Broker()
    address = f"mqtt:127.0.0.1:{broker.port}/a/utility"
    settings = BearerSettings("broker", address)
    carrier = MqttCarrier(settings, MAX_APDU_OCTETS)
    await reports(tms, carrier, make_bearers([settings], FACTORY.esn))
    broker.stop()


async def test_short_messages_carry_them_too_if_they_may(tms: TmsServer) -> None:
    modems = Modems()
    settings = BearerSettings("sms", f"sms:{HEAD_END_NUMBER}@{modems.of_node.name}")
    bearers = make_bearers([replace(settings, max_apdu_octets=32_767)])
    await reports(tms, SmsCarrier(modems.of_head_end.name), bearers)
    modems.close()


@pytest.mark.parametrize("access", ["", "9,"])
async def test_a_call_carries_them_to_a_head_end_that_answers_the_telephone(
    tms: TmsServer, access: str
) -> None:
    modems = Modems()
    modems.of_node.numbers[access + HEAD_END_NUMBER] = modems.dial
    settings = BearerSettings("call", f"modem:{access}{HEAD_END_NUMBER}@{modems.of_node.name}")
    carrier = CallCarrier(modems.of_head_end.name, MAX_APDU_OCTETS, tms.listener.counts)
    await reports(tms, carrier, make_bearers([settings]))
    modems.close()


async def test_a_read_wakes_a_smart_meter_by_a_short_message_and_it_opens_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.comms.bearer_health.LINGER_US", 500_000)
    modems, calendar = Modems(), Calendar(wall_utc_us(), 1, monotonic_us())
    tms = TmsServer(tmp_path, calendar)
    await tms.start("127.0.0.1", 0)
    shipped = Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL, NODE_NUMBER)
    tms.import_shipment([shipped])
    host, port = tms.address
    bearers = make_bearers(
        [
            BearerSettings("socket", f"tcp:{host}:{port}", when=When.WANTED),
            BearerSettings(
                "sms", f"sms:{HEAD_END_NUMBER}@{modems.of_node.name}", 50, carries=Carries.URGENT
            ),
        ]
    )
    settings = MeterSettings(serial=FACTORY.esn, seed=1, master_password=MASTER)
    device = SmartMeter(FACTORY, settings, calendar, monotonic_us(), direct=True)
    bell = SmsCarrier(modems.of_head_end.name)
    tms.head_end.waking.bell = bell
    async with carrying([bell], tms):
        running = asyncio.create_task(NodeHost(device, bearers).run())
        state = "SELECT count(*) FROM meters WHERE state='provisioned'"
        await until(lambda: tms.store.number(state) == 1, 60)
        await until(lambda: not tms.head_end.connected(FACTORY.esn), 60)
        assert not modems.of_node.stored and tms.head_end.waking.rung == 0
        number = tms.head_end.request(FACTORY.esn, Kind.READ, "a person")
        tms.flush()
        await until(
            lambda: tms.store.number("SELECT state='done' FROM jobs WHERE id=?", number), 15
        )
        assert tms.head_end.waking.rung == 1
        row = tms.store.one("SELECT attempts, polls FROM jobs WHERE id=?", number)
        assert row is not None and tuple(row) == (2, 1), "one try that woke it, one that read"
        await ended(running)
    await tms.stop()
    modems.close()
