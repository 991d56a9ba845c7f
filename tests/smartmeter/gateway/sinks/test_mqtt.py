"""Values over a real broker, with Home Assistant's discovery, as its documentation states it."""

import asyncio
import base64
import hashlib
import json
import re
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from smartmeter.base.errors import SettingsError
from smartmeter.comms.event_loop import ended
from smartmeter.comms.tls import TlsFiles
from smartmeter.gateway.checks import check_broker
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.outlets import Outlets
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.mqtt import MqttSink
from smartmeter.gateway.sinks.settings import MqttSettings, Sinks
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.comms.authority import make_authority
from tests.smartmeter.gateway.reports import hello, meter_images, profile
from tests.smartmeter.ssi.host import FACTORY
from tests.waiting import until

pytestmark = NEEDS_MOSQUITTO
ESN = FACTORY.esn


@dataclass
class View:
    esn: str = ESN
    model: str = "SM-RES-1"
    fresh: bool = True


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sink look and connect again soon; how long it waits for answers stays as it is."""
    monkeypatch.setattr("smartmeter.gateway.sinks.mqtt.POLL_S", 0.1)
    monkeypatch.setattr("smartmeter.gateway.sinks.mqtt.RECONNECT_S", (0.1, 1.0))


@pytest.fixture
def broker() -> Iterator[Broker]:
    running = Broker()
    yield running
    running.stop()


class Listener:
    """Everything that was published, newest last, and by topic."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.hears = asyncio.Event()

    async def run(self, port: int) -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("#", qos=1)
            self.hears.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self.messages.append((str(message.topic), message.payload.decode()))

    def last(self, topic: str) -> str | None:
        return next((p for t, p in reversed(self.messages) if t == topic), None)

    async def wait(self, topic: str, holds: str = "") -> str:
        await until(lambda: (found := self.last(topic)) is not None and holds in found)
        return str(self.last(topic))


@pytest.fixture
async def listener(broker: Broker) -> AsyncIterator[Listener]:
    heard = Listener()
    task = asyncio.create_task(heard.run(broker.port))
    await heard.hears.wait()
    yield heard
    await ended(task)


def sink(broker: Broker, tmp_path: Path, view: View, notes: list[str]) -> tuple[MqttSink, Readings]:
    readings = Readings(tmp_path / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    settings = MqttSettings("127.0.0.1", broker.port)
    return MqttSink(settings, readings, lambda: [view], notes.append), readings


async def test_a_meter_is_discovered_shown_and_told_interval_by_interval(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    view = View()
    mqtt, readings = sink(broker, tmp_path, view, [])
    task = asyncio.create_task(mqtt.run())
    payload = json.loads(await listener.wait(f"homeassistant/device/smartmeter_{ESN}/config"))
    assert payload["device"]["identifiers"] == [f"smartmeter_{ESN}"]
    delivered = payload["components"]["delivered"]
    assert delivered["platform"] == "sensor" and delivered["device_class"] == "energy"
    assert delivered["state_class"] == "total_increasing"
    assert delivered["unit_of_measurement"] == "Wh"
    assert payload["components"]["power"]["device_class"] == "power"
    assert payload["state_topic"] == f"smartmeter/{ESN}/state"
    state = json.loads(await listener.wait(f"smartmeter/{ESN}/state"))
    assert state["power_w"] == "204.0", "51 Wh in a quarter of an hour"
    assert state["interval_end"] == "2026-01-01T00:15:00+00:00"
    assert await listener.wait(f"smartmeter/{ESN}/availability") == "online"
    assert await listener.wait("smartmeter/gateway") == "online"
    interval = json.loads(await listener.wait(f"smartmeter/{ESN}/interval"))
    assert (interval["sequence"], interval["unit"]) == (0, "Wh")
    readings.keep(ESN, 1, [(3, profile(3, 1, [[100, 0]]))])
    await listener.wait(f"smartmeter/{ESN}/state", "400.0")
    view.fresh = False
    await listener.wait(f"smartmeter/{ESN}/availability", "offline")
    told = [p for t, p in listener.messages if t == f"smartmeter/{ESN}/interval"]
    numbers = [json.loads(one)["number"] for one in told]
    assert numbers == [1, 2, 3, 4], "each once, in order"
    await ended(task)
    assert await listener.wait("smartmeter/gateway", "offline") == "offline"


@pytest.mark.parametrize("prefix", ["homeassistant", "home"])
async def test_when_home_assistant_is_born_anew_everything_is_told_again(
    broker: Broker, listener: Listener, tmp_path: Path, prefix: str
) -> None:
    """Its birth has a topic of its own, which does not follow the prefix of its discovery."""
    readings = Readings(tmp_path / "readings.sqlite3")
    settings = MqttSettings("127.0.0.1", broker.port, discovery=prefix)
    mqtt = MqttSink(settings, readings, lambda: [View()], print)
    task = asyncio.create_task(mqtt.run())
    topic = f"{prefix}/device/smartmeter_{ESN}/config"
    await listener.wait(topic)
    before = sum(t == topic for t, _ in listener.messages)
    async with aiomqtt.Client("127.0.0.1", broker.port) as home:
        await home.publish("homeassistant/status", "online", qos=1)
    await until(lambda: sum(t == topic for t, _ in listener.messages) > before)
    await ended(task)


async def test_at_the_end_no_meter_is_left_online_as_the_next_start_may_be_without_it(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    readings, views = Readings(tmp_path / "readings.sqlite3"), [View(), View("SM2")]
    settings = MqttSettings("127.0.0.1", broker.port)
    task = asyncio.create_task(MqttSink(settings, readings, lambda: views, print).run())
    for view in views:
        await listener.wait(f"smartmeter/{view.esn}/availability", "online")
    await ended(task)
    for view in views:
        await listener.wait(f"smartmeter/{view.esn}/availability", "offline")


async def test_a_broker_that_goes_and_comes_is_told_once_each_and_gets_what_it_missed(
    broker: Broker, tmp_path: Path
) -> None:
    notes: list[str] = []
    _, readings = sink(broker, tmp_path, View(), [])
    journal = Journal(notes.append, lambda: 0)
    sinks = Sinks(mqtt=MqttSettings("127.0.0.1", broker.port))
    outlets = Outlets(sinks, readings, journal, lambda: [View()], lambda: None)
    task = asyncio.gather(*outlets.runners())
    await until(lambda: readings.position("mqtt").get("intervals") == 2)
    broker.stop()
    readings.keep(ESN, 1, [(3, profile(3, 1, [[100, 0]]))])
    await until(lambda: len(notes) == 2)
    await asyncio.sleep(0.3)  # it tries again meanwhile, and says nothing
    broker.start()
    await until(lambda: readings.position("mqtt").get("intervals") == 4)
    assert [("is connected" in note, "is lost" in note) for note in notes] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    await ended(task)


async def test_it_ends_when_told_although_the_broker_takes_no_farewell(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.sinks.mqtt.ANSWER_S", 0.5)
    notes: list[str] = []
    made, readings = sink(broker, tmp_path, View(), notes)
    task = asyncio.create_task(made.run())
    await until(lambda: bool(notes) and bool(readings.position("mqtt")))
    broker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.2)  # what the broker has answered already is here
    try:
        task.cancel()
        _, waiting = await asyncio.wait([task], timeout=60)
        assert not waiting, "the end that it was told of was lost with the broker's answer"
        assert task.cancelled()
    finally:
        task.cancel()
        broker.process.send_signal(signal.SIGCONT)
        readings.close()


async def test_readings_that_note_nothing_for_a_while_end_nothing_and_double_nothing(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    notes: list[str] = []
    mqtt, readings = sink(broker, tmp_path, View(), notes)
    with closing(sqlite3.connect(tmp_path / "readings.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        task = asyncio.create_task(mqtt.run())
        await until(lambda: any("waits for the readings" in note for note in notes))
        await until(lambda: notes[-1] == "is connected")  # it has looked again
        other.execute("ROLLBACK")
    readings.keep(ESN, 1, [(3, profile(3, 1, [[100, 0]]))])
    await until(lambda: readings.position("mqtt").get("intervals") == 4)
    told = [p for t, p in listener.messages if t == f"smartmeter/{ESN}/interval"]
    assert [json.loads(one)["number"] for one in told] == [1, 2, 3, 4]
    assert notes[-1] == "is connected"
    await ended(task)
    readings.close()


async def test_a_broker_that_hangs_up_is_told_at_once_and_with_what_it_did(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)  # CONNECT
        writer.write(b"\x20\x02\x00\x00")  # CONNACK: accepted
        await asyncio.sleep(0.1)
        writer.close()

    notes: list[str] = []
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    readings = Readings(tmp_path / "readings.sqlite3")
    settings = MqttSettings("127.0.0.1", server.sockets[0].getsockname()[1])
    task = asyncio.create_task(MqttSink(settings, readings, lambda: [View()], notes.append).run())
    await until(lambda: notes)
    await ended(task)
    server.close()
    assert notes[0] in (
        "is lost: the broker ended the session",
        "is lost: Connection reset by peer",
    )


async def test_what_an_earlier_session_left_with_the_broker_does_not_hide_a_gateway_that_runs(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    mqtt, _ = sink(broker, tmp_path, View(), [])
    task = asyncio.create_task(mqtt.run())
    assert await listener.wait("smartmeter/gateway", "online")
    async with aiomqtt.Client("127.0.0.1", broker.port) as other:
        await other.publish("smartmeter/gateway", "offline", qos=1, retain=True)
    told = ["online", "offline", "online"]
    await until(lambda: [p for t, p in listener.messages if t == "smartmeter/gateway"] == told)
    await ended(task)


async def test_check_tells_whether_the_broker_lets_the_gateway_in(tmp_path: Path) -> None:
    # mosquitto's own form: a name, and PBKDF2-SHA512 of its password with a salt.
    hashed = hashlib.pbkdf2_hmac("sha512", b"word", b"twelve bytes", 101)
    salt, digest = (base64.b64encode(one).decode() for one in (b"twelve bytes", hashed))
    (tmp_path / "passwords").write_text(f"gateway:$7$101${salt}${digest}\n")
    (tmp_path / "passwords").chmod(0o600)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/passwords")
    nobody = MqttSettings("127.0.0.1", broker.port)
    for user, password, told in (
        ("gateway", "word", "and lets the gateway in"),
        ("gateway", "other", "ot authori"),
        ("", "", "ot authori"),
    ):
        settings = replace(nobody, user=user, password=password)
        finding = await asyncio.to_thread(check_broker, settings, ESN)
        assert told in finding.text and finding.wrong is (password != "word"), finding
    assert not check_broker(nobody).wrong, "a gateway that runs is in already"
    broker.stop()


def test_check_does_not_blame_the_password_where_no_broker_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smartmeter.gateway.sinks.mqtt.ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = check_broker(MqttSettings("127.0.0.1", silent.getsockname()[1]), ESN)
    assert finding.wrong and "password" not in finding.remedy and "broker" in finding.remedy


async def test_a_broker_inside_tls_is_told_and_one_that_is_not_trusted_is_named_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    files = (f"certfile {own.certificate}", f"keyfile {own.key}", f"cafile {own.ca}")
    broker = Broker(tmp_path, *files, "require_certificate true")
    readings = Readings(tmp_path / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    for shown, told, checked in (
        (replace(own, ca=other.ca), "is lost: its certificate is not trusted: self-signed", ""),
        (TlsFiles(own.ca), "is lost: failed to receive on socket: [SSL", "certificate required"),
        (own, "is connected", "takes connections"),
    ):
        settings = MqttSettings("127.0.0.1", broker.port, tls=shown)
        # What a refusal behind the handshake says is told when the answer should have come.
        for patience_s in (0.1, 1, 10):
            monkeypatch.setattr("smartmeter.gateway.sinks.mqtt.ANSWER_S", patience_s)
            notes: list[str] = []
            made = MqttSink(settings, readings, lambda: [View()], notes.append)
            task = asyncio.create_task(made.run())
            await until(lambda notes=notes: bool(notes))
            await ended(task)
            if notes[0].startswith(told):
                break
        else:
            raise AssertionError(notes)
        # Who is taken is refused never.
        refusal_s = 0.05 if shown is own else 60
        monkeypatch.setattr("smartmeter.gateway.bearer_checks.REFUSAL_S", refusal_s)
        assert bool(readings.position("mqtt")) is (shown is own)
        finding = await asyncio.to_thread(check_broker, settings, ESN)
        assert finding.wrong is (shown is not own) and (checked or "not trusted") in finding.text
    readings.close()
    broker.stop()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"ca": "none"}, "none: No such file or directory"),
        ({"ca": "text"}, "text: TLS: no certificate or crl found"),
        ({"certificate": "text"}, "text: there is no certificate in it"),
        ({"key": "none"}, "none: No such file or directory"),
        ({"key": "other.key"}, "own.pem: TLS: key values mismatch"),
        ({"key": "locked"}, "own.pem: its key has a pass phrase"),
    ],
)
def test_tls_files_of_a_broker_that_cannot_be_used_are_named_before_and_at_the_start(
    files: dict[str, str], told: str, tmp_path: Path
) -> None:
    own, _ = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    (tmp_path / "text").write_text("no certificate")
    assert own.key is not None
    key = load_pem_private_key(own.key.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (tmp_path / "locked").write_bytes(locked)
    tls = replace(own, **{name: tmp_path / file for name, file in files.items()})
    settings = MqttSettings("127.0.0.1", 1, tls=tls)
    finding = check_broker(settings)
    assert finding.wrong and finding.remedy and told in finding.text
    readings = Readings(tmp_path / "readings.sqlite3")
    with pytest.raises(SettingsError, match=re.escape(told)):
        MqttSink(settings, readings, list, print)
    readings.close()
