"""One packet of C12.18 as a value (C12.18 data link layer).

::

    EE | identity | ctrl | seq-nbr | length(2) | data | crc(2)
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.crc import crc16
from protocols.errors import LocalProtocolError, RemoteProtocolError

STP = 0xEE
ACK = 0x06
NAK = 0x15
HEADER_OCTETS = 6
OVERHEAD_OCTETS = 8
MULTI = 0x80
FIRST = 0x40
TOGGLE = 0x20
DATA_FORMAT = 0x03
#: Several sources cap the data at 8183, one below 8192 - 8: send that, accept 8184.
MAX_SEND_DATA = 8183
MAX_PACKET_OCTETS = 8192


def room_in(packet_octets: int) -> int:
    """Give the data octets that may be sent in a packet of a granted size."""
    return min(packet_octets - OVERHEAD_OCTETS, MAX_SEND_DATA)


@dataclass(frozen=True)
class Packet:
    """A packet whose checksum is right."""

    data: bytes
    ctrl: int = 0
    seq_nbr: int = 0
    identity: int = 0

    @property
    def is_multi(self) -> bool:
        """Tell whether it belongs to a message of several packets."""
        return bool(self.ctrl & MULTI)

    @property
    def is_first(self) -> bool:
        """Tell whether it begins such a message."""
        return bool(self.ctrl & FIRST)

    @property
    def is_legal(self) -> bool:
        """Tell whether a C12.18 receiver may process it; reserved bits 4 to 2 are ignored."""
        if self.ctrl & DATA_FORMAT or not self.data:
            return False
        if self.is_first and not self.is_multi:
            return False
        return self.is_multi or self.seq_nbr == 0

    def encode(self, crc_swapped: bool = False) -> bytes:
        """Give the octets on the line; ``crc_swapped`` is for a peer that wants it so (Q23)."""
        if not 1 <= len(self.data) <= MAX_SEND_DATA:
            raise LocalProtocolError(f"{len(self.data)} data octets, 1 to {MAX_SEND_DATA} fit")
        head = bytes([STP, self.identity, self.ctrl, self.seq_nbr])
        body = head + len(self.data).to_bytes(2, "big") + self.data
        return body + crc16(body).to_bytes(2, "big" if crc_swapped else "little")


def decode_packet(octets: bytes, crc_swapped: bool = False) -> Packet:
    """Read exactly one packet; RemoteProtocolError names what is wrong."""
    if len(octets) < OVERHEAD_OCTETS or octets[0] != STP:
        raise RemoteProtocolError("no packet: too short, or it does not begin with EE")
    length = int.from_bytes(octets[4:6], "big")
    if len(octets) != length + OVERHEAD_OCTETS:
        raise RemoteProtocolError(
            f"packet announces {length} data octets, {len(octets) - 8} are there"
        )
    want = crc16(octets[:-2])
    found = int.from_bytes(octets[-2:], "big" if crc_swapped else "little")
    if want != found:
        raise RemoteProtocolError(f"packet checksum {found:04X}H, computed {want:04X}H")
    return Packet(octets[HEADER_OCTETS:-2], octets[2], octets[3], octets[1])
