"""Native addresses of C12.22 over IP, and the rules of datagrams (RFC 6142).

An address is 4, 6, 7 octets (IPv4, with port, with protocol) or 16, 18, 19
(IPv6).  In tables the element has a fixed length and is filled with zeros, so
an IPv6 address that ends in zeros can read as IPv4.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError

DEFAULT_PORT = 1153
TCP, UDP = 0x06, 0x11
_LENGTHS = (4, 6, 7, 16, 18, 19)
#: Groups that relays join, for discovery; IPv6 scopes from narrow to wide.
IPV4_GROUP = "224.0.2.4"
IPV6_SCOPES = (0x02, 0x04, 0x05, 0x08, 0x0E)


@dataclass(frozen=True)
class NativeAddress:
    """Where a node is reached; ``protocol`` None means TCP and UDP."""

    host: str
    port: int = DEFAULT_PORT
    protocol: int | None = None

    def encode(self) -> bytes:
        """Give the shortest octets that say it all; LocalProtocolError for a host that is no IP."""
        octets = self._packed()
        if self.protocol is not None:
            return octets + self.port.to_bytes(2, "big") + bytes([self.protocol])
        return octets + (b"" if self.port == DEFAULT_PORT else self.port.to_bytes(2, "big"))

    def _packed(self) -> bytes:
        try:
            return ipaddress.ip_address(self.host).packed
        except ValueError:
            raise LocalProtocolError(f"{self.host!r} is no IP address") from None


def decode_address(octets: bytes) -> NativeAddress | None:
    """Read a native address, exact or filled with zeros; None for one that is all zeros.

    Another length than the six loses its trailing zeros and is rounded up.
    """
    if not any(octets):
        return None
    if len(octets) not in _LENGTHS:
        stripped = octets.rstrip(b"\0")
        size = next((length for length in _LENGTHS if length >= len(stripped)), None)
        if size is None:
            raise ApduRejected("service-length", f"a native address of {len(stripped)} octets")
        octets = stripped.ljust(size, b"\0")
    width = 4 if len(octets) < 16 else 16
    host, rest = str(ipaddress.ip_address(octets[:width])), octets[width:]
    port = int.from_bytes(rest[:2], "big") if rest else DEFAULT_PORT
    return NativeAddress(host, port or DEFAULT_PORT, rest[2] if len(rest) == 3 else None)


def sends_datagrams(octets: bytes) -> bool:
    """Tell whether a native address is one that a datagram came from."""
    address = decode_address(octets)
    return address is not None and address.protocol == UDP


def multicast_group(scope: int) -> str:
    """Give the IPv6 group of a scope: FF0X::204."""
    return f"ff{scope:02x}::204"


def acceptable_source(port: int) -> bool:
    """Tell whether a datagram may be looked at: source port 0 is never used."""
    return port != 0
