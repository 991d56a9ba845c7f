"""Requests in datagrams (RFC 6142): the same octets are sent again until something answers them.

Whoever has seen a request serves it once, and answers its repetitions from what was kept.
"""

from __future__ import annotations

from protocols.c1222.ap_title import Arcs, absolute
from protocols.c1222.builder import NEVER
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected

#: When a request without an answer is sent again, each after the time before.
REPEAT_AFTER_S = (1.0, 2.0, 4.0)


#: What an answer is told by: the invocation id of its request, and the title that this is from;
#: an empty one where it has none.
Awaited = tuple[int, Arcs]


def awaited(octets: bytes) -> Awaited | None:
    """Give what answers a datagram; None for one that nothing will answer."""
    try:
        apdu = decode_apdu(octets)
    except ApduRejected:
        return None
    silent = apdu.is_response or apdu.is_segment or apdu.response_control == NEVER
    own_id = None if silent else apdu.calling_invocation_id
    return None if own_id is None else (own_id, absolute(apdu.calling))


def awaited_id(octets: bytes) -> int | None:
    """Give the invocation id alone, where only one title asks."""
    found = awaited(octets)
    return None if found is None else found[0]
