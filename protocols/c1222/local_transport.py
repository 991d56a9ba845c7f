"""Transport services of the local port (a single source): what rides in its packets of format 1.

Send message carries a whole APDU with a native address: the sender's from the
network to the device; an empty one from the device means "use the relay".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocols.c1222.ap_title import ApTitle, uid_octets
from protocols.c1222.errors import ApduRejected
from protocols.psem.codes import ResponseCode

MAX_BAUDS = 11


class Transport(IntEnum):
    """Codes of the transport services; 60 to 6B negotiate."""

    GET_CONFIGURATION = 0x72
    LINK_CONTROL = 0x73
    SEND_MESSAGE = 0x74
    GET_STATUS = 0x75
    GET_REGISTRATION_STATUS = 0x76
    SEND_SHORT_MESSAGE = 0x77


@dataclass(frozen=True)
class Negotiate:
    """60H to 6BH: packet size, packets a message, baud codes on offer, channels."""

    packet_octets: int
    packets: int
    bauds: tuple[int, ...]
    channels: int

    def encode(self) -> bytes:
        """Give the request."""
        head = bytes([0x60 + len(self.bauds)]) + self.packet_octets.to_bytes(2, "big")
        return head + bytes((self.packets, *self.bauds, self.channels))


@dataclass(frozen=True)
class Negotiated:
    """The answer: what is in force from now on, and the interface it is for."""

    packet_octets: int
    packets: int
    baud: int
    channels: int
    interface: int

    def encode(self) -> bytes:
        """Give the response."""
        octets = b"\0" + self.packet_octets.to_bytes(2, "big")
        return octets + bytes((self.packets, self.baud, self.channels, self.interface))


@dataclass(frozen=True)
class SendMessage:
    """74H, or 77H on networks of one packet: an APDU and where it goes, or came from."""

    apdu: bytes
    address: bytes = b""
    short: bool = False

    def encode(self) -> bytes:
        """Give the request."""
        code = Transport.SEND_SHORT_MESSAGE if self.short else Transport.SEND_MESSAGE
        return bytes((code, len(self.address))) + self.address + self.apdu


@dataclass(frozen=True)
class LinkControl:
    """73H: the device switches its module; the octet as it is sent (interface, automatic
    registration, direct messaging, reset of statistics, reload of the configuration)."""

    control: int

    def encode(self) -> bytes:
        """Give the request."""
        return bytes((Transport.LINK_CONTROL, self.control))


@dataclass(frozen=True)
class Ask:
    """72H, 75H and 76H: configuration, status (``what`` of it), registration status."""

    code: Transport
    what: int | None = None

    def encode(self) -> bytes:
        """Give the request."""
        return bytes([self.code]) + (b"" if self.what is None else bytes([self.what]))


@dataclass(frozen=True)
class Configuration:
    """What a device tells its module about the node."""

    control: int
    link_control: int
    node_type: int
    device_class: bytes
    serial: ApTitle | None
    own_address: bytes = b""
    broadcast_address: bytes = b""
    relay_address: bytes = b""
    node_title: ApTitle | None = None
    master_title: ApTitle | None = None

    def encode(self) -> bytes:
        """Give the response to 72H."""
        octets = bytes((0, self.control, self.link_control, self.node_type)) + self.device_class
        octets += uid_octets(self.serial)
        for address in (self.own_address, self.broadcast_address, self.relay_address):
            octets += bytes([len(address)]) + address
        return octets + uid_octets(self.node_title) + uid_octets(self.master_title)


Service = Negotiate | SendMessage | LinkControl | Ask


def decode_transport(octets: bytes) -> Service | ResponseCode:
    """Read a request; the code to refuse it with when it is unknown (``iar``) or ill-formed.

    The one source answers an undefined service with 05.
    """
    code = octets[0] if octets else 0
    if 0x60 <= code <= 0x60 + MAX_BAUDS:
        bauds = code & 0x0F
        if len(octets) != 5 + bauds:
            return ResponseCode.iar
        size = int.from_bytes(octets[1:3], "big")
        return Negotiate(size, octets[3], tuple(octets[4 : 4 + bauds]), octets[4 + bauds])
    if code in (Transport.SEND_MESSAGE, Transport.SEND_SHORT_MESSAGE):
        end = 2 + octets[1] if len(octets) > 1 else 0
        if not 2 <= end < len(octets):
            return ResponseCode.iar
        return SendMessage(octets[end:], octets[2:end], code == Transport.SEND_SHORT_MESSAGE)
    if code == Transport.LINK_CONTROL and len(octets) == 2:
        return LinkControl(octets[1])
    if code == Transport.GET_STATUS and len(octets) == 2:
        return Ask(Transport.GET_STATUS, octets[1])
    if code in (Transport.GET_CONFIGURATION, Transport.GET_REGISTRATION_STATUS):
        return Ask(Transport(code)) if len(octets) == 1 else ResponseCode.iar
    return ResponseCode.iar


def decode_negotiated(response: bytes) -> Negotiated:
    """Read the answer to negotiate; ApduRejected when it is none."""
    if len(response) != 7 or response[0] != ResponseCode.ok:
        raise ApduRejected("service-length", "no answer to negotiate")
    return Negotiated(int.from_bytes(response[1:3], "big"), *response[3:])
