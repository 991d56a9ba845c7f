"""A message of several packets: it is gathered in their order until it is whole."""

from __future__ import annotations

from protocols.datalink.packet import Packet


class Assembly:
    """The packets that are here of a message that is not whole.

    The sequence number of the first tells how many follow; each of those has the same identity
    and a number that is one lower.
    """

    # A street has one for each of very many meters.
    __slots__ = ("_next", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        #: Identity and sequence number of the packet that is to come next.
        self._next: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Give how many packets are here."""
        return len(self._pieces)

    def fits(self, packet: Packet, max_packets: int) -> bool:
        """Tell whether a packet is a message, begins one that may come, or is the next of it."""
        if not packet.is_multi:
            return True
        if packet.is_first:
            return packet.seq_nbr < max_packets
        return self._next == (packet.identity, packet.seq_nbr)

    def take(self, packet: Packet) -> bytes | None:
        """Add a packet that fits; give the message when it is whole."""
        if not packet.is_multi or packet.is_first:
            self.clear()
        self._pieces.append(packet.data)
        if packet.seq_nbr:
            self._next = (packet.identity, packet.seq_nbr - 1)
            return None
        message = b"".join(self._pieces)
        self.clear()
        return message

    def clear(self) -> None:
        """Give up what is here."""
        self._pieces.clear()
        self._next = None
