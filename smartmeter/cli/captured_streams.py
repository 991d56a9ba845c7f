"""The TCP streams of a capture: their messages cut out, and what else they hold counted.

A capture may hold millions of connections: what is known of those that were silent for longest
is added up and forgotten.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.c1222.ber import take_length
from protocols.c1222.envelope import APDU_TAG, ORDER
from protocols.c1222.errors import ApduRejected
from protocols.c1222.native_address import DEFAULT_PORT
from protocols.c1222.stream import ApduStream
from protocols.transports.ip_packets import Segment
from protocols.transports.tcp_streams import Piece, StreamJoiner, Way

#: Directions of connections at once.
MAX_STREAMS = 65_536
#: A receiver may take less; a capture tells what was sent.
MAX_APDU_OCTETS = 1 << 20
#: Sequence numbers of TCP begin again behind the last one.
_NUMBERS = 0xFFFFFFFF
#: The elements with which a message may begin: the id (A8) and those before it.
_FIRST_ELEMENTS = range(0xA1, 0xA9)
_ID = 0xA8
#: The tag of a message and its length, before such an element.
_HEAD = re.compile(rb"\x60(?=(?:[\x00-\x7f]|\x81.|\x82..|\x83...)[\xa1-\xa8])", re.DOTALL)
#: How what these hold begins: titles, the context, and numbers.
_CONTENT = {0xA1: b"\x06", 0xA2: b"\x06\x80", 0xA6: b"\x06\x80"}
_NUMBER = b"\x02"


def seems_message(octets: bytes, size: int) -> bool:
    """Tell whether ``size`` octets, of which these were kept, look like one message.

    On ports of others one in 256 begins with its tag, as DNS or what is encrypted may.
    """
    try:
        length, at = take_length(octets, 1)
    except ApduRejected:
        return False
    begins = octets[0] == APDU_TAG and octets[at : at + 1] != b"" and octets[at] in _FIRST_ELEMENTS
    return begins and at + length == size


def find_message(octets: bytes) -> int | None:
    """Give where the first message begins, as its elements up to its id tell; None: nowhere.

    One octet in 256 is the first of a message, in one message in the middle of another.
    """
    heads = (found.start() for found in _HEAD.finditer(octets))
    return next((at for at in heads if _is_told(octets, at)), None)


def _is_told(octets: bytes, at: int) -> bool:
    """Tell whether a message begins here by its elements, in their order, up to its id."""
    try:
        length, at = take_length(octets, at + 1)
        end, order = at + length, iter(ORDER)
        while length <= MAX_APDU_OCTETS and (tag := octets[at]) in order:
            size, begin = take_length(octets, at + 1)
            at = begin + size
            if at > end or octets[begin] not in _CONTENT.get(tag, _NUMBER):
                return False
            if tag == _ID:
                return 3 <= size <= 6 and octets[begin + 1] == size - 2 and at <= len(octets)
    except (ApduRejected, IndexError):
        pass  # not, or not yet
    return False


def _whole_messages(octets: bytes) -> list[bytes]:
    """Give the messages that octets consist of; none where there is anything else."""
    stream = ApduStream(MAX_APDU_OCTETS)
    try:
        found = stream.feed(octets)
        stream.check()
    except ApduRejected:
        return []
    is_whole = not stream.pending and all(find_message(one) == 0 for one in found)
    return found if is_whole else []


@dataclass(slots=True)
class _Stream:
    """One direction of a connection; ``apdus`` is None where it begins with no message.

    ``foreign``: octets that are no messages; ``cut``: packets of which the recorder kept a part;
    ``late``: where messages began that came behind those that follow them.
    """

    apdus: ApduStream | None = None
    packets: int = 0
    cut: int = 0
    foreign: int = 0
    speaks: bool = False
    late: set[int] = field(default_factory=set)


class CapturedStreams:
    """All streams of one capture.  The counts are whole after ``finish``.

    On connections of C12.22, ``cut_short`` counts octets of messages that were not captured whole,
    ``foreign`` octets that are of no message, ``gaps`` places where packets, perhaps whole
    messages, were not captured, and ``cut_packets`` packets of which the recorder kept only a
    part, perhaps without any octet of a message; ``others`` are packets of all other connections.
    """

    def __init__(self) -> None:
        self._joiner = StreamJoiner(APDU_TAG, find_message)
        self._streams: OrderedDict[Way, _Stream] = OrderedDict()
        self.cut_short = self.gaps = self.cut_packets = self.foreign = self.others = 0

    def offer(self, segment: Segment, cut: int = 0) -> list[bytes]:
        """Give the messages that a segment completes; ``cut`` octets of it were not kept."""
        way = (segment.source, segment.destination)
        stream = self._streams.setdefault(way, _Stream())
        self._streams.move_to_end(way)
        stream.packets += 1
        stream.cut += cut > 0
        while len(self._streams) > MAX_STREAMS:
            self._add_up(next(iter(self._streams)))
        if self._joiner.is_late(segment) and (found := _whole_messages(segment.payload)):
            return self._only_once(stream, segment.sequence, found)
        return [apdu for piece in self._joiner.offer(segment) for apdu in self._cut_out(way, piece)]

    @staticmethod
    def _only_once(stream: _Stream, at: int, late: list[bytes]) -> list[bytes]:
        """Give messages that came late, but not those that come again."""
        found = []
        for apdu in late:
            if at not in stream.late:
                stream.late.add(at)
                found.append(apdu)
            at = at + len(apdu) & _NUMBERS
        stream.speaks = True
        return found

    def finish(self) -> Iterator[tuple[Way, bytes]]:
        """The capture has ended: give what is there behind gaps."""
        for way, piece in self._joiner.finish():
            for apdu in self._cut_out(way, piece):
                yield way, apdu
        for way in list(self._streams):
            self._add_up(way)

    def _cut_out(self, way: Way, piece: Piece) -> list[bytes]:
        """Give the APDUs that a piece completes; a stream of anything else is left alone."""
        stream = self._streams[way]
        if piece.anew:
            if stream.apdus is not None:
                self._joiner.lost[way] += stream.apdus.pending
            begins = piece.octets[0] == APDU_TAG
            stream.apdus = ApduStream(MAX_APDU_OCTETS) if begins else None
        if stream.apdus is None:
            stream.foreign += len(piece.octets)
            return []
        found: list[bytes] = []
        try:
            found = stream.apdus.feed(piece.octets)
            stream.apdus.check()
        except ApduRejected:
            stream.foreign += stream.apdus.pending
            stream.apdus = None
            self._joiner.astray(way)
        while found and not self._is_ours(way) and not seems_message(found[0], len(found[0])):
            stream.foreign += len(found.pop(0))
        stream.speaks |= bool(found)
        return found

    def _add_up(self, way: Way) -> None:
        """Forget a stream, but for what it adds to the counts."""
        is_ours, stream = self._is_ours(way), self._streams.pop(way)
        rest, gaps = self._joiner.lost.pop(way, 0), self._joiner.gaps.pop(way, 0)
        rest += stream.apdus.pending if stream.apdus is not None else 0
        if is_ours:
            self.cut_short += rest
            self.gaps += gaps
            self.cut_packets += stream.cut
            self.foreign += stream.foreign
        else:
            self.others += stream.packets

    def _is_ours(self, way: Way) -> bool:
        """Tell whether a stream carries C12.22: by its port, or by a message seen in it."""
        ends = (self._streams.get(one) for one in (way, way[::-1]))
        spoken = any(one.speaks for one in ends if one is not None)
        return spoken or DEFAULT_PORT in (way[0][1], way[1][1])
