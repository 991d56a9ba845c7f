"""Services of EPSEM: those of PSEM, with the few that C12.22 shapes otherwise.

Logon carries an idle time-out, security may carry the user id, negotiate and
timing set-up do not exist here.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.c1222.errors import ApduRejected
from protocols.c1222.registration import REGISTER, Register, decode_register
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import (
    PASSWORD_OCTETS,
    MalformedRequest,
    decode_request,
    encode_request,
)
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Logon, Request, Security, Unknown

LOGON, SECURITY = 0x50, 0x51


@dataclass(frozen=True)
class NetworkLogon(Logon):
    """50H on the network: a session that ends after ``idle_timeout_s`` without traffic."""

    idle_timeout_s: int = 0


@dataclass(frozen=True)
class NetworkSecurity(Security):
    """51H on the network; alone, without a session, it names its user."""

    user_id: int | None = None


Service = Request | Register


def encode_service(service: Service) -> bytes:
    """Give a service's octets, without the length that EPSEM puts before it."""
    if isinstance(service, Register):
        return service.encode()
    if isinstance(service, NetworkLogon):
        plain = encode_request(Logon(service.user_id, service.user))
        return plain + service.idle_timeout_s.to_bytes(2, "big")
    if isinstance(service, NetworkSecurity):
        user = b"" if service.user_id is None else service.user_id.to_bytes(2, "big")
        return encode_request(Security(service.password)) + user
    return encode_request(service)


def decode_service(octets: bytes) -> Service:
    """Read a service; MalformedRequest carries the code to refuse it with."""
    code = octets[0] if octets else None
    if code == REGISTER:
        try:
            return decode_register(octets)
        except (RemoteProtocolError, ApduRejected) as error:
            raise MalformedRequest(str(error), ResponseCode.iar) from error
    if code == LOGON:
        if len(octets) != 15:
            raise MalformedRequest(f"logon of {len(octets)} octets, 15 expected", ResponseCode.err)
        user_id, idle_s = (int.from_bytes(octets[at : at + 2], "big") for at in (1, 13))
        return NetworkLogon(user_id, octets[3:13], idle_s)
    if code == SECURITY and len(octets) == 1 + PASSWORD_OCTETS + 2:
        return NetworkSecurity(octets[1:21], int.from_bytes(octets[21:], "big"))
    if code is not None and (0x60 <= code <= 0x6B):
        return Unknown(code, octets[1:])
    return decode_request(octets)
