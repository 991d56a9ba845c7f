"""IP packets of captures taken apart: both versions, their extensions, and fragments joined."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from protocols.errors import PortError
from protocols.transports.ip_packets import TCP, UDP, Segment
from protocols.transports.tunnels import AUTHENTICATION, packet_inside, packet_over_udp

#: Packets whose fragments are not all there, and those that are; the oldest is forgotten.
MAX_FRAGMENTED = 256
MAX_PACKET_OCTETS = 65_535
MAX_TUNNELS = 8
_SYN, _RST = 2, 4
#: Headers between IP and what it carries, by its version: hop-by-hop, routing, destination.
_EXTENSIONS = {4: (AUTHENTICATION,), 6: (0, 43, 60, AUTHENTICATION)}
_FRAGMENT = 44
#: What the fragments of one packet have in common: version, with IPv4 the protocol, ends, id.
_Key = tuple[int, int | None, bytes, bytes, int | None]


@dataclass(frozen=True)
class _Ip:
    """An IP packet, or a part of one at ``offset``; ``more`` parts follow."""

    version: int
    protocol: int
    source: bytes
    destination: bytes
    body: bytes
    fragment_id: int | None = None
    offset: int = 0
    more: bool = False


@dataclass
class _Parts:
    """Fragments of one packet by their offsets, and its size once the last is there.

    ``protocol`` is the first one's: what the others say of it does not count (RFC 8200 4.5).
    """

    bodies: dict[int, bytes] = field(default_factory=dict)
    size: int | None = None
    protocol: int = 0

    def may_be_of(self, port: int, version: int) -> bool:
        """Tell whether a port is at either end, as far as it was captured."""
        protocol, head = _behind_extensions(version, self.protocol, self.bodies.get(0, b""))
        if len(head) < 4 or protocol in _EXTENSIONS[version]:
            return True
        return port.to_bytes(2, "big") in (head[:2], head[2:4])

    def whole(self) -> bytes | None:
        """Give the whole, if it is; thousands of small parts are joined once, not with each."""
        if self.size is None or sum(map(len, self.bodies.values())) < self.size:
            return None
        found = b""
        for offset, body in sorted(self.bodies.items()):
            if offset > len(found):
                return None
            found = found[:offset] + body + found[offset + len(body) :]
        return found if self.size == len(found) else None


class IpReader:
    """Gives what packets carry over TCP and UDP."""

    def __init__(self) -> None:
        self._parts: OrderedDict[_Key, _Parts] = OrderedDict()
        #: Packets that are whole: a recorder on several interfaces gives their fragments again.
        self._done: OrderedDict[_Key, _Parts] = OrderedDict()
        self._forgotten = 0

    def unfinished(self, port: int) -> int:
        """Give how many packets lack fragments, of those that can be to or from a port."""
        return self._forgotten + sum(
            parts.may_be_of(port, key[0]) and not self._is_repeated(key)
            for key, parts in self._parts.items()
        )

    def read(self, packet: bytes) -> Segment | None:
        """Give what a packet carries, or makes whole; None for a part of what is not whole yet.

        Tunnels are looked into.  PortError says what is there that is not understood.
        """
        for _ in range(MAX_TUNNELS):
            ip = _ip(packet)
            whole = (ip.protocol, ip.body) if ip.fragment_id is None else self._joined(ip)
            if whole is None:
                return None
            # What is cut into fragments may begin with extensions.
            protocol, body = _behind_extensions(ip.version, *whole)
            if protocol not in (TCP, UDP):
                packet = packet_inside(protocol, body)
                continue
            segment = _segment(ip, protocol, body)
            inside = None
            if not segment.is_stream:
                inside = packet_over_udp(segment.destination[1], segment.payload)
            if inside is None:
                return segment
            packet = inside
        raise PortError(f"more than {MAX_TUNNELS} tunnels one in the other")

    def _joined(self, ip: _Ip) -> tuple[int, bytes] | None:
        """Take a fragment; give protocol and body of the packet that it makes whole."""
        if ip.offset + len(ip.body) > MAX_PACKET_OCTETS:
            return None
        protocol = ip.protocol if ip.version == 4 else None
        key = (ip.version, protocol, ip.source, ip.destination, ip.fragment_id)
        parts = self._parts.setdefault(key, _Parts())
        parts.bodies[ip.offset] = ip.body
        if not ip.offset:
            parts.protocol = ip.protocol
        if not ip.more:
            parts.size = ip.offset + len(ip.body)
        whole = parts.whole()
        if whole is not None:
            self._done[key] = self._parts.pop(key)
            self._done.move_to_end(key)
            if len(self._done) > MAX_FRAGMENTED:
                self._done.popitem(last=False)
        elif len(self._parts) > MAX_FRAGMENTED:
            oldest = next(iter(self._parts))
            self._forgotten += not self._is_repeated(oldest)
            del self._parts[oldest]
        return None if whole is None else (parts.protocol, whole)

    def _is_repeated(self, key: _Key) -> bool:
        """Tell whether the parts of a packet are those of one that was whole before."""
        done = self._done.get(key)
        return done is not None and self._parts[key].bodies.items() <= done.bodies.items()


def _ip(packet: bytes) -> _Ip:
    version = packet[0] >> 4 if packet else 0
    ip = None
    if version in (4, 6):
        ip = _of_version_4(packet) if version == 4 else _of_version_6(packet)
    if ip is None:
        raise PortError("no IP packet, or cut short in its header")
    return ip


def _of_version_4(packet: bytes) -> _Ip | None:
    header, size = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
    if len(packet) < 20 or header < 20:
        return None
    where = int.from_bytes(packet[6:8], "big")
    offset, more = 8 * (where & 0x1FFF), bool(where & 0x2000)
    fragment_id = int.from_bytes(packet[4:6], "big") if offset or more else None
    # A sender that leaves cutting to its network card writes no size.
    body = packet[header : size or len(packet)]
    return _Ip(4, packet[9], packet[12:16], packet[16:20], body, fragment_id, offset, more)


def _of_version_6(packet: bytes) -> _Ip | None:
    if len(packet) < 40:
        return None
    size = int.from_bytes(packet[4:6], "big")
    kind, rest = packet[6], packet[40 : 40 + size] if size else packet[40:]
    fragment_id, offset, more = None, 0, False
    kind, rest = _behind_extensions(6, kind, rest)
    if kind == _FRAGMENT and len(rest) >= 8:
        where, fragment_id = int.from_bytes(rest[2:4], "big"), int.from_bytes(rest[4:8], "big")
        offset, more = where & 0xFFF8, bool(where & 1)
        kind, rest = rest[0], rest[8:]
    return _Ip(6, kind, packet[8:24], packet[24:40], rest, fragment_id, offset, more)


def _behind_extensions(version: int, kind: int, rest: bytes) -> tuple[int, bytes]:
    """Give what stands behind the extensions, and its protocol."""
    while kind in _EXTENSIONS[version] and len(rest) >= 8:
        octets = 4 * (rest[1] + 2) if kind == AUTHENTICATION else 8 * (rest[1] + 1)
        kind, rest = rest[0], rest[octets:]
    return kind, rest


def _segment(ip: _Ip, protocol: int, body: bytes) -> Segment:
    if len(body) < (8 if protocol == UDP else 20):
        raise PortError("TCP or UDP, cut short in its header")
    ports = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    here, there = (_text(ip.source), ports[0]), (_text(ip.destination), ports[1])
    if protocol == UDP:
        size = int.from_bytes(body[4:6], "big")
        missing = max(0, size - len(body)) if size else None
        return Segment(here, there, False, body[8 : size or len(body)], missing=missing)
    sequence, begins = int.from_bytes(body[4:8], "big"), bool(body[13] & _SYN)
    # What a reset carries says why, and is no part of the stream (RFC 1122 4.2.2.12).
    payload = b"" if body[13] & _RST else body[4 * (body[12] >> 4) :]
    return Segment(here, there, True, payload, sequence, begins)


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
