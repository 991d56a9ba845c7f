"""The client's side of C12.18: a machine that runs scripts against a device.

A script asks for one step after the other and is given the answers, or the
error that ended the link: it may then begin a new session.  Where a meter deviates
from the standard, client and link adapt to it and note it in ``quirks``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocols.c1218.awaited import AwaitedAnswer
from protocols.c1218.grant import granted
from protocols.c1218.steps import ClientLimits, Pause, Script, Speed, Step
from protocols.c1218.transfer import SESSION_LOST
from protocols.datalink.link import (
    DEFAULT_PACKET_OCTETS,
    DEFAULT_PACKETS,
    Collision,
    Link,
    LinkFailed,
    MessageDelivered,
    MessageReceived,
    PacketPassed,
)
from protocols.datalink.packet import MAX_PACKET_OCTETS, OVERHEAD_OCTETS
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    NotAcknowledged,
    NotAnswered,
    PacketRefused,
    ProtocolError,
    RemoteProtocolError,
    SessionEnded,
)
from protocols.machine import Event, SetBaud, earliest
from protocols.psem.codec import decode_response, encode_request, request_type
from protocols.psem.codes import START_BAUD, ResponseCode
from protocols.psem.services import (
    READS,
    WRITES,
    Disconnect,
    Identify,
    Logoff,
    Logon,
    Negotiate,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
)
from protocols.quirks import Quirk, Quirks

#: How long an answer may take after the request was acknowledged: the channel traffic
#: time-out, since no other limit exists; some meters write first and answer then.
ANSWER_TIMEOUT_US = 6_000_000
WRITE_ANSWER_TIMEOUT_US = 20_000_000
#: bsy and dnr are repeated so often, so far apart.
BUSY_REPEATS = 20
BUSY_PAUSE_US = 500_000
#: After a change of speed the line rests.
BAUD_PAUSE_US = 50_000
#: After such a rest a session may be over by the time a request has arrived: the
#: channel traffic time-out, less a second.
REST_US = 5_000_000
#: Scripts waiting for their turn.
MAX_QUEUED = 64
#: Packets of one answer, whatever was negotiated.
MAX_PACKETS = 255

#: What is answered by a code alone; of Logon two octets of idle time may follow it.
PLAINLY_ANSWERED = (Logon, Security, Logoff, Terminate, Wait, *WRITES)
MAX_PLAIN_OCTETS = 3
#: The only requests that a device may send.
ENDINGS = (Logoff, Terminate, Disconnect)


@dataclass(frozen=True)
class ClientOptions:
    """What may be set where a device needs it.

    ``assume`` are quirks taken for granted from the start, ``strict`` such as are not
    tolerated.  ``nak_poke`` sends a NAK after each response time-out without an answer.
    """

    max_packet_octets: int = MAX_PACKET_OCTETS
    answer_timeout_us: int = ANSWER_TIMEOUT_US
    identity: int = 0
    write_answer_timeout_us: int = WRITE_ANSWER_TIMEOUT_US
    timing: Timing = DEFAULT_TIMING
    assume: frozenset[Quirk] = frozenset()
    strict: frozenset[Quirk] = frozenset()
    nak_poke: bool = False


@dataclass(frozen=True)
class ScriptDone(Event):
    """A script returned."""

    token: object
    result: Any

    def outcome(self) -> Any:
        """Give the result."""
        return self.result


@dataclass(frozen=True)
class ScriptFailed(Event):
    """A script ended with an error."""

    token: object
    error: ProtocolError

    def outcome(self) -> Any:
        """Raise the error."""
        raise self.error


@dataclass(frozen=True)
class EndedByMeter(Event):
    """The device ended the session while nothing was asked of it."""


@dataclass(frozen=True)
class Exchanged:
    """When a request was first given to the line, and when its answer was there.

    The device made its answer between the two: one that was lost was sent again as it was.
    """

    asked_us: int
    answered_us: int


@dataclass
class _Running:
    script: Script[Any]
    token: object
    request: Request | None = None
    repeats: int = 0
    #: What the script is given after a pause; None: then its request is sent (again).
    answer: Response | None = None


class Client:
    """Runs scripts one after the other.

    A write that may have been carried out is never repeated.
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self.quirks = Quirks(self._options.assume, self._options.strict)
        tolerant = self.quirks.tolerates(Quirk.IMPLIED_ACK)
        collision = Collision.IMPLIED_ACK if tolerant else Collision.REPEAT
        self._link = Link(collision, MAX_PACKET_OCTETS, self._options.timing, self.quirks)
        self._link.identity = self._options.identity
        self.limits = ClientLimits(quirks=self.quirks)
        self._set_limits(DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS)
        self._baud = START_BAUD
        #: The speed from when all has left.
        self._baud_after_sent: int | None = None
        #: No table was read since the logon.
        self._first_read = False
        self._queue: deque[_Running] = deque()
        self._running: _Running | None = None
        #: The last request that was answered.
        self.exchanged = Exchanged(0, 0)
        #: The script that runs began after a rest, and nothing was answered since.
        self.rested = False
        self._asked_us = 0
        self._awaited = AwaitedAnswer()
        self._pause_until_us: int | None = None
        self._events: list[Event] = []

    @property
    def busy(self) -> bool:
        """Tell whether a script runs or waits."""
        return self._running is not None

    @property
    def quiet(self) -> bool:
        """Tell whether nothing waits to be written; a shell does not leave before."""
        return self._link.quiet

    @property
    def baud(self) -> int:
        """Give the line's speed."""
        return self._baud

    def run(self, script: Script[Any], token: object, now_us: int) -> None:
        """Queue a script; ``token`` comes back with its result."""
        if len(self._queue) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} scripts are waiting already")
        self._queue.append(_Running(script, token))
        if self._running is None:
            self._start_next(now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the port."""
        for event in self._link.receive(data, now_us):
            self._heed(event, now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs and on the end of a pause."""
        self._link.expire(now_us)
        for event in self._link.events():
            self._heed(event, now_us)
        if self._pause_until_us is not None and now_us >= self._pause_until_us:
            self._pause_until_us = None
            self._after_pause(now_us)
        answer_due_us = self._silence_due_us()
        if answer_due_us is not None and now_us >= answer_due_us:
            self.line_lost(NotAnswered("no answer after the request was acknowledged"), now_us)
        if self._awaited.is_to_be_poked(now_us):
            self._link.poke(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        waiting_us = (self._silence_due_us(), self._awaited.poke_due_us, self._pause_until_us)
        return earliest(self._link.deadline_us(), *waiting_us)

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        return self._link.outgoing()

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left: response timers and new speeds start here."""
        self._link.sent(now_us)
        if self._baud_after_sent is not None and self._link.quiet:
            self._change_speed(self._baud_after_sent, now_us)

    def events(self) -> Sequence[Event]:
        """Give ends of scripts and changes of speed."""
        events, self._events = self._events, []
        return events

    def line_lost(self, error: LinkError, now_us: int) -> None:
        """The session is gone: the script that runs is told, and may begin a new one."""
        self._awaited.end()
        self._pause_until_us = None
        self._link.doubt_meter()
        self._to_base()
        if self._running is not None:
            self._resume(error, now_us)

    # Scripts.

    def _start_next(self, now_us: int) -> None:
        if self._queue:
            self._running = self._queue.popleft()
            self.rested = now_us - self.exchanged.answered_us > REST_US
            self._resume(None, now_us)
        else:
            self._running = None

    def _resume(self, response: Response | ProtocolError | None, now_us: int) -> None:
        """Give a script its answer (or error), and do what it asks for next."""
        running = self._running
        assert running is not None
        running.repeats, running.request = 0, None
        try:
            if isinstance(response, ProtocolError):
                step = running.script.throw(response)
            elif response is None:
                step = next(running.script)
            else:
                step = running.script.send(response)
            self._begin(step, now_us)
        except StopIteration as stop:
            self._finish(ScriptDone(running.token, stop.value), now_us)
        except ProtocolError as error:
            self._finish(ScriptFailed(running.token, error), now_us)

    def _finish(self, event: Event, now_us: int) -> None:
        self._events.append(event)
        self._start_next(now_us)

    def _begin(self, step: Step, now_us: int) -> None:
        """Do what a script asks for, or begin the pause after which it is done."""
        running = self._running
        assert running is not None
        running.answer = Response(ResponseCode.ok)
        if isinstance(step, Pause):
            self._pause_until_us = now_us + step.duration_us
        elif isinstance(step, Speed):
            self._change_speed(step.baud, now_us)
        else:
            running.request, running.answer = step, None
            if isinstance(step, Identify):
                self._to_base()
            if self._baud_after_sent is not None:
                self._change_speed(self._baud_after_sent, now_us)  # then it is sent
            elif self._pause_until_us is None:
                self._send(step, now_us)

    def _send(self, request: Request, now_us: int) -> None:
        ones_complement = self.quirks.on(Quirk.ONES_COMPLEMENT)
        octets = encode_request(request, ones_complement)
        if self._link.busy:
            self._link.abandon()  # our answer to a Logoff of the device: it is settled anyway
        self._asked_us = now_us
        self._link.send(octets, now_us, wake=isinstance(request, Identify))

    def _after_pause(self, now_us: int) -> None:
        running = self._running
        if running is None:
            return
        if running.answer is None:
            assert running.request is not None
            try:
                self._send(running.request, now_us)
            except LocalProtocolError as error:
                self._resume(error, now_us)  # what was granted has changed meanwhile
            return
        response, running.answer = running.answer, None
        self._resume(response, now_us)

    # The link.

    def _heed(self, event: Event, now_us: int) -> None:
        if isinstance(event, MessageDelivered):
            if not self._awaited.is_awaited:  # or it was our refusal of a request of the device
                self._await_answer(now_us)
        elif isinstance(event, LinkFailed):
            self.line_lost(self._not_acknowledged(event), now_us)
        elif isinstance(event, MessageReceived):
            self._take(event.data, now_us)
        elif isinstance(event, PacketPassed):
            self._awaited.packet_passed(self._link.gathered, now_us)

    def _not_acknowledged(self, event: LinkFailed) -> NotAcknowledged:
        times = self._link.timing.retries + 1
        doctor = f"{times} transmissions; smartmeter doctor PORT tells why"
        if not event.refused:
            return NotAcknowledged(f"nobody acknowledges, {doctor}")
        refused = f"each copy of our packet was refused (NAK), {doctor}"
        if self._awaited.is_awaited:  # it was what we said to a request of the device:
            return NotAcknowledged(refused)  # our own request was taken before
        return PacketRefused(refused)

    def _await_answer(self, now_us: int) -> None:
        if self._running is None or self._running.request is None:
            return
        options = self._options
        writes = isinstance(self._running.request, WRITES)
        patience_us = options.write_answer_timeout_us if writes else options.answer_timeout_us
        poke_us = self._link.timing.response_us if options.nak_poke else None
        self._awaited.begin(patience_us, poke_us, now_us)

    def _silence_due_us(self) -> int | None:
        """Give when an answer is overdue: not while a packet of it is coming."""
        return None if self._link.receiving else self._awaited.due_us

    def _take(self, data: bytes, now_us: int) -> None:
        if 0x20 <= data[0] <= 0x7F:
            self._take_request(data[0], now_us)
            return
        running = self._running
        if running is None or running.request is None or not self._awaited.is_awaited:
            self.quirks.note(Quirk.STALE_ANSWER)  # an answer to nobody
            return
        if data[0] == ResponseCode.ok and _is_of_another(running.request, data):
            self.quirks.note(Quirk.STALE_ANSWER)  # the answer is still to come: waited on
            return
        if self._awaited.waited_us(now_us) > ANSWER_TIMEOUT_US:
            self.quirks.note(Quirk.SLOW)
        self._awaited.end()
        try:
            response = decode_response(data)
        except RemoteProtocolError as error:
            self._resume(error, now_us)
            return
        self.exchanged, self.rested = Exchanged(self._asked_us, now_us), False
        if isinstance(running.request, WRITES) and self._may_be_done(response):
            text = "the meter had ended the session when a copy of the write came"
            self.line_lost(SessionEnded(text), now_us)
        elif self._asks_again(running, response):
            running.repeats += 1
            self._pause_until_us = now_us + BUSY_PAUSE_US
        else:
            if response.ok:
                self._adopt(running.request, response)
            if self._baud_after_sent is None:
                self._resume(response, now_us)
            else:
                running.answer = response  # the script goes on once the speed has changed

    def _take_request(self, code: int, now_us: int) -> None:
        """An ending from the device: say ok; what is under way has lost its session."""
        if self._link.busy:
            return  # our request crosses it, and will be answered isss
        known = request_type(code) in ENDINGS
        self._link.send(bytes([ResponseCode.ok if known else ResponseCode.sns]), now_us)
        if not known:
            return
        self.quirks.note(Quirk.ENDED_BY_METER)
        if self._running is not None and self._running.request is not None:
            self.line_lost(SessionEnded("the meter ended the session"), now_us)
        else:
            self._events.append(EndedByMeter())

    def _may_be_done(self, response: Response) -> bool:
        """Tell whether a copy was refused for want of a session, and the first may be done."""
        return response.code in SESSION_LOST and self._link.repeated

    def _asks_again(self, running: _Running, response: Response) -> bool:
        """Tell whether a request was not carried out and is to be sent again after a pause."""
        request, code = running.request, response.code
        if code == ResponseCode.PRIVATE:
            self.quirks.note(Quirk.PRIVATE_CODE)
        if isinstance(request, READS):
            first, self._first_read = self._first_read, False
            if first and code == ResponseCode.err and self.quirks.tolerates(Quirk.ERR_AT_FIRST):
                self.quirks.note(Quirk.ERR_AT_FIRST)
                return True
        if code not in (ResponseCode.bsy, ResponseCode.dnr) or running.repeats >= BUSY_REPEATS:
            return False
        self.quirks.note(Quirk.BUSY)
        return self.quirks.tolerates(Quirk.BUSY)

    # What an answer changes.

    def _adopt(self, request: Request, response: Response) -> None:
        """Take over what an ``ok`` changes."""
        if isinstance(request, Terminate):
            self._to_base()
        elif isinstance(request, Logon):
            self._first_read = True
        elif isinstance(request, Negotiate):
            self._adopt_grant(request, response.data)

    def _adopt_grant(self, request: Negotiate, answer: bytes) -> None:
        grant = granted(request, answer, self._options.max_packet_octets, self.quirks)
        if grant is None:
            return
        self._set_limits(grant.packet_octets, grant.packets)
        if grant.baud not in (None, self._baud):
            # Both ends change speed once our ACK of this answer has left.
            self._baud_after_sent = grant.baud

    def _set_limits(self, packet_octets: int, packets: int) -> None:
        self.limits.packet_octets, self.limits.packets = packet_octets, packets
        tolerant = self.quirks.tolerates(Quirk.LONG_UNASKED)
        receive = MAX_PACKET_OCTETS if tolerant else packet_octets
        if not tolerant and self.quirks.tolerates(Quirk.SIZE_IS_DATA):
            receive += OVERHEAD_OCTETS if packet_octets != DEFAULT_PACKET_OCTETS else 0
        self._link.set_limits(packet_octets, packets, receive, MAX_PACKETS)

    def _change_speed(self, baud: int, now_us: int) -> None:
        self._baud_after_sent = None
        self._baud = baud
        self._events.append(SetBaud(baud))
        self._pause_until_us = max(self._pause_until_us or 0, now_us + BAUD_PAUSE_US)

    def _to_base(self) -> None:
        """Return to what holds before Identify; the speed changes when all has left."""
        self._link.forget()
        self._set_limits(DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS)
        self.limits.offset_reads = True  # who is identified next may be another meter
        self._baud_after_sent = START_BAUD if self._baud != START_BAUD else None


def _is_of_another(request: Request, answer: bytes) -> bool:
    """Tell an ``ok`` that by its length cannot be the answer to a request."""
    if isinstance(request, PLAINLY_ANSWERED):
        return len(answer) > MAX_PLAIN_OCTETS
    return isinstance(request, Identify) and len(answer) < 3
