"""From bytes to acknowledgments and packets: hunt, header, body, flush.

No memory is taken for a length before it was checked, and none beyond one packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from protocols.crc import crc16
from protocols.datalink.packet import ACK, HEADER_OCTETS, NAK, OVERHEAD_OCTETS, STP, Packet
from protocols.datalink.timing import Timing

#: An oversize packet is thrown away until the line is quiet, but no longer than this.
FLUSH_US = 1_000_000


class Signal(Enum):
    """What arrives besides packets."""

    ACK = "06"
    NAK = "15"
    BAD = "a packet that is damaged or cut short in its data"
    CUT = "a packet that stopped in its header"
    TOO_LONG = "a packet without data, or longer than may be taken"


_SIGNALS = {ACK: Signal.ACK, NAK: Signal.NAK}


@dataclass(frozen=True, slots=True)
class Received:
    """A packet with a right checksum, its octets, and whether the checksum came high first.

    None: its two octets are equal, which is either order.
    """

    packet: Packet
    octets: bytes
    crc_swapped: bool | None = False


class Parser:
    """Feeds on bytes; gives packets and signals in order."""

    def __init__(self, max_packet: int, timing: Timing) -> None:
        self.max_packet = max_packet
        self.timing = timing
        #: Octets outside packets that were no ACK and no NAK, since the last look.
        self.noise = 0
        self._buffer = bytearray()
        self._flush_from_us: int | None = None
        self.last_us = 0
        #: Whom the last packet was for, damaged or too long or not; None if its header was cut.
        self.identity: int | None = None

    @property
    def inside(self) -> bool:
        """Tell whether a packet has begun and not ended."""
        return bool(self._buffer) or self._flush_from_us is not None

    def deadline_us(self) -> int | None:
        """Give when silence ends the packet that has begun."""
        if self._flush_from_us is not None:
            quiet_us = self.last_us + self.timing.inter_character_us
            return min(quiet_us, self._flush_from_us + FLUSH_US)
        return self.last_us + self.timing.inter_character_us if self._buffer else None

    def reset(self) -> None:
        """Forget a packet that has begun."""
        self._buffer.clear()
        self._flush_from_us = None

    def expire(self, now_us: int) -> list[Signal | Received]:
        """End a packet whose bytes stopped coming."""
        due = self.deadline_us()
        if due is None or now_us < due:
            return []
        if self._flush_from_us is not None:
            ended = Signal.TOO_LONG
        elif len(self._buffer) < HEADER_OCTETS:
            ended, self.identity = Signal.CUT, None
        else:
            ended = Signal.BAD
        self.reset()
        return [ended]

    def feed(self, data: bytes, now_us: int) -> Iterator[Signal | Received]:
        """Take bytes in any split; what an item changes holds for the bytes after it."""
        yield from self.expire(now_us)
        self.last_us = now_us
        at = 0
        while at < len(data) and self._flush_from_us is None:
            if not self._buffer and data[at] != STP:
                signal = _SIGNALS.get(data[at])
                at += 1
                if signal is not None:
                    yield signal
                else:
                    self.noise += 1
                continue
            missing = self._missing()
            self._buffer += data[at : at + missing]
            at += missing
            if len(self._buffer) < HEADER_OCTETS:
                continue
            self.identity = self._buffer[1]
            if not self._length_is_fit():
                self._buffer.clear()
                self._flush_from_us = now_us
            elif self._missing() <= 0:
                yield self._finish()

    def _missing(self) -> int:
        """Give how many octets are missing to the end of the header, or of the packet."""
        have = len(self._buffer)
        if have < HEADER_OCTETS:
            return HEADER_OCTETS - have
        return (self._buffer[4] << 8 | self._buffer[5]) + OVERHEAD_OCTETS - have

    def _length_is_fit(self) -> bool:
        length = self._buffer[4] << 8 | self._buffer[5]
        return 0 < length <= self.max_packet - OVERHEAD_OCTETS

    def _finish(self) -> Signal | Received:
        octets = bytes(self._buffer)
        self._buffer.clear()
        want = crc16(octets[:-2])
        swapped: bool | None
        if octets[-2] == want & 0xFF and octets[-1] == want >> 8:
            swapped = None if octets[-2] == octets[-1] else False
        elif octets[-2] == want >> 8 and octets[-1] == want & 0xFF:
            swapped = True
        else:
            return Signal.BAD
        packet = Packet(octets[HEADER_OCTETS:-2], octets[2], octets[3], octets[1])
        return Received(packet, octets, swapped)
