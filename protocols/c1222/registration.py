"""Registration, identify and their answers as values (C12.22 clauses 5.3.2.1 and 5.3.2.4.10).

Node-type and connection-type bits are as two public sources give them; an
address is the bearer's native one and may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from protocols.c1222.ap_title import RELATIVE, UNIVERSAL, ApTitle, decode_title
from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError, RemoteProtocolError

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


#: A device that opens a TCP connection and is reached through it.
OVER_TCP = ConnectionType.PLAYBACK_REJECTION | ConnectionType.CONNECTION
PERIOD_AS_YOU_LIKE_S = 0xFFFFFF


@dataclass(frozen=True)
class Register:
    """27H: a node asks to be known under a title."""

    title: ApTitle | None
    serial: ApTitle | None
    period_s: int = PERIOD_AS_YOU_LIKE_S
    node_type: NodeType = NodeType.END_DEVICE
    connection_type: ConnectionType = OVER_TCP
    device_class: bytes = b"SMOP"
    address: bytes = b""
    pattern: bytes = b""

    def encode(self) -> bytes:
        """Give the service's octets; LocalProtocolError when a value does not fit."""
        if len(self.device_class) != 4 or len(self.address) > MAX_ADDRESS_OCTETS:
            raise LocalProtocolError("device class has 4 octets, an address at most 127")
        title, serial = (
            uid.wire() if uid else bytes((RELATIVE, 0)) for uid in (self.title, self.serial)
        )
        octets = bytes((REGISTER, self.node_type, self.connection_type)) + self.device_class
        octets += title + serial
        octets += bytes([len(self.address)]) + self.address + self.period_s.to_bytes(3, "big")
        if self.node_type & NodeType.DOMAIN_PATTERN:
            octets += bytes([len(self.pattern)]) + self.pattern
        return octets


def decode_register(octets: bytes) -> Register:
    """Read a register request; RemoteProtocolError when it is ill-formed."""
    try:
        return _decode_register(octets)
    except (ApduRejected, IndexError) as error:
        raise RemoteProtocolError(f"register request: {error}") from error


def _decode_register(octets: bytes) -> Register:
    if len(octets) < 7 or octets[0] != REGISTER:
        raise RemoteProtocolError("register request: too short")
    node_type = NodeType(octets[1])
    title, at = _take_uid(octets, 7)
    serial, at = _take_uid(octets, at)
    if title is None and serial is None:
        raise RemoteProtocolError("register request: neither title nor serial number")
    address, at = _take_counted(octets, at, MAX_ADDRESS_OCTETS)
    period = octets[at : at + 3]
    at += 3
    pattern = b""
    if node_type & NodeType.DOMAIN_PATTERN:
        pattern, at = _take_counted(octets, at, MAX_PATTERN_OCTETS)
    if len(period) != 3 or at != len(octets):
        raise RemoteProtocolError("register request: length does not fit its parts")
    connection = ConnectionType(octets[2])
    period_s = int.from_bytes(period, "big")
    return Register(title, serial, period_s, node_type, connection, octets[3:7], address, pattern)


def _take_uid(octets: bytes, at: int) -> tuple[ApTitle | None, int]:
    if octets[at] not in (UNIVERSAL, RELATIVE):
        raise RemoteProtocolError(f"register request: {octets[at]:02X}H is no title's tag")
    end = at + 2 + octets[at + 1]
    if octets[at + 1] == 0:
        return None, end
    return decode_title(octets[at:end]), end


def _take_counted(octets: bytes, at: int, limit: int) -> tuple[bytes, int]:
    end = at + 1 + octets[at]
    if octets[at] > limit or end > len(octets):
        raise RemoteProtocolError("register request: a length runs past the end")
    return octets[at + 1 : end], end


@dataclass(frozen=True)
class Registered:
    """The positive answer: the title given, wait after a power-up, validity (0: for ever)."""

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
    try:
        if response[0] != 0:
            raise RemoteProtocolError(f"registration was refused: {response[0]:02X}H")
        title, at = _take_uid(response, 1)
    except (ApduRejected, IndexError) as error:
        raise RemoteProtocolError(f"answer to register: {error}") from error
    if title is None or len(response) != at + 6:
        raise RemoteProtocolError("answer to register: length does not fit its parts")
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


def identification() -> bytes:
    """Give the answer to identify: C12.22, version 1, revision 0, sessionless."""
    return bytes((0x00, 0x03, 0x01, 0x00, 0x05, 0x80, 0x00))
