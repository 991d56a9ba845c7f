"""The client's side of C12.18: a machine that runs scripts against a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from protocols.datalink.link import (
    DEFAULT_PACKET_OCTETS,
    DEFAULT_PACKETS,
    Collision,
    Link,
    LinkFailed,
    MessageDelivered,
    MessageReceived,
)
from protocols.datalink.packet import MAX_PACKET_OCTETS
from protocols.errors import LinkError, LocalProtocolError, ProtocolError, RemoteProtocolError
from protocols.machine import Event, SetBaud
from protocols.psem.codec import decode_response, encode_request
from protocols.psem.codes import BAUDS, ResponseCode
from protocols.psem.services import Identify, Negotiate, Request, Response, Terminate

#: How long an answer may take after the request was acknowledged.
ANSWER_TIMEOUT_US = 6_000_000
#: bsy and dnr are repeated so often, so far apart.
BUSY_REPEATS = 20
BUSY_PAUSE_US = 500_000
#: After a change of speed the line rests.
BAUD_PAUSE_US = 50_000
START_BAUD = 9600
#: Scripts waiting for their turn.
MAX_QUEUED = 64


@dataclass(frozen=True)
class Pause:
    """A script's wish to rest for so many microseconds; answered with an empty ``ok``."""

    duration_us: int


Step: TypeAlias = Request | Pause


@dataclass
class ClientLimits:
    """What the device granted, kept up to date by the client; scripts split by it."""

    packet_octets: int = DEFAULT_PACKET_OCTETS
    packets: int = DEFAULT_PACKETS

    @property
    def max_read(self) -> int:
        """Give the table octets that fit one Read answer."""
        return min((self.packet_octets - 8) * self.packets - 4, 0xFFFF)

    @property
    def max_write(self) -> int:
        """Give the table octets that fit one full Write."""
        return min((self.packet_octets - 8) * self.packets - 6, 0xFFFF)


@dataclass(frozen=True)
class ClientOptions:
    """What may be set where a device needs it."""

    max_packet_octets: int = 8192
    answer_timeout_us: int = ANSWER_TIMEOUT_US
    identity: int = 0


@dataclass(frozen=True)
class ScriptDone(Event):
    """A script returned."""

    token: object
    result: Any


@dataclass(frozen=True)
class ScriptFailed(Event):
    """A script ended with an error."""

    token: object
    error: ProtocolError


@dataclass
class _Running:
    script: Generator[Step, Response, Any]
    token: object
    request: Request | None = None
    repeats: int = 0
    held: Response | None = None


class Client:
    """Runs scripts one after the other; a write is never repeated by itself."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self._link = Link(Collision.IMPLIED_ACK, MAX_PACKET_OCTETS)
        self._link.identity = self._options.identity
        self.limits = ClientLimits()
        self._baud = START_BAUD
        self._queue: deque[_Running] = deque()
        self._running: _Running | None = None
        self._answer_due_us: int | None = None
        self._pause_until_us: int | None = None
        self._events: list[Event] = []

    @property
    def busy(self) -> bool:
        """Tell whether a script runs or waits."""
        return self._running is not None

    def run(self, script: Generator[Step, Response, Any], token: object, now_us: int) -> None:
        """Queue a script; ``token`` comes back with its result."""
        if len(self._queue) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} scripts are waiting already")
        self._queue.append(_Running(script, token))
        if self._running is None:
            self._start_next(now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the port."""
        self._link.receive(data, now_us)
        self._drain(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs and on the end of a pause."""
        self._link.expire(now_us)
        self._drain(now_us)
        if self._pause_until_us is not None and now_us >= self._pause_until_us:
            self._pause_until_us = None
            self._after_pause(now_us)
        if self._answer_due_us is not None and now_us >= self._answer_due_us:
            self._answer_due_us = None
            self._lost(LinkError("no answer after the request was acknowledged"), now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = (self._link.deadline_us(), self._answer_due_us, self._pause_until_us)
        return min((due for due in dues if due is not None), default=None)

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        return self._link.outgoing()

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self._link.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give ends of scripts and changes of speed."""
        events, self._events = self._events, []
        return events

    def _start_next(self, now_us: int) -> None:
        if self._queue:
            self._running = self._queue.popleft()
            self._step(None, now_us)
        else:
            self._running = None

    def _step(self, response: Response | ProtocolError | None, now_us: int) -> None:
        """Give a script its answer (or error), and do what it asks for next."""
        running = self._running
        assert running is not None
        try:
            if isinstance(response, ProtocolError):
                step = running.script.throw(response)
            elif response is None:
                step = next(running.script)
            else:
                step = running.script.send(response)
            running.repeats = 0
            self._do(step, now_us)
        except StopIteration as stop:
            self._finish(ScriptDone(running.token, stop.value), now_us)
        except ProtocolError as error:
            self._finish(ScriptFailed(running.token, error), now_us)

    def _finish(self, event: Event, now_us: int) -> None:
        self._events.append(event)
        self._start_next(now_us)

    def _do(self, step: Step, now_us: int) -> None:
        running = self._running
        assert running is not None
        if isinstance(step, Pause):
            running.request = None
            self._pause_until_us = now_us + step.duration_us
            return
        running.request = step
        if isinstance(step, Identify):
            self._to_base()
        self._link.send(encode_request(step), now_us)

    def _after_pause(self, now_us: int) -> None:
        running = self._running
        if running is None:
            return
        if running.repeats and running.request is not None:
            self._link.send(encode_request(running.request), now_us)
            return
        response, running.held = running.held or Response(ResponseCode.ok), None
        self._step(response, now_us)

    def _drain(self, now_us: int) -> None:
        for event in self._link.events():
            if isinstance(event, MessageDelivered):
                if self._running is not None and self._running.request is not None:
                    self._answer_due_us = now_us + self._options.answer_timeout_us
            elif isinstance(event, LinkFailed):
                self._answer_due_us = None
                self._lost(LinkError("no acknowledgment after four transmissions"), now_us)
            elif isinstance(event, MessageReceived):
                self._take(event.data, now_us)

    def _take(self, data: bytes, now_us: int) -> None:
        if 0x20 <= data[0] <= 0x7F:
            # Logoff or Terminate from the device: say ok; what is under way has lost its session.
            self._link.send(bytes([ResponseCode.ok]), now_us)
            if self._running is not None and self._running.request is not None:
                self._answer_due_us = None
                self._lost(LinkError("the meter ended the session"), now_us)
            return
        running = self._running
        if running is None or running.request is None or self._answer_due_us is None:
            return  # an answer to nobody: left over from a session before
        if isinstance(running.request, Identify) and data[0] == 0 and len(data) < 3:
            return
        self._answer_due_us = None
        try:
            response = decode_response(data)
        except RemoteProtocolError as error:
            self._step(error, now_us)
            return
        busy = response.code in (ResponseCode.bsy, ResponseCode.dnr)
        if busy and running.repeats < BUSY_REPEATS:
            running.repeats += 1
            self._pause_until_us = now_us + BUSY_PAUSE_US
            return
        running.repeats = 0
        if response.ok and self._adopt(running.request, response, now_us):
            running.held = response
            return
        self._step(response, now_us)

    def _adopt(self, request: Request, response: Response, now_us: int) -> bool:
        """Take over what an ``ok`` changes; True when the line must rest before going on."""
        if isinstance(request, Terminate):
            self._to_base()
        if not isinstance(request, Negotiate) or len(response.data) < 3:
            return False
        own = self._options.max_packet_octets
        size = min(int.from_bytes(response.data[:2], "big"), own)
        packets = response.data[2] or 1
        if size < 32:
            return False
        self.limits.packet_octets, self.limits.packets = size, packets
        self._link.set_limits(size, packets, MAX_PACKET_OCTETS)
        baud = BAUDS.get(response.data[3]) if len(response.data) > 3 else None
        offered = [BAUDS[code] for code in request.bauds if code in BAUDS]
        if baud is None or baud == self._baud or baud not in offered:
            return False
        # The event goes out after our ACK of this answer: both ends change speed now.
        self._baud = baud
        self._events.append(SetBaud(baud))
        self._pause_until_us = now_us + BAUD_PAUSE_US
        return True

    def _to_base(self) -> None:
        self._link.forget()
        self.limits.packet_octets = DEFAULT_PACKET_OCTETS
        self.limits.packets = DEFAULT_PACKETS
        self._link.set_limits(DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS, MAX_PACKET_OCTETS)
        if self._baud != START_BAUD:
            self._baud = START_BAUD
            self._events.append(SetBaud(START_BAUD))

    def _lost(self, error: LinkError, now_us: int) -> None:
        """The session is gone: the script that runs ends with the error."""
        self._pause_until_us = None
        running, self._running = self._running, None
        self._to_base()
        if running is None:
            return
        running.script.close()
        self._events.append(ScriptFailed(running.token, error))
        self._start_next(now_us)
