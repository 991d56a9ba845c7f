"""Payloads of captured TCP segments put in order, each direction of each connection by itself.

What comes again is dropped, what comes early waits.  Where the beginning was
not captured, or something in the middle, it goes on with the next message.
What was not captured is counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocols.transports.ip_packets import MAX_STREAMS, Endpoint, Segment

#: Segments that wait for one before them, and those that wait for any beginning.
MAX_WAITING, MAX_WITHOUT_BEGINNING = 64, 16
#: Of small segments so many octets wait for a beginning that the head of a message is among them.
HEAD_OCTETS = 256
#: So far before the first octet given, or behind it, a segment that came late may lie.
LATE_OCTETS = 1 << 16
#: No window of TCP is larger (RFC 7323), so nothing that is sent again lies farther behind.
MAX_WINDOW = 1 << 30
_NUMBERS = 0xFFFFFFFF
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
    first one behind those that came with SYN, ``run`` the first one behind the last gap (of a
    longer run the first that can be sent again), ``first`` the first one given while that is near.
    """

    expected: int | None = None
    begun: int | None = None
    run: int | None = None
    led: int | None = None
    first: int | None = None
    anew: bool = True
    waiting: dict[int, bytes] = field(default_factory=dict)


class StreamJoiner:
    """All streams of one capture.  ``begin`` is how a message begins; None: with any octet.

    ``find`` gives where in octets a message begins that cannot be mistaken: behind a gap a
    segment that begins like one may be the middle of another.  Beyond MAX_STREAMS the stream that
    was silent for longest is forgotten.
    """

    def __init__(
        self, begin: int | None = None, find: Callable[[bytes], int | None] | None = None
    ) -> None:
        self._begin, self._find = begin, find
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
            sequence = sequence + 1 & _NUMBERS
            known = self._ways.get(way)
            if known is None or known.begun != sequence or known.expected != known.led:
                led = sequence + len(segment.payload) & _NUMBERS
                pieces = self._rest(way, known) if known is not None else []
                self._ways[way] = _State(sequence, sequence, sequence, led)
        state = self._ways.setdefault(way, _State())
        self._ways.move_to_end(way)
        if len(self._ways) > MAX_STREAMS:
            old, forgotten = self._ways.popitem(last=False)
            self.lost[old] += sum(map(len, forgotten.waiting.values()))
        if not segment.payload:
            return pieces
        if _too_far(sequence, state):
            pieces += self._rest(way, state)
        if len(segment.payload) > len(state.waiting.get(sequence, b"")):
            state.waiting[sequence] = segment.payload
        pieces += self._available(way, state)
        waits_far = sequence in state.waiting and _too_far(sequence, state)
        if len(state.waiting) > MAX_WAITING or waits_far:
            pieces += self._behind_gap(way, state)
        return pieces

    def is_late(self, segment: Segment) -> bool:
        """Tell whether a segment lies close before all that was given of a stream without its
        beginning: it came late, and none of it was given."""
        state = self._ways.get((segment.source, segment.destination))
        if state is None or state.begun is not None or state.first is None or segment.begins:
            return False
        return len(segment.payload) <= -_ahead(segment.sequence, state.first) <= LATE_OCTETS

    def astray(self, way: Way) -> None:
        """What was taken for a beginning, as none was captured, was none: look for another."""
        state = self._ways.get(way)
        if state is not None and state.begun is None:
            state.expected = None

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
                state.waiting.clear()
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
            if len(payload) > 1 and (before := -_ahead(sequence, state.run)) > 0:
                self.lost[way] += min(before, len(payload))
            out += fresh
            state.expected = state.expected + len(fresh) & _NUMBERS
            if state.first is not None and _ahead(state.expected, state.first) > LATE_OCTETS:
                state.first = None
            if _ahead(state.expected, state.run) > MAX_WINDOW:
                state.run = state.expected - MAX_WINDOW & _NUMBERS
        if not out:
            return []
        anew, state.anew = state.anew, False
        return [Piece(out, anew)]

    def _find_beginning(self, way: Way, state: _State) -> bool:
        """Go on with the first message that is found; what is before it is lost."""
        first = next(iter(state.waiting))
        in_order = sorted(state.waiting, key=lambda one: _ahead(one, first))
        found = self._beginning(state, in_order)
        if found is not None:
            # Behind a gap it is not the first one.
            state.first = found if state.run is None else None
            state.expected, state.run, state.anew = found, found, True
            before = [one for one in in_order if -_ahead(one, found) >= len(state.waiting[one])]
        else:
            octets = sum(map(len, state.waiting.values()))
            is_much = len(in_order) > MAX_WITHOUT_BEGINNING and octets > HEAD_OCTETS
            # The last may hold the head of one.
            before = in_order[:-1] if is_much else []
        for sequence in before:
            self.lost[way] += len(state.waiting.pop(sequence))
        return found is not None

    def _beginning(self, state: _State, in_order: list[int]) -> int | None:
        if self._begin is None:
            return in_order[0]
        if self._find is not None:
            for start, octets in _runs((one, state.waiting[one]) for one in in_order):
                if (at := self._find(octets)) is not None:
                    return start + at & _NUMBERS
            if state.run is not None:
                return None
        begins = (one for one in in_order if state.waiting[one][0] == self._begin)
        return next(begins, None)


def _runs(segments: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Join segments, which are in order, as far as none is missing between them."""
    runs: list[tuple[int, bytes]] = []
    for sequence, payload in segments:
        start, octets = runs[-1] if runs else (sequence, b"")
        again = len(octets) - _ahead(sequence, start)
        if again < 0:
            runs.append((sequence, payload))
        else:
            runs[-1:] = [(start, octets + payload[again:])]
    return runs


def _too_far(sequence: int, state: _State) -> bool:
    """Tell whether nobody sends so far ahead: what is between was sent, and not captured."""
    return state.expected is not None and _ahead(sequence, state.expected) > MAX_WINDOW


def _ahead(sequence: int, expected: int) -> int:
    """Give how far a sequence number is ahead of another, negative for behind."""
    return (sequence - expected + MAX_WINDOW & _NUMBERS) - MAX_WINDOW
