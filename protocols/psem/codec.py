"""PSEM requests and answers as octets.  Numbers here are big-endian, whatever ST-00 says."""

from __future__ import annotations

from protocols.errors import LocalProtocolError, RemoteProtocolError, TableChecksumError
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    Authenticate,
    DefaultRead,
    Disconnect,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    IndexWrite,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
    Terminate,
    TimingSetup,
    Unknown,
    Wait,
)

USER_OCTETS = 10
PASSWORD_OCTETS = 20
#: One transfer is counted in 16 bits.
MAX_BLOCK_OCTETS = 0xFFFF


class MalformedRequest(RemoteProtocolError):
    """A request whose octets do not fit its code; ``answer`` is the code to refuse it with."""

    def __init__(self, text: str, answer: ResponseCode) -> None:
        self.answer = answer
        super().__init__(text)


class ChecksumMismatch(MalformedRequest):
    """A write whose table checksum is wrong.

    The code to answer with is prescribed by no source; err is our choice.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text, ResponseCode.err)


def checksum(data: bytes) -> int:
    """Give the table checksum: the two's complement of the sum of the data octets."""
    return -sum(data) & 0xFF


def block(data: bytes, ones_complement: bool = False) -> bytes:
    """Give table data as sent: count, octets, checksum (its one's complement by request, Q22)."""
    if len(data) > MAX_BLOCK_OCTETS:
        raise LocalProtocolError(f"{len(data)} octets in one transfer, at most {MAX_BLOCK_OCTETS}")
    return len(data).to_bytes(2, "big") + data + bytes([checksum(data) - ones_complement & 0xFF])


def table_data(response: bytes) -> bytes:
    """Give the table octets of a positive Read answer (what follows the code).

    RemoteProtocolError when the count does not fit, TableChecksumError for the checksum.
    """
    if len(response) < 3:
        raise RemoteProtocolError(f"read answer of {len(response)} octets, at least 3 expected")
    count = int.from_bytes(response[:2], "big")
    data = response[2:-1]
    if count != len(data):
        raise RemoteProtocolError(f"read answer announces {count} octets and has {len(data)}")
    if checksum(data) != response[-1]:
        raise TableChecksumError(data, response[-1], checksum(data))
    return data


def _word(value: int, size: int = 2) -> bytes:
    if not 0 <= value < 1 << (8 * size):
        raise LocalProtocolError(f"{value} does not fit {size} octets")
    return value.to_bytes(size, "big")


def _padded(value: bytes, size: int, what: str) -> bytes:
    if len(value) > size:
        raise LocalProtocolError(f"{what} of {len(value)} octets, at most {size}")
    return value.ljust(size)


def encode_request(request: Request, ones_complement: bool = False) -> bytes:
    """Give a request as octets; LocalProtocolError when a value does not fit.

    ``ones_complement`` is for meters that want table checksums so (Q22).
    """
    match request:
        case Identify():
            return b"\x20"
        case Terminate():
            return b"\x21"
        case FullRead(table):
            return b"\x30" + _word(table)
        case IndexRead(table, indices, count):
            code = 0x30 + _nbr(indices)
            return bytes([code]) + _word(table) + b"".join(map(_word, indices)) + _word(count)
        case DefaultRead():
            return b"\x3e"
        case OffsetRead(table, offset, count):
            return b"\x3f" + _word(table) + _word(offset, 3) + _word(count)
        case FullWrite(table, data):
            return b"\x40" + _word(table) + block(data, ones_complement)
        case IndexWrite(table, indices, data):
            code = 0x40 + _nbr(indices)
            head = bytes([code]) + _word(table) + b"".join(map(_word, indices))
            return head + block(data, ones_complement)
        case OffsetWrite(table, offset, data):
            return b"\x4f" + _word(table) + _word(offset, 3) + block(data, ones_complement)
        case Logon(user_id, user):
            return b"\x50" + _word(user_id) + _padded(user, USER_OCTETS, "user")
        case Security(password):
            return b"\x51" + _padded(password, PASSWORD_OCTETS, "password")
        case Logoff():
            return b"\x52"
        case Negotiate(size, packets, bauds):
            head = bytes([0x60 + len(bauds)]) + _word(size) + _word(packets, 1)
            return head + bytes(bauds)
        case Wait(seconds):
            return b"\x70" + _word(seconds, 1)
        case Disconnect():
            return b"\x22"
        case Authenticate(key_id, proof):
            return b"\x53" + _word(1 + len(proof), 1) + _word(key_id, 1) + proof
        case TimingSetup(traffic_s, inter_character_s, response_s, retries):
            fields = (traffic_s, inter_character_s, response_s, retries)
            return b"\x71" + b"".join(_word(one, 1) for one in fields)
        case Unknown(code, data):
            return bytes([code]) + data
    raise LocalProtocolError(f"{request!r} is no request")


def _nbr(indices: tuple[int, ...]) -> int:
    if not 1 <= len(indices) <= 9:
        raise LocalProtocolError(f"{len(indices)} indices, 1 to 9 are possible")
    return len(indices)


#: The requests without parameters.
_SIMPLE = {
    0x20: Identify,
    0x21: Terminate,
    0x22: Disconnect,
    0x52: Logoff,
    0x3E: DefaultRead,
}
_TYPES: dict[int, type[Request]] = {
    **_SIMPLE,
    0x30: FullRead,
    **dict.fromkeys(range(0x31, 0x3A), IndexRead),
    0x3F: OffsetRead,
    0x40: FullWrite,
    **dict.fromkeys(range(0x41, 0x4A), IndexWrite),
    0x4F: OffsetWrite,
    0x50: Logon,
    0x51: Security,
    **dict.fromkeys(range(0x60, 0x6C), Negotiate),
    0x53: Authenticate,
    0x70: Wait,
    0x71: TimingSetup,
}


def request_type(code: int) -> type[Request]:
    """Give the kind of request that a code stands for, whether or not its octets fit."""
    return _TYPES.get(code, Unknown)


def decode_request(data: bytes) -> Request:
    """Read a request; MalformedRequest when its length does not fit its code."""
    if not data:
        raise MalformedRequest("empty request", ResponseCode.err)
    code, rest = data[0], data[1:]
    if code in _SIMPLE:
        _length(code, rest, 0, ResponseCode.err)
        return _SIMPLE[code]()
    if 0x30 <= code <= 0x3F:
        return _decode_read(code, rest)
    if 0x40 <= code <= 0x4F:
        return _decode_write(code, rest)
    if code == 0x50:
        _length(code, rest, 12, ResponseCode.err)
        return Logon(int.from_bytes(rest[:2], "big"), rest[2:])
    if code == 0x51:
        _length(code, rest, PASSWORD_OCTETS, ResponseCode.err)
        return Security(rest)
    if 0x60 <= code <= 0x6B:
        _length(code, rest, 3 + (code & 15), ResponseCode.err)
        return Negotiate(int.from_bytes(rest[:2], "big"), rest[2], tuple(rest[3:]))
    if code == 0x70:
        _length(code, rest, 1, ResponseCode.err)
        return Wait(rest[0])
    if code == 0x53:
        _length(code, rest, 1 + max(2, rest[0] if rest else 0), ResponseCode.err)
        return Authenticate(rest[1], rest[2:])
    if code == 0x71:
        _length(code, rest, 4, ResponseCode.err)
        return TimingSetup(*rest)
    return Unknown(code, rest)


def _length(code: int, rest: bytes, want: int, answer: ResponseCode) -> None:
    if len(rest) != want:
        raise MalformedRequest(
            f"request {code:02X}H with {len(rest)} octets, {want} expected", answer
        )


def _decode_read(code: int, rest: bytes) -> Request:
    table = int.from_bytes(rest[:2], "big")
    if code == 0x30:
        _length(code, rest, 2, ResponseCode.onp)
        return FullRead(table)
    if code == 0x3F:
        _length(code, rest, 7, ResponseCode.onp)
        return OffsetRead(table, int.from_bytes(rest[2:5], "big"), int.from_bytes(rest[5:7], "big"))
    if code > 0x39:
        return Unknown(code, rest)
    nbr = code & 15
    _length(code, rest, 4 + 2 * nbr, ResponseCode.onp)
    words = [int.from_bytes(rest[at : at + 2], "big") for at in range(2, len(rest), 2)]
    return IndexRead(table, tuple(words[:nbr]), words[nbr])


def _decode_write(code: int, rest: bytes) -> Request:
    table = int.from_bytes(rest[:2], "big")
    if code == 0x40:
        return FullWrite(table, _block_data(code, rest, 2))
    if code == 0x4F:
        return OffsetWrite(table, int.from_bytes(rest[2:5], "big"), _block_data(code, rest, 5))
    if code > 0x49:
        return Unknown(code, rest)
    nbr = code & 15
    data = _block_data(code, rest, 2 + 2 * nbr)
    words = [int.from_bytes(rest[at : at + 2], "big") for at in range(2, 2 + 2 * nbr, 2)]
    return IndexWrite(table, tuple(words), data)


def _block_data(code: int, rest: bytes, at: int) -> bytes:
    """Take count, data and checksum; onp for a wrong length, err for a wrong checksum."""
    if len(rest) < at + 3 or len(rest) != at + 3 + int.from_bytes(rest[at : at + 2], "big"):
        raise MalformedRequest(f"write {code:02X}H: count and octets differ", ResponseCode.onp)
    data = rest[at + 2 : -1]
    if checksum(data) != rest[-1]:
        raise ChecksumMismatch(f"write {code:02X}H: wrong checksum")
    return data


def encode_response(response: Response) -> bytes:
    """Give an answer as octets."""
    return bytes([response.code]) + response.data


def decode_response(data: bytes) -> Response:
    """Read an answer; octets after a negative code are kept."""
    if not data or data[0] > 0x1F:
        raise RemoteProtocolError(f"{data[:1].hex() or 'nothing'} is no response code")
    return Response(data[0], data[1:])
