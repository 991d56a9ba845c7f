"""Where IP begins in a captured packet, by the link types of the tcpdump project."""

from __future__ import annotations

from protocols.errors import PortError


class OtherTraffic(PortError):
    """A packet that cannot hold a message of ours."""


ETHERNET, _PPP, _PPP_HDLC, _PPP_ETHER, _CISCO_HDLC, _SLL, _SLL2 = 1, 9, 50, 51, 104, 113, 276
#: IP after so many octets: raw, and loopback with its address family.
_PLAIN = {12: 0, 14: 0, 101: 0, 228: 0, 229: 0, 0: 4, 108: 4}
_IP = (0x0800, 0x86DD)
_VLAN = (0x8100, 0x88A8, 0x9100)
_MPLS, _PPPOE = (0x8847, 0x8848), 0x8864
#: How Cisco's framing begins on a serial line, where PPP has its address.
_CISCO = (b"\x0f", b"\x8f")
#: LLC before IP itself, and before an EtherType behind three octets of whose it is (SNAP).
_LLC_IP, _LLC_SNAP = b"\x06\x06\x03", b"\xaa\xaa\x03"
_PPP_IP, _FIRST_PPP_CONTROL = (0x0021, 0x0057), 0x8000
#: What carries no IP; numbers below the first type are lengths.
_OTHERS = {
    0x0806: "ARP",
    0x8035: "RARP",
    0x8863: "discovery of PPPoE",
    0x888E: "EAP",
    0x88CC: "LLDP",
    0x9000: "loopback tests",
}
_FIRST_TYPE = 0x0600
#: Tags and labels one behind the other; nobody has more.
_MAX_TAGS = 16


def ip_of(link_type: int, octets: bytes) -> bytes:
    """Give the IP packet inside; PortError for a link type, or what it carries, not known here."""
    if link_type in _PLAIN:
        return octets[_PLAIN[link_type] :]
    if link_type == ETHERNET:
        return behind(_number(octets, 12), octets[14:])
    if link_type == _SLL:
        return behind(_number(octets, 14), octets[16:])
    if link_type == _SLL2:
        return behind(_number(octets, 0), octets[20:])
    if link_type == _CISCO_HDLC or (link_type == _PPP_HDLC and octets[:1] in _CISCO):
        return behind(_number(octets, 2), octets[4:])
    if link_type == _PPP_ETHER:
        return _in_ppp(octets[6:])
    if link_type in (_PPP, _PPP_HDLC):
        return _in_ppp(octets.removeprefix(b"\xff\x03"))
    raise PortError(f"link type {link_type} is not known")


def behind(kind: int, rest: bytes) -> bytes:
    """Look behind tags and labels, from an EtherType on."""
    for _ in range(_MAX_TAGS):
        if kind in _IP:
            return rest
        if kind in _VLAN:
            kind, rest = _number(rest, 2), rest[4:]
        elif kind in _MPLS:
            last, rest = _number(rest, 2) & 0x100, rest[4:]
            if last:
                return rest
        elif kind == _PPPOE:
            return _in_ppp(rest[6:])
        elif kind < _FIRST_TYPE and rest.startswith(_LLC_IP):
            return rest[3:]
        elif kind < _FIRST_TYPE and rest.startswith(_LLC_SNAP):
            kind, rest = _number(rest, 6), rest[8:]
        elif kind in _OTHERS or kind < _FIRST_TYPE:
            raise OtherTraffic(_OTHERS.get(kind, "frames of LLC"))
        else:
            break
    raise PortError(f"EtherType {kind:04X}H is not known")


def _in_ppp(octets: bytes) -> bytes:
    # The number of a protocol ends with the first octet that is odd (RFC 1661, 6.5).
    size = 1 if octets[:1] and octets[0] & 1 else 2
    kind = int.from_bytes(octets[:size], "big")
    if kind in _PPP_IP:
        return octets[size:]
    if kind >= _FIRST_PPP_CONTROL:
        raise OtherTraffic("control of PPP")
    raise PortError(f"PPP protocol {kind:04X}H is not known")


def _number(octets: bytes, at: int) -> int:
    return int.from_bytes(octets[at : at + 2], "big")
