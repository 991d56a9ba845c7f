"""Registration and its answer as values (C12.22 clause 5.3.2.4.10).

Node-type and connection-type bits are as two public sources give them; an
address is the bearer's native one and may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from protocols.c1222.ap_title import ApTitle, take_uid, uid_octets
from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.psem.codes import ResponseCode, code_text

REGISTER = 0x27
MAX_ADDRESS_OCTETS = 127
MAX_PATTERN_OCTETS = 127


class NodeType(IntFlag):
    """What a node is."""

    RELAY = 0x01
    MASTER_RELAY = 0x02
    HOST = 0x04
    NOTIFICATION_HOST = 0x08
    AUTHENTICATION_HOST = 0x10
    END_DEVICE = 0x20
    DOMAIN_PATTERN = 0x80


class ConnectionType(IntFlag):
    """How a node can be reached."""

    BROADCAST = 0x01
    WINDOW = 0x02
    PLAYBACK_REJECTION = 0x04
    CONNECTIONLESS = 0x10
    ACCEPTS_CONNECTIONLESS = 0x20
    CONNECTION = 0x40
    ACCEPTS_CONNECTIONS = 0x80


#: High nibbles of the connection type (CO accept, CO, CL accept, CL) that RFC 6142 allows.
VALID_CONNECTION_NIBBLES = frozenset((0x1, 0x3, 0x4, 0x5, 0x7, 0xC, 0xD, 0xF))
#: The flags of the transports, in a registration and in its answer.
TRANSPORTS = 0xF0
#: A device that opens a TCP connection and is reached through it.
OVER_TCP = ConnectionType.PLAYBACK_REJECTION | ConnectionType.CONNECTION
#: One that sends datagrams, and is answered where they come from.
OVER_UDP = ConnectionType.PLAYBACK_REJECTION | ConnectionType.CONNECTIONLESS
PERIOD_AS_YOU_LIKE_S = 0xFFFFFF
#: The device class of SmartMeters and of simulated meters.
DEVICE_CLASS = b"SMOP"


@dataclass(frozen=True)
class Register:
    """27H: a node asks to be known under a title."""

    title: ApTitle | None
    serial: ApTitle | None
    period_s: int = PERIOD_AS_YOU_LIKE_S
    node_type: NodeType = NodeType.END_DEVICE
    connection_type: ConnectionType = OVER_TCP
    device_class: bytes = DEVICE_CLASS
    address: bytes = b""
    pattern: bytes = b""

    def granted(self, title: ApTitle, delay_s: int, period_s: int) -> Registered:
        """Give the positive answer: every transport that the node named, none of its modes."""
        return Registered(title, delay_s, period_s, self.connection_type & TRANSPORTS)

    def encode(self) -> bytes:
        """Give the service's octets; LocalProtocolError when a value does not fit."""
        if len(self.device_class) != 4 or len(self.address) > MAX_ADDRESS_OCTETS:
            raise LocalProtocolError("device class has 4 octets, an address at most 127")
        octets = bytes((REGISTER, self.node_type, self.connection_type)) + self.device_class
        octets += uid_octets(self.title) + uid_octets(self.serial)
        octets += bytes([len(self.address)]) + self.address + self.period_s.to_bytes(3, "big")
        if self.node_type & NodeType.DOMAIN_PATTERN:
            octets += bytes([len(self.pattern)]) + self.pattern
        return octets


def decode_register(octets: bytes) -> Register:
    """Read a register request; ApduRejected when it is ill-formed."""
    if len(octets) < 7 or octets[0] != REGISTER:
        raise ApduRejected("service-length", "register request: too short")
    node_type = NodeType(octets[1])
    title, at = take_uid(octets, 7)
    serial, at = take_uid(octets, at)
    address, at = _take_counted(octets, at, MAX_ADDRESS_OCTETS)
    period = octets[at : at + 3]
    at += 3
    pattern = b""
    if node_type & NodeType.DOMAIN_PATTERN:
        pattern, at = _take_counted(octets, at, MAX_PATTERN_OCTETS)
    if at != len(octets):
        raise ApduRejected("service-length", "register request: length does not fit its parts")
    connection = ConnectionType(octets[2])
    period_s = int.from_bytes(period, "big")
    return Register(title, serial, period_s, node_type, connection, octets[3:7], address, pattern)


def _take_counted(octets: bytes, at: int, limit: int) -> tuple[bytes, int]:
    if at >= len(octets) or octets[at] > limit or at + 1 + octets[at] > len(octets):
        raise ApduRejected("service-length", "register request: a length runs past the end")
    end = at + 1 + octets[at]
    return octets[at + 1 : end], end


def refusal(register: Register) -> ResponseCode | None:
    """Give the code that a registrar refuses a well-formed registration with, or None.

    Neither title nor serial number, or a combination of connection flags that
    RFC 6142 (table 1) calls invalid, is ``iar``.
    """
    if register.title is None and register.serial is None:
        return ResponseCode.iar
    if register.connection_type >> 4 not in VALID_CONNECTION_NIBBLES:
        return ResponseCode.iar
    return None


@dataclass(frozen=True)
class Registered:
    """The positive answer: the title given, wait after a power-up, validity (0: for ever).

    ``info`` has the flags of transports where the registration has them; without one of them
    a node would have no valid way to speak (RFC 6142, table 1).
    """

    title: ApTitle
    delay_s: int
    period_s: int
    info: int = 0

    def encode(self) -> bytes:
        """Give the response item."""
        octets = b"\0" + self.title.wire() + self.delay_s.to_bytes(2, "big")
        return octets + self.period_s.to_bytes(3, "big") + bytes([self.info])


def decode_registered(response: bytes) -> Registered:
    """Read a positive answer to a register request."""
    if response[:1] != b"\0":
        said = code_text(response[0]) if response else "without a code"
        raise RemoteProtocolError(f"registration was refused: {said}")
    title, at = take_uid(response, 1)
    if title is None or len(response) != at + 6:
        raise ApduRejected("service-length", "answer to register: length does not fit its parts")
    words = response[at:]
    return Registered(
        title, int.from_bytes(words[:2], "big"), int.from_bytes(words[2:5], "big"), words[5]
    )


def serial_uid(serial: str) -> ApTitle:
    """Give a serial number as a uid: a relative identifier of its ASCII characters."""
    if not serial.isascii():
        raise LocalProtocolError(f"serial number {serial!r} is not ASCII")
    return ApTitle(tuple(serial.encode()), True)


def serial_text(uid: ApTitle | None) -> str:
    """Give the serial number that ``serial_uid`` made; other forms are shown dotted."""
    if uid is None:
        return ""
    if uid.relative and all(0x20 <= arc < 0x7F for arc in uid.arcs):
        return bytes(uid.arcs).decode("ascii")
    return str(uid)
