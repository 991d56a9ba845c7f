"""A relay comes to nodes without a connection: at their native address, or by a short message."""

import asyncio
import socket
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.native_address import TCP, UDP, NativeAddress
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.services import Resolve, encode_service
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.carrier import carrying
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.relay_host import RelayHost
from smartmeter.comms.sms import SmsCarrier
from smartmeter.comms.way import Carries
from smartmeter.comms.way_finder import ACCEPTS, Ring, native_address
from smartmeter.meter.meter import MeterSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MASTER, MODEL, factory_of
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.ports import free_port
from tests.protocols.c1222.conversation import HOST, METER, READ_1, items, request
from tests.smartmeter.comms.far_ends import (
    HEAD_END_NUMBER,
    NODE_NUMBER,
    FarEnd,
    Modems,
)
from tests.smartmeter.comms.relays import asked
from tests.waiting import until

FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")
TITLE = ApTitle.parse(".1")
NETR = b"\x0e"


async def master(data: Path, host: str = "127.0.0.1") -> RelayHost:
    relay = RelayHost(TITLE, domain=ApTitle.parse(".7"), data=data)
    await relay.start(host, 0)
    return relay


@pytest.mark.parametrize(
    "kind, host", [("tcp", "127.0.0.1"), ("udp", "127.0.0.1"), ("udp6", "::1")]
)
async def test_a_node_that_can_be_called_is_reached_at_its_address_over_a_restart(
    kind: str, host: str, tmp_path: Path
) -> None:
    far, protocol = FarEnd(kind, free_port()), TCP if kind == "tcp" else UDP
    address = NativeAddress(host, far.port, protocol).encode()
    register = Register(
        METER, serial_uid("A1"), 3600, connection_type=ACCEPTS[protocol], address=address
    )
    relay = await master(tmp_path, host)
    async with far.listening() as node:
        registering = request([encode_service(register)], 1, called=TITLE, calling=METER)
        assert items(await asked(relay, registering))[0][0] == 0
        await relay.stop()
        relay = await master(tmp_path, host)
        for number in (2, 3):
            answer = decode_apdu(await asked(relay, request([READ_1], number)))
            assert answer.called_invocation_id == number and answer.calling == METER
        assert len(node.seen) == 2 and len(node.paths) == 1, "one connection serves both"
    if protocol == TCP:
        await until(lambda: not relay.relay.routes())
        assert items(await asked(relay, request([READ_1], 4))) == [NETR]
        assert relay.counts["not reached at its address"] == 1
    await relay.stop()


async def test_a_node_that_takes_both_is_sent_datagrams_where_no_connection_opens(
    tmp_path: Path,
) -> None:
    """Whoever registers both transports leaves the protocol out (RFC 6142)."""
    far, relay = FarEnd("udp", free_port()), await master(tmp_path)
    address = NativeAddress("127.0.0.1", far.port).encode()
    register = Register(
        METER, serial_uid("A1"), 3600, connection_type=ACCEPTS[None], address=address
    )
    async with far.listening():
        registering = request([encode_service(register)], 1, called=TITLE, calling=METER)
        assert items(await asked(relay, registering))[0][0] == 0
        await until(lambda: not relay.relay.routes())
        answer = decode_apdu(await asked(relay, request([READ_1], 2)))
        assert answer.called_invocation_id == 2 and answer.calling == METER
    await relay.stop()


async def test_a_node_over_udp_is_reached_where_its_registration_came_from_over_a_restart(
    tmp_path: Path,
) -> None:
    relay, loop = await master(tmp_path), asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.setblocking(False)
        node.bind(("127.0.0.1", 0))

        async def heard() -> bytes:
            async with asyncio.timeout(60):
                return await loop.sock_recv(node, 4096)

        register = encode_service(Register(METER, serial_uid("A1"), 3600))
        registering = request([register], 1, called=TITLE, calling=METER)
        await loop.sock_sendto(node, registering, relay.address)
        assert items(await heard())[0][0] == 0
        await relay.stop()
        relay = await master(tmp_path)
        asking = asyncio.create_task(asked(relay, request([READ_1], 2)))
        assert decode_apdu(await heard()).called == METER
        answer = build_apdu(Envelope(9, HOST, METER, 2), [b"\0"])
        await loop.sock_sendto(node, answer, relay.address)
        assert items(await asking) == [b"\0"]
    await relay.stop()


async def test_a_node_that_takes_no_calls_is_not_called(tmp_path: Path) -> None:
    address = NativeAddress("127.0.0.1", free_port(), TCP).encode()
    register = Register(METER, serial_uid("A1"), 3600, address=address)
    relay = await master(tmp_path)
    registering = request([encode_service(register)], 1, called=TITLE, calling=METER)
    assert items(await asked(relay, registering))[0][0] == 0
    await until(lambda: not relay.relay.routes())
    assert items(await asked(relay, request([READ_1], 2))) == [NETR]
    assert "not reached at its address" not in relay.counts
    await relay.stop()


@pytest.mark.parametrize("host", ["224.0.2.4", "255.255.255.255", "0.0.0.0", "ff02::204", "::"])
def test_nobody_is_called_at_the_address_of_many(host: str) -> None:
    octets = NativeAddress(host, 1153, UDP).encode()
    assert native_address(ACCEPTS[UDP], octets) is None
    one = NativeAddress("192.0.2.1", 1153, UDP)
    assert native_address(ACCEPTS[UDP], one.encode()) == one


async def test_a_node_that_may_only_be_slow_is_called_but_not_woken(tmp_path: Path) -> None:
    class Bell:
        rung = 0

        def wake(self, number: str) -> None:
            self.rung += 1

    relay, bell = await master(tmp_path), Bell()
    relay.finder.ring = Ring(bell, {METER.absolute: NODE_NUMBER})
    assert not relay.finder.call(METER) and bell.rung == 0
    assert relay.finder.seek(METER) and bell.rung == 1
    await relay.stop()


async def test_a_relay_that_ends_sees_the_calls_end_that_it_gives_up(tmp_path: Path) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filling in (first, second):  # then the system answers no further connection
            filling.setblocking(False)
            filling.connect_ex(deaf.getsockname())
        address = NativeAddress("127.0.0.1", deaf.getsockname()[1], TCP).encode()
        register = Register(
            METER, serial_uid("A1"), 3600, connection_type=ACCEPTS[TCP], address=address
        )
        relay = await master(tmp_path)
        registering = request([encode_service(register)], 1, called=TITLE, calling=METER)
        assert items(await asked(relay, registering))[0][0] == 0
        before = asyncio.all_tasks()
        assert relay.finder.seek(METER)
        calls = asyncio.all_tasks() - before
        assert len(calls) == 1
        await asyncio.sleep(0.05)
        await relay.finder.stop()
        assert all(call.done() for call in calls)
        await relay.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_a_relay_tells_its_own_address_for_itself_and_for_whom_it_reaches(
    host: str, tmp_path: Path
) -> None:
    """So that a node which asks everybody for its master finds it (RFC 6142, 5)."""
    relay = await master(tmp_path, host)
    reached = Register(METER, serial_uid("A1"), 3600, address=bytes(20))  # that is none
    registering = request([encode_service(reached)], 1, called=TITLE, calling=METER)
    assert items(await asked(relay, registering))[0][0] == 0
    near = "127.0.0.1" if host == "127.0.0.1" else "::1"
    own = NativeAddress(near, relay.address[1], UDP).encode()
    family = socket.AF_INET6 if ":" in near else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        for number, title in enumerate((TITLE, METER), 2):
            octets = request([encode_service(Resolve(title))], number, called=None, calling=None)
            await loop.sock_sendto(client, octets, (near, relay.address[1]))
            async with asyncio.timeout(60):
                answer = await loop.sock_recv(client, 4096)
            assert items(answer) == [bytes([0, len(own)]) + own]
        nobody = encode_service(Resolve(ApTitle.parse(".9")))
        assert items(await asked(relay, request([nobody], 4, called=TITLE))) == [b"\x0c"]
    await relay.stop()


async def test_a_relay_wakes_a_node_and_what_is_for_it_waits_until_it_has_come(
    tmp_path: Path, modems: Modems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.comms.bearer_health.LINGER_US", 500_000)
    calendar = Calendar(wall_utc_us(), 1, monotonic_us())
    tms = TmsServer(tmp_path, calendar)
    await tms.start("127.0.0.1", 0)
    tms.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
    relay = RelayHost(ApTitle.parse(".90"), "tcp:{}:{}".format(*tms.address))
    await relay.start("127.0.0.1", 0)
    bell = SmsCarrier(modems.of_head_end.name)
    relay.finder.ring = Ring(bell, {FACTORY.title.absolute: NODE_NUMBER})
    host, port = relay.address
    sms = f"sms:{HEAD_END_NUMBER}@{modems.of_node.name}"
    bearers = make_bearers(
        [
            BearerSettings("socket", f"tcp:{host}:{port}", when=When.WANTED),
            BearerSettings("sms", sms, 50, carries=Carries.URGENT),
        ]
    )
    settings = MeterSettings(serial=FACTORY.esn, seed=1, master_password=MASTER)
    device = SmartMeter(FACTORY, settings, calendar, monotonic_us(), direct=True)
    async with carrying([bell], relay):
        running = asyncio.create_task(NodeHost(device, bearers).run())
        state = "SELECT count(*) FROM meters WHERE state='provisioned'"
        await until(lambda: tms.store.number(state) == 1, 60)
        await until(lambda: FACTORY.title.absolute not in relay.relay.routes(), 60)
        # On a busy machine the socket was let go, and woken, before provisioning had ended.
        rung = relay.counts.get("woken", 0)
        number = tms.head_end.request(FACTORY.esn, Kind.READ, "a person")
        tms.flush()
        done = "SELECT state='done' FROM jobs WHERE id=?"
        await until(lambda: tms.store.number(done, number), 60)
        assert relay.counts["woken"] == rung + 1
        row = tms.store.one("SELECT attempts, polls FROM jobs WHERE id=?", number)
        assert row is not None and tuple(row) == (1, 1), "the TMS knows nothing of it"
        await ended(running)
    await relay.stop()
    await tms.stop()
