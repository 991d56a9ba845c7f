"""Values over MQTT: each meter's state retained, with Home Assistant's discovery.

Under ``base``/ESN: ``state`` (JSON, retained), ``availability`` (online or
offline, retained), ``interval`` and ``happening`` (JSON, one message each,
in order; QoS 1, so after a cut one may come twice: it carries its number).
``base``/gateway is online while the gateway runs; the broker sets it offline.  Gateways at one
broker have each a ``base`` of its own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Protocol

import aiomqtt

from protocols.transports.port import system_words
from smartmeter.base.errors import StorageError
from smartmeter.comms.event_loop import ended, told_to_end
from smartmeter.comms.mqtt_client import broker_session
from smartmeter.comms.mqtt_topics import Broker
from smartmeter.comms.tls_renewal import ClientTls
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.home_assistant import (
    discovery_payload,
    discovery_topic,
    state_payload,
)
from smartmeter.gateway.sinks.settings import MqttSettings, SinkRefused

SINK = "mqtt"
POLL_S = 1.0
RECONNECT_S = (1.0, 60.0)
#: How long the broker may take to answer.
ANSWER_S = 5.0
#: Messages that wait each way; of those to us only Home Assistant's births come.
MAX_QUEUED = 100
ONLINE, OFFLINE = "online", "offline"
#: Where Home Assistant tells its birth by default, whatever its discovery's prefix is.
BIRTH = "homeassistant/status"


class MeterView(Protocol):
    """What MQTT tells of a meter: its identity, and whether its values are fresh."""

    @property
    def esn(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def fresh(self) -> bool: ...


class MqttSink:
    """Publishes until cancelled; connects again by itself.  ``note`` hears how the broker does.

    SettingsError for TLS files that are wrong.
    """

    def __init__(
        self,
        settings: MqttSettings,
        readings: Readings,
        meters: Callable[[], Iterable[MeterView]],
        note: Callable[[str], None],
    ) -> None:
        self._settings, self._readings, self._meters = settings, readings, meters
        self._note = note
        self._tls = ClientTls(settings.tls, note) if settings.tls is not None else None
        self._presence = f"{settings.base}/gateway"
        self._shown: dict[str, str] = {}
        #: What each meter shows, by ESN, and after which change of the readings.
        self._states: dict[str, tuple[int, str]] = {}
        self._told_lost = False
        self._rest_s = RECONNECT_S[0]
        #: How far it has come, which the readings may be unable to note for a while.
        self._position: dict[str, int] | None = None

    async def run(self) -> None:
        """Keep the broker told."""
        settings = self._settings
        broker = Broker(settings.host, settings.port, settings.base)
        while True:
            name = _name(next(iter(self._meters())).esn)
            try:
                async with broker_session(
                    broker,
                    settings.user,
                    settings.password,
                    self._tls,
                    name,
                    aiomqtt.Will(self._presence, OFFLINE, qos=1, retain=True),
                    timeout_s=ANSWER_S,
                    most=MAX_QUEUED,
                ) as client:
                    await self._connected(client)
            except aiomqtt.MqttError as error:
                if told_to_end():  # the broker went while we said farewell: we go all the same
                    raise asyncio.CancelledError from error
                if not self._told_lost:
                    self._note(f"is lost: {system_words(error)}")
                self._told_lost = True
                await asyncio.sleep(self._rest_s)
                self._rest_s = min(2 * self._rest_s, RECONNECT_S[1])

    async def _connected(self, client: aiomqtt.Client) -> None:
        telling = asyncio.create_task(self._tell(client))
        births = asyncio.create_task(self._births(client))
        try:
            # What hears the broker ends with it; who waits for its answer would wait on.
            done, _ = await asyncio.wait((telling, births), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(telling, births)
            await self._farewell(client)

    async def _tell(self, client: aiomqtt.Client) -> None:
        """Tell what is new until the broker goes."""
        settings = self._settings
        self._shown.clear()
        await client.publish(self._presence, ONLINE, qos=1, retain=True)
        if settings.discovery:
            for topic in dict.fromkeys((BIRTH, f"{settings.discovery}/status")):
                await client.subscribe(topic, qos=1)
        # What an end of ours left with the broker comes late, and must not hide what we tell.
        await client.subscribe(self._presence, qos=1)
        while True:
            try:
                await self._step(client)
                self._note("is connected")
                self._told_lost, self._rest_s = False, RECONNECT_S[0]
            except StorageError as error:
                # Its module says so, too, and rests; the broker has nothing to do with it.
                self._note(f"is connected, and waits for the readings: {error}")
            await asyncio.sleep(POLL_S)

    async def _farewell(self, client: aiomqtt.Client) -> None:
        """Say that the gateway goes, when it goes by itself and the broker is still there.

        And that no meter is shown: the next start may be without one, and "online" would stay.
        """
        if told_to_end():
            bases = [f"{self._settings.base}/{view.esn}" for view in self._meters()]
            for topic in (self._presence, *(f"{base}/availability" for base in bases)):
                await client.publish(topic, OFFLINE, qos=1, retain=True)

    async def _births(self, client: aiomqtt.Client) -> None:
        """When Home Assistant starts anew, or we are said to be gone, it is told again."""
        async for message in client.messages:
            if message.topic.value == self._presence:
                if message.payload == OFFLINE.encode():
                    await client.publish(self._presence, ONLINE, qos=1, retain=True)
            elif message.payload == ONLINE.encode():
                self._shown.clear()

    async def _step(self, client: aiomqtt.Client) -> None:
        settings = self._settings
        for view in self._meters():
            base = f"{settings.base}/{view.esn}"
            if settings.discovery:
                payload = json.dumps(discovery_payload(view.esn, view.model, base))
                await self._show(client, discovery_topic(settings.discovery, view.esn), payload)
            await self._show(client, f"{base}/availability", ONLINE if view.fresh else OFFLINE)
            await self._show(client, f"{base}/state", self._state(view.esn))
        if self._position is None:
            self._position = self._readings.position(SINK)
        position = self._position
        for table, topic in (("intervals", "interval"), ("happenings", "happening")):
            rows = self._readings.after(table, position.get(table, 0))
            for row in rows:
                await client.publish(f"{settings.base}/{row['esn']}/{topic}", _json(row), qos=1)
                position[table] = row["number"]
            if rows:
                self._readings.move(SINK, position)

    def _state(self, esn: str) -> str:
        """Give what a meter shows; looked up again only when something was kept since."""
        readings = self._readings
        kept, state = self._states.get(esn, (-1, ""))
        if kept != readings.kept:
            kept = readings.kept
            state = json.dumps(
                state_payload(
                    readings.newest(esn),
                    readings.last_interval(esn),
                    readings.power_w(esn),
                    readings.energy_steps(esn),
                )
            )
            self._states[esn] = kept, state
        return state

    async def _show(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        """Publish a retained value when it is another than the one shown."""
        if self._shown.get(topic) != payload:
            await client.publish(topic, payload, qos=1, retain=True)
            self._shown[topic] = payload


def _name(esn: str) -> str:
    """Give a name that no other gateway has: the broker would take turns with the two."""
    return f"gateway/{esn}"


async def try_log_in(settings: MqttSettings, esn: str) -> None:
    """Log in as the gateway whose first meter's module this is, and leave; SinkRefused."""
    broker = Broker(settings.host, settings.port, settings.base)
    tls = ClientTls(settings.tls) if settings.tls is not None else None
    try:
        async with broker_session(
            broker,
            settings.user,
            settings.password,
            tls,
            _name(esn),
            None,
            timeout_s=ANSWER_S,
            most=MAX_QUEUED,
        ):
            pass
    except aiomqtt.MqttError as error:
        raise SinkRefused(system_words(error)) from None


def _json(row: sqlite3.Row) -> str:
    return json.dumps({name: row[name] for name in row.keys()})  # noqa: SIM118 - rows are no dicts
