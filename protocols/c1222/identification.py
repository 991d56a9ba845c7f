"""The answer to identify: standard, version, revision and a list of features (C12.22 5.3.2.4.1).

Nothing tells how long an unknown feature is, so reading ends there and the
rest is kept as octets.  Other than on the optical port, mechanism and class
are titles, absolute or relative, and session control is always understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from protocols.c1222.ap_title import ApTitle, take_uid, uid_octets
from protocols.c1222.envelope import SECURITY_MECHANISM
from protocols.c1222.errors import ApduRejected
from protocols.c1222.services import Trace
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify

C1222_STANDARD, VERSION, REVISION = 3, 1, 0
#: Bit of the session-control octet: the node also serves messages outside sessions.
SESSIONLESS = 0x80
MAX_SESSIONS = 0x7F


class Feature(IntEnum):
    """What a node may tell of itself."""

    END = 0x00
    SECURITY_MECHANISM = 0x04
    SESSION_CTRL = 0x05
    DEVICE_CLASS = 0x06
    DEVICE_IDENTITY = 0x07


@dataclass(frozen=True)
class NodeIdentification:
    """What a node tells of itself; what it leaves out is None.

    ``sessions`` is how many may be open at once; ``identity`` is a format code
    and the identification itself; ``rest`` is what could not be understood.
    """

    standard: int = C1222_STANDARD
    version: int = VERSION
    revision: int = REVISION
    mechanism: ApTitle | None = None
    sessions: int | None = None
    sessionless: bool = False
    device_class: ApTitle | None = None
    identity: tuple[int, bytes] | None = None
    rest: bytes = b""
    features: tuple[tuple[Feature, Any], ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Give the octets that follow the response code."""
        octets = bytes((self.standard, self.version, self.revision))
        if self.mechanism is not None:
            octets += bytes([Feature.SECURITY_MECHANISM]) + uid_octets(self.mechanism)
        if self.sessions is not None:
            control = min(self.sessions, MAX_SESSIONS) | (SESSIONLESS if self.sessionless else 0)
            octets += bytes((Feature.SESSION_CTRL, control))
        if self.device_class is not None:
            octets += bytes([Feature.DEVICE_CLASS]) + uid_octets(self.device_class)
        if self.identity is not None:
            form, identification = self.identity
            octets += bytes((Feature.DEVICE_IDENTITY, 1 + len(identification), form))
            octets += identification
        return octets + bytes([Feature.END])


@lru_cache(maxsize=MAX_SESSIONS + 1)
def identification(sessions: int = 0) -> bytes:
    """Give what a node of ours says after the code: EAX' security, sessions, sessionless.

    Kept, as anybody may ask for it ten thousand times in one message.
    """
    mechanism = ApTitle(SECURITY_MECHANISM, False)
    return NodeIdentification(mechanism=mechanism, sessions=sessions, sessionless=True).encode()


def answer_of_node(service: Identify | Trace, title: ApTitle | None) -> bytes:
    """Give the response to what any node is asked: who are you, and by which way was that."""
    if isinstance(service, Identify):
        return bytes([ResponseCode.ok]) + identification()
    if title is None:
        return bytes([ResponseCode.onp])
    return bytes([ResponseCode.ok]) + b"".join(map(uid_octets, (*service.titles, title)))


def answer_to_resolve(address: bytes) -> bytes:
    """Give the response to Resolve; without an address ``uat``, which nobody says to many."""
    if not address:
        return bytes([ResponseCode.uat])
    return bytes([ResponseCode.ok, len(address)]) + address


def decode_identification(octets: bytes) -> NodeIdentification:
    """Read what follows the code of a positive answer to identify; ApduRejected if it is cut."""
    if len(octets) < 3:
        raise ApduRejected("service-length", "identify: standard, version and revision are missing")
    features: list[tuple[Feature, Any]] = []
    at, rest = 3, b""
    while at < len(octets) and octets[at] != Feature.END:
        if octets[at] not in Feature.__members__.values():
            rest = octets[at:]
            break
        code = Feature(octets[at])
        value, at = _take_feature(code, octets, at + 1)
        features.append((code, value))
    else:
        rest = octets[at + 1 :]
    last = dict(features)  # of what was told twice the last one counts
    sessions, sessionless = last.get(Feature.SESSION_CTRL, (None, False))
    return NodeIdentification(
        octets[0],
        octets[1],
        octets[2],
        last.get(Feature.SECURITY_MECHANISM),
        sessions,
        sessionless,
        last.get(Feature.DEVICE_CLASS),
        last.get(Feature.DEVICE_IDENTITY),
        rest,
        tuple(features),
    )


def _take_feature(code: Feature, octets: bytes, at: int) -> tuple[Any, int]:
    """Read one feature's value, and give the place after it.

    A title (None: empty), sessions and whether there is sessionless service, or format and octets.
    """
    if code in (Feature.SECURITY_MECHANISM, Feature.DEVICE_CLASS):
        return take_uid(octets, at)
    if code is Feature.SESSION_CTRL:
        if at >= len(octets):
            raise ApduRejected("service-length", "identify: session control is cut off")
        return (octets[at] & MAX_SESSIONS, bool(octets[at] & SESSIONLESS)), at + 1
    end = at + 1 + octets[at] if at < len(octets) else at
    if end < at + 2 or end > len(octets):
        raise ApduRejected("service-length", "identify: device identity is cut off")
    return (octets[at + 1], octets[at + 2 : end]), end
