"""From bytes to acknowledgments and packets: hunt, header, body, flush.

No memory is taken for a length before it was checked, and none beyond one packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocols.datalink.packet import ACK, HEADER_OCTETS, NAK, STP, Packet, decode_packet
from protocols.errors import RemoteProtocolError

INTER_CHARACTER_US = 500_000
#: Quiet time that ends an oversize packet, at most.
FLUSH_QUIET_US = 500_000


class Signal(Enum):
    """What arrives besides packets."""

    ACK = "06"
    NAK = "15"
    BAD = "a packet that is damaged, cut short or too long"


@dataclass(frozen=True)
class Received:
    """A packet with a right checksum, and that checksum."""

    packet: Packet
    octets: bytes


class Parser:
    """Feeds on bytes; gives packets and signals in order."""

    def __init__(self, max_packet: int) -> None:
        self.max_packet = max_packet
        self._buffer = bytearray()
        self._flushing = False
        self._last_us = 0

    @property
    def inside(self) -> bool:
        """Tell whether a packet has begun and not ended."""
        return bool(self._buffer) or self._flushing

    def deadline_us(self) -> int | None:
        """Give when silence ends the packet that has begun."""
        if self._flushing:
            return self._last_us + FLUSH_QUIET_US
        return self._last_us + INTER_CHARACTER_US if self._buffer else None

    def reset(self) -> None:
        """Forget a packet that has begun."""
        self._buffer.clear()
        self._flushing = False

    def expire(self, now_us: int) -> list[Signal | Received]:
        """End a packet whose bytes stopped coming."""
        due = self.deadline_us()
        if due is None or now_us < due:
            return []
        self.reset()
        return [Signal.BAD]

    def feed(self, data: bytes, now_us: int) -> list[Signal | Received]:
        """Take bytes in any split."""
        found = self.expire(now_us)
        self._last_us = now_us
        if self._flushing:
            return found
        at = 0
        while at < len(data):
            if not self._buffer:
                at = self._hunt(data, at, found)
                continue
            take = self._missing()
            self._buffer += data[at : at + take]
            at += take
            if len(self._buffer) >= HEADER_OCTETS and self._missing() <= 0:
                self._finish(found)
            if self._flushing:
                break
        return found

    def _hunt(self, data: bytes, at: int, found: list[Signal | Received]) -> int:
        octet = data[at]
        if octet == STP:
            self._buffer.append(octet)
        elif octet == ACK:
            found.append(Signal.ACK)
        elif octet == NAK:
            found.append(Signal.NAK)
        return at + 1

    def _missing(self) -> int:
        """Give how many octets are missing to the end of the header, or of the packet."""
        if len(self._buffer) < HEADER_OCTETS:
            return HEADER_OCTETS - len(self._buffer)
        total = int.from_bytes(self._buffer[4:6], "big") + 8
        if total == 8 or total > self.max_packet:
            self._buffer.clear()
            self._flushing = True
            return 0
        return total - len(self._buffer)

    def _finish(self, found: list[Signal | Received]) -> None:
        if self._flushing:
            return
        octets = bytes(self._buffer)
        self._buffer.clear()
        try:
            found.append(Received(decode_packet(octets), octets))
        except RemoteProtocolError:
            found.append(Signal.BAD)
