"""A modem behind its AT commands (V.250): commands with their results, calls, and what it tells.

A machine without a port.  Commands are carried out one after the other; each
ends with a final result or its time-out.  While a call stands, octets pass
through, and the modem's own NO CARRIER ends it.  Lines have a limit, so a
modem that talks for ever takes no memory.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from protocols.errors import LocalProtocolError
from protocols.machine import Event

COMMAND_US = 10_000_000
#: What a call may take until the far modem has answered.
DIAL_US = 60_000_000
#: Silence around the escape sequence.
GUARD_US = 1_100_000
#: Octets of a call that may begin NO CARRIER are held back for so long: a port may give the
#: modem's words in pieces, and the first piece would be taken for octets of the far end.
HELD_US = 100_000
#: Ends the entry of a message's body; where none is awaited a modem may answer nothing.
ESCAPE, ESCAPE_US = "\x1b", 1_000_000
MAX_LINE_OCTETS = 2048
MAX_QUEUED = 256
#: No echo, results in words, DCD follows the carrier, DTR hangs up, and no call is taken before
#: ATA, which would end it.  Without Z: some modems leave out what stands behind it (V.250, 6.1.1).
INITIALISE = "ATE0Q0V1&C1&D2S0=0"
LOST = b"\r\nNO CARRIER\r\n"
#: What the modem says next may have come with it: a ring, where it is now.
_LOST_AT_END = re.compile(re.escape(LOST) + rb"(?:\r\n[\r\n -~]*)?\Z")

#: The result of what has no result in time.
NO_ANSWER = "no answer"

_GOOD = ("OK",)
_BAD = ("ERROR",)
_BAD_STARTS = ("+CME ERROR", "+CMS ERROR")
#: Results of calls only.  Amid other commands a modem says them of a ring that nobody took.
_BAD_OF_CALLS = ("NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE")
_HANG_UP = "ATH"


class Line(Enum):
    """What the line is for: commands, or a call."""

    COMMAND = "command"
    CALLING = "calling"
    ONLINE = "online"
    ESCAPING = "escaping"


@dataclass(frozen=True)
class CommandDone(Event):
    """A command ended: whether well, its final result, and the lines before it."""

    token: object
    ok: bool
    result: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Told(Event):
    """A line that belongs to no command: RING, +CMTI: …"""

    line: str


@dataclass(frozen=True)
class Connected(Event):
    """A call stands."""


@dataclass(frozen=True)
class CallEnded(Event):
    """A call, or its attempt, has ended; ``reason`` is the modem's word for it."""

    reason: str


@dataclass(frozen=True)
class DataArrived(Event):
    """Octets of the call."""

    octets: bytes


@dataclass(frozen=True)
class _Command:
    text: str
    token: object
    timeout_us: int
    #: What is sent when the modem prompts for it, with Ctrl-Z behind it.
    body: str | None = None
    calls: bool = False

    def goes_with(self, failed: _Command) -> bool:
        """Tell whether this is of no use once another one has failed."""
        return self.body is not None and self.token is failed.token

    def ends_badly_by(self, line: str) -> bool:
        """Tell whether a line is a result that refuses this."""
        of_call = self.calls or self.text == _HANG_UP
        is_bad = line in _BAD or line.startswith(_BAD_STARTS)
        return is_bad or (of_call and line in _BAD_OF_CALLS)


class AtModem:
    """One modem."""

    def __init__(self) -> None:
        self.line = Line.COMMAND
        self._queue: deque[_Command] = deque()
        self._current: _Command | None = None
        self._lines: list[str] = []
        self._buffer = bytearray()
        #: The end of what came in the call: its NO CARRIER may come in pieces.
        self._tail = b""
        self._held = b""
        #: The line feed of CONNECT is still to come: it is no octet of the call.
        self._feeds = False
        self._due_us: int | None = None
        self._out = bytearray()
        self._events: list[Event] = []

    @property
    def stands(self) -> bool:
        """Tell whether a call stands."""
        return self.line is Line.ONLINE

    @property
    def room(self) -> int:
        """Give how many more commands may wait."""
        return MAX_QUEUED - len(self._queue)

    def command(
        self,
        text: str,
        now_us: int,
        token: object = None,
        body: str | None = None,
        timeout_us: int = COMMAND_US,
        first: bool = False,
    ) -> None:
        """Queue a command, ``first`` before all that wait; ``body`` answers the modem's prompt.

        The prompt comes within ``COMMAND_US``, and the result of the body within ``timeout_us``.
        Where a command fails, bodies of the same token that wait are not sent any more.
        """
        self._put(_Command(text, token or text, timeout_us, body), now_us, first)

    def dial(self, number: str, now_us: int) -> None:
        """Call a number: digits and ``*#+,W``."""
        if not is_dialled(number):
            raise LocalProtocolError(f"{number!r:.40} is no number to dial")
        self._put(_Command(f"ATD{number}", "dial", DIAL_US, calls=True), now_us)

    def answer(self, now_us: int) -> None:
        """Take a call that rings; once, however often it rings meanwhile."""
        is_under_way = any(command.calls for command in self._queue)
        if not is_under_way and self.line not in (Line.CALLING, Line.ONLINE):
            self._put(_Command("ATA", "answer", DIAL_US, calls=True), now_us)

    def send(self, octets: bytes) -> None:
        """Send octets of the call; without one they are dropped."""
        if self.stands:
            self._out += octets

    def hang_up(self, now_us: int) -> None:
        """End the call: silence, the escape sequence, silence, ATH."""
        if self.line is Line.ONLINE:
            self._escape(now_us)
        elif self.line is Line.CALLING:
            self._out += b"\r"  # any character ends a dialling
            self._end_command(False, "given up", now_us)

    def end_forgotten_call(self, now_us: int) -> None:
        """End a call that another program took and did not end: in it a modem heeds no command."""
        if self.line is Line.COMMAND and self._current is None:
            self._escape(now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take octets from the modem, in any split."""
        if self.stands:
            self._take_call(data, now_us)
            return
        self._buffer += data
        while not self.stands:
            prompts = self._current is not None and self._current.body is not None
            if prompts and self._buffer.lstrip(b"\r\n").startswith(b">"):
                del self._buffer[: self._buffer.index(b">") + 1]
                assert self._current is not None and self._current.body is not None
                self._out += self._current.body.encode("ascii") + b"\x1a"
                self._due_us = now_us + self._current.timeout_us
                self._current = replace(self._current, body=None)
                continue
            end = self._buffer.find(b"\r")
            end = self._buffer.find(b"\n") if end < 0 else end
            if end < 0:
                del self._buffer[: max(0, len(self._buffer) - MAX_LINE_OCTETS)]
                return
            line = bytes(self._buffer[:end]).decode("ascii", "replace").strip()
            del self._buffer[: end + 1]
            if line:
                self._take_line(line, now_us)
        rest, self._buffer, self._feeds = bytes(self._buffer), bytearray(), True
        if rest:
            self._take_call(rest, now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs, and go on with the escape from a call."""
        if self._due_us is None or now_us < self._due_us:
            return
        self._due_us = None
        if self.line is Line.ONLINE:
            held, self._held = self._held, b""
            self._give(held)
        elif self.line is Line.ESCAPING and not self._lines:
            self._lines.append("+++")
            self._out += b"+++"
            self._due_us = now_us + GUARD_US
        elif self.line is Line.ESCAPING:
            self._offline("hung up")
            self._queue.appendleft(_Command(_HANG_UP, _HANG_UP, COMMAND_US))
            self._next(now_us)
        elif self._current is not None:
            if self._current.body is not None:  # the prompt may still come, and take what follows
                self._queue.appendleft(_Command(ESCAPE, ESCAPE, ESCAPE_US))
            self._end_command(False, NO_ANSWER, now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return self._due_us

    def outgoing(self) -> bytes:
        """Give the octets for the modem."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def events(self) -> Sequence[Event]:
        """Give what happened."""
        events, self._events = self._events, []
        return events

    def _put(self, command: _Command, now_us: int, first: bool = False) -> None:
        if not self.room:
            raise LocalProtocolError(f"{MAX_QUEUED} commands wait for the modem already")
        if first:
            self._queue.appendleft(command)
        else:
            self._queue.append(command)
        self._next(now_us)

    def _next(self, now_us: int) -> None:
        if self._current is not None or not self._queue or self.line is not Line.COMMAND:
            return
        self._current = command = self._queue.popleft()
        self._lines.clear()
        self._out += command.text.encode("ascii") + b"\r"
        self._due_us = now_us + (command.timeout_us if command.body is None else COMMAND_US)
        if command.calls:
            self.line = Line.CALLING

    def _escape(self, now_us: int) -> None:
        self.line = Line.ESCAPING
        self._lines.clear()
        self._due_us = now_us + GUARD_US

    def _take_line(self, line: str, now_us: int) -> None:
        command = self._current
        if command is None:
            self._events.append(Told(line))
        elif line == command.text:
            return  # its echo
        elif command.calls and line.startswith("CONNECT"):
            self.line, self._current, self._due_us = Line.ONLINE, None, None
            self._events.append(Connected())
        elif line in _GOOD and not command.calls:
            self._end_command(True, line, now_us)
        elif command.ends_badly_by(line):
            self._end_command(False, line, now_us)
        elif _is_unasked(line, command.text):
            self._events.append(Told(line))
        elif len(self._lines) < MAX_QUEUED:
            self._lines.append(line)

    def _end_command(self, ok: bool, result: str, now_us: int) -> None:
        command, self._current, self._due_us = self._current, None, None
        if command is None:
            return
        if command.calls:
            self.line = Line.COMMAND
            self._events.append(CallEnded(result))
        else:
            lines = tuple(self._lines)
            self._events.append(CommandDone(command.token, ok, result, lines))
            if not ok:
                self._queue = deque(one for one in self._queue if not one.goes_with(command))
        self._next(now_us)

    def _take_call(self, data: bytes, now_us: int) -> None:
        if self._feeds:
            data, self._feeds = data.removeprefix(b"\n"), False
        data = self._held + data
        before = len(self._tail)
        lost = _LOST_AT_END.search(self._tail + data)
        end = lost.start() - before if lost else len(data) - _begun(data)
        self._held = b"" if lost else data[end:]
        self._due_us = now_us + HELD_US if self._held else None
        self._give(data[: max(0, end)])
        if lost:
            self._offline("NO CARRIER")
            self._next(now_us)

    def _give(self, octets: bytes) -> None:
        self._tail = (self._tail + octets)[-len(LOST) :]
        if octets:
            self._events.append(DataArrived(octets))

    def _offline(self, reason: str) -> None:
        self.line, self._due_us = Line.COMMAND, None
        self._tail = self._held = b""
        self._lines.clear()
        self._buffer.clear()
        self._events.append(CallEnded(reason))


def is_dialled(number: str) -> bool:
    """Tell whether a text is what a modem dials: digits and ``*#+,W``, where , and W wait."""
    return bool(number) and set(number) <= set("0123456789*#+,W")


def _begun(data: bytes) -> int:
    """Tell how many octets at the end of some may be the beginning of NO CARRIER."""
    return next((n for n in range(len(LOST) - 1, 0, -1) if data.endswith(LOST[:n])), 0)


def _is_unasked(line: str, command: str) -> bool:
    """Tell a line that the modem says by itself from one that answers a command."""
    name = line.partition(":")[0]
    return line in ("RING", *_BAD_OF_CALLS) or (
        name in ("+CMTI", "+CREG", "+CRING") and name[1:] not in command
    )
