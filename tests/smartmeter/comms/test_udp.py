"""The UDP bearer: served once whatever is lost, and an end that nobody listens at."""

import asyncio
from collections.abc import Hashable

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import ResponseArrived
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead
from smartmeter.base.errors import SettingsError
from smartmeter.comms import udp
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearers import make_bearer, make_bearers
from smartmeter.comms.listener import Listener
from smartmeter.comms.tcp import TcpBearer
from smartmeter.comms.udp import UdpBearer
from tests.ports import free_port
from tests.protocols.c1222.conversation import (
    HOST,
    METER,
    NOW_US,
    READ_1,
    Tables,
    Talk,
    items,
    request,
)
from tests.smartmeter.comms.far_ends import LIMIT, connected
from tests.smartmeter.comms.served import Served, serving
from tests.waiting import until


class Lossy(Served):
    """A device that does not hear the first datagrams."""

    deaf = 2

    def receive(self, path: Hashable, octets: bytes) -> None:
        if self.deaf:
            self.deaf -= 1
            return
        super().receive(path, octets)


async def test_a_request_is_sent_again_until_it_is_answered_and_served_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "REPEAT_AFTER_S", (0.05, 0.05, 60.0))
    served = Lossy()
    await served.listener.listen_udp("127.0.0.1", 0)
    port = served.listener.udp_address[1]
    connection = await UdpBearer(BearerSettings("u", f"udp:127.0.0.1:{port}")).connect()
    answers: list[bytes] = []
    taking = asyncio.ensure_future(connection.receive(answers.append))
    connection.send(request([READ_1]))
    await until(lambda: answers)
    await asyncio.sleep(0.1)
    assert len(answers) == 1 and items(answers[0])[0][0] == 0
    assert served.deaf == 0 and served.talk.server.node.counts["served"] == 1
    assert served.talk.server.node.counts["received"] == 1
    connection.close()
    await asyncio.wait_for(taking, 60)
    await served.listener.close()


class AnsweringOne(Served):
    """A device that hears one of the nodes behind a relay, and the others never."""

    def receive(self, path: Hashable, octets: bytes) -> None:
        self.seen.append(octets)
        if decode_apdu(octets).calling == HOST:
            self.talk.server.receive(path, octets, self.talk.now_us)


async def test_an_answer_ends_the_repetitions_of_no_other_nodes_request_of_the_same_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "REPEAT_AFTER_S", (0.05, 0.05, 0.05))
    served = AnsweringOne()
    await served.listener.listen_udp("127.0.0.1", 0)
    port = served.listener.udp_address[1]
    other = request([READ_1], calling=ApTitle.parse(".7.43"))
    async with connected(UdpBearer(BearerSettings("u", f"udp:127.0.0.1:{port}"))) as (line, *_):
        for one in (request([READ_1]), other, request([READ_1])):  # one is answered twice
            line.send(one)
        await until(lambda: served.seen.count(other) == 4, "sent again three times")
    await served.listener.close()


async def test_what_is_longer_than_a_datagram_may_be_goes_in_segments_both_ways() -> None:
    served, most = Served(), 300
    served.talk = Talk(tables=Tables({9: bytes(1000)}))
    served.talk.server.node.joins_segments = served.talk.host.joins_segments = True
    served.listener = Listener(served, LIMIT, segment_octets=most)
    await served.listener.listen_udp("127.0.0.1", 0)
    port = served.listener.udp_address[1]
    settings = BearerSettings("u", f"udp:127.0.0.1:{port}", segment_octets=most)
    assert settings.way.has_segments
    async with connected(UdpBearer(settings)) as (connection, arrived, _):
        reads = [encode_request(FullRead(9)), *[READ_1] * 100]
        number = served.talk.host.request(reads, METER, "u", NOW_US)
        connection.send(served.talk.host.outgoing()[0][1])
        await until(lambda: len(arrived) > 4)
        for octets in arrived:
            served.talk.host.receive("u", octets, NOW_US)
        [answer] = served.talk.host.events()
        assert isinstance(answer, ResponseArrived) and answer.transaction == number
        assert len(answer.responses) == 101
    assert len(served.seen) > 1 and all(len(one) <= most for one in served.seen + arrived)
    await served.listener.close()


async def test_where_nobody_listens_the_connection_ends() -> None:
    nobody = f"udp:127.0.0.1:{free_port()}"
    connection = await UdpBearer(BearerSettings("u", nobody)).connect()
    connection.send(request([READ_1]))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.wait_for(connection.receive(lambda octets: None), 60)
    connection.close()


async def test_the_address_chooses_the_bearer() -> None:
    assert isinstance(make_bearer(BearerSettings("a", "udp:h:1")), UdpBearer)
    assert isinstance(make_bearer(BearerSettings("a", "tcp:h:1")), TcpBearer)
    with pytest.raises(SettingsError):
        make_bearers([])
    async with serving() as served:
        assert served.listener.udp_address[0] == "127.0.0.1"
