"""C12.22 by a broker, from the head-end or relay: all nodes under one base (``mqtt_topics``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

import aiomqtt

from protocols.transports.capture import apdu_notes
from protocols.transports.port import system_words
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended, told_to_end
from smartmeter.comms.mqtt_client import WINDOW, broker_session, subscribe
from smartmeter.comms.mqtt_topics import OFFLINE, ONLINE, broker_address
from smartmeter.comms.paths import Handler
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls_renewal import ClientTls

CONNECT_TIMEOUT_S = 5.0
#: A broker that answers no more is not waited for when we go.
FAREWELL_S = 1.0
RECONNECT_S = (0.25, 30.0)
#: A session that ended sooner is no success: two head-ends of one topic would end each other's
#: four times a second.  Longer than any rest, or their turns would count as success.
SHORT_S = 60.0
#: Asked when a short session follows a short one: a broker that was stopped, or answers late, ends
#: one and then takes none.
RIVAL = "; does another head-end serve this topic?"
#: APDUs that wait for the broker, and from it.
MAX_QUEUED = 4096
#: Nodes that are remembered, to tell that they have gone; the oldest is forgotten.
MAX_NODES = 100_000


@dataclass(frozen=True)
class MqttPath:
    """A node at the broker; two of one name are one path."""

    carrier: MqttCarrier = field(repr=False)
    node: str
    is_stream = is_slow = False

    @property
    def local(self) -> tuple[str, int]:
        """Give our end: the broker knows us by name only."""
        return ("0.0.0.0", 0)

    @property
    def remote(self) -> tuple[str, int]:
        """Give the broker's address."""
        return (self.carrier.broker.host, self.carrier.broker.port)

    def send(self, octets: bytes) -> None:
        """Send one APDU; what cannot be sent is dropped."""
        self.carrier.send(self.node, octets)


class MqttCarrier:
    """Keeps a session with the broker, and tells the nodes by its presence that it does."""

    def __init__(
        self,
        settings: BearerSettings,
        limit: int,
        counts: Counter[str] | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.broker = broker_address(settings.address)
        self._settings, self._limit = settings, limit
        self._standing = standing or Standing()
        self._tls = ClientTls(settings.tls, self._standing.tell) if settings.speaks_tls else None
        self.counts = Counter() if counts is None else counts
        self.connected = False
        self._out: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._paths: OrderedDict[str, MqttPath] = OrderedDict()
        ends = ("0.0.0.0", 0), (self.broker.host, self.broker.port)
        self._notes = apdu_notes(*ends, listens=False, is_stream=False)

    def send(self, node: str, octets: bytes) -> None:
        """Send one APDU to a node."""
        try:
            if not self.connected:
                raise asyncio.QueueFull
            self._out.put_nowait((node, octets))
        except asyncio.QueueFull:
            self.counts["mqtt unsent"] += 1

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; connects again by itself."""
        rest_s, shorts, clock = RECONNECT_S[0], 0, asyncio.get_running_loop().time
        while True:
            begin_s = clock()
            try:
                await self._session(handler)
            except aiomqtt.MqttError as error:
                if told_to_end():  # the broker went while we said farewell: we go all the same
                    raise asyncio.CancelledError from error
                self.counts["mqtt broker lost"] += self.connected
                shorts = shorts + 1 if self.connected and clock() - begin_s < SHORT_S else 0
                self._standing.fails(system_words(error) + (RIVAL if shorts > 1 else ""))
            finally:
                if self.connected and clock() - begin_s >= SHORT_S:
                    rest_s = RECONNECT_S[0]
                self.connected = False
                self._forget_all(handler)
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, RECONNECT_S[1])

    async def _session(self, handler: Handler) -> None:
        settings, broker = self._settings, self.broker
        async with broker_session(
            broker,
            settings.user,
            settings.password,
            self._tls,
            "host",
            aiomqtt.Will(broker.presence, OFFLINE, qos=1, retain=True),
            timeout_s=CONNECT_TIMEOUT_S,
            most=MAX_QUEUED,
        ) as client:
            await subscribe(client, broker.up("+"))
            await subscribe(client, broker.gone("+"))
            await client.publish(broker.presence, ONLINE, qos=1, retain=True)
            self.connected = True
            self._standing.works()
            sending = [asyncio.create_task(self._send_all(client)) for _ in range(WINDOW)]
            try:
                # What an end of ours left there, or anybody else, must not keep nodes away.
                await client.subscribe(broker.presence, qos=1)
                async for message in client.messages:
                    if message.topic.value != broker.presence:
                        self._heed(message, handler)
                    elif message.payload != ONLINE:
                        await client.publish(broker.presence, ONLINE, qos=1, retain=True)
            finally:
                await ended(*sending)
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish(
                        broker.presence, OFFLINE, qos=1, retain=True, timeout=FAREWELL_S
                    )

    def _heed(self, message: aiomqtt.Message, handler: Handler) -> None:
        payload, found = message.payload, self.broker.node_of(message.topic.value)
        if found is None or message.retain or not isinstance(payload, bytes):
            self.counts["mqtt dropped retained" if message.retain else "mqtt dropped topic"] += 1
            return
        kind, node = found
        if kind == "gone":
            path = self._paths.pop(node, None)
            if path is not None:
                handler.closed(path)
        elif len(payload) > self._limit:
            self.counts["mqtt dropped too-long"] += 1
            handler.refused(MqttPath(self, node), "too-long")
        else:
            path = self._path(node, handler)
            self._notes.received(payload)
            handler.receive(path, payload)
            handler.received()

    def _path(self, node: str, handler: Handler) -> MqttPath:
        path = self._paths.setdefault(node, MqttPath(self, node))
        self._paths.move_to_end(node)
        if len(self._paths) > MAX_NODES:
            handler.closed(self._paths.popitem(last=False)[1])
        return path

    def _forget_all(self, handler: Handler) -> None:
        while self._paths:
            handler.closed(self._paths.popitem()[1])
        while not self._out.empty():
            self._out.get_nowait()

    async def _send_all(self, client: aiomqtt.Client) -> None:
        while True:
            node, octets = await self._out.get()
            self._notes.sent(octets)
            try:
                await client.publish(self.broker.down(node), octets, qos=1)
            except aiomqtt.MqttError:  # a broker that hesitates: while it is there, so are we
                self.counts["mqtt unconfirmed"] += 1
