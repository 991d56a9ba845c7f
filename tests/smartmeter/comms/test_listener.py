"""C12.22 over real sockets: framing, slow and silent peers, datagrams; checks 74 to 78, 83."""

import asyncio
import contextlib
import socket

import pytest

from protocols.c1222.native_address import acceptable_source
from protocols.c1222.services import NetworkLogon, encode_service
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead, FullWrite, Logoff
from smartmeter.comms import listener as listening
from smartmeter.comms import paths
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import APDUS_A_TURN
from tests.protocols.c1222.conversation import READ_1, items, request
from tests.smartmeter.comms.served import LIMIT, Client, Served, serving
from tests.waiting import until


async def _granted(listener: Listener) -> int:
    await listener.listen_tcp("127.0.0.1", 0)
    await listener.close()
    return listener._most


def test_connections_leave_files_to_pages_and_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are granted as when it listens: a relay is made before it asks for more."""
    resource = pytest.importorskip("resource")
    for files, most in ((200, 150), (1024, 768), (resource.RLIM_INFINITY, 100_000)):
        listener = Listener(Served(), LIMIT)
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert asyncio.run(_granted(listener)) == most


async def test_check_74_an_apdu_split_at_every_octet_gives_the_same_result() -> None:
    octets = request([READ_1], 1)
    async with serving() as served:
        client = await Client.connect(served)
        for number in range(1, len(octets)):
            whole = request([READ_1], number)
            client.writer.write(whole[:number])
            # Else both parts may come in one read.
            await until(lambda taken=number: [taken] == [p.pending for p in served.listener.paths])
            client.writer.write(whole[number:])
            [answer] = await client.apdus(1)
            assert items(answer)[0][0] == 0
        client.writer.close()


async def test_check_75_three_apdus_in_one_read_are_three_messages_in_order() -> None:
    async with serving() as served:
        client = await Client.connect(served)
        tables = (1, 99, 0)
        wanted = [request([encode_request(FullRead(t))], n) for n, t in enumerate(tables)]
        client.writer.write(b"".join(wanted))
        answers = await client.apdus(3)
        assert [items(answer)[0][0] for answer in answers] == [0, 5, 0]
        assert served.seen == wanted
        client.writer.close()


async def test_what_came_before_the_end_is_given_to_nobody_after_it() -> None:
    async with serving() as served:
        greedy = await Client.connect(served)
        greedy.writer.write(b"".join(request([READ_1], n) for n in range(1, 10 * APDUS_A_TURN)))
        await greedy.apdus(1)
        await served.listener.close()
        seen = len(served.seen)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(served.seen) == seen < 10 * APDUS_A_TURN - 1
        greedy.writer.close()


async def test_who_sends_very_much_lets_others_have_their_turn() -> None:
    async with serving() as served:
        greedy, modest = await Client.connect(served), await Client.connect(served)
        wanted = [request([READ_1], n) for n in range(1, 10 * APDUS_A_TURN)]
        greedy.writer.write(b"".join(wanted))
        modest.writer.write(request([READ_1], 7777))
        assert len(await modest.apdus(1)) == 1
        assert served.seen.index(request([READ_1], 7777)) < 4 * APDUS_A_TURN
        assert len(await greedy.apdus(len(wanted))) == len(wanted)
        assert [one for one in served.seen if one in wanted] == wanted, "in their order"
        greedy.writer.write(request([READ_1], 9999))
        assert len(await greedy.apdus(1)) == 1, "and its connection goes on"


async def test_in_a_turn_that_is_long_each_connection_has_one_message_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "TURN_S", 0.0)
    async with serving() as served:
        greedy = [await Client.connect(served) for _ in range(3)]
        modest = await Client.connect(served)
        for number, one in enumerate(greedy):
            ids = range(1000 * number + 1, 1000 * number + APDUS_A_TURN)
            one.writer.write(b"".join(request([READ_1], n) for n in ids))
        modest.writer.write(request([READ_1], 7777))
        assert len(await modest.apdus(1)) == 1
        assert served.seen.index(request([READ_1], 7777)) < APDUS_A_TURN
        for one in greedy:
            assert len(await one.apdus(APDUS_A_TURN - 1)) == APDUS_A_TURN - 1


async def test_a_whole_message_is_answered_before_what_follows_it_closes_the_connection() -> None:
    async with serving() as served:
        client = await Client.connect(served)
        client.writer.write(request([READ_1]) + b"\x61")
        assert len(await client.apdus(1)) == 1 and await client.ended()
        assert served.reasons == ["not-an-apdu"]
        client.writer.close()


async def test_check_76_a_session_outlives_its_connection() -> None:
    async with serving() as served:
        first = await Client.connect(served)
        first.writer.write(request([encode_service(NetworkLogon(1, b"X", 60))]))
        await first.apdus(1)
        first.writer.close()
        await until(lambda: not served.listener.paths)
        second = await Client.connect(served)
        second.writer.write(request([encode_request(Logoff())], 2))
        [answer] = await second.apdus(1)
        assert items(answer) == [b"\0"]
        second.writer.close()


async def test_check_77_a_datagram_is_answered_to_its_source() -> None:
    async with serving() as served:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.bind(("127.0.0.1", 0))
            await loop.sock_sendto(client, request([READ_1]), served.listener.udp_address)
            async with asyncio.timeout(60):
                answer, source = await loop.sock_recvfrom(client, 4096)
        assert source == served.listener.udp_address and items(answer)[0][0] == 0


async def test_check_78_a_datagram_from_port_0_is_ignored() -> None:
    assert not acceptable_source(0) and acceptable_source(1153)
    async with serving() as served:
        own = served.listener._datagrams[0]
        paths.datagram_came(served.listener, own, request([READ_1]), ("127.0.0.1", 0), b"")
        assert served.listener.counts["datagram from port 0"] == 1 and served.seen == []


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"\0" + request([READ_1]), "not-an-apdu"),
        (b"\x60\x80", "indefinite-length"),
        (b"\x60\x88" + b"\xff" * 8, "length-too-long"),
        (b"\x60\x83\xff\xff\xff", "length-overrun"),
    ],
)
async def test_check_83_what_cannot_be_recovered_closes_the_connection(
    octets: bytes, reason: str
) -> None:
    async with serving() as served:
        client = await Client.connect(served)
        client.writer.write(octets)
        assert await client.ended()
        assert served.reasons == [reason]
        assert served.listener.counts[f"closed {reason}"] == 1
        client.writer.close()


async def test_a_slow_or_silent_peer_is_closed_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "SWEEP_S", 0.05)
    async with serving() as served:
        good = await Client.connect(served)
        good.writer.write(request([READ_1]))
        await good.apdus(1)
        monkeypatch.setattr(listening, "PATIENCE_S", 0.2)
        slow, silent = await Client.connect(served), await Client.connect(served)
        whole = request([READ_1], 2)
        slow.writer.write(whole[:5])
        assert await slow.ended() and await silent.ended()
        assert served.reasons == ["too-slow"] * 2
        monkeypatch.undo()
        # The one that has spoken may be silent for as long as it likes.
        good.writer.write(request([READ_1], 3))
        assert len(await good.apdus(1)) == 1
        for client in (good, slow, silent):
            client.writer.close()


async def test_a_long_message_over_a_slow_line_is_waited_for_while_it_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "PATIENCE_S", 0.8)
    monkeypatch.setattr(listening, "SWEEP_S", 0.05)
    monkeypatch.setattr(listening, "MIN_OCTETS_PER_S", 100)
    async with serving() as served:
        client = await Client.connect(served)
        whole = request([encode_request(FullWrite(9, bytes(600)))])
        for at in range(0, len(whole), 32):
            await asyncio.sleep(0.05)
            client.writer.write(whole[at : at + 32])
        assert len(await client.apdus(1)) == 1
        client.writer.write(whole[:30])
        assert await client.ended()
        assert served.reasons == ["too-slow"]
        client.writer.close()


async def test_more_connections_than_allowed_are_refused_and_counted() -> None:
    async with serving() as served:
        clients = [await Client.connect(served) for _ in range(52)]
        assert await clients[51].ended()
        assert served.listener.counts["refused full"] == 2 and len(served.listener.paths) == 50
        clients[0].writer.write(request([READ_1]))
        assert len(await clients[0].apdus(1)) == 1
        for client in clients:
            client.writer.close()


async def test_a_peer_that_leaves_within_a_message_is_counted() -> None:
    async with serving() as served:
        listener = served.listener
        for octets in (request([READ_1]), request([READ_1])[:-1]):
            client = await Client.connect(served)
            client.writer.write(octets)
            await client.writer.drain()
            client.writer.close()
            await until(lambda: bool(listener.counts["connections"]) and not listener.paths)
        counts = listener.counts
        assert counts["connections"] == 2 and counts["closed within a message"] == 1


async def test_unfinished_messages_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_PENDING_OCTETS", 3000)
    async with serving() as served:
        hogs = [await Client.connect(served) for _ in range(3)]
        for hog in hogs:
            hog.writer.write(b"\x60\x82\x07\xf0" + bytes(1200))
            await asyncio.sleep(0.05)
        assert await hogs[0].ended()
        assert served.reasons == ["too-much-pending"] and len(served.listener.paths) == 2
        for hog in hogs:
            hog.writer.close()


async def test_a_peer_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MAX_UNSENT_OCTETS", 1000)
    async with serving() as served:
        served.talk.tables.images[9] = bytes(1900)
        client = await Client.connect(served)
        read = encode_request(FullRead(9))
        with contextlib.suppress(ConnectionError):
            for number in range(20_000):
                client.writer.write(request([read], number))
                if served.listener.counts["closed unread"]:
                    break
                await asyncio.sleep(0)
        assert served.listener.counts["closed unread"] == 1
        client.writer.close()
