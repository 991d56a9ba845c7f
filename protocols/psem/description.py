"""What a PSEM message says, in words: for a listing of frames, never for a decision.

A request tells what it is by its code.  An answer does not: the same octets
may answer several requests.  So an ``ok`` with data is held against each
service that answers with data; what fits none is named as such.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.errors import RemoteProtocolError
from protocols.psem.codec import decode_request, table_data
from protocols.psem.codes import BAUDS, code_name
from protocols.psem.identification import parse_identification
from protocols.psem.services import (
    FullRead,
    FullWrite,
    IndexRead,
    IndexWrite,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    TimingSetup,
    Unknown,
    Wait,
)

#: The smallest packet size that any known meter grants.
_SMALLEST_PACKET = 32
#: C12.18, version 1.0, no features: how most meters answer Identify.  A table of one zero has the
#: same octets, and is rare.
_FIRST_EDITION = bytes((0, 1, 0, 0))


def describe(message: bytes) -> str:
    """Say what a whole message is; RemoteProtocolError (MalformedRequest) when it is none."""
    if not message:
        raise RemoteProtocolError("an empty message")
    code = message[0]
    if code <= 0x1F:
        return _answer(code, message[1:])
    if code >= 0x80:
        raise RemoteProtocolError(f"{code:02X}H is no request and no response code")
    return _request(decode_request(message))


def _request(request: Request) -> str:
    match request:
        case FullRead(table):
            return f"Read full, table {table:04X}H"
        case IndexRead(table, indices, count):
            return f"Read index, table {table:04X}H, at {_dotted(indices)}, count {count}"
        case OffsetRead(table, offset, count):
            return f"Read offset, table {table:04X}H, at {offset}, {count} octets"
        case FullWrite(table, data):
            return f"Write full, table {table:04X}H, {len(data)} octets"
        case IndexWrite(table, indices, data):
            return f"Write index, table {table:04X}H, at {_dotted(indices)}, {len(data)} octets"
        case OffsetWrite(table, offset, data):
            return f"Write offset, table {table:04X}H, at {offset}, {len(data)} octets"
        case Logon(user_id, _):
            return f"Logon, user id {user_id}"
        case Negotiate(size, packets, bauds):
            if not (size and packets):
                raise RemoteProtocolError(f"Negotiate {size} x {packets}: 0 is reserved")
            speeds = ", ".join(str(BAUDS.get(baud, f"code {baud:02X}H")) for baud in bauds)
            return f"Negotiate {size} x {packets}" + (f", {speeds} baud" if bauds else "")
        case Wait(seconds):
            return f"Wait {seconds} s"
        case TimingSetup():
            return "Timing Setup"
        case Unknown(code, _):
            return f"unknown request {code:02X}H"
    return type(request).__name__


def _dotted(indices: tuple[int, ...]) -> str:
    return ".".join(map(str, indices))


def _answer(code: int, data: bytes) -> str:
    if code or not data:
        more = f" and {len(data)} octets" if data else ""
        return code_name(code) + more
    for reading in _READINGS:
        text = reading(data)
        if text is not None:
            return text
    if len(data) >= 3 and int.from_bytes(data[:2], "big") == len(data) - 3:
        table_data(data)  # says which checksum was due
    raise RemoteProtocolError(f"ok with {len(data)} octets that answer no service")


def _table(data: bytes) -> str | None:
    if data == _FIRST_EDITION:
        return None
    try:
        return f"ok, {len(table_data(data))} table octets"
    except RemoteProtocolError:
        return None


def _negotiated(data: bytes) -> str | None:
    size = int.from_bytes(data[:2], "big")
    known = len(data) == 4 and (data[3] in BAUDS or data[3] == 0)
    if not known or size < _SMALLEST_PACKET or not data[2]:
        return None
    return f"ok, {size} x {data[2]}, {BAUDS.get(data[3], 'external')} baud"


def _timing(data: bytes) -> str | None:
    if len(data) != 4 or not all(data[:3]):
        return None
    traffic_s, character_s, response_s, retries = data
    return f"ok, time-outs {traffic_s}, {character_s}, {response_s} s, {retries} retries"


def _authentication(data: bytes) -> str | None:
    return "ok, authentication block" if data[0] == len(data) - 1 and len(data) > 2 else None


def _identification(data: bytes) -> str | None:
    try:
        found = parse_identification(data)
    except RemoteProtocolError:
        return None
    if found.rest:
        return None
    return f"ok, {found.standard}, version {found.version}.{found.revision}"


#: Most telling first: a table has a checksum, an identification has almost no redundancy.
_READINGS: tuple[Callable[[bytes], str | None], ...] = (
    _table,
    _negotiated,
    _identification,
    _timing,
    _authentication,
)
