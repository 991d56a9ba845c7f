"""What a script says to the client that runs it: the steps it asks for, and the limits it heeds.

A script is a generator of steps that is sent the answers; it knows no line and no
machine (``client.Client`` runs it, over a port or over the network).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from protocols.datalink.link import DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS
from protocols.datalink.packet import room_in
from protocols.psem.codec import MAX_BLOCK_OCTETS
from protocols.psem.services import Request, Response
from protocols.quirks import Quirks


@dataclass(frozen=True)
class Pause:
    """A script's wish to rest for so many microseconds; answered with an empty ``ok``."""

    duration_us: int


@dataclass(frozen=True)
class Speed:
    """A script's wish to change the line's speed without asking the meter; answered ``ok``."""

    baud: int


Step: TypeAlias = Request | Pause | Speed
T = TypeVar("T")
Script = Generator[Step, Response, T]


@dataclass
class ClientLimits:
    """What the device granted, kept up to date by the client; scripts split by it.

    ``quirks`` and, for a session, the methods that the device was seen to lack are kept here
    too, so that a script need not learn them again.
    """

    packet_octets: int = DEFAULT_PACKET_OCTETS
    packets: int = DEFAULT_PACKETS
    quirks: Quirks = field(default_factory=Quirks)
    offset_reads: bool = True

    @property
    def max_read(self) -> int:
        """Give the table octets that fit one Read answer: beside code, count and checksum."""
        return min(self._message_octets - 4, MAX_BLOCK_OCTETS)

    @property
    def max_write(self) -> int:
        """Give the table octets that fit one full Write: beside code, table, count and checksum."""
        return min(self._message_octets - 6, MAX_BLOCK_OCTETS)

    @property
    def _message_octets(self) -> int:
        return room_in(self.packet_octets) * self.packets
