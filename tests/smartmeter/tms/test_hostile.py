"""The TMS under attack: each message answered or dropped, each counted, nobody else disturbed."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import encode_service
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from smartmeter.base.clock import monotonic_us, wall_utc_us
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.ssi.factory import Factory
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.protocols.c1222.conversation import MESSAGES, READ_1, vector
from tests.smartmeter.tms.peer import Peer
from tests.smartmeter.tms.running import running_tms
from tests.waiting import until

FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")
TMS = ApTitle.parse(".1")
#: BER that is meant to hurt: indefinite, nested, huge, longer than it is, empty.
HOSTILE = (
    "6080",
    "60ff",
    "6088" + "ff" * 8,
    "6089" + "ff" * 9,
    "6084ffffffff",
    "6083ffffff",
    "60" + "827fff",
    "6002be80",
    "6003be8281",
    "6000",
    "6002a200",
    "6006a804020400",
    "60" + "28" * 100,
    "a2" * 50,
    "00",
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path) as tms:
        tms.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
        yield tms


async def still_serves(server: TmsServer) -> None:
    """A SmartMeter of the shipment is answered."""
    peer = Peer(str(FACTORY.title), FACTORY.key, server)
    peer.node.receive("tcp", await peer.ask(encode_request(Identify())), monotonic_us())
    [event] = peer.node.events()
    assert event.responses[0][0] == 0  # type: ignore[attr-defined]


async def throw(server: TmsServer, octets: bytes) -> None:
    """Throw octets at it over a connection that is then left half open."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(*server.address)
        writer.write(octets)
        await writer.drain()
        writer.write_eof()


async def test_hostile_ber_is_dropped_or_closes_the_connection_and_is_counted(
    server: TmsServer,
) -> None:
    for octets in HOSTILE:
        await throw(server, bytes.fromhex(octets))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for octets in HOSTILE:
            client.sendto(bytes.fromhex(octets), server.listener.udp_address)
    await until(lambda: server.counts.get("received", 0) >= len(HOSTILE), "all arrived")
    counts = server.counts
    rejected = sum(n for name, n in counts.items() if name.startswith("rejected "))
    assert rejected >= len(HOSTILE) and counts.get("served", 0) == 0
    for reason in ("indefinite-length", "length-too-long", "length-overrun", "not-an-apdu"):
        assert counts[f"rejected {reason}"] >= 1, reason
    await still_serves(server)


async def test_published_messages_cut_shuffled_and_repeated_disturb_nobody(
    server: TmsServer,
) -> None:
    chance, names = Random(3), sorted(MESSAGES)
    for _ in range(150):
        octets = bytearray(vector(chance.choice(names)))
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        await throw(server, bytes(octets[: chance.randrange(len(octets))]) * chance.randrange(3))
    await still_serves(server)


async def test_a_registration_flood_of_strangers_is_counted_and_writes_little(
    server: TmsServer,
) -> None:
    key, utc_s = EaxPrime(bytes(16)), wall_utc_us() // 1_000_000
    _, writer = await asyncio.open_connection(*server.address)
    for number in range(3000):
        title = ApTitle((7, number), True)
        service = encode_service(Register(title, serial_uid(f"X{number}")))
        lock = Lock(key, 0, utc_s.to_bytes(4, "big"))
        writer.write(build_apdu(Envelope(number, TMS, title), [service], lock))
        if number % 200 == 0:
            await writer.drain()
            await asyncio.sleep(0)
    await until(lambda: server.counts.get("rejected unknown-key-id", 0) == 3000, "all refused")
    await still_serves(server)
    await until(
        lambda: server.store.number("SELECT count(*) FROM unknown_devices") > 0, "they are listed"
    )
    assert server.store.number("SELECT count(*) FROM unknown_devices") <= 1000
    assert server.store.number("SELECT count(*) FROM meters") == 1
    writer.close()


async def test_guesses_at_a_key_over_other_connections_do_not_stop_its_owner(
    server: TmsServer,
) -> None:
    owner = Peer(str(FACTORY.title), FACTORY.key, server)
    reader, writer = await asyncio.open_connection(*server.address)

    async def ask() -> None:
        owner.node.request([encode_request(Identify())], TMS, "tcp", monotonic_us(), key_id=0)
        writer.write(owner.node.outgoing()[0][1])
        async with asyncio.timeout(60):
            owner.node.receive("tcp", await reader.read(4096), monotonic_us())
        [event] = owner.node.events()
        assert event.responses[0][0] == 0  # type: ignore[attr-defined]

    await ask()
    for number in range(60):
        await throw(server, _guess(FACTORY, number))
    await until(lambda: server.counts.get("rejected too-many-failures", 0) > 0, "slowed down")
    await ask()
    writer.close()
    await until(
        lambda: (
            server.store.number("SELECT count(*) FROM security_events WHERE reason='key-suspected'")
            == 1
        ),
        "somebody is told",
    )


def _guess(factory: Factory, number: int) -> bytes:
    stamp = (wall_utc_us() // 1_000_000).to_bytes(4, "big")
    lock = Lock(EaxPrime(number.to_bytes(16, "big")), 0, stamp)
    return build_apdu(Envelope(number, TMS, factory.title), [READ_1], lock)


@pytest.mark.night
async def test_ten_thousand_connections_are_held_and_the_one_that_speaks_is_served(
    server: TmsServer,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 24_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    count = min(10_000, (wanted - 500) // 2)
    before = _resident_octets()
    peers = []
    for _ in range(count):
        peers.append(await asyncio.open_connection(*server.address))
    await until(lambda: server.connections == count, "all are open")
    # Both ends are in this process: twice a connection's share, and the streams of the client.
    assert (_resident_octets() - before) / count < 4 * 8192
    await still_serves(server)
    # None of them has spoken: all are let go, and the next is served as before.
    await until(lambda: not server.connections)
    assert server.counts["closed too-slow"] == count
    await still_serves(server)
    for _, writer in peers:
        writer.close()


def _resident_octets() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
