"""APDUs in pieces: the form of the draft of January 2008, the only one whose octets are public.

A single source, so it is off unless it is switched on, and everything that
depends on it stands here.  A segment repeats the envelope of the whole, with
A3 (the total) and, as the indirect reference of BE, its offset; its user
information is a piece of the whole APDU.  Security is applied before cutting.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from protocols.c1222.ap_title import absolute
from protocols.c1222.ber import length_octets, tlv
from protocols.c1222.envelope import (
    APDU_TAG,
    Apdu,
    decode_apdu,
    integer_element,
    unsigned,
)
from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError
from protocols.machine import US_PER_S
from protocols.psem.codes import ResponseCode

#: A partial message that is not completed is dropped (deployed: an hour; 60 s suits IP).
REASSEMBLY_TIMEOUT_S = 60
#: Partial messages, their octets together, and disjoint ranges of one, that are kept.
MAX_PARTIALS, MAX_PARTIAL_OCTETS, MAX_RANGES = 64, 1 << 20, 10
#: Elements of the whole that each segment repeats, before and after the total.
_BEFORE_TOTAL, _AFTER_TOTAL = (0xA1, 0xA2), (0xA6, 0xA7, 0xA8)


def split(octets: bytes, max_octets: int) -> list[bytes]:
    """Cut an APDU so that no piece is larger than ``max_octets``; one that fits stays whole."""
    if len(octets) <= max_octets:
        return [octets]
    whole = decode_apdu(octets)
    head = b"".join(whole.elements.get(tag, b"") for tag in _BEFORE_TOTAL)
    head += integer_element(0xA3, len(octets))
    head += b"".join(whole.elements.get(tag, b"") for tag in _AFTER_TOTAL)
    overhead = len(_segment(head, len(octets), bytes(max_octets))) - max_octets
    size = max_octets - overhead
    if size < 1:
        raise LocalProtocolError(f"segments of {max_octets} octets leave no room for a piece")
    return [_segment(head, at, octets[at : at + size]) for at in range(0, len(octets), size)]


def fitting(octets: bytes, max_octets: int | None) -> list[bytes]:
    """Cut what a bearer sends to its size, if it has one; what cannot be cut stays whole.

    That is a segment of somebody else's: a second cut of one is not defined.
    """
    if max_octets is None or len(octets) <= max_octets:
        return [octets]
    try:
        if decode_apdu(octets).is_segment:
            return [octets]
        return split(octets, max_octets)
    except (ApduRejected, LocalProtocolError):
        return [octets]


def _segment(head: bytes, offset: int, piece: bytes) -> bytes:
    octet_aligned = bytes([0x81]) + length_octets(len(piece)) + piece
    external = tlv(0x28, unsigned(offset) + octet_aligned)
    return tlv(APDU_TAG, head + tlv(0xBE, external))


class SegmentRefused(Exception):
    """A set of segments that cannot be joined; ``answer`` is what the peer is told."""

    def __init__(self, reason: str, answer: bytes) -> None:
        self.reason, self.answer = reason, answer
        super().__init__(reason)


@dataclass
class _Partial:
    total: int
    due_us: int
    octets: bytearray
    ranges: list[tuple[int, int]] = field(default_factory=list)


class Joiner:
    """Collects segments by calling title and invocation id, in any order.

    Messages whose rest did not come in time, or for which there was no room, are in ``counts``.
    """

    def __init__(self, max_octets: int, counts: Counter[str] | None = None) -> None:
        self._max_octets = max_octets
        self._counts = Counter() if counts is None else counts
        self._partials: OrderedDict[tuple[tuple[int, ...], int], _Partial] = OrderedDict()
        self._octets = 0

    def offer(self, segment: Apdu, now_us: int) -> bytes | None:
        """Take a segment; give the whole APDU when it completes it.

        SegmentRefused when the set is broken: the partial message is dropped.
        """
        self.expire(now_us)
        total, offset = segment.segment_total, segment.segment_offset
        assert total is not None and offset is not None
        piece = segment.user_information
        if total > self._max_octets:
            limit = self._max_octets.to_bytes(4, "big")
            raise SegmentRefused("too-large", bytes([ResponseCode.rqtl]) + limit)
        key = (absolute(segment.calling), segment.calling_invocation_id)
        try:
            partial = self._partial(key, total, now_us)
            self._fill(partial, offset, piece)
        except ApduRejected as error:
            self._drop(key)
            raise SegmentRefused(error.reason, segmentation_error(offset, len(piece))) from error
        if partial.ranges != [(0, total)]:
            return None
        self._drop(key)
        return self._whole(bytes(partial.octets), segment)

    def expire(self, now_us: int) -> None:
        """Drop partial messages whose time is over."""
        for key in [key for key, one in self._partials.items() if now_us >= one.due_us]:
            self._give_up(key)

    def deadline_us(self) -> int | None:
        """Give when the next partial message is dropped."""
        return min((one.due_us for one in self._partials.values()), default=None)

    def _partial(self, key: tuple[tuple[int, ...], int], total: int, now_us: int) -> _Partial:
        partial = self._partials.get(key)
        if partial is not None and partial.total != total:
            raise ApduRejected("segment-total-differs")
        if partial is None:
            while self._partials and (
                len(self._partials) >= MAX_PARTIALS or self._octets + total > MAX_PARTIAL_OCTETS
            ):
                self._give_up(next(iter(self._partials)))
            due_us = now_us + REASSEMBLY_TIMEOUT_S * US_PER_S
            partial = self._partials[key] = _Partial(total, due_us, bytearray(total))
            self._octets += total
        return partial

    @staticmethod
    def _fill(partial: _Partial, offset: int, piece: bytes) -> None:
        """Enter a piece; an overlap whose octets differ is refused."""
        end = offset + len(piece)
        if not piece or len(piece) == partial.total:
            raise ApduRejected("segment-size", "nothing, or the whole message")
        for begin, stop in partial.ranges:
            low, high = max(begin, offset), min(stop, end)
            if low < high and partial.octets[low:high] != piece[low - offset : high - offset]:
                raise ApduRejected("segment-overlap-differs")
        partial.octets[offset:end] = piece
        merged: list[tuple[int, int]] = []
        for begin, stop in sorted([*partial.ranges, (offset, end)]):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((begin, stop))
        if len(merged) > MAX_RANGES:
            raise ApduRejected("segment-ranges", f"more than {MAX_RANGES} holes")
        partial.ranges = merged

    def _give_up(self, key: tuple[tuple[int, ...], int]) -> None:
        self._counts["dropped segments-missing"] += 1
        self._drop(key)

    def _drop(self, key: tuple[tuple[int, ...], int]) -> None:
        partial = self._partials.pop(key, None)
        if partial is not None:
            self._octets -= partial.total

    @staticmethod
    def _whole(octets: bytes, last: Apdu) -> bytes:
        """Check that the whole has the titles and the id of its segments (our own rule)."""
        refusal = segmentation_error(0, len(octets))
        try:
            whole = decode_apdu(octets)
        except ApduRejected as error:
            raise SegmentRefused(error.reason, refusal) from error
        if whole.is_segment or _names(whole) != _names(last):
            raise SegmentRefused("segment-envelope-differs", refusal)
        return octets


def _names(apdu: Apdu) -> tuple[object, ...]:
    return absolute(apdu.called), absolute(apdu.calling), apdu.calling_invocation_id


def segmentation_error(offset: int, size: int) -> bytes:
    """Give the answer ``sgerr`` with offset and size, of equal width (one source: two octets)."""
    width = 2 if max(offset, size) < 1 << 16 else 4
    words = offset.to_bytes(width, "big") + size.to_bytes(width, "big")
    return bytes([ResponseCode.sgerr]) + words
