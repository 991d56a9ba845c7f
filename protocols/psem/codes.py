"""Response codes and request codes of PSEM (C12.18 4.2, C12.22 6)."""

from __future__ import annotations

from enum import IntEnum


class ResponseCode(IntEnum):
    """First octet of every answer."""

    ok = 0x00
    err = 0x01
    sns = 0x02
    isc = 0x03
    onp = 0x04
    iar = 0x05
    bsy = 0x06
    dnr = 0x07
    dlk = 0x08
    rno = 0x09
    isss = 0x0A
    sme = 0x0B
    uat = 0x0C
    nett = 0x0D
    netr = 0x0E
    rqtl = 0x0F
    rstl = 0x10
    sgnp = 0x11
    sgerr = 0x12
    #: A maker's own: the requester has no registration with this device (one source).
    PRIVATE = 0x1E


#: What is refused by these may be had when it is asked for again.
NOT_NOW = frozenset((ResponseCode.bsy, ResponseCode.dnr, ResponseCode.dlk))


def code_name(code: int) -> str:
    """Give the name of a response code; an unknown one is shown as a number."""
    try:
        return ResponseCode(code).name
    except ValueError:
        return f"code {code:02X}H"


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
