"""What a device grants when a client negotiates: packet size, packets, and the line's speed."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.datalink.link import DEFAULT_PACKET_OCTETS
from protocols.psem.codes import BAUDS
from protocols.psem.services import Negotiate
from protocols.quirks import Quirk, Quirks

#: The smallest packet that a meter is known to grant; the standard says 64.
MIN_PACKET_OCTETS = 32


@dataclass(frozen=True)
class Grant:
    """What is in force from then on; ``baud`` None: the line's speed stays."""

    packet_octets: int
    packets: int
    baud: int | None


def granted(
    request: Negotiate, answer: bytes, max_packet_octets: int, quirks: Quirks
) -> Grant | None:
    """Read the data of a positive answer; None where it grants nothing that can be used.

    A device may grant more than was asked for: what was asked is the limit of what we send.
    """
    size = int.from_bytes(answer[:2], "big")
    if len(answer) < 3 or size < MIN_PACKET_OCTETS or not answer[2]:
        return None
    if size < DEFAULT_PACKET_OCTETS:
        quirks.note(Quirk.SMALL_BUFFER)
    if size > request.packet_size or answer[2] > request.nbr_packets:
        quirks.note(Quirk.GRANT_TOO_LARGE)
    octets = min(size, request.packet_size, max_packet_octets)
    packets = min(answer[2], request.nbr_packets)
    if len(answer) < 4:
        quirks.note(Quirk.NO_BAUD_ANSWERED)
        return Grant(octets, packets, None)
    return Grant(octets, packets, BAUDS.get(answer[3]) if answer[3] in request.bauds else None)
