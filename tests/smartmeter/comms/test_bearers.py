"""What every bearer does, whatever carries it; one suite for all of them."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.errors import SettingsError
from smartmeter.comms import listener as listening
from smartmeter.comms.bearers import check_address
from smartmeter.comms.tcp import TcpConnection
from tests.ports import free_port
from tests.protocols.c1222.conversation import READ_1, items, request
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.comms.authority import make_authority
from tests.smartmeter.comms.far_ends import (
    LIMIT,
    FarEnd,
    Modems,
    connected,
    unasked,
)
from tests.waiting import until

KINDS = ["tcp", "tcp6", "tcp-called", "tls", "udp", "udp6", "sms", "modem"]
ALL = [*KINDS, pytest.param("mqtt", marks=NEEDS_MOSQUITTO)]


@pytest.fixture
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    kind = request.param
    if kind == "mqtt":
        broker = Broker()
        yield FarEnd(kind, broker.port, broker)
        broker.stop()
    elif kind in ("sms", "modem"):
        modems = Modems()
        yield FarEnd(kind, 0, modems=modems)
        modems.close()
    elif kind == "tls":
        files = make_authority(tmp_path, "own")
        yield FarEnd(kind, free_port(), None, files)
    else:
        yield FarEnd(kind, free_port())


every_bearer = pytest.mark.parametrize("far", ALL, indirect=True)


@every_bearer
async def test_a_request_is_answered_and_the_head_end_may_ask_too(far: FarEnd) -> None:
    async with far.listening() as handler, connected(far.bearer()) as (connection, arrived, _):
        connection.send(request([READ_1]))
        await until(lambda: arrived)
        assert items(arrived[0])[0][0] == 0
        handler.say(unasked(5))
        await until(lambda: len(arrived) == 2)
        assert arrived[1] == unasked(5)


@every_bearer
async def test_messages_of_every_size_keep_their_bounds(far: FarEnd) -> None:
    sizes = [0, 1, 100, 127, 128, 255, 256, 900, 1300]
    if far.kind == "sms":
        del sizes[-1]  # a message has eight parts at most
    sent = [
        request([encode_request(FullWrite(9, bytes(size)))], number)
        for number, size in enumerate(sizes)
    ]
    async with far.listening() as handler, connected(far.bearer()) as (connection, arrived, _):
        for octets in sent:
            connection.send(octets)
        await until(lambda: len(arrived) == len(sent))
    assert sorted(handler.seen) == sorted(sent)


@every_bearer
async def test_a_far_end_that_goes_and_comes_is_found_again(far: FarEnd) -> None:
    bearer = far.bearer()
    for number in range(2):
        async with far.listening(), connected(bearer) as (connection, arrived, taking):
            connection.send(request([READ_1], number))
            await until(lambda: arrived)
            if number == 0:
                kept, left = connection, taking
                continue
    assert left.done() or not far.tells_of_its_end
    kept.close()


@every_bearer
async def test_the_node_learns_that_the_far_end_has_gone(far: FarEnd) -> None:
    if not far.tells_of_its_end:
        return  # a datagram tells nothing: the node doubts a bearer by its own time-outs
    leaving = far.listening()
    await leaving.__aenter__()
    async with connected(far.bearer()) as (connection, arrived, taking):
        connection.send(request([READ_1]))
        await until(lambda: arrived)
        await leaving.__aexit__(None, None, None)
        await asyncio.wait_for(asyncio.wait((taking,)), 60)


@every_bearer
async def test_the_head_end_learns_that_the_node_has_gone(far: FarEnd) -> None:
    async with far.listening() as handler:
        async with connected(far.bearer()) as (connection, arrived, _):
            connection.send(request([READ_1]))
            await until(lambda: arrived)
            assert not handler.gone
        if far.tells_of_its_end and far.kind != "modem":
            await until(lambda: handler.gone == handler.paths)


@pytest.mark.parametrize(
    "far",
    ["tcp", "tcp6", "tls", pytest.param("mqtt", marks=NEEDS_MOSQUITTO)],
    indirect=True,
)
async def test_where_nobody_is_the_bearer_cannot_be_opened(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    if far.broker is not None:
        from smartmeter.comms import mqtt

        monkeypatch.setattr(mqtt, "PRESENCE_TIMEOUT_S", 0.2)
        monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 1.5)
        with pytest.raises(OSError, match="no answer"):
            await far.bearer().connect()  # the broker is there, and no head-end at it
        far.broker.stop()
    with pytest.raises(OSError):
        await far.bearer().connect()
    if far.broker is not None:
        far.broker.start()


@every_bearer
async def test_a_send_on_a_closed_connection_is_dropped(far: FarEnd) -> None:
    async with far.listening() as handler:
        async with connected(far.bearer()) as (connection, _, taking):
            connection.close()
            await asyncio.wait_for(asyncio.wait((taking,)), 60)
            connection.send(request([READ_1]))
        async with connected(far.bearer()) as (connection, arrived, _):
            connection.send(request([READ_1], 2))
            await until(lambda: arrived)
        assert handler.seen == [request([READ_1], 2)]


@pytest.mark.parametrize(
    "address",
    ["", "tcp", "tcp:h", "tcp:h:0", "tcp:h:65536", "tcp:::1:5", "ssl:h:1", "mqtt:h:1/a+b",
     "mqtt:h:1/", "mqtt:h:1/a//b", "mqtt:h:1/" + 65 * "a", "udp:[]:5", "tcp:h:٣"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_address(address)
    assert caught.value.remedy


def test_an_address_is_of_its_kind() -> None:
    good = ["tcp:h:1", "tls:[::1]:1153", "udp:[fe80::1%eth0]:1153", "listen:0.0.0.0:1153"]
    good += ["mqtt:h:1883", "mqtts:[::1]:8883/utility/c1222"]
    assert [check_address(one) for one in good] == [one.partition(":")[0] for one in good]
    assert LIMIT < listening.MAX_PENDING_OCTETS


async def test_a_device_finds_out_that_its_head_end_has_gone_without_a_word() -> None:
    far = FarEnd("tcp", free_port())
    async with far.listening(), connected(far.bearer()) as (connection, _, _):
        assert isinstance(connection, TcpConnection)
        opened = connection._writer.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
