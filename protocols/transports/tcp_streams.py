"""Payloads of captured TCP segments put in order, each direction of each connection by itself.

What comes again is dropped, what comes early waits.  Where the beginning was
not captured, or something in the middle, it goes on with the first segment
that begins as a message does.  What was not captured is counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from protocols.transports.ip_packets import MAX_STREAMS, Endpoint, Segment

#: Segments that wait for one before them, and those that wait for any beginning.
MAX_WAITING, MAX_WITHOUT_BEGINNING = 64, 16
Way = tuple[Endpoint, Endpoint]


@dataclass(frozen=True)
class Piece:
    """Octets in their order; ``anew``: they do not follow those before them."""

    octets: bytes
    anew: bool


@dataclass
class _State:
    """One direction of a connection, in sequence numbers of octets.

    ``expected`` is the next octet to give, ``begun`` the first one of the connection, ``led`` the
    first one behind those that came with SYN, ``run`` the first one behind the last gap.
    """

    expected: int | None = None
    begun: int | None = None
    run: int | None = None
    led: int | None = None
    anew: bool = True
    waiting: dict[int, bytes] = field(default_factory=dict)


class StreamJoiner:
    """All streams of one capture.  ``begin`` is how a message begins; None: with any octet.

    Beyond MAX_STREAMS the one that was silent for longest is forgotten.
    """

    def __init__(self, begin: int | None = None) -> None:
        self._begin = begin
        self._ways: OrderedDict[Way, _State] = OrderedDict()
        #: Octets that could not be put in order, and places where some were not captured.
        self.lost: Counter[Way] = Counter()
        self.gaps: Counter[Way] = Counter()

    def offer(self, segment: Segment) -> list[Piece]:
        """Give what this segment makes available."""
        way = (segment.source, segment.destination)
        sequence = segment.sequence
        pieces = []
        if segment.begins:
            sequence = sequence + 1 & 0xFFFFFFFF
            known = self._ways.get(way)
            if known is None or known.begun != sequence or known.expected != known.led:
                led = sequence + len(segment.payload) & 0xFFFFFFFF
                pieces = self._rest(way, known) if known is not None else []
                self._ways[way] = _State(sequence, sequence, sequence, led)
        state = self._ways.setdefault(way, _State())
        self._ways.move_to_end(way)
        if len(self._ways) > MAX_STREAMS:
            old, forgotten = self._ways.popitem(last=False)
            self.lost[old] += sum(map(len, forgotten.waiting.values()))
        if not segment.payload:
            return pieces
        if len(segment.payload) > len(state.waiting.get(sequence, b"")):
            state.waiting[sequence] = segment.payload
        pieces += self._available(way, state)
        if len(state.waiting) > MAX_WAITING:
            pieces += self._behind_gap(way, state)
        return pieces

    def finish(self) -> list[tuple[Way, Piece]]:
        """The capture has ended: give what is there behind gaps."""
        return [(way, one) for way, state in self._ways.items() for one in self._rest(way, state)]

    def _rest(self, way: Way, state: _State) -> list[Piece]:
        """Give what a connection left behind gaps; what begins no message is lost."""
        found: list[Piece] = []
        while state.waiting:
            pieces = self._behind_gap(way, state)
            if not pieces:
                self.lost[way] += sum(map(len, state.waiting.values()))
                break
            found += pieces
        return found

    def _behind_gap(self, way: Way, state: _State) -> list[Piece]:
        """Go on without the octets that are waited for."""
        if state.expected is not None:
            self.gaps[way] += 1
            state.expected = None
        return self._available(way, state)

    def _available(self, way: Way, state: _State) -> list[Piece]:
        if state.expected is None and not self._find_beginning(way, state):
            return []
        assert state.expected is not None and state.run is not None
        expected, out = state.expected, b""
        for sequence in sorted(state.waiting, key=lambda one: _ahead(one, expected)):
            ahead = _ahead(sequence, state.expected)
            if ahead > 0:
                break
            payload = state.waiting.pop(sequence)
            fresh = payload[-ahead:] if ahead else payload
            # A single octet before the first asks whether the peer is still there.
            if len(payload) > 1 and (before := _ahead(state.run, sequence)) > 0:
                self.lost[way] += min(before, len(payload))
            out += fresh
            state.expected = state.expected + len(fresh) & 0xFFFFFFFF
        if not out:
            return []
        anew, state.anew = state.anew, False
        return [Piece(out, anew)]

    def _find_beginning(self, way: Way, state: _State) -> bool:
        """Go on with the first segment that begins a message; what is before it is lost."""
        first = next(iter(state.waiting))
        in_order = sorted(state.waiting, key=lambda one: _ahead(one, first))
        for place, sequence in enumerate(in_order):
            if self._begin is None or state.waiting[sequence][0] == self._begin:
                for before in in_order[:place]:
                    self.lost[way] += len(state.waiting.pop(before))
                state.expected, state.run, state.anew = sequence, sequence, True
                return True
        if len(in_order) > MAX_WITHOUT_BEGINNING:
            self.lost[way] += sum(map(len, state.waiting.values()))
            state.waiting.clear()
        return False


def _ahead(sequence: int, expected: int) -> int:
    """Give how far a sequence number is ahead of another, negative for behind."""
    return (sequence - expected + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
