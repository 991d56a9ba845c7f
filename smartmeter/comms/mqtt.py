"""C12.22 by a broker, from the node: APDUs under topics of its own (``mqtt_topics``).

The session is a clean one: what was not delivered is sent anew by the node's
own rules, with a fresh invocation id, never by the broker's memory.  The way
ends when the head-end leaves the broker, so that the fail-over learns of it.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiomqtt

from protocols.transports.capture import apdu_notes
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.event_loop import ended
from smartmeter.comms.mqtt_client import WINDOW, broker_session, subscribe
from smartmeter.comms.mqtt_topics import OFFLINE, ONLINE, broker_address, check_node
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.task_connection import TaskConnection
from smartmeter.comms.tls_renewal import ClientTls

CONNECT_TIMEOUT_S = 10.0
#: How long the head-end's presence, which is retained, may take to come.
PRESENCE_TIMEOUT_S = 5.0
#: APDUs that wait for the broker, and from it.
MAX_QUEUED = 256


class MqttConnection(TaskConnection):
    """One session with the broker, while a head-end listens there."""

    def __init__(self, settings: BearerSettings, tls: ClientTls | None) -> None:
        super().__init__(settings.address)
        self._settings, self._tls = settings, tls
        self._broker = broker_address(settings.address)
        self._node = check_node(settings.node)
        self._out: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED)
        ends = ("0.0.0.0", 0), (self._broker.host, self._broker.port)
        self._notes = apdu_notes(*ends, listens=False, is_stream=False)

    async def opened(self) -> None:
        """Wait until the head-end is known to listen; OSError when it does not."""
        await self._opened(self._run(), CONNECT_TIMEOUT_S + PRESENCE_TIMEOUT_S)

    def send(self, octets: bytes) -> None:
        """Send one APDU; what is too long, or too much at once, is dropped."""
        if len(octets) <= self._settings.max_apdu_octets:
            with contextlib.suppress(asyncio.QueueFull):
                self._out.put_nowait(octets)

    async def _run(self) -> None:
        settings, broker = self._settings, self._broker
        try:
            async with broker_session(
                broker,
                settings.user,
                settings.password,
                self._tls,
                f"node/{self._node}",
                aiomqtt.Will(broker.gone(self._node), b"", qos=1),
                timeout_s=CONNECT_TIMEOUT_S,
                most=MAX_QUEUED,
            ) as client:
                await subscribe(client, broker.down(self._node))
                await subscribe(client, broker.presence)
                await self._converse(client)
        except aiomqtt.MqttError as error:
            raise OSError(f"{settings.address}: {error}") from error

    async def _converse(self, client: aiomqtt.Client) -> None:
        sending = [asyncio.create_task(self._send_all(client)) for _ in range(WINDOW)]
        try:
            async for message in client.messages:
                if not self._heed(message):
                    return
        finally:
            await ended(*sending)
            with contextlib.suppress(aiomqtt.MqttError):
                await client.publish(self._broker.gone(self._node), b"", qos=0)

    def _heed(self, message: aiomqtt.Message) -> bool:
        """Take a message; False when the head-end has gone."""
        payload = message.payload
        if message.topic.value == self._broker.presence:
            if payload == ONLINE:
                self._ready.set()
            return payload != OFFLINE
        fits = isinstance(payload, bytes) and len(payload) <= self._settings.max_apdu_octets
        if fits and not message.retain:
            assert isinstance(payload, bytes)
            self._notes.received(payload)
            self._inbox.put(payload)
        return True

    async def _send_all(self, client: aiomqtt.Client) -> None:
        while True:
            octets = await self._out.get()
            self._notes.sent(octets)
            # A broker that hesitates does not end it; one that has gone ends the session.
            with contextlib.suppress(aiomqtt.MqttError):
                await client.publish(self._broker.up(self._node), octets, qos=1)


class MqttBearer:
    """A head-end behind a broker."""

    stands_by = False

    def __init__(self, settings: BearerSettings, tell: Tell = tell_nobody) -> None:
        self.settings = settings
        self._tls = ClientTls(settings.tls, tell) if settings.speaks_tls else None
        check_node(settings.node)

    async def connect(self) -> Connection:
        """Open a session; OSError when there is no broker, or no head-end at it."""
        connection = MqttConnection(self.settings, self._tls)
        await connection.opened()
        return connection
