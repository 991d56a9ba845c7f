"""Application titles: object identifiers, absolute or relative to the C12.22 base.

>>> str(ApTitle.parse(".123.8437")), ApTitle.parse(".123.8437").wire().hex()
('.123.8437', '80037bc175')
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from protocols.c1222.ber import tlv
from protocols.c1222.errors import DRAFT_2006, ApduRejected
from protocols.errors import LocalProtocolError

UNIVERSAL, RELATIVE, RELATIVE_IN_TABLES = 0x06, 0x80, 0x0D
#: The ACSE elements of the two titles of a message.
CALLED, CALLING = 0xA2, 0xA6
#: 2.16.124.113620.1.22.0: what a relative title is relative to.
BASE_ARCS = (2, 16, 124, 113620, 1, 22, 0)
#: Most content octets that are read; most arcs' digits follow from it.
MAX_OCTETS = 127
#: The most octets that an arc of the base, or of one given in its place, takes.
MAX_ARC_OCTETS = 10
#: Titles that were read and are kept, so that they are not read again.
TITLES_KEPT = 4096

#: The arcs of an absolute title, by which what concerns a title is found.
Arcs = tuple[int, ...]


@dataclass(frozen=True)
class ApTitle:
    """A title: ``arcs``, below the base when ``relative``.  Compare by ``absolute``."""

    arcs: tuple[int, ...]
    relative: bool

    def __str__(self) -> str:
        text = ".".join(map(str, self.arcs))
        return f".{text}" if self.relative else text

    @classmethod
    def parse(cls, text: str) -> ApTitle:
        """Read the dotted form; a leading dot makes it relative, a lone dot is no title."""
        relative = text.startswith(".")
        digits = text.removeprefix(".")
        try:
            arcs = tuple(map(_arc, digits.split("."))) if digits else ()
        except ValueError:
            raise LocalProtocolError(f"{text!r:.80} is no title; write .7.42 or 2.16.124") from None
        if not relative and (len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39)):
            raise LocalProtocolError(f"{text!r:.80} is no title; write .7.42 or 2.16.124")
        return cls(arcs, relative)

    @cached_property
    def absolute(self) -> tuple[int, ...]:
        """Give the arcs of the absolute form: what routing and lookup use."""
        return self.based(BASE_ARCS)

    def based(self, base: tuple[int, ...]) -> tuple[int, ...]:
        """Give the absolute arcs where relative titles have another base."""
        return base + self.arcs if self.relative else self.arcs

    def wire(self) -> bytes:
        """Give tag, length and content as ACSE elements carry them."""
        return self._wire

    def universal(self, base: tuple[int, ...] = BASE_ARCS) -> bytes:
        """Give tag, length and content of the absolute form: what the MAC covers."""
        return self._universal if base == BASE_ARCS else self._encode_universal(base)

    @cached_property
    def called_elements(self) -> tuple[bytes, bytes]:
        """Give the element of a called title, as it is sent and as the MAC covers it."""
        return tlv(CALLED, self._wire), tlv(CALLED, self._universal)

    @cached_property
    def calling_elements(self) -> tuple[bytes, bytes]:
        """Give the element of a calling title, as it is sent and as the MAC covers it."""
        return tlv(CALLING, self._wire), tlv(CALLING, self._universal)

    @cached_property
    def _wire(self) -> bytes:
        if self.relative:
            return _element(RELATIVE, b"".join(map(_sub_identifier, self.arcs)))
        return self._universal

    @cached_property
    def _universal(self) -> bytes:
        return self._encode_universal(BASE_ARCS)

    def _encode_universal(self, base: tuple[int, ...]) -> bytes:
        first, second, *others = self.based(base)
        content = b"".join(map(_sub_identifier, (40 * first + second, *others)))
        # A relative title may be as long as any, and is longer with its base before it.
        return _element(UNIVERSAL, content, MAX_OCTETS + self.relative * len(base) * MAX_ARC_OCTETS)


def absolute(title: ApTitle | None) -> tuple[int, ...]:
    """Give the arcs of the absolute form; none for no title."""
    return title.absolute if title is not None else ()


def _element(tag: int, content: bytes, most: int = MAX_OCTETS) -> bytes:
    """Give tag, length and content; LocalProtocolError for more than is read."""
    if len(content) > most:
        raise LocalProtocolError(f"title of {len(content)} octets, at most {MAX_OCTETS}")
    return tlv(tag, content)


def _sub_identifier(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


def _arc(text: str) -> int:
    """Read plain digits: Python's numbers have signs, blanks and the digits of other scripts."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


@lru_cache(maxsize=TITLES_KEPT)
def decode_title(data: bytes, *, in_tables: bool = False) -> ApTitle:
    """Read one title, tag included, that fills ``data`` exactly.

    The same peers speak again and again: their titles are kept as values.
    """
    if len(data) < 2:
        raise ApduRejected("inner-length-mismatch", "title")
    size, at = _length(data, 1)
    if size > MAX_OCTETS or len(data) != at + size:
        raise ApduRejected("inner-length-mismatch", "title")
    tag, content = data[0], data[at:]
    if tag == UNIVERSAL:
        arcs = _arcs(content)
        if not arcs:
            raise ApduRejected("bad-oid", "empty")
        first = min(arcs[0] // 40, 2)
        return ApTitle((first, arcs[0] - 40 * first, *arcs[1:]), False)
    if tag == RELATIVE or (in_tables and tag == RELATIVE_IN_TABLES):
        return ApTitle(_arcs(content), True)
    draft = DRAFT_2006 if tag == RELATIVE_IN_TABLES else ""
    raise ApduRejected("bad-uid-tag", f"{tag:02X}H", draft)


def _length(octets: bytes, at: int) -> tuple[int, int]:
    """Read a length, be it longer than it must be; give it and the place after it."""
    size, begin = octets[at], at + 1
    if 0x81 <= size <= 0x83:
        begin += size & 0x7F
        size = int.from_bytes(octets[at + 1 : begin], "big")
    return size, begin


def decode_identifier(content: bytes) -> ApTitle:
    """Read the content octets of an absolute identifier, without tag and length."""
    return decode_title(tlv(UNIVERSAL, content[: MAX_OCTETS + 1]))


def take_uid(octets: bytes, at: int) -> tuple[ApTitle | None, int]:
    """Read an identifier inside a service; give it (None for the empty one) and the place after it.

    The draft of 2008 and tables write relative ones with tag 0D, the final form with 80.
    """
    if at + 2 > len(octets):
        raise ApduRejected("service-length", "an identifier is cut off")
    size, begin = _length(octets, at + 1)
    end = begin + size
    if end > len(octets):
        raise ApduRejected("service-length", "an identifier is cut off")
    title = decode_title(octets[at:end], in_tables=True)
    return (title if title.arcs else None), end


def uid_octets(title: ApTitle | None) -> bytes:
    """Give an identifier as services carry it; None is the empty one."""
    return title.wire() if title is not None else bytes((RELATIVE, 0))


def _arcs(content: bytes) -> tuple[int, ...]:
    arcs, arc, begun = [], 0, False
    for octet in content:
        if octet == 0x80 and not begun:
            raise ApduRejected("bad-oid", "a sub-identifier begins with 80H")
        arc, begun = arc << 7 | octet & 0x7F, bool(octet & 0x80)
        if not begun:
            arcs.append(arc)
            arc = 0
    if begun:
        raise ApduRejected("bad-oid", "a sub-identifier does not end")
    return tuple(arcs)
