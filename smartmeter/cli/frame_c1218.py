"""One frame of C12.18 as the fields of its packet, for ``smartmeter decode frame``."""

from __future__ import annotations

from typing import Any

from protocols.datalink.packet import HEADER_OCTETS, OVERHEAD_OCTETS, STP, decode_packet
from protocols.errors import RemoteProtocolError
from protocols.psem.description import describe
from smartmeter.cli.frame_error import FrameError

#: What is sent outside packets; 55H wakes a shared UART and is no part of the standard.
_SINGLE = {0x06: "positive acknowledgment", 0x15: "negative acknowledgment", 0x55: "wake-up"}


def decode_frame(octets: bytes) -> dict[str, Any]:
    """Give the fields of a packet, or the meaning of a single character; raise FrameError."""
    if len(octets) == 1 and octets[0] in _SINGLE:
        return {"psem": _SINGLE[octets[0]]}
    if octets[:1] != bytes([STP]):
        raise FrameError("a packet begins with EEH, and 06H, 15H and 55H stand alone")
    if len(octets) < HEADER_OCTETS:
        raise FrameError(f"cut short: {len(octets)} octets, a header has {HEADER_OCTETS}")
    total = int.from_bytes(octets[4:6], "big") + OVERHEAD_OCTETS
    if len(octets) != total:
        raise FrameError(f"the length field announces {total} octets, {len(octets)} are there")
    decoded = _fields(octets)
    try:
        packet = decode_packet(octets)
    except RemoteProtocolError as error:
        raise FrameError(str(error), decoded) from error
    if data_format := decoded["data_format"]:
        whose = ", as on C12.22's local port," if data_format == 1 else ""
        raise FrameError(f"data format {data_format}{whose} is not C12.18's, which is 0", decoded)
    if not packet.is_legal or (packet.is_multi and packet.is_first and not packet.seq_nbr):
        raise FrameError("length, control and sequence number do not go together", decoded)
    if packet.is_multi:
        place = "first" if packet.is_first else "following"
        return decoded | {"psem": f"{place} packet, {packet.seq_nbr} to follow"}
    try:
        return decoded | {"psem": describe(packet.data)}
    except RemoteProtocolError as error:
        raise FrameError(f"the packet is good, its message is not: {error}", decoded) from error


def _fields(octets: bytes) -> dict[str, Any]:
    ctrl = octets[2]
    return {
        "psem": "",
        "identity": octets[1],
        "ctrl": f"0x{ctrl:02X}",
        "multi": bool(ctrl & 0x80),
        "first": bool(ctrl & 0x40),
        "toggle": ctrl >> 5 & 1,
        "reserved": ctrl >> 2 & 7,
        "data_format": ctrl & 3,
        "seq": octets[3],
        "length": int.from_bytes(octets[4:6], "big"),
        "data": octets[6:-2].hex().upper(),
        "crc_wire": octets[-2:].hex().upper(),
    }
