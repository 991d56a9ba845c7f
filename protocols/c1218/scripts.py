"""What a client does on a line, as scripts: generators that yield requests and get answers.

A script knows no port and no time.  The same one runs under the blocking
shell, in a gateway and in a simulation.  It raises ServiceRefused when the
meter refuses; what a meter may lack (Negotiate, Security, Logoff) it does
without.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from protocols.c1218.client import ClientLimits, Pause, Step
from protocols.errors import LocalProtocolError, RemoteProtocolError, ServiceRefused
from protocols.psem.codec import table_data
from protocols.psem.codes import BAUD_CODES, ResponseCode, code_name
from protocols.psem.services import (
    FullRead,
    FullWrite,
    Identify,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
    Terminate,
)

T = TypeVar("T")
Script = Generator[Step, Response, T]

#: The most octets of one table that a read by pieces collects (24-bit offset).
MAX_TABLE_OCTETS = 1 << 24
PROCEDURE_POLLS = 20
PROCEDURE_POLL_US = 500_000


@dataclass(frozen=True)
class LogonSettings:
    """How to open a session; ``password`` is padded with spaces to 20 octets.

    A short session does without ``negotiate``: the default packets are enough for it.
    """

    user_id: int = 0
    user: bytes = b""
    password: bytes | None = field(default=None, repr=False)
    packet_octets: int = 1024
    packets: int = 128
    bauds: tuple[int, ...] = ()
    negotiate: bool = True


@dataclass(frozen=True)
class Opened:
    """How a session was opened."""

    identification: bytes
    password_accepted: bool | None


def check(request: Request, response: Response) -> Response:
    """Give a positive answer back; raise ServiceRefused for a negative one."""
    if not response.ok:
        raise ServiceRefused(response.code, code_name(response.code), type(request).__name__)
    return response


def open_session(settings: LogonSettings) -> Script[Opened]:
    """Identify, Negotiate, Logon and, with a password, Security."""
    identify = Identify()
    response = yield identify
    if response.code == ResponseCode.isss:
        # An earlier client left its session open: end it, then begin again.
        yield Terminate()
        response = yield identify
    identification = check(identify, response).data
    if settings.negotiate:
        codes = tuple(BAUD_CODES[baud] for baud in settings.bauds)
        yield Negotiate(settings.packet_octets, settings.packets, codes)
    logon = Logon(settings.user_id, settings.user)
    check(logon, (yield logon))
    accepted = None
    if settings.password is not None:
        security = Security(settings.password)
        response = yield security
        if response.code != ResponseCode.sns:
            accepted = response.ok
    return Opened(identification, accepted)


def close_session() -> Script[None]:
    """Logoff and Terminate, whatever the meter says to them."""
    yield Logoff()
    yield Terminate()


def read_table(table: int, limits: ClientLimits) -> Script[bytes]:
    """Read a whole table, in one answer, or by pieces where it is too long for one."""
    request = FullRead(table)
    response = yield request
    if response.code == ResponseCode.onp:
        return (yield from _read_by_pieces(table, limits))
    return table_data(check(request, response).data)


def _read_by_pieces(table: int, limits: ClientLimits) -> Script[bytes]:
    data = bytearray()
    while len(data) < MAX_TABLE_OCTETS:
        request = OffsetRead(table, len(data), limits.max_read)
        response = yield request
        if data and response.code == ResponseCode.onp:
            break
        piece = table_data(check(request, response).data)
        if not piece:
            break
        data += piece
        if len(piece) < request.count:
            break
    return bytes(data)


def read_part(table: int, offset: int, count: int, limits: ClientLimits) -> Script[bytes]:
    """Read octets of a table; what lies past its end is left out."""
    data = bytearray()
    while len(data) < count:
        size = min(limits.max_read, count - len(data))
        request = OffsetRead(table, offset + len(data), size)
        response = yield request
        if data and response.code == ResponseCode.onp:
            break
        piece = table_data(check(request, response).data)
        if len(piece) > size:
            raise RemoteProtocolError(f"{len(piece)} octets were sent, {size} were asked for")
        data += piece
        if len(piece) < size:
            break
    return bytes(data)


def write_table(table: int, data: bytes, limits: ClientLimits) -> Script[None]:
    """Write a whole table: at once, or by pieces where it is too long for one request."""
    if len(data) <= limits.max_write:
        request: Request = FullWrite(table, data)
        check(request, (yield request))
        return
    yield from write_part(table, 0, data, limits)


def write_part(table: int, offset: int, data: bytes, limits: ClientLimits) -> Script[None]:
    """Write octets of a table.  A piece that was refused leaves the earlier ones written."""
    room = limits.max_write - 3
    if room < 1:
        raise LocalProtocolError("the granted packets are too small to write")
    for at in range(0, len(data), room):
        request = OffsetWrite(table, offset + at, data[at : at + room])
        check(request, (yield request))


def run_procedure(initiate: bytes, limits: ClientLimits) -> Script[bytes]:
    """Write ST-07 and read ST-08 until it is the finished answer to this very call.

    ``initiate`` is the image of ST-07; its first three octets (procedure and
    sequence number) come back in ST-08.  Gives the image of ST-08.
    """
    yield from write_table(7, initiate, limits)
    for _ in range(PROCEDURE_POLLS):
        answer = yield from read_table(8, limits)
        if answer[:3] == initiate[:3] and len(answer) >= 4 and answer[3] != 1:
            return answer
        yield Pause(PROCEDURE_POLL_US)
    raise RemoteProtocolError("the meter did not finish the procedure")
