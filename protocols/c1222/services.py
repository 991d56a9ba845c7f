"""Services of EPSEM: those of PSEM, with the few that C12.22 shapes otherwise or adds.

Logon carries an idle time-out, security may carry the user id, negotiate and
timing set-up do not exist here; disconnect, deregister, resolve, trace and
register are of the network.  A block of FFFFH octets is followed by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.c1222.ap_title import ApTitle, take_uid, uid_octets
from protocols.c1222.errors import ApduRejected
from protocols.c1222.registration import REGISTER, Register, decode_register
from protocols.psem.codec import (
    MAX_BLOCK_OCTETS,
    PASSWORD_OCTETS,
    ChecksumMismatch,
    MalformedRequest,
    block,
    decode_request,
    encode_request,
)
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    WRITES,
    FullWrite,
    IndexWrite,
    Logon,
    OffsetWrite,
    Request,
    Security,
    Unknown,
)

DEREGISTER, RESOLVE, TRACE = 0x24, 0x25, 0x26
IDENTIFY, LOGON, SECURITY = 0x20, 0x50, 0x51
#: Services of C12.18 and C12.21 that C12.22 has not: authenticate, negotiate, timing set-up.
_OF_OTHERS = frozenset((0x53, *range(0x60, 0x6C), 0x71))
#: Titles in one trace: more relays than this means a loop.
MAX_TRACE_TITLES = 32
#: Where the block begins in each form of write.
_BLOCK_AT = {0x40: 3, 0x4F: 6} | {0x40 + n: 3 + 2 * n for n in range(1, 10)}


@dataclass(frozen=True)
class NetworkLogon(Logon):
    """50H on the network: a session that ends after ``idle_timeout_s`` without traffic."""

    idle_timeout_s: int = 0


@dataclass(frozen=True)
class NetworkSecurity(Security):
    """51H on the network; alone, without a session, it names its user."""

    user_id: int | None = None


@dataclass(frozen=True)
class Deregister(Request):
    """24H: a title is given up, or taken away."""

    title: ApTitle | None


@dataclass(frozen=True)
class Resolve(Request):
    """25H: under which native address is a title reached?"""

    title: ApTitle | None


@dataclass(frozen=True)
class Trace(Request):
    """26H: every relay on the way appends its title."""

    titles: tuple[ApTitle, ...]


Service = Request | Register


def encode_service(service: Service) -> bytes:
    """Give a service's octets, without the length that EPSEM puts before it."""
    match service:
        case Register():
            return service.encode()
        case NetworkLogon(user_id, user, idle_timeout_s):
            return encode_request(Logon(user_id, user)) + idle_timeout_s.to_bytes(2, "big")
        case NetworkSecurity(password, user_id):
            name = b"" if user_id is None else user_id.to_bytes(2, "big")
            return encode_request(Security(password)) + name
        case Deregister(title):
            return bytes([DEREGISTER]) + uid_octets(title)
        case Resolve(title):
            return bytes([RESOLVE]) + uid_octets(title)
        case Trace(titles):
            return bytes([TRACE]) + b"".join(map(uid_octets, titles))
        case FullWrite() | OffsetWrite() | IndexWrite() if len(service.data) >= MAX_BLOCK_OCTETS:
            empty = encode_request(replace(service, data=b""))
            return empty[: -len(block(b""))] + encode_blocks(service.data)
    return encode_request(service)


def whole_write(octets: bytes) -> tuple[int, bytes] | None:
    """Give table and data when this is a full write without a fault, in one block; else None.

    Reports consist of these; whatever else it is, ``decode_service`` tells.
    """
    if octets[:1] != b"\x40" or len(octets) < 6:
        return None
    count = octets[3] << 8 | octets[4]
    if count == MAX_BLOCK_OCTETS or count + 6 != len(octets) or sum(octets[5:]) & 0xFF:
        return None
    return octets[1] << 8 | octets[2], octets[5:-1]


def decode_service(octets: bytes) -> Service:
    """Read a service; MalformedRequest carries the code to refuse it with.

    Its cause, if it has one, is an ApduRejected with the reason word.
    """
    code = octets[0] if octets else None
    try:
        if code == REGISTER:
            return decode_register(octets)
        if code in (DEREGISTER, RESOLVE, TRACE):
            return _decode_titles(octets)
        block_at = _BLOCK_AT.get(code) if code is not None else None
        if block_at and octets[block_at : block_at + 2] == b"\xff\xff":
            return _decode_long_write(octets, block_at)
    except ApduRejected as error:
        raise MalformedRequest(str(error), ResponseCode.iar) from error
    if code == LOGON:
        if len(octets) != 15:
            raise MalformedRequest(f"logon of {len(octets)} octets, 15 expected", ResponseCode.iar)
        user_id, idle_s = (int.from_bytes(octets[at : at + 2], "big") for at in (1, 13))
        return NetworkLogon(user_id, octets[3:13], idle_s)
    if code == SECURITY and len(octets) == 1 + PASSWORD_OCTETS + 2:
        return NetworkSecurity(octets[1:21], int.from_bytes(octets[21:], "big"))
    if code is not None and code in _OF_OTHERS:
        return Unknown(code, octets[1:])
    try:
        return decode_request(octets)
    except ChecksumMismatch:
        raise
    except MalformedRequest as error:
        # What the optical port has other words for: parameters that are ill-formed.
        raise MalformedRequest(str(error), ResponseCode.iar) from error


def _decode_titles(octets: bytes) -> Deregister | Resolve | Trace:
    titles: list[ApTitle | None] = []
    at = 1
    while at < len(octets):
        title, at = take_uid(octets, at)
        titles.append(title)
        if len(titles) > MAX_TRACE_TITLES:
            raise ApduRejected("service-length", f"more than {MAX_TRACE_TITLES} titles")
    if octets[0] == TRACE:
        known = tuple(title for title in titles if title is not None)
        if not known or len(known) != len(titles):
            raise ApduRejected("service-length", "a trace carries at least one title, none empty")
        return Trace(known)
    if len(titles) != 1:
        raise ApduRejected("service-length", f"{len(titles)} titles where one must be")
    return (Deregister if octets[0] == DEREGISTER else Resolve)(titles[0])


def _decode_long_write(octets: bytes, at: int) -> Request:
    write = decode_request(octets[:at] + block(b""))
    assert isinstance(write, WRITES)
    return replace(write, data=decode_blocks(octets[at:]))


def encode_blocks(data: bytes) -> bytes:
    """Give table data as sent: blocks of FFFFH octets, the last one shorter, maybe empty."""
    full, size = len(data) // MAX_BLOCK_OCTETS, MAX_BLOCK_OCTETS
    pieces = [data[at * size : (at + 1) * size] for at in range(full + 1)]
    return b"".join(map(block, pieces))


def decode_blocks(octets: bytes) -> bytes:
    """Read table data that may need several blocks.

    RemoteProtocolError (of which MalformedRequest and ApduRejected are kinds)
    when a count or a checksum does not fit.
    """
    data, at, count = b"", 0, MAX_BLOCK_OCTETS
    while count == MAX_BLOCK_OCTETS:
        count = int.from_bytes(octets[at : at + 2], "big")
        end = at + 3 + count
        if len(octets) < end:
            raise ApduRejected("service-length", "a block is cut off")
        if sum(octets[at + 2 : end]) & 0xFF:
            raise ChecksumMismatch("wrong table checksum")
        data += octets[at + 2 : end - 1]
        at = end
    if at != len(octets):
        raise ApduRejected("service-length", "octets follow the last block")
    return data


def match_responses(requests: Sequence[bytes], responses: Sequence[bytes]) -> tuple[bytes, ...]:
    """Put the items of an answer beside the requests that they belong to.

    Deployed nodes leave out the item of a leading security (example 8 of the
    standard): it counts as ok.  A list may also end after an item that failed.
    """
    if len(responses) == len(requests) - 1 and requests[0][0] == SECURITY:
        return (bytes([ResponseCode.ok]), *responses)
    return tuple(responses)
