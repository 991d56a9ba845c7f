"""IP packets around APDUs: made for captures of our own, taken apart from those of others."""

from __future__ import annotations

import ipaddress
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

TCP, UDP = 6, 17
#: Where IP begins behind a link layer: Ethernet, raw, loopback, Linux "cooked" in two forms.
_LINK_OCTETS = {1: 14, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0, 0: 4, 108: 4, 113: 16, 276: 20}
_VLAN = (0x8100, 0x88A8)
_IPV4, _IPV6 = 0x0800, 0x86DD
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
    """What an IP packet carries; ``sequence`` is that of TCP."""

    source: Endpoint
    destination: Endpoint
    is_stream: bool
    payload: bytes
    sequence: int = 0


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


def take_apart(link_type: int, octets: bytes) -> Segment | None:
    """Give what a captured packet carries over TCP or UDP; None for anything else."""
    begin = _LINK_OCTETS.get(link_type)
    if begin is None:
        return None
    if link_type == 1:
        kind = int.from_bytes(octets[12:14], "big")
        while kind in _VLAN:
            begin += 4
            kind = int.from_bytes(octets[begin - 2 : begin], "big")
    ip = octets[begin:]
    if len(ip) >= 20 and ip[0] >> 4 == 4:
        return _from_ipv4(ip)
    if len(ip) >= 40 and ip[0] >> 4 == 6:
        size = int.from_bytes(ip[4:6], "big")
        return _transport(ip[6], ip[8:24], ip[24:40], ip[40 : 40 + size])
    return None


def _from_ipv4(ip: bytes) -> Segment | None:
    header, size = 4 * (ip[0] & 15), int.from_bytes(ip[2:4], "big")
    if int.from_bytes(ip[6:8], "big") & 0x3FFF:
        return None  # a fragment: C12.22 does not use them
    return _transport(ip[9], ip[12:16], ip[16:20], ip[header : size or len(ip)])


def _transport(protocol: int, source: bytes, destination: bytes, body: bytes) -> Segment | None:
    if len(body) < 8 or protocol not in (TCP, UDP):
        return None
    from_port, to_port = struct.unpack_from(">HH", body)
    ends = ((_text(source), from_port), (_text(destination), to_port))
    if protocol == UDP:
        return Segment(*ends, False, body[8 : int.from_bytes(body[4:6], "big")])
    if len(body) < 20:
        return None
    return Segment(*ends, True, body[4 * (body[12] >> 4) :], int.from_bytes(body[4:8], "big"))


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


class StreamJoiner:
    """Puts the payloads of each direction of each TCP connection in order.

    What comes again is dropped; what comes early waits, within a limit.
    """

    MAX_WAITING = 64

    def __init__(self) -> None:
        self._expected: OrderedDict[tuple[Endpoint, Endpoint], int] = OrderedDict()
        self._waiting: dict[tuple[Endpoint, Endpoint], dict[int, bytes]] = {}

    def offer(self, segment: Segment) -> bytes:
        """Give the octets that this segment makes available."""
        way = (segment.source, segment.destination)
        if not segment.payload:
            return b""
        expected = self._expected.setdefault(way, segment.sequence)
        while len(self._expected) > MAX_STREAMS:
            gone, _ = self._expected.popitem(last=False)
            self._waiting.pop(gone, None)
        waiting = self._waiting.setdefault(way, {})
        waiting[segment.sequence] = segment.payload
        if len(waiting) > self.MAX_WAITING:
            expected = min(waiting)  # the capture lost something: go on behind it
        out = b""
        for sequence in sorted(waiting):
            ahead = sequence - expected & 0xFFFFFFFF
            payload = waiting[sequence]
            if 0 < ahead < 1 << 31:
                continue
            del waiting[sequence]
            done = expected - sequence & 0xFFFFFFFF
            fresh = payload[done:]
            out += fresh
            expected = expected + len(fresh) & 0xFFFFFFFF
        self._expected[way] = expected
        return out
