"""A broker as carrier: what others may put there, a broker that goes and comes, two head-ends."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import aiomqtt
import pytest

from protocols.c1222.envelope import decode_apdu
from smartmeter.base.errors import SettingsError
from smartmeter.cli.carriers import CarrierOptions
from smartmeter.comms import mqtt_carrier
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.carrier import carrying
from smartmeter.comms.mqtt import MqttBearer
from smartmeter.comms.mqtt_carrier import MqttCarrier, MqttPath
from smartmeter.comms.mqtt_client import MAX_PACKET_OCTETS, WINDOW, broker_session
from smartmeter.comms.mqtt_topics import Broker as Place
from smartmeter.comms.paths import native_address_of
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls import TlsFiles
from tests.protocols.c1222.conversation import READ_1, request
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.comms.authority import make_authority, speaking_tls
from tests.smartmeter.comms.far_ends import LIMIT, NODE, Answering, connected
from tests.smartmeter.comms.hosted import Node, running
from tests.waiting import until

pytestmark = NEEDS_MOSQUITTO


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.stop()


def settings(broker: Broker, **more: object) -> BearerSettings:
    values = {"name": "b", "address": f"mqtt:127.0.0.1:{broker.port}", "node": NODE}
    return BearerSettings(**{**values, **more})  # type: ignore[arg-type]


async def test_what_strangers_publish_is_dropped_and_counted_and_disturbs_nobody(
    broker: Broker,
) -> None:
    handler, carrier = Answering(), MqttCarrier(settings(broker), LIMIT)
    async with carrying([carrier], handler):
        async with connected(MqttBearer(settings(broker))) as (connection, arrived, _):
            async with aiomqtt.Client("127.0.0.1", broker.port) as stranger:
                for number in range(300):
                    await stranger.publish(f"c1222/up/n{number}", os.urandom(number), qos=0)
                await stranger.publish("c1222/up/big", bytes(LIMIT + 1))
                await stranger.publish("c1222/up/" + "x" * 100, b"\x60")
                await stranger.publish("c1222/up/a/b", b"\x60")
                await stranger.publish("c1222/gone/never-seen", b"")
                await stranger.publish(f"c1222/down/{NODE}", bytes(9000))
                await stranger.publish(f"c1222/down/{NODE}", b"kept", retain=True)
                await stranger.publish("c1222/up/kept", request([READ_1]), retain=True, qos=1)
            connection.send(request([READ_1], 7))
            await until(lambda: any(len(one) > 20 for one in arrived))
        assert carrier.counts["mqtt dropped too-long"] == 1
        assert len(handler.paths) > 200
    # Somebody who comes later is given what was retained: that would be a replay.
    late = Answering()
    again = MqttCarrier(settings(broker), LIMIT)
    async with carrying([again], late):
        await until(lambda: again.counts["mqtt dropped retained"] == 1)
        async with connected(MqttBearer(settings(broker))) as (_, arrived, _taking):
            await asyncio.sleep(0.2)
            assert arrived == [] and late.seen == []


async def test_a_message_without_reason_costs_no_memory_and_no_session(broker: Broker) -> None:
    way = Place("127.0.0.1", broker.port, "base")
    will = aiomqtt.Will("gone")
    async with (
        broker_session(way, "", "", None, "n", will, timeout_s=60, most=9) as client,
        aiomqtt.Client("127.0.0.1", broker.port) as stranger,
    ):
        await client.subscribe("all", qos=1)
        for payload in (bytes(8 << 20), b"x" * MAX_PACKET_OCTETS, b"after"):
            await stranger.publish("all", payload, qos=1)
        found = [await anext(client.messages) for _ in range(3)]
    lengths = [len(one.payload) for one in found if isinstance(one.payload, bytes)]
    assert lengths[0] <= MAX_PACKET_OCTETS and lengths[1] < MAX_PACKET_OCTETS
    assert found[2].payload == b"after"


#: A client that is ended amid its words.
GONE = contextlib.suppress(ConnectionError, asyncio.IncompleteReadError)


async def _odd_broker(answer: Callable[[int, bytes], bytes]) -> tuple[asyncio.Server, str]:
    """A broker that says what ``answer`` gives for a packet's kind and body; and its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with GONE:
            while True:
                kind, size = await reader.readexactly(2)
                writer.write(answer(kind, await reader.readexactly(size)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"mqtt:127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _refuse(kind: int, body: bytes) -> bytes:
    """Grant no subscription, as by access rules (MQTT 3.1.1: SUBACK with 80H)."""
    if kind == 0x10:
        return b"\x20\x02\0\0"
    return b"\x90\x03" + body[:2] + b"\x80" if kind == 0x82 else b""


async def test_a_broker_that_refuses_a_topic_is_told_with_the_topic_by_both_ends() -> None:
    server, address = await _odd_broker(_refuse)
    with pytest.raises(OSError, match=f"refuses c1222/down/{NODE}; look at its access rules"):
        await MqttBearer(BearerSettings("b", address, node=NODE)).connect()
    told: list[str] = []
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: told)
    assert "refuses c1222/up/+" in told[0] and not carrier.connected
    server.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "the broker says: Server unavailable"),
        (4, "the broker says: Bad user name or password; look at its user and password"),
        (5, "the broker says: Not authorized; look at its user and password"),
    ],
)
async def test_a_broker_that_takes_no_session_is_told_with_what_it_says_by_both_ends(
    code: int, words: str
) -> None:
    server, address = await _odd_broker(lambda kind, body: bytes((0x20, 2, 0, code)))
    with pytest.raises(OSError, match=f": {words}$"):
        await MqttBearer(BearerSettings("b", address, node=NODE)).connect()
    told: list[str] = []
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: told)
    assert told[0] == f"mqtt: is away ({words})"
    server.close()


async def test_a_topic_that_is_no_text_ends_no_session() -> None:
    def grant(kind: int, body: bytes) -> bytes:
        if kind == 0x82:
            message = bytes.fromhex("320e000a63313232322f75702fff0001")
            return b"\x90\x03" + body[:2] + b"\1" + message
        if kind >> 4 == 3:  # its presence, at QoS 1: the number follows the topic
            at = 2 + int.from_bytes(body[:2], "big")
            return b"\x40\x02" + body[at : at + 2]
        return _refuse(kind, body)

    server, address = await _odd_broker(grant)
    told: list[str] = []
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: told)
    assert told == ["mqtt: works"]
    server.close()


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker that takes a client, and goes when it is asked for something."""
    with GONE:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x20\x02\0\0")
        await reader.read(1)
    writer.close()


async def _babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker that takes a client and says what is no MQTT in one breath."""
    with GONE:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x20\x02\0\0" + b"\xff" * 9)
        await reader.read(1)
    writer.close()


@pytest.mark.parametrize("goes", [_leave, _babble])
async def test_a_broker_that_goes_amid_a_question_leaves_nothing_on_the_standard_error(
    goes: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_carrier, "CONNECT_TIMEOUT_S", 0.3)
    server = await asyncio.start_server(goes, "127.0.0.1", 0)
    address = f"mqtt:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told, printed = list[str](), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, of: printed.append(of["message"]))
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: told)
    del carrier
    gc.collect()
    assert "is away" in told[0] and not printed
    server.close()


async def test_a_broker_that_wants_another_certificate_is_told_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mqtt_carrier, "CONNECT_TIMEOUT_S", 0.5)
    own, told = make_authority(tmp_path, "own"), list[str]()

    with speaking_tls(own) as port:
        settings = BearerSettings("b", f"mqtts:127.0.0.1:{port}", tls=TlsFiles(own.ca))
        carrier = MqttCarrier(settings, LIMIT, None, Standing("mqtt", told.append))
        async with carrying([carrier], Answering()):
            await until(lambda: told)
    assert "certificate required" in told[0] and not capfd.readouterr().err


async def test_a_broker_that_goes_and_comes_is_found_again_by_both_ends(broker: Broker) -> None:
    handler, node, told = Answering(), Node(), list[str]()
    carrier = MqttCarrier(settings(broker), LIMIT, standing=Standing("broker", told.append))
    async with carrying([carrier], handler), running(node, settings(broker)):
        await until(lambda: len(node.heard) == 1)
        broker.stop()
        await until(lambda: not node.ways and not carrier.connected)
        assert handler.gone == handler.paths, "the head-end knows that the way has gone"
        broker.start()
        await until(lambda: len(node.heard) == 2)
    assert carrier.counts["mqtt broker lost"] == 1
    works, away, again = told
    assert works == again == "broker: works" and away.startswith("broker: is away (")


async def test_a_broker_that_goes_during_the_farewell_keeps_nobody(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_carrier, "CONNECT_TIMEOUT_S", 1.0)
    printed: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, of: printed.append(of["message"]))
    carrier = MqttCarrier(settings(broker), LIMIT)
    task = asyncio.create_task(carrier.run(Answering()))
    await until(lambda: carrier.connected)
    broker.process.send_signal(signal.SIGSTOP)  # it answers no more, and then it is gone
    task.cancel()
    await asyncio.sleep(0.1)
    broker.process.kill()
    await asyncio.wait_for(asyncio.wait((task,)), 60)
    assert task.cancelled()
    del task
    gc.collect()
    assert not printed


async def test_a_broker_that_hesitates_makes_neither_end_mute(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("mqtt", "mqtt_carrier"):
        monkeypatch.setattr(f"smartmeter.comms.{module}.CONNECT_TIMEOUT_S", 1.0)
    handler, carrier = Answering(), MqttCarrier(settings(broker), LIMIT)
    async with (
        carrying([carrier], handler),
        connected(MqttBearer(settings(broker))) as (connection, arrived, _),
    ):
        connection.send(request([READ_1], 1))
        await until(lambda: len(arrived) == 1)
        broker.process.send_signal(signal.SIGSTOP)
        connection.send(request([READ_1], 2))
        handler.paths[0].send(arrived[0])  # type: ignore[attr-defined]
        await until(lambda: carrier.counts["mqtt unconfirmed"])
        for module in ("mqtt", "mqtt_carrier"):
            monkeypatch.setattr(f"smartmeter.comms.{module}.CONNECT_TIMEOUT_S", 60.0)
        broker.process.send_signal(signal.SIGCONT)
        connection.send(request([READ_1], 3))
        await until(lambda: len(arrived) == 4)
    assert carrier.counts["mqtt unconfirmed"] == 1 and not carrier.counts["mqtt broker lost"]


async def test_many_at_once_arrive_in_order_with_several_unconfirmed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = []
    publish = aiomqtt.Client.publish

    async def watched(client: aiomqtt.Client, topic: str, *args: Any, **more: Any) -> None:
        under_way.append((under_way[-1] if under_way else 0) + 1)
        try:
            await publish(client, topic, *args, **more)
        finally:
            under_way.append(under_way[-1] - 1)

    monkeypatch.setattr(aiomqtt.Client, "publish", watched)
    handler, carrier = Answering(), MqttCarrier(settings(broker), LIMIT)
    asked = [request([READ_1], number) for number in range(1, 201)]
    async with (
        carrying([carrier], handler),
        connected(MqttBearer(settings(broker))) as (connection, arrived, _),
    ):
        for octets in asked:
            connection.send(octets)
        await until(lambda: len(arrived) == len(asked))
    assert handler.seen == asked
    ids = [decode_apdu(octets).called_invocation_id for octets in arrived]
    assert ids == list(range(1, 201)) and 2 < max(under_way) <= 2 * WINDOW


async def test_the_address_of_a_broker_is_that_of_no_node(broker: Broker) -> None:
    handler = Answering()
    async with (
        carrying([MqttCarrier(settings(broker), LIMIT)], handler),
        connected(MqttBearer(settings(broker))) as (connection, arrived, _),
    ):
        connection.send(request([READ_1]))
        await until(lambda: arrived)
    [path] = handler.paths
    assert native_address_of(cast(MqttPath, path), False) == b"", "many nodes are behind it"
    assert native_address_of(cast(MqttPath, path), True) == b"", "nor are we at port 0 of UDP"


async def test_the_second_head_end_of_a_topic_takes_the_place_of_the_first(broker: Broker) -> None:
    told: list[str] = []
    first, second = (
        MqttCarrier(settings(broker), LIMIT, standing=Standing(tell=told.append)) for _ in range(2)
    )
    async with carrying([first], Answering()):
        await until(lambda: first.connected)
        async with carrying([second], Answering()):
            await until(lambda: second.connected and first.counts["mqtt broker lost"] > 0)
            await until(lambda: any("another head-end" in line for line in told))


async def test_a_broker_that_stops_is_no_other_head_end(broker: Broker) -> None:
    told: list[str] = []
    carrier = MqttCarrier(settings(broker), LIMIT, standing=Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: carrier.connected)
        broker.stop()
        await until(lambda: len(told) == 2)
    # Who was writing to it just then has the system's word for it.
    assert told[1].startswith("mqtt: is away (") and mqtt_carrier.RIVAL not in told[1]


async def test_a_session_that_ends_for_want_of_an_answer_is_told_with_that_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_carrier, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(mqtt_carrier, "FAREWELL_S", 0.1)

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Grant the topics and confirm the presence; answer nothing then."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            for answer in ("2002 0000", "9003 0001 01", "9003 0002 01", "4002 0003"):
                await reader.readexactly((await reader.readexactly(2))[1])
                writer.write(bytes.fromhex(answer))
            await reader.read()
        writer.close()

    server = await asyncio.start_server(late, "127.0.0.1", 0)
    address = f"mqtt:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told: list[str] = []
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: len(told) == 2)
    assert told == ["mqtt: works", "mqtt: is away (Operation timed out)"]
    server.close()


@pytest.mark.parametrize("answer", ["", "20020001"], ids=["nothing", "wrong version"])
async def test_a_broker_that_hangs_up_at_once_is_told_with_what_it_must_be(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As brokers of MQTT 5, or of QoS 0, alone do."""
    monkeypatch.setattr(mqtt_carrier, "CONNECT_TIMEOUT_S", 0.2)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes.fromhex(answer))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"mqtt:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told: list[str] = []
    carrier = MqttCarrier(BearerSettings("b", address), LIMIT, None, Standing("mqtt", told.append))
    async with carrying([carrier], Answering()):
        await until(lambda: bool(told))
    assert "hung up at once; it must take MQTT 3.1.1, QoS 1" in told[0]
    server.close()


async def test_two_head_ends_of_a_topic_end_each_other_less_and_less(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_carrier, "RECONNECT_S", (0.02, 0.4))
    clock, lost = asyncio.get_running_loop().time, []

    def tell(text: str) -> None:
        if "is away" in text:
            lost.append(clock())

    ends = [MqttCarrier(settings(broker), LIMIT, standing=Standing(tell=tell)) for _ in range(2)]
    async with carrying(ends, Answering()):
        await until(lambda: len(lost) >= 9)
    assert lost[-1] - lost[-4] > 0.4, "after a few times each waits long"


async def test_nodes_find_the_head_end_again_whatever_others_say_of_its_presence(
    broker: Broker,
) -> None:
    carrier = MqttCarrier(settings(broker), LIMIT)
    async with carrying([carrier], Answering()), aiomqtt.Client("127.0.0.1", broker.port) as other:
        await until(lambda: carrier.connected)
        for wrong in (b"offline", b"", b"online?"):
            await other.publish("c1222/host", wrong, qos=1, retain=True)
            async with connected(MqttBearer(settings(broker))):
                pass


async def test_apdus_that_cannot_be_sent_are_counted(broker: Broker) -> None:
    carrier = MqttCarrier(settings(broker), LIMIT)
    carrier.send("nobody", b"\x60\0")
    assert carrier.counts["mqtt unsent"] == 1


def test_options_that_are_none_are_told() -> None:
    for call, mqtt, word in (
        (("udp:h:1",), None, "--call"),
        (("tcp:h",), None, "HOST:PORT"),
        ((), "tcp:h:1", "--mqtt"),
        ((), "mqtt:h", "HOST:PORT"),
        (("tcp:h:1",) * 1001, None, "1000"),
    ):
        with pytest.raises(SettingsError, match=word):
            CarrierOptions(call, mqtt).check()
    with pytest.raises(SettingsError, match="--sms"):
        CarrierOptions(sms="/dev/nothing-here").check()
    with pytest.raises(SettingsError, match="cannot stand in a topic"):
        MqttBearer(BearerSettings("b", "mqtt:h:1", node="a/b"))
