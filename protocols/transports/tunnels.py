"""Packets inside packets of captures: IP in IP, GRE, and the tunnels over UDP of VXLAN and GTP-U.

Each function gives the IP packet inside; PortError says what is there instead.
"""

from __future__ import annotations

from protocols.errors import PortError
from protocols.transports.link_layers import ETHERNET, OtherTraffic, behind, ip_of

IP_IN_IP, IPV6_IN_IP, GRE, AUTHENTICATION = 4, 41, 47, 51
VXLAN_PORT, GTP_U_PORT = 4789, 2152
#: Protocols that may hide a message of ours, by what they are called.
_CLOSED = {50: "ESP, encrypted", 94: "IPIP of KA9Q", 98: "ETHERIP", 115: "L2TP", 137: "MPLS in IP"}
_OTHERS = {1: "ICMP", 2: "IGMP", 58: "ICMPv6", 89: "OSPF", 103: "PIM", 112: "VRRP", 132: "SCTP"}
#: GRE's flags (RFC 2784, 2890; the routing field of RFC 1701 is not taken apart), its types.
_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _VERSION = 0x8000, 0x4000, 0x2000, 0x1000, 7
_BRIDGED = 0x6558
#: GTP-U: version 1, a G-PDU; flags that bring four octets more, one of which is an extension.
_G_PDU, _GTP_VERSION_1, _GTP_MORE, _GTP_EXTENSION = 255, 0x30, 7, 4
_MAX_EXTENSIONS = 8


def packet_inside(protocol: int, body: bytes) -> bytes:
    """Give the IP packet inside one whose protocol is none of TCP and UDP."""
    if protocol in (IP_IN_IP, IPV6_IN_IP):
        return body
    if protocol == GRE:
        return _of_gre(body)
    if protocol in _OTHERS:
        raise OtherTraffic(_OTHERS[protocol])
    raise PortError(f"IP protocol {protocol} ({_CLOSED.get(protocol, 'not known')})")


def _of_gre(body: bytes) -> bytes:
    flags, kind = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    if len(body) < 4 or flags & (_ROUTING | _VERSION):
        raise PortError("GRE of another version, or with routes")
    at = 4 + 4 * sum(bool(flags & bit) for bit in (_CHECKSUM, _KEY, _SEQUENCE))
    if kind == _BRIDGED:
        return ip_of(ETHERNET, body[at:])
    return behind(kind, body[at:])


def packet_over_udp(port: int, payload: bytes) -> bytes | None:
    """Give the IP packet inside a datagram to a port; None where that is no tunnel."""
    if port == VXLAN_PORT and len(payload) > 8 and payload[0] & 0x08:
        return ip_of(ETHERNET, payload[8:])
    if port == GTP_U_PORT and len(payload) > 8 and payload[0] & 0xF0 == _GTP_VERSION_1:
        return _of_gtp(payload)
    return None


def _of_gtp(payload: bytes) -> bytes | None:
    if payload[1] != _G_PDU:
        return None
    at = 8
    if payload[0] & _GTP_MORE:
        following, at = payload[11:12] if payload[0] & _GTP_EXTENSION else b"", 12
        for _ in range(_MAX_EXTENSIONS):
            if not any(following) or at >= len(payload) or not payload[at]:
                break
            at += 4 * payload[at]
            following = payload[at - 1 : at]
    return payload[at:]
