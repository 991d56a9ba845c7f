"""The local port between a C12.22 device and its communication module: packets and their link.

A single source (one deployed stack, drafts of 2006 and 2008), and only for who
builds one of the two sides; a node of one piece does not need it.  The packet
is that of C12.18, with more in its control octet::

    EE | identity | control | seq | length(2) | data | crc(2, low octet first)

Unless transparency is on, acknowledgments are single octets as in C12.18; with
it they ride in the control octet, and from ``seq`` on 1B and EE are escaped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from protocols.crc import crc16
from protocols.datalink.link import DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS
from protocols.datalink.packet import (
    ACK,
    FIRST,
    MAX_PACKET_OCTETS,
    MULTI,
    NAK,
    OVERHEAD_OCTETS,
    STP,
    TOGGLE,
)
from protocols.errors import LocalProtocolError
from protocols.machine import Event

TRANSPARENT = 0x10
ACK_BITS, NAK_BITS, UNACKNOWLEDGED = 0x04, 0x08, 0x0C
C1218_FORMAT, C1222_FORMAT, FORMAT_MASK = 0, 1, 3
ESCAPE, FLIP = 0x1B, 0x20
#: Local address of the device, in the upper five bits of the identity; 1 and 2 are local ports,
#: from 3 on interfaces.
DEVICE = 0
ANSWER_US, INTER_CHARACTER_US, RETRIES = 2_000_000, 500_000, 3
KEEP_ALIVE_US = 2_500_000
MAX_QUEUED = 16


@dataclass(frozen=True)
class LocalPacket:
    """One packet whose checksum is right."""

    data: bytes
    control: int = C1222_FORMAT
    seq: int = 0
    identity: int = 0

    def encode(self) -> bytes:
        """Give the octets on the line, escaped when the packet is transparent."""
        head = bytes((STP, self.identity, self.control))
        rest = bytes([self.seq]) + len(self.data).to_bytes(2, "big") + self.data
        rest += crc16(head + rest).to_bytes(2, "little")
        return head + (_escaped(rest) if self.control & TRANSPARENT else rest)


def _escaped(octets: bytes) -> bytes:
    out = bytearray()
    for octet in octets:
        out += bytes((ESCAPE, octet ^ FLIP)) if octet in (ESCAPE, STP) else bytes([octet])
    return bytes(out)


@dataclass(frozen=True)
class MessageArrived(Event):
    """A whole message: ``data_format`` 1 is for the C12.22 transport, 0 for C12.18."""

    data: bytes
    data_format: int
    identity: int


@dataclass(frozen=True)
class MessageSent(Event):
    """The last packet of a message was acknowledged."""


@dataclass(frozen=True)
class PortFailed(Event):
    """The peer acknowledged nothing; what was to be sent is lost."""


class LocalPort:
    """One side, as a byte machine.  ``keeps_alive`` is the communication module's."""

    def __init__(
        self,
        identity: int = DEVICE << 3,
        packet_octets: int = DEFAULT_PACKET_OCTETS,
        packets: int = DEFAULT_PACKETS,
        transparent: bool = False,
        keeps_alive: bool = False,
    ) -> None:
        if not OVERHEAD_OCTETS < packet_octets <= MAX_PACKET_OCTETS or not 1 <= packets <= 256:
            raise LocalProtocolError("a packet has 9 to 8192 octets, a message 1 to 256 packets")
        self._identity, self._packet_octets, self._packets = identity, packet_octets, packets
        self._transparent, self._keeps_alive = transparent, keeps_alive
        self._buffer = bytearray()
        self._last_octet_us = 0
        self._last_taken: tuple[int, int] | None = None
        self._message = bytearray()
        #: The ``seq`` of the packet that goes on with the message.
        self._following: int | None = None
        self._toggle = 0
        self._queue: deque[LocalPacket] = deque()
        self._sent: bytes | None = None
        self._tries = 0
        self._answer_due_us: int | None = None
        self._idle_since_us = 0
        self._out = bytearray()
        self._events: list[Event] = []

    def send(self, data: bytes, data_format: int, now_us: int) -> None:
        """Send a message, in as many packets as it takes; LocalProtocolError if they are too many.

        ``seq`` counts down to 0 at the last packet.
        """
        room = self._packet_octets - OVERHEAD_OCTETS
        pieces = [data[at : at + room] for at in range(0, len(data), room)] or [b""]
        if len(pieces) > self._packets or len(self._queue) + len(pieces) > MAX_QUEUED + 256:
            raise LocalProtocolError(f"{len(data)} octets do not fit {self._packets} packets")
        multi = MULTI if len(pieces) > 1 else 0
        for number, piece in enumerate(pieces):
            first = FIRST if multi and number == 0 else 0
            control = multi | first | self._toggle | data_format
            control |= TRANSPARENT if self._transparent else 0
            self._toggle ^= TOGGLE
            seq = len(pieces) - 1 - number
            self._queue.append(LocalPacket(piece, control, seq, self._identity))
        self._next(now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the line."""
        if self._buffer and now_us - self._last_octet_us > INTER_CHARACTER_US:
            self._buffer.clear()
        self._last_octet_us = now_us
        self._buffer += data
        while self._buffer and self._take_one(now_us):
            pass

    def expire(self, now_us: int) -> None:
        """Repeat what was not acknowledged, or keep the line alive."""
        if self._answer_due_us is not None and now_us >= self._answer_due_us:
            self._repeat(now_us)
        elif self._keeps_alive and now_us >= self._idle_since_us + KEEP_ALIVE_US:
            self.send(b"", C1218_FORMAT, now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        if self._answer_due_us is not None:
            return self._answer_due_us
        return self._idle_since_us + KEEP_ALIVE_US if self._keeps_alive else None

    def outgoing(self) -> bytes:
        """Give the bytes to write, and forget them."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def sent(self, now_us: int) -> None:
        """The last bytes have left; the peer's time to answer begins."""
        if self._answer_due_us is not None:
            self._answer_due_us = now_us + ANSWER_US

    def events(self) -> Sequence[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events

    # Sending.

    def _next(self, now_us: int) -> None:
        if self._sent is None and self._queue:
            self._sent, self._tries = self._queue.popleft().encode(), 0
            self._write(now_us)

    def _write(self, now_us: int) -> None:
        assert self._sent is not None
        self._out += self._sent
        self._answer_due_us, self._idle_since_us = now_us + ANSWER_US, now_us

    def _repeat(self, now_us: int) -> None:
        if self._sent is None:
            return
        self._tries += 1
        if self._tries <= RETRIES:
            self._write(now_us)
            return
        self._sent = self._answer_due_us = None
        self._queue.clear()
        self._idle_since_us = now_us
        self._events.append(PortFailed())

    def _acknowledged(self, now_us: int) -> None:
        if self._sent is None:
            return
        last = self._sent[3:4] == b"\0"
        self._sent = self._answer_due_us = None
        if last:
            self._events.append(MessageSent())
        self._next(now_us)

    # Receiving.

    def _take_one(self, now_us: int) -> bool:
        """Take one acknowledgment or packet off the buffer; False when more octets are needed."""
        first = self._buffer[0]
        if first != STP:
            del self._buffer[0]
            if first == ACK:
                self._acknowledged(now_us)
            elif first == NAK:
                self._repeat(now_us)
            return True
        if len(self._buffer) < 3:
            return False
        transparent = bool(self._buffer[2] & TRANSPARENT)
        plain, used = _plain(self._buffer[3:], transparent)
        if len(plain) < 3:
            return False
        size = int.from_bytes(plain[1:3], "big")
        if size + OVERHEAD_OCTETS > MAX_PACKET_OCTETS:
            self._buffer.clear()
            self._answer(False, transparent)
            return False
        if len(plain) < size + 5:
            return False
        head = bytes(self._buffer[:3])
        del self._buffer[: 3 + used[size + 4]]
        self._packet(head, plain[: size + 5], now_us)
        return True

    def _packet(self, head: bytes, rest: bytes, now_us: int) -> None:
        control, checksum = head[2], int.from_bytes(rest[-2:], "little")
        transparent = bool(control & TRANSPARENT)
        if crc16(head + rest[:-2]) != checksum:
            self._answer(False, transparent)
            return
        kind = control & UNACKNOWLEDGED
        if transparent and kind == ACK_BITS:
            self._acknowledged(now_us)
        elif transparent and kind == NAK_BITS:
            self._repeat(now_us)
        data = rest[3:-2]
        if transparent and kind in (ACK_BITS, NAK_BITS) and not data:
            return
        if kind != UNACKNOWLEDGED:
            self._answer(True, transparent)
            mark = (control & TOGGLE, checksum)
            if mark == self._last_taken:
                return
            self._last_taken = mark
        self._assemble(control, rest[0], data, head[1])

    def _assemble(self, control: int, seq: int, data: bytes, identity: int) -> None:
        """Join the packets of a message; the rest of one whose beginning is not here is dropped."""
        begins = not control & MULTI or bool(control & FIRST)
        follows, self._following = begins or seq == self._following, None
        if begins:
            self._message.clear()
        if not follows or len(self._message) + len(data) > self._packets * self._packet_octets:
            self._message.clear()
            return
        self._message += data
        if seq:
            self._following = seq - 1
            return
        if self._message:
            whole = bytes(self._message)
            self._events.append(MessageArrived(whole, control & FORMAT_MASK, identity))
        self._message.clear()

    def _answer(self, good: bool, transparent: bool) -> None:
        if transparent:
            control = TRANSPARENT | (ACK_BITS if good else NAK_BITS)
            self._out += LocalPacket(b"", control, 0, self._identity).encode()
        else:
            self._out.append(ACK if good else NAK)


def _plain(octets: bytes | bytearray, transparent: bool) -> tuple[bytes, list[int]]:
    """Give the octets without escapes, and for each how many were used up to it."""
    if not transparent:
        return bytes(octets), list(range(1, len(octets) + 1))
    out, used, at = bytearray(), [], 0
    while at < len(octets):
        if octets[at] == ESCAPE:
            if at + 1 == len(octets):
                break
            at += 1
            out.append(octets[at] ^ FLIP)
        else:
            out.append(octets[at])
        at += 1
        used.append(at)
    return bytes(out), used
