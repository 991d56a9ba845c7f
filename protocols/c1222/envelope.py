"""The ACSE envelope: elements in their order, with the octets as they were received.

The octets are kept beside the values, because the MAC covers them as sent.
Segments follow the public draft form of January 2008 (one source).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.c1222.ap_title import ApTitle, decode_identifier, decode_title
from protocols.c1222.ber import length_octets, take_length
from protocols.c1222.errors import DRAFT_2006, DRAFT_SECURITY, ApduRejected
from protocols.errors import LocalProtocolError

APDU_TAG = 0x60
#: Elements in wire order; Wireshark and one stack accept no other.
ORDER = (0xA1, 0xA2, 0xA3, 0xA4, 0xA6, 0xA7, 0xA8, 0x8B, 0xAC, 0xBE)
_RANK = {tag: rank for rank, tag in enumerate(ORDER)}
#: The one application context of the final form, and its security mechanism (EAX').
CONTEXT = (2, 16, 124, 113620, 1, 22)
SECURITY_MECHANISM = (*CONTEXT, 2, 1)
#: What tells a message of the draft of March 2006, which is refused whole.
DRAFT_2006_CONTEXT = (1, 2, 840, 10066)
DRAFT_2006_MECHANISM_TAG = 0xAB


@dataclass(slots=True)
class Apdu:
    """One envelope.  ``elements`` holds each element's whole octets by its tag.

    A value, though not frozen: one is made of every message, and freezing takes ten times as long.
    """

    calling_invocation_id: int
    user_information: bytes = field(repr=False)
    called: ApTitle | None = None
    calling: ApTitle | None = None
    called_invocation_id: int | None = None
    ae_qualifier: int | None = None
    key_id: int | None = None
    iv: bytes | None = None
    has_context: bool = False
    has_mechanism: bool = False
    segment_total: int | None = None
    segment_offset: int | None = None
    elements: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_response(self) -> bool:
        """Tell whether this answers a request: it carries the request's invocation id."""
        return self.called_invocation_id is not None

    @property
    def is_segment(self) -> bool:
        """Tell whether this is a piece of a larger APDU."""
        return self.segment_total is not None

    @property
    def response_control(self) -> int:
        """Give when an answer is wanted: ALWAYS, ON_EXCEPTION or NEVER; a segment does not tell."""
        return self.user_information[0] & 3

    @property
    def security_mode(self) -> int:
        """Give CLEAR, AUTHENTICATED, CIPHERTEXT or the reserved 3; a segment does not tell."""
        return self.user_information[0] >> 2 & 3


class SegmentOutOfRange(ApduRejected):
    """A segment that lies outside its message: well-formed, so it can be answered."""

    def __init__(self, reason: str, apdu: Apdu) -> None:
        self.apdu = apdu
        super().__init__(reason)


def _take(data: bytes, at: int, reason: str = "inner-length-mismatch") -> tuple[int, int, int]:
    """Read tag and length at a place; give the tag and where its content begins and ends."""
    if at >= len(data):
        raise ApduRejected(reason)
    size = data[at + 1] if at + 1 < len(data) else 0xFF
    length, begin = (size, at + 2) if size < 0x80 else take_length(data, at + 1)
    if begin + length > len(data):
        raise ApduRejected(reason)
    return data[at], begin, begin + length


def _only(data: bytes, tag: int, reason: str) -> bytes:
    """Give the content of the one element that fills ``data``."""
    if not data or data[0] != tag:
        raise ApduRejected(reason, f"{data[:1].hex() or 'nothing'} where {tag:02x} must be")
    length, begin = take_length(data, 1)
    if begin + length != len(data):
        raise ApduRejected("inner-length-mismatch")
    return data[begin:]


def _integer(data: bytes) -> int:
    """Read an unsigned integer of 1 to 4 octets: 02 01 80 is 128, not -128."""
    size = len(data)
    if 3 <= size <= 6 and data[0] == 0x02 and data[1] == size - 2:
        return int.from_bytes(data[2:])
    if data[:1] != b"\x02":
        raise ApduRejected("bad-integer-tag", "no INTEGER inside", DRAFT_2006)
    content = _only(data, 0x02, "bad-integer-tag")
    if not 1 <= len(content) <= 4:
        raise ApduRejected("bad-integer-length")
    return int.from_bytes(content)


def decode_apdu(data: bytes) -> Apdu:
    """Read one whole APDU; ApduRejected names the first fault, outer before inner."""
    if not data or data[0] != APDU_TAG:
        raise ApduRejected("not-an-apdu")
    length, at = take_length(data, 1)
    if at + length > len(data):
        raise ApduRejected("length-overrun")
    if at + length < len(data):
        raise ApduRejected("trailing-bytes")
    elements: dict[int, bytes] = {}
    contents: dict[int, bytes] = {}
    last, size = -1, len(data)
    while at < size:
        tag, begin = data[at], at + 2
        # Nearly all elements are this short, and a call for each of them is dear.
        if begin > size or (end := begin + data[at + 1]) >= begin + 0x80 or end > size:
            tag, begin, end = _take(data, at, "length-overrun")
        rank = _RANK.get(tag)
        if rank is None:
            draft = DRAFT_2006 if tag == DRAFT_2006_MECHANISM_TAG else ""
            raise ApduRejected("unknown-element", f"{tag:02X}H", draft)
        if rank <= last:
            reason = "duplicate-element" if tag in elements else "element-order"
            raise ApduRejected(reason, f"{tag:02X}H")
        last = rank
        elements[tag], contents[tag] = data[at:end], data[begin:end]
        at = end
    return _assemble(elements, contents)


def _assemble(elements: dict[int, bytes], contents: dict[int, bytes]) -> Apdu:
    if 0xA1 in contents:
        _check_context(contents[0xA1])
    called = decode_title(contents[0xA2]) if 0xA2 in contents else None
    total = _integer(contents[0xA3]) if 0xA3 in contents else None
    answers = _integer(contents[0xA4]) if 0xA4 in contents else None
    calling = decode_title(contents[0xA6]) if 0xA6 in contents else None
    qualifier = _integer(contents[0xA7]) if 0xA7 in contents else None
    if 0xA8 not in contents:
        raise ApduRejected("missing-A8")
    own = _integer(contents[0xA8])
    if 0x8B in contents and decode_identifier(contents[0x8B]).arcs != SECURITY_MECHANISM:
        raise ApduRejected("bad-auth-value", "another mechanism than EAX'")
    key_id, iv = _authentication(contents[0xAC]) if 0xAC in contents else (None, None)
    if 0xBE not in contents:
        raise ApduRejected("missing-BE")
    offset, information = _user_information(contents[0xBE])
    if total is None and not information:
        raise ApduRejected("empty-user-information")
    apdu = Apdu(
        own,
        information,
        called,
        calling,
        answers,
        qualifier,
        key_id,
        iv,
        0xA1 in elements,
        0x8B in elements,
        total,
        offset if total is not None else None,
        elements,
    )
    if total is not None:
        _check_segment(apdu, total)
    return apdu


def _check_context(content: bytes) -> None:
    context = decode_title(content)
    if context.relative or context.arcs != CONTEXT:
        draft = DRAFT_2006 if context.arcs == DRAFT_2006_CONTEXT else ""
        raise ApduRejected("bad-oid", f"application context {context}", draft)


def _check_segment(apdu: Apdu, total: int) -> None:
    if {0xA4, 0x8B, 0xAC} & set(apdu.elements):
        raise ApduRejected("element-not-allowed-in-segment")
    if apdu.segment_offset is None:
        raise ApduRejected("segment-offset-missing")
    if apdu.segment_offset >= total:
        raise SegmentOutOfRange("segment-offset-range", apdu)
    if apdu.segment_offset + len(apdu.user_information) > total:
        raise SegmentOutOfRange("segment-overrun", apdu)


def external_head(size: int) -> bytes:
    """Give what stands in user information before so many octets of EPSEM."""
    octet_aligned = b"\x81" + length_octets(size)
    return b"\x28" + length_octets(len(octet_aligned) + size) + octet_aligned


#: The same by the octets that both have, for messages of the usual size.
_EXTERNAL_HEADS = {
    len(head) + size: head for size, head in enumerate(map(external_head, range(1024)))
}


def _user_information(content: bytes) -> tuple[int | None, bytes]:
    """Give the indirect reference (a segment's offset) and the octets of EPSEM."""
    offset = None
    usual = _EXTERNAL_HEADS.get(len(content))
    if usual is not None and content.startswith(usual):
        return None, content[len(usual) :]
    external = _only(content, 0x28, "bad-user-information")
    if external[:1] == b"\x02":
        _, _, end = _take(external, 0)
        offset, external = _integer(external[:end]), external[end:]
    return offset, _only(external, 0x81, "bad-user-information")


#: How the normal form of AC begins, up to the key id.
_AUTHENTICATION = bytes.fromhex("a20da00ba1098001")
#: What tells the tokens of DES, in the place of the IV or of the whole element.
_DRAFT_TOKENS = (b"\x82", b"\x83")


def _authentication(content: bytes) -> tuple[int, bytes]:
    """Give key id and IV; a key id that is left out means key 0."""
    if len(content) == 15 and content[:8] == _AUTHENTICATION and content[9:11] == b"\x81\x04":
        return content[8], content[11:]
    inner = _only(content, 0xA2, "bad-auth-value")
    if inner[:3] == b"\x02\x01\x00":
        inner = inner[3:]
    if inner[:1] not in _DRAFT_TOKENS:
        inner = _only(inner, 0xA0, "bad-auth-value")
    if inner[:1] in (*_DRAFT_TOKENS, b"\xa0"):
        raise ApduRejected("bad-auth-value", f"{inner[:1].hex()} where a1 must be", DRAFT_SECURITY)
    element = _only(inner, 0xA1, "bad-auth-value")
    key_id = 0
    if element[:1] == b"\x80":
        _, begin, end = _take(element, 0)
        if end - begin != 1:
            raise ApduRejected("bad-auth-value")
        key_id, element = element[begin], element[end:]
    if element[:1] in _DRAFT_TOKENS:
        raise ApduRejected("bad-auth-value", "a token in place of the IV", DRAFT_SECURITY)
    iv = _only(element, 0x81, "bad-auth-value")
    if len(iv) != 4:
        raise ApduRejected("bad-auth-value")
    return key_id, iv


def authentication_element(key_id: int, iv: bytes) -> bytes:
    """Give the AC element in its normal form of 17 octets; the IV has four."""
    return b"\xac\x0f" + _AUTHENTICATION + bytes((key_id, 0x81, 0x04)) + iv


def integer_element(tag: int, value: int) -> bytes:
    """Give an element that holds an unsigned integer."""
    integer = unsigned(value)
    return bytes((tag, len(integer))) + integer


def unsigned(value: int) -> bytes:
    """Give an INTEGER of C12.22: unsigned, one to four octets, no leading zero."""
    size = (value.bit_length() + 7) // 8 or 1
    if value < 0 or size > 4:
        raise LocalProtocolError(f"{value} does not fit four octets")
    return bytes((0x02, size)) + value.to_bytes(size)
