"""A clean session with a broker: of a node, a head-end, or a gateway that tells its readings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiomqtt

from protocols.transports.port import system_words
from smartmeter.comms.mqtt_topics import Broker
from smartmeter.comms.tls_renewal import ClientTls

#: APDUs that are sent and not yet confirmed by the broker; they stay in order.  (Above ten the
#: library complains.)
WINDOW = 8
#: What is kept of a packet: more than the longest topic and APDU together.
MAX_PACKET_OCTETS = 1 << 17
_READ_OCTETS = 1 << 16
#: From here on what a broker grants is a refusal (MQTT 3.1.1, 3.9.3).
_REFUSED = 0x80
#: A broker of MQTT 5 alone, or of QoS 0 alone, ends the connection.  What it says, if anything, the
#: library keeps to itself: it tells that as no answer.
_UNANSWERED = "Operation timed out"
_HUNG_UP = "the broker hung up at once; it must take MQTT 3.1.1, QoS 1 and what is retained"
#: Bad user name or password, not authorized: the codes of MQTT 5, which the library has for both.
_REFUSED_LOG_IN = (134, 135)
_LOG_IN = "; look at its user and password"


class _Said(logging.Handler):
    """Keeps what the library last said of its socket: its error alone is "timed out"."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; logging's call."""
        self.last = record.getMessage()


class _Dropped(bytes):
    """Octets that were read and are not kept: only how many they were."""

    octets = 0

    def __len__(self) -> int:
        return self.octets


def _bound(client: aiomqtt.Client) -> None:
    """Keep what a packet may cost in memory within bounds, which the library does not.

    Whoever may publish at a broker may send 256 MiB; who cut the connection for that
    would be cut off as often as somebody likes.  So the end of what is too long is lost, and
    nobody takes the rest for anything.
    """
    library: Any = client._client
    receive: Callable[[int], bytes] = library._sock_recv

    def bounded(octets: int) -> bytes:
        data = receive(min(octets, _READ_OCTETS))
        room = MAX_PACKET_OCTETS - len(library._in_packet["packet"])
        if len(data) <= room:
            return data
        dropped = _Dropped()
        dropped.octets = len(data)
        return dropped

    library._sock_recv = bounded


def _written_while_open(client: aiomqtt.Client) -> None:
    """Wait for room to write only while the socket is open, which the library does not look at.

    It begins to wait a turn of the loop after it has something to write.  Where a broker's
    answer closes the socket in between, asyncio would print the failure (seen from Python 3.12 on).
    """
    library: Any = client._client
    loop: Any = client._loop

    def wait(socket: Any) -> None:
        if socket.fileno() >= 0:
            loop.add_writer(socket.fileno(), library.loop_write)

    # The library may be in a thread of its own here.
    library.on_socket_register_write = lambda _, __, socket: loop.call_soon_threadsafe(wait, socket)


def _readable(client: aiomqtt.Client) -> None:
    """Drop a message whose topic is no text, which a broker may let anybody publish.

    The library would end the session, and read the same octets for ever.
    """
    library: Any = client._client
    take: Callable[[Any, Any, Any], None] = library.on_message

    def readable(own: Any, data: Any, message: Any) -> None:
        with suppress(UnicodeDecodeError):
            take(own, data, message)

    library.on_message = readable


@asynccontextmanager
async def broker_session(
    broker: Broker,
    user: str,
    password: str,
    tls: ClientTls | None,
    name: str,
    will: aiomqtt.Will | None,
    *,
    timeout_s: float,
    most: int,
) -> AsyncIterator[aiomqtt.Client]:
    """Give a client while it is connected; MqttError when it cannot be, or is no more.

    ``user`` is empty for none, ``tls`` is for a broker that speaks it, ``name`` is its own below
    the base; ``most`` messages wait each way.
    """
    logger, said = logging.Logger("mqtt"), _Said()
    logger.addHandler(said)
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=f"{broker.base}/{name}",
        username=user or None,
        password=password or None,
        clean_session=True,
        timeout=timeout_s,
        tls_context=tls.context() if tls else None,
        will=will,
        max_queued_incoming_messages=most,
        max_queued_outgoing_messages=most,
        logger=logger,
    )
    _bound(client)
    _readable(client)
    _written_while_open(client)
    # The library drops it unread where the broker goes with its first word.
    client._disconnected.add_done_callback(_take)
    opened = False
    try:
        async with client:
            said.last, opened = "", True
            yield client
    except aiomqtt.MqttError as error:
        text = said.last or _words(_end(client))
        if not text and not opened and str(error) == _UNANSWERED and _has_hung_up(client):
            text = _HUNG_UP
        if not text and not opened and isinstance(error, aiomqtt.MqttCodeError):
            text = _refusal(error)
        if not text and isinstance(error.__context__, OSError) and str(error.__context__):
            text = system_words(error.__context__)
        if not text:
            raise
        raise aiomqtt.MqttError(text) from error
    finally:
        _end(client)


def _refusal(error: aiomqtt.MqttCodeError) -> str:
    """Say why a broker takes no session, without the library's number for it."""
    told = str(error).partition("] ")[2]
    code = getattr(error.rc, "value", error.rc)
    return f"the broker says: {told}" + (_LOG_IN if code in _REFUSED_LOG_IN else "")


def _take(end: Any) -> None:
    """Read how a future ended: asyncio prints what nobody has read."""
    if not end.cancelled():
        end.exception()


def _end(client: aiomqtt.Client) -> BaseException | None:
    """Give the library's own word of an end that we did not want, None where there is none.

    It leaves it unread where we waited for something else, and asyncio would print that.
    """
    end = getattr(client, "_disconnected", None)
    return end.exception() if end is not None and end.done() and not end.cancelled() else None


def _has_hung_up(client: aiomqtt.Client) -> bool:
    """Tell whether there was a connection, and is none any more."""
    connection = getattr(client, "_client", None)
    return connection is not None and connection.socket() is None


def _words(end: BaseException | None) -> str:
    """Say it: the library tells no more than two from each other."""
    if end is None:
        return ""
    is_silent = "keep alive" in str(end).lower()
    return "the broker answers no more" if is_silent else "the broker ended the session"


async def subscribe(client: aiomqtt.Client, topic: str) -> None:
    """Subscribe, each message at least once; MqttError when the broker will not."""
    for granted in await client.subscribe(topic, qos=1):
        code = granted if isinstance(granted, int) else granted.value
        if code >= _REFUSED:
            raise aiomqtt.MqttError(f"the broker refuses {topic}; look at its access rules")
