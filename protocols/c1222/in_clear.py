"""What a relay sees in the messages of others: the services of those in clear, and no more."""

from __future__ import annotations

from contextlib import suppress

from protocols.c1222.ap_title import ApTitle, uid_octets
from protocols.c1222.ber import length_octets, tlv
from protocols.c1222.envelope import APDU_TAG, Apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.registration import decode_registered
from protocols.c1222.security import CLEAR, MAX_SERVICES, split_services
from protocols.c1222.services import (
    DEREGISTER,
    MAX_TRACE_TITLES,
    SECURITY,
    TRACE,
    Deregister,
    Trace,
    decode_service,
    encode_service,
)
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import MalformedRequest
from protocols.psem.codes import ResponseCode

_NETWORK_ERRORS = frozenset(
    (ResponseCode.uat, ResponseCode.nett, ResponseCode.netr, ResponseCode.bsy)
)


def is_in_clear(apdu: Apdu) -> bool:
    """Tell whether an APDU is not secured; of a segment nobody can tell before it is joined."""
    return not apdu.is_segment and apdu.security_mode == CLEAR


def services_in_clear(apdu: Apdu) -> list[bytes]:
    """Give the octets of each service; none where they cannot be seen, are no services, or are
    more than any node works."""
    if not is_in_clear(apdu):
        return []
    information = apdu.user_information
    try:
        return split_services(information[0], information[1:], MAX_SERVICES)[1]
    except ApduRejected:
        return []


def asks_for(apdu: Apdu, code: int) -> bool:
    """Tell whether a request in clear asks for a service."""
    return any(service[0] == code for service in services_in_clear(apdu))


def is_network_error(answer: Apdu) -> bool:
    """Tell whether a relay says that it did not reach a node; it is no word of the node's."""
    items = services_in_clear(answer)
    return len(items) == 1 and items[0][0] in _NETWORK_ERRORS


def granted_title(answer: Apdu) -> ApTitle | None:
    """Give the title that the answer to a registration in clear gives a node."""
    for item in services_in_clear(answer):
        with suppress(RemoteProtocolError):
            return decode_registered(item).title
    return None


def departed_title(request: Apdu, answer: Apdu) -> ApTitle | None:
    """Give the title that a node has given up in clear, by the request and its answer."""
    services, items = _behind_security(services_in_clear(request)), services_in_clear(answer)
    if len(services) != 1 or services[0][0] != DEREGISTER or not items or items[-1][0]:
        return None
    try:
        asked = decode_service(services[0])
    except MalformedRequest:
        return None
    return asked.title if isinstance(asked, Deregister) else None


def _trace_of(apdu: Apdu) -> Trace | None:
    """Give the trace that an APDU in clear is; it stands alone, or behind a security."""
    services = _behind_security(services_in_clear(apdu))
    if len(services) != 1 or services[0][0] != TRACE:
        return None
    try:
        asked = decode_service(services[0])
    except MalformedRequest:
        return None
    return asked if isinstance(asked, Trace) else None


def _behind_security(services: list[bytes]) -> list[bytes]:
    """Leave out a security, which some clients put first in every message."""
    return services[1:] if services and services[0][0] == SECURITY else services


def traced(apdu: Apdu, octets: bytes, title: ApTitle) -> bytes:
    """Append a relay's title to a trace in clear; anything else goes on as it is."""
    asked = _trace_of(apdu)
    if asked is None or len(asked.titles) >= MAX_TRACE_TITLES:
        return octets
    information = apdu.user_information
    ed_class, services, _ = split_services(information[0], information[1:])
    services[-1] = encode_service(Trace((*asked.titles, title)))
    listed = b"".join(length_octets(len(one)) + one for one in services)
    text = information[:1] + (ed_class or b"") + listed
    body = b"".join(element for tag, element in apdu.elements.items() if tag != 0xBE)
    return tlv(APDU_TAG, body + tlv(0xBE, tlv(0x28, tlv(0x81, text))))


def gathered_titles(apdu: Apdu) -> bytes:
    """Give the titles that a trace has gathered until it stopped here; nothing of no trace."""
    asked = _trace_of(apdu)
    return b"".join(map(uid_octets, asked.titles)) if asked is not None else b""
