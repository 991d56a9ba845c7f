"""The link of C12.18: packets are acknowledged one by one; messages may take several.

Both ends are the same machine: the client's request and the device's answer
are one operation, "send a message".  What differs is what a new packet means
while an own packet waits for its acknowledgment (:class:`Collision`).

Receiving: a bad packet is NAKed, a copy of the last one (same identity, toggle
and checksum) is acknowledged and dropped, a new one is acknowledged and taken.
Sending: a packet is repeated, byte for byte, on NAK and on time-out, three
times at most; then the link has failed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocols.datalink.packet import (
    ACK,
    FIRST,
    MAX_PACKET_OCTETS,
    MULTI,
    NAK,
    OVERHEAD_OCTETS,
    TOGGLE,
    Packet,
)
from protocols.datalink.parser import Parser, Received, Signal
from protocols.errors import LocalProtocolError
from protocols.machine import Event

RESPONSE_TIMEOUT_US = 2_000_000
#: Repetitions beside the first transmission; NAKs and time-outs share the count.
RETRIES = 3
DEFAULT_PACKET_OCTETS = 64
DEFAULT_PACKETS = 1


class Collision(Enum):
    """What a new packet means while the own last packet is unacknowledged."""

    IMPLIED_ACK = "the client takes it as the answer"
    GIVE_UP = "the device gives its own answer up: the client has moved on"


@dataclass(frozen=True)
class MessageReceived(Event):
    """A whole message, and the identity octet of its packets."""

    data: bytes
    identity: int


@dataclass(frozen=True)
class RepeatReceived(Event):
    """A copy of the last packet came while nothing of ours was unacknowledged."""

    data: bytes


@dataclass(frozen=True)
class MessageDelivered(Event):
    """The last packet of our message was acknowledged."""


@dataclass(frozen=True)
class LinkFailed(Event):
    """Our packet was not acknowledged after all repetitions."""


class Link:
    """One end of a C12.18 line, without the line."""

    def __init__(self, collision: Collision, max_packet: int = DEFAULT_PACKET_OCTETS) -> None:
        self._collision = collision
        self._parser = Parser(max_packet)
        self._events: list[Event] = []
        self._out = bytearray()
        self.identity = 0
        self.set_limits(DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS, max_packet)
        self._toggle = 0
        self._waiting: deque[Packet] = deque()
        self._unacknowledged = b""
        self._sendings = 0
        self._due_us: int | None = None
        self._last: tuple[int, int, bytes] | None = None
        self._partial: list[bytes] = []
        self._next_seq = -1

    def set_limits(self, packet_octets: int, packets: int, receive_octets: int) -> None:
        """Set the negotiated packet size and count, and the largest packet accepted."""
        self.packet_octets = packet_octets
        self.packets = packets
        self._parser.max_packet = min(receive_octets, MAX_PACKET_OCTETS)

    @property
    def max_message(self) -> int:
        """Give the longest message that may be sent now, in octets."""
        return (self.packet_octets - OVERHEAD_OCTETS) * self.packets

    @property
    def busy(self) -> bool:
        """Tell whether a message of ours is on its way."""
        return bool(self._unacknowledged)

    def forget(self) -> None:
        """Return to the defaults of Base state: nothing pending, no memory of a last packet."""
        self._waiting.clear()
        self._unacknowledged = b""
        self._due_us = None
        self._last = None
        self._drop_partial()
        self._parser.reset()
        self._toggle = 0

    def send(self, message: bytes, now_us: int) -> None:
        """Send a message; LocalProtocolError when it is too long or another is on its way."""
        if self.busy:
            raise LocalProtocolError("a message is already on its way")
        if not 1 <= len(message) <= self.max_message:
            raise LocalProtocolError(
                f"message of {len(message)} octets, at most {self.max_message} were granted"
            )
        room = self.packet_octets - OVERHEAD_OCTETS
        pieces = [message[at : at + room] for at in range(0, len(message), room)]
        for index, piece in enumerate(pieces):
            ctrl = 0 if len(pieces) == 1 else MULTI | (0 if index else FIRST)
            ctrl |= self._toggle
            self._toggle ^= TOGGLE
            self._waiting.append(Packet(piece, ctrl, len(pieces) - 1 - index, self.identity))
        self._send_next(now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the line."""
        for item in self._parser.feed(data, now_us):
            self._take(item, now_us)

    def expire(self, now_us: int) -> None:
        """Act on silence inside a packet, and on a packet that was not acknowledged."""
        for item in self._parser.expire(now_us):
            self._take(item, now_us)
        if self._due_us is not None and now_us >= self._due_us and not self._parser.inside:
            self._repeat(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        parser_due = self._parser.deadline_us()
        return parser_due if parser_due is not None else self._due_us

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def sent(self, now_us: int) -> None:
        """Start the response time-out at the last byte that left."""
        if self._due_us is not None:
            self._due_us = now_us + RESPONSE_TIMEOUT_US

    def events(self) -> Sequence[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events

    def _send_next(self, now_us: int) -> None:
        self._unacknowledged = self._waiting.popleft().encode()
        self._sendings = 0
        self._transmit(now_us)

    def _transmit(self, now_us: int) -> None:
        self._sendings += 1
        self._out += self._unacknowledged
        self._due_us = now_us + RESPONSE_TIMEOUT_US

    def _repeat(self, now_us: int) -> None:
        if self._sendings <= RETRIES:
            self._transmit(now_us)
            return
        self._give_up()
        self._events.append(LinkFailed())

    def _give_up(self) -> None:
        self._waiting.clear()
        self._unacknowledged = b""
        self._due_us = None

    def _take(self, item: Signal | Received, now_us: int) -> None:
        if isinstance(item, Received):
            self._take_packet(item, now_us)
        elif item is Signal.BAD:
            self._out.append(NAK)
        elif not self._unacknowledged:
            return  # an ACK or NAK that nobody waits for
        elif item is Signal.NAK:
            self._repeat(now_us)
        else:
            self._acknowledged(now_us)

    def _acknowledged(self, now_us: int) -> None:
        if self._waiting:
            self._send_next(now_us)
            return
        self._give_up()
        self._events.append(MessageDelivered())

    def _take_packet(self, received: Received, now_us: int) -> None:
        packet, octets = received.packet, received.octets
        if not packet.is_legal:
            self._drop_partial()
            self._out.append(NAK)
            return
        if octets == self._unacknowledged and self._collision is Collision.IMPLIED_ACK:
            return  # our own bytes, echoed by the probe
        mark = (packet.identity, packet.ctrl & TOGGLE, octets[-2:])
        if mark == self._last:
            self._out.append(ACK)
            if self._unacknowledged:
                self._repeat(now_us)
            elif not packet.is_multi:
                self._events.append(RepeatReceived(packet.data))
            return
        if self._unacknowledged and not self._resolve_collision(packet):
            return
        if packet.is_multi and not packet.is_first and packet.seq_nbr != self._next_seq:
            self._drop_partial()
            self._out.append(NAK)
            return
        if packet.is_first and packet.seq_nbr >= self.packets:
            self._drop_partial()
            self._out.append(NAK)
            return
        self._last = mark
        self._out.append(ACK)
        self._assemble(packet)

    def _resolve_collision(self, packet: Packet) -> bool:
        """Tell whether the packet is to be taken although our own is unacknowledged."""
        if self._collision is Collision.GIVE_UP:
            self._give_up()
            return True
        if self._waiting:
            return False  # our request is not complete: this cannot be its answer
        self._give_up()
        self._events.append(MessageDelivered())
        return True

    def _assemble(self, packet: Packet) -> None:
        if not packet.is_multi or packet.is_first:
            self._drop_partial()
        self._partial.append(packet.data)
        if packet.seq_nbr:
            self._next_seq = packet.seq_nbr - 1
            return
        message = b"".join(self._partial)
        self._drop_partial()
        self._events.append(MessageReceived(message, packet.identity))

    def _drop_partial(self) -> None:
        self._partial.clear()
        self._next_seq = -1
