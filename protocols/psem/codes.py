"""Response codes and request codes of PSEM (C12.18 4.2, C12.22 6)."""

from __future__ import annotations

from enum import IntEnum


class ResponseCode(IntEnum):
    """First octet of every answer; those from ``sme`` on are C12.22's."""

    ok = 0x00
    err = 0x01  # error
    sns = 0x02  # service not supported
    isc = 0x03  # insufficient security clearance
    onp = 0x04  # operation not possible
    iar = 0x05  # inappropriate action requested
    bsy = 0x06  # device busy
    dnr = 0x07  # data not ready
    dlk = 0x08  # data locked
    rno = 0x09  # renegotiate request
    isss = 0x0A  # invalid service sequence state
    sme = 0x0B  # security mechanism error
    uat = 0x0C  # unknown application title
    nett = 0x0D  # network time-out
    netr = 0x0E  # network not reachable
    rqtl = 0x0F  # request too large
    rstl = 0x10  # response too large
    sgnp = 0x11  # segmentation not possible
    sgerr = 0x12  # segmentation error
    #: A maker's own: the requester has no registration with this device (one source).
    PRIVATE = 0x1E


class Refused(Exception):
    """A device's negative answer to a read or write.

    ``bsy`` or ``dnr`` where the device would need longer than the client waits:
    an answer is never late.
    """

    def __init__(self, code: ResponseCode) -> None:
        self.code = code
        super().__init__(code.name)


#: A request that is refused with one of these may succeed later.
NOT_NOW = frozenset((ResponseCode.bsy, ResponseCode.dnr, ResponseCode.dlk))


#: What the standards call them.
_MEANINGS: dict[int, str] = {
    ResponseCode.err: "error",
    ResponseCode.sns: "service not supported",
    ResponseCode.isc: "insufficient security clearance",
    ResponseCode.onp: "operation not possible",
    ResponseCode.iar: "inappropriate action requested",
    ResponseCode.bsy: "device busy",
    ResponseCode.dnr: "data not ready",
    ResponseCode.dlk: "data locked",
    ResponseCode.isss: "invalid service sequence state",
    ResponseCode.sme: "security mechanism error",
    ResponseCode.uat: "unknown title",
    ResponseCode.nett: "network time-out",
    ResponseCode.netr: "network not reachable",
    ResponseCode.rqtl: "request too large",
    ResponseCode.rstl: "response too large",
    ResponseCode.sgnp: "segmentation not possible",
    ResponseCode.sgerr: "segmentation error",
}


def code_name(code: int) -> str:
    """Give the name of a response code; an unknown one is shown as a number."""
    try:
        return ResponseCode(code).name
    except ValueError:
        return f"code {code:02X}H"


def code_text(code: int) -> str:
    """Give the name of a response code and what the standards call it, for a person."""
    meaning = _MEANINGS.get(code)
    return f"{code_name(code)} ({meaning})" if meaning else code_name(code)


#: Baud rates by their code in Negotiate; 0A and 0B are not in order of size.
BAUDS = {
    0x01: 300,
    0x02: 600,
    0x03: 1200,
    0x04: 2400,
    0x05: 4800,
    0x06: 9600,
    0x07: 14400,
    0x08: 19200,
    0x09: 28800,
    0x0A: 57600,
    0x0B: 38400,
    0x0C: 115200,
    0x0D: 128000,
    0x0E: 256000,
}
BAUD_CODES = {baud: code for code, baud in BAUDS.items()}
#: The speed of an optical port until another one is negotiated.
START_BAUD = 9600
