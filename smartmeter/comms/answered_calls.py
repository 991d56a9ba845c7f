"""C12.22 in telephone calls, from the head-end or relay: its modem answers nodes that dial.

The other end of ``modem:NUMBER@PORT``.  A modem has one call at a time, so a
caller that begins no message, or has nothing more to say, is hung up on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.machine import Event, HangUp
from protocols.modem.answering import AnsweringModem
from protocols.modem.at import CommandDone
from protocols.transports.capture import carried_notes
from smartmeter.base.clock import US_PER_S, monotonic_us
from smartmeter.comms.carrier import begun_again
from smartmeter.comms.machine_line import run_on_port
from smartmeter.comms.paths import Handler
from smartmeter.comms.sockets import MAX_UNSENT_OCTETS, PATIENCE_S
from smartmeter.comms.standing import Standing

#: A call over which no message has come for so long keeps the line from others.
IDLE_US = 600 * US_PER_S


class CallPath:
    """One call; a node that calls again has another path."""

    is_stream, is_slow = True, False
    local, remote = ("0.0.0.0", 0), ("a telephone call", 0)

    def __init__(self, line: CalledLine) -> None:
        self._line = line

    def send(self, octets: bytes) -> None:
        """Send one APDU; a call that has ended drops it."""
        self._line.send(self, octets)


class CalledLine:
    """The machine behind a modem that answers: APDUs of one call after the other."""

    def __init__(self, handler: Handler, limit: int, counts: Counter[str]) -> None:
        self._handler, self._limit, self._counts = handler, limit, counts
        self._stream = ApduStream(limit)
        self._path: CallPath | None = None
        self._due_us: int | None = None
        self._out = bytearray()
        self._events: list[Event] = []
        self._notes = carried_notes("telephone call", listens=True)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take octets of the call; what is no message ends it."""
        path = self._path
        if path is None or self._due_us is None:
            return  # no call, or one that is being ended
        try:
            found = self._stream.feed(data)
        except ApduRejected as error:
            self._refuse(path, error.reason)
            return
        for octets in found:
            self._due_us = now_us + IDLE_US
            self._notes.received(octets)
            self._handler.receive(path, octets)
        if found:
            self._handler.received()
        try:
            self._stream.check()
        except ApduRejected as error:
            self._refuse(path, error.reason)

    def expire(self, now_us: int) -> None:
        """Hang up on who has nothing to say."""
        if self._due_us is not None and now_us >= self._due_us and self._path is not None:
            self._refuse(self._path, "too-slow")

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return self._due_us

    def outgoing(self) -> bytes:
        """Give the octets of the call."""
        octets, self._out = bytes(self._out), bytearray()
        return octets

    def sent(self, now_us: int) -> None:
        """The octets have left: nothing hangs on it."""

    def events(self) -> Sequence[Event]:
        """Give HangUp when a call is to end."""
        events, self._events = self._events, []
        return events

    def line_began(self, now_us: int) -> None:
        """A call has been taken."""
        self._path, self._stream = CallPath(self), ApduStream(self._limit)
        self._due_us = now_us + int(PATIENCE_S * US_PER_S)

    def line_lost(self, now_us: int) -> None:
        """The call has ended."""
        path, self._path = self._path, None
        self._due_us = None
        self._out.clear()
        if path is not None:
            self._handler.closed(path)

    def send(self, path: CallPath, octets: bytes) -> None:
        """Send one APDU, if the call is still the one of the path."""
        if path is not self._path or len(self._out) > MAX_UNSENT_OCTETS:
            self._counts["unsent"] += 1
            return
        self._notes.sent(octets)
        self._out += octets

    def _refuse(self, path: CallPath, reason: str) -> None:
        self._counts[f"call ended {reason}"] += 1
        self._handler.refused(path, reason)
        self._due_us = None
        self._events.append(HangUp(reason))


class CallCarrier:
    """A head-end's or relay's modem that answers the telephone."""

    def __init__(
        self,
        port: str,
        limit: int,
        counts: Counter[str] | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._port, self._limit = port, limit
        self.counts = Counter() if counts is None else counts
        self._standing = standing or Standing()
        self._line: CalledLine

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; a modem that fails is begun with again, less and less often."""
        self._line = CalledLine(handler, self._limit, self.counts)
        await begun_again(lambda: run_on_port(self._port, self._make, self._heed), self._lost)

    def _make(self, now_us: int) -> AnsweringModem:
        return AnsweringModem(self._line, now_us)

    def _heed(self, event: Event) -> None:
        """Take note of how the modem does; the line tells its handler of calls itself."""
        match event:
            case CommandDone(ok=True):
                self._standing.works()
            case CommandDone(result=result):
                self._standing.fails(f"it was initialised: {result}")

    def _lost(self, why: str) -> None:
        self.counts["modem lost"] += 1
        self._standing.fails(why)
        self._line.line_lost(monotonic_us())
