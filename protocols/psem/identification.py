"""The answer to Identify: which standard, which version, and a list of features (C12.18 4.3).

::

    std | ver | rev | tagged features in any order | 00

The tags have no common length rule, so what follows an unknown one cannot be
read: it is kept as it came (``rest``), and is no error (our choice).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from protocols.errors import LocalProtocolError, RemoteProtocolError

STANDARDS = {0: "C12.18", 1: "Industry Canada", 2: "C12.21", 3: "C12.22"}
#: The answer fits the default packet: 64 octets less 8.
MAX_OCTETS = 55


class Tag(IntEnum):
    """What begins each feature of the list."""

    END = 0x00
    AUTH_SERVICE = 0x01
    AUTH_TICKET = 0x02
    SECURITY_MECHANISM = 0x04
    SESSION_CONTROL = 0x05
    DEVICE_CLASS = 0x06
    DEVICE_IDENTITY = 0x07


@dataclass(frozen=True)
class Identification:
    """Who a device is; the features are None where it does not name them.

    ``auth_type`` bit 0 says that Authenticate is served in a session; the
    meaning of its other bits is not confirmed and they are ignored.
    ``device_class`` and ``identity`` are the octets inside their elements.
    """

    std: int = 0
    version: int = 1
    revision: int = 0
    auth_type: int | None = None
    auth_algorithm: int | None = None
    ticket: bytes | None = None
    security_mechanism: bytes | None = None
    session_control: int | None = None
    device_class: bytes | None = None
    identity_format: int | None = None
    identity: bytes | None = None
    rest: bytes = b""
    ended: bool = True
    tags: tuple[int, ...] = field(default=())

    @property
    def standard(self) -> str:
        """Give the standard's name."""
        return STANDARDS.get(self.std, f"standard {self.std:02X}H")

    def encode(self) -> bytes:
        """Give the octets after the response code."""
        out = bytearray((self.std, self.version, self.revision))
        if self.ticket is not None:
            out += bytes((Tag.AUTH_TICKET, self.auth_type or 0, self.auth_algorithm or 0))
            out += bytes((len(self.ticket),)) + self.ticket
        elif self.auth_type is not None:
            out += bytes((Tag.AUTH_SERVICE, self.auth_type, self.auth_algorithm or 0))
        if self.security_mechanism is not None:
            out += bytes((Tag.SECURITY_MECHANISM, 0x06, len(self.security_mechanism)))
            out += self.security_mechanism
        if self.session_control is not None:
            out += bytes((Tag.SESSION_CONTROL, self.session_control))
        if self.device_class is not None:
            out += bytes((Tag.DEVICE_CLASS, 0x06, len(self.device_class))) + self.device_class
        if self.identity is not None:
            out += bytes((Tag.DEVICE_IDENTITY, len(self.identity) + 1, self.identity_format or 0))
            out += self.identity
        out.append(Tag.END)
        if len(out) > MAX_OCTETS:
            raise LocalProtocolError(f"identification of {len(out)} octets, {MAX_OCTETS} fit")
        return bytes(out)


def parse_identification(data: bytes) -> Identification:
    """Read what follows ``ok``; RemoteProtocolError below three octets or inside a feature.

    A list without its end is accepted (``ended`` False), and octets after the end are kept.
    """
    if len(data) < 3:
        raise RemoteProtocolError(f"identification of {len(data)} octets, at least 3 expected")
    found: dict[str, object] = {"std": data[0], "version": data[1], "revision": data[2]}
    at, tags, ended = 3, [], False
    while at < len(data) and not ended:
        tag = data[at]
        if tag == Tag.END:
            at, ended = at + 1, True
            continue
        size = _feature(data, at, found)
        if size is None:
            break  # an unknown tag: its length cannot be known
        tags.append(tag)
        at += size
    return Identification(**found, rest=data[at:], ended=ended, tags=tuple(tags))  # type: ignore[arg-type]


def _feature(data: bytes, at: int, found: dict[str, object]) -> int | None:
    """Read one feature into ``found``; give its length with the tag, or None for an unknown tag."""
    tag = data[at]
    match tag:
        case Tag.AUTH_SERVICE:
            found["auth_type"], found["auth_algorithm"] = _take(data, at + 1, 2)
            return 3
        case Tag.AUTH_TICKET:
            found["auth_type"], found["auth_algorithm"], size = _take(data, at + 1, 3)
            found["ticket"] = _take(data, at + 4, size)
            return 4 + size
        case Tag.SECURITY_MECHANISM | Tag.DEVICE_CLASS:
            size = _take(data, at + 1, 2)[1]
            name = "security_mechanism" if tag == Tag.SECURITY_MECHANISM else "device_class"
            found[name] = _take(data, at + 3, size)
            return 3 + size
        case Tag.SESSION_CONTROL:
            found["session_control"] = _take(data, at + 1, 1)[0]
            return 2
        case Tag.DEVICE_IDENTITY:
            size = max(1, _take(data, at + 1, 1)[0])
            found["identity_format"] = _take(data, at + 2, 1)[0]
            found["identity"] = _take(data, at + 3, size - 1)
            return 2 + size
    return None


def _take(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise RemoteProtocolError("the identification ends inside a feature")
    return data[at : at + count]
