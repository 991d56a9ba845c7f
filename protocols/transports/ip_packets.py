"""IP packets around APDUs, made for captures of our own."""

from __future__ import annotations

import ipaddress
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

TCP, UDP = 6, 17
#: Connections whose sequence numbers are kept.
MAX_STREAMS = 4096

Endpoint = tuple[str, int]


def endpoint(name: Sequence[str | int] | None) -> Endpoint:
    """Give host and port of a socket's name; nothing known is port 0 of nowhere.

    An IPv4 peer of a socket for both families has its IPv4 address.
    """
    return (str(name[0]).removeprefix("::ffff:"), int(name[1])) if name else ("0.0.0.0", 0)


@dataclass(frozen=True)
class Segment:
    """What an IP packet carries; ``sequence`` is TCP's, ``begins`` tells a new connection.

    ``missing``: octets that are not there of a datagram; None where its size is not told.
    """

    source: Endpoint
    destination: Endpoint
    is_stream: bool
    payload: bytes
    sequence: int = 0
    begins: bool = False
    missing: int | None = None


def _sum(data: bytes) -> int:
    """Give the internet checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


class PacketMaker:
    """Gives the IP packets that could have carried what a program sent and received."""

    def __init__(self) -> None:
        self._next: OrderedDict[tuple[Endpoint, Endpoint], int] = OrderedDict()

    def packet(
        self, source: Endpoint, destination: Endpoint, is_stream: bool, payload: bytes
    ) -> bytes:
        """Give one whole IP packet with right checksums; TCP counts its octets on."""
        here, there = _packed(source[0]), _packed(destination[0])
        if len(here) != len(there):
            here, there = (
                b"\0" * 10 + b"\xff\xff" + a if len(a) == 4 else a for a in (here, there)
            )
        protocol = TCP if is_stream else UDP
        if is_stream:
            header = self._tcp(source, destination, len(payload))
            checksum_at = 16
        else:
            header = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0)
            checksum_at = 6
        body = header + payload
        pseudo = here + there + struct.pack(">II", len(body), protocol)
        checksum = _sum(pseudo + body) or 0xFFFF
        body = body[:checksum_at] + struct.pack(">H", checksum) + body[checksum_at + 2 :]
        if len(here) == 16:
            return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + here + there + body
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0)
        ip += here + there
        return ip[:10] + struct.pack(">H", _sum(ip)) + ip[12:] + body

    def _tcp(self, source: Endpoint, destination: Endpoint, size: int) -> bytes:
        sequence = self._next.pop((source, destination), 1)
        acknowledged = self._next.get((destination, source), 1)
        self._next[source, destination] = sequence + size & 0xFFFFFFFF
        while len(self._next) > MAX_STREAMS:
            self._next.popitem(last=False)
        push_ack = 5 << 12 | 0x18
        ports = (source[1], destination[1], sequence, acknowledged)
        return struct.pack(">HHIIHHHH", *ports, push_ack, 0xFFFF, 0, 0)


def _packed(host: str) -> bytes:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return b"\x7f\0\0\1"
