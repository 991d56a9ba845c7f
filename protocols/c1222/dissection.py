"""A whole message as plain values with names, for a person, a program or a comparison.

Titles are dotted (a leading dot marks a relative one, a lone dot none), octets
are lower-case hex, users and passwords text.  ApduRejected names the first
fault, outer before inner, and the MAC before the services.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protocols.c1222.ap_title import BASE_ARCS, ApTitle, take_uid
from protocols.c1222.envelope import CONTEXT, SECURITY_MECHANISM, Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.identification import Feature, decode_identification
from protocols.c1222.registration import Register, decode_registered
from protocols.c1222.security import (
    CIPHERTEXT,
    CLEAR,
    MAC_OCTETS,
    PROXY_SERVICE_USED,
    RECOVERY_SESSION,
    EaxPrime,
    canonified_cleartext,
    key_in_force,
    open_apdu,
    split_services,
)
from protocols.c1222.services import (
    SECURITY,
    Deregister,
    NetworkLogon,
    NetworkSecurity,
    Resolve,
    Service,
    Trace,
    decode_blocks,
    decode_service,
)
from protocols.psem.codec import ChecksumMismatch, MalformedRequest
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    FullRead,
    FullWrite,
    IndexRead,
    IndexWrite,
    OffsetRead,
    OffsetWrite,
    Request,
    Security,
    Unknown,
    Wait,
)

Keys = Callable[[int], EaxPrime | None]
#: Highest code of an answer; requests begin at 20.
LAST_RESPONSE = 0x1F
MODES = ("cleartext", "cleartext-with-authentication", "ciphertext-with-authentication")
RESPONSE_CONTROLS = ("always", "on-exception", "never")
#: Names of services by code; forms with indices share one.
SERVICES = {
    0x20: "identify",
    0x21: "terminate",
    0x22: "disconnect",
    0x24: "deregister",
    0x25: "resolve",
    0x26: "trace",
    0x27: "register",
    0x30: "read",
    0x3E: "read-default",
    0x3F: "read-offset",
    0x40: "write",
    0x4F: "write-offset",
    0x50: "logon",
    SECURITY: "security",
    0x52: "logoff",
    0x70: "wait",
} | {
    base + n: name
    for base, name in ((0x30, "read-index"), (0x40, "write-index"))
    for n in range(1, 10)
}


def dissect(
    octets: bytes,
    keys: Keys,
    *,
    in_reply_to: Sequence[str] = (),
    session: tuple[int, bytes] | None = None,
    base: tuple[int, ...] = BASE_ARCS,
) -> dict[str, Any]:
    """Give everything a message says.

    ``keys`` finds a key by its id.  ``in_reply_to`` names the services that an
    answer answers, in their order; nothing in the answer does.  ``session`` is
    key id and IV of the logon for a message that carries none.
    """
    apdu = decode_apdu(octets)
    facts = _envelope(apdu)
    if apdu.is_segment:
        return facts | {"segment_octets": apdu.user_information.hex()}
    text = open_apdu(apdu, keys, session, base)
    facts |= _security(apdu, text, session, base)
    ed_class, services, padding = split_services(apdu.user_information[0], text)
    if ed_class is not None:
        facts["ed_class"] = ed_class.hex()
    if padding:
        facts["padding"] = len(padding)
    facts["services"] = _items(services, list(in_reply_to))
    return facts


def _envelope(apdu: Apdu) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if apdu.has_context:
        facts["aso_context"] = _dotted(CONTEXT)  # no other is read
    named: tuple[tuple[str, Any], ...] = (
        ("called_ap_title", str(apdu.called) if apdu.called is not None else None),
        ("segment_total", apdu.segment_total),
        ("called_ap_invocation_id", apdu.called_invocation_id),
        ("calling_ap_title", str(apdu.calling) if apdu.calling is not None else None),
        ("calling_ae_qualifier", apdu.ae_qualifier),
        ("calling_ap_invocation_id", apdu.calling_invocation_id),
        ("key_id", apdu.key_id),
        ("iv", apdu.iv.hex() if apdu.iv is not None else None),
        ("segment_offset", apdu.segment_offset),
    )
    facts |= {name: value for name, value in named if value is not None}
    if apdu.has_mechanism:
        facts["mechanism_name"] = _dotted(SECURITY_MECHANISM)
    return facts


def _dotted(arcs: tuple[int, ...]) -> str:
    return ".".join(map(str, arcs))


def _security(
    apdu: Apdu, text: bytes, session: tuple[int, bytes] | None, base: tuple[int, ...]
) -> dict[str, Any]:
    control = apdu.user_information[0]
    mode = apdu.security_mode
    facts: dict[str, Any] = {
        "epsem_control": f"{control:02x}",
        "security_mode": MODES[mode],
        "response_control": RESPONSE_CONTROLS[control & 3],
        "recovery_session": bool(control & RECOVERY_SESSION),
        "proxy_service_used": bool(control & PROXY_SERVICE_USED),
    }
    if mode != CLEAR:
        key_id, iv = key_in_force(apdu, session)
        facts["canonified_cleartext"] = canonified_cleartext(apdu, key_id, iv, base).hex()
        facts["mac"] = apdu.user_information[-MAC_OCTETS:].hex()
    if mode == CIPHERTEXT:
        facts["plaintext"] = text.hex()
    return facts


def _items(services: list[bytes], in_reply_to: list[str]) -> list[dict[str, Any]]:
    """Give requests or answers; an answer that lacks the item of a leading security is aligned."""
    if len(services) == len(in_reply_to) - 1 and in_reply_to[0] == SERVICES[SECURITY]:
        in_reply_to = in_reply_to[1:]
    asked: list[str | None] = [*in_reply_to, *([None] * len(services))]
    items = []
    for octets, service in zip(services, asked, strict=False):
        try:
            answer = octets[0] <= LAST_RESPONSE
            items.append(_response(octets, service) if answer else _request(octets))
        except ChecksumMismatch as error:
            raise ApduRejected("checksum-mismatch", str(error)) from error
        except MalformedRequest as error:
            inner = error.__cause__
            reason = inner.reason if isinstance(inner, ApduRejected) else "service-length"
            raise ApduRejected(reason, str(error)) from error
    return items


def _request(octets: bytes) -> dict[str, Any]:
    shown = {"code": f"{octets[0]:02x}", "service": SERVICES.get(octets[0], "unknown")}
    return shown | _parameters(decode_service(octets))


def _parameters(service: Service) -> dict[str, Any]:
    match service:
        case Register():
            return _register(service)
        case Deregister(title) | Resolve(title):
            return {"ap_title": _title(title)}
        case Trace(titles):
            return {"ap_titles": [str(title) for title in titles]}
        case NetworkLogon(user_id, user, idle_timeout_s):
            text = user.decode("latin-1")
            return {"user_id": user_id, "user": text, "idle_timeout": idle_timeout_s}
        case Security(password):
            shown: dict[str, Any] = {"password": password.decode("latin-1")}
            if isinstance(service, NetworkSecurity) and service.user_id is not None:
                shown["user_id"] = service.user_id
            return shown
        case Wait(seconds):
            return {"seconds": seconds}
        case Unknown(_, data):
            return {"parameters": data.hex()}
        case _:
            return _table_access(service)


def _register(register: Register) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "node_type": f"{register.node_type:02x}",
        "connection_type": f"{register.connection_type:02x}",
        "device_class": register.device_class.hex(),
        "ap_title": _title(register.title),
        "serial_number": _title(register.serial),
        "native_address": register.address.hex(),
        "registration_period": register.period_s,
    }
    return shown | ({"my_domain_pattern": register.pattern.hex()} if register.pattern else {})


def _table_access(request: Request) -> dict[str, Any]:
    match request:
        case FullRead(table):
            return {"table": table}
        case OffsetRead(table, offset, count):
            return {"table": table, "offset": offset, "count": count}
        case IndexRead(table, indices, count):
            return {"table": table, "index": list(indices), "element_count": count}
        case FullWrite(table, data):
            return {"table": table, "data": data.hex()}
        case OffsetWrite(table, offset, data):
            return {"table": table, "offset": offset, "data": data.hex()}
        case IndexWrite(table, indices, data):
            return {"table": table, "index": list(indices), "data": data.hex()}
    return {}


def _title(title: ApTitle | None) -> str:
    return str(title) if title is not None else "."


def _response(octets: bytes, service: str | None) -> dict[str, Any]:
    code, rest = octets[0], octets[1:]
    known = code <= ResponseCode.sgerr  # 13H to 1FH are reserved
    shown = {"code": f"{code:02x}", "response": ResponseCode(code).name if known else "reserved"}
    if code == ResponseCode.ok:
        return shown | _positive(rest, service)
    if code in (ResponseCode.rqtl, ResponseCode.rstl) and len(rest) in (3, 4):
        return shown | {"max_size": int.from_bytes(rest, "big")}
    if code == ResponseCode.sgerr and rest and len(rest) % 2 == 0:
        half = len(rest) // 2
        offset, size = int.from_bytes(rest[:half], "big"), int.from_bytes(rest[half:], "big")
        return shown | {"offset": offset, "size": size}
    if rest and service == "trace":
        return shown | {"ap_titles": _titles(rest)}
    return shown | ({"parameters": rest.hex()} if rest else {})


def _positive(rest: bytes, service: str | None) -> dict[str, Any]:
    if service == "identify":
        return _identification(rest)
    if service in ("read", "read-index", "read-offset", "read-default"):
        return {"data": decode_blocks(rest).hex()}
    if service == "logon":
        if len(rest) != 2:
            raise ApduRejected("service-length", "logon's answer is an idle time-out of two octets")
        return {"idle_timeout": int.from_bytes(rest, "big")}
    if service == "register":
        answer = decode_registered(b"\0" + rest)
        shown = {"ap_title": str(answer.title), "reg_delay": answer.delay_s}
        return shown | {"reg_period": answer.period_s, "reg_info": f"{answer.info:02x}"}
    if service == "resolve":
        if not rest or len(rest) != 1 + rest[0]:
            raise ApduRejected("service-length", "resolve's answer is a counted address")
        return {"native_address": rest[1:].hex()}
    if service == "trace":
        return {"ap_titles": _titles(rest)}
    # Others have none; but the 2006 form of deregister gave the title: shown, not refused.
    return {"parameters": rest.hex()} if rest else {}


def _titles(octets: bytes) -> list[str]:
    titles, at = [], 0
    while at < len(octets):
        title, at = take_uid(octets, at)
        titles.append(_title(title))
    return titles


def _identification(rest: bytes) -> dict[str, Any]:
    told = decode_identification(rest)
    features = [[code.name.lower(), _feature(code, value)] for code, value in told.features]
    shown: dict[str, Any] = {"std": told.standard, "version": told.version}
    shown |= {"revision": told.revision, "features": features}
    return shown | ({"rest": told.rest.hex()} if told.rest else {})


def _feature(code: Feature, value: Any) -> Any:
    match code:
        case Feature.SESSION_CTRL:
            return {"sessions": value[0], "sessionless": value[1]}
        case Feature.DEVICE_IDENTITY:
            return {"format": value[0], "identification": value[1].hex()}
    return _title(value)
