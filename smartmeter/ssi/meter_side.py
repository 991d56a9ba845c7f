"""The module's hand at the optical port: one C12.18 session a job, most urgent job first.

The port belongs to the meter's owner too: between two jobs no session is
open.  How long jobs that only watch keep it is counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Protocol

from ansi_tables.errors import TableError
from protocols.c1218.client import Client, ClientOptions, Exchanged, ScriptDone, ScriptFailed
from protocols.c1218.scripts import LogonSettings, close_session, in_session, open_session
from protocols.c1218.steps import ClientLimits, Script
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.errors import (
    LinkError,
    NotAcknowledged,
    OutcomeUnknown,
    PacketRefused,
    ProtocolError,
    RemoteProtocolError,
)
from protocols.machine import Event, Machine, SetBaud
from smartmeter.ssi.guard import Guard, Permission, WriteDenied, guarded

MAX_JOBS = 64
#: Until a password that was refused is given again: soon where somebody else's tries have locked
#: the meter, and so rarely in the end that our own do not keep it locked for everybody.
FIRST_PAUSE_US, MAX_PAUSE_US = 60_000_000, 21_600_000_000

#: A job's work, inside an open session.
Work = Callable[[ClientLimits], Script[Any]]


class Priority(IntEnum):
    """Who goes first at the port."""

    REQUEST = 0
    EXCEPTION = 1
    SCHEDULE = 2
    WATCH = 3


@dataclass(frozen=True)
class JobDone(Event):
    """A job's result; ``line_us`` is how long the port was taken.

    ``last`` is when what it read last was read: to close a session may take seconds more.
    """

    token: object
    result: Any
    line_us: int
    last: Exchanged


@dataclass(frozen=True)
class JobFailed(Event):
    """A job that could not be done; ``in_session``: after the meter had let the module in."""

    token: object
    error: ProtocolError
    line_us: int
    in_session: bool = False


class Jobs(Protocol):
    """Takes jobs for the meter."""

    def submit(
        self, priority: Priority, work: Work, token: object, now_us: int, rank: int = 0
    ) -> bool:
        """Queue a job; ``token`` comes back with its end.  False when too many wait.

        Of one priority the lower ``rank`` goes first, then who came first.
        """

    def tells_changes(self, table: int) -> bool:
        """Tell whether the host tells of every change of a table (``Module.table_changed``)."""


class MeterDoor(Machine, Jobs, Protocol):
    """A way to the meter's tables, as the module uses it."""

    guard: Guard
    #: What became of the password when it was given last; None before, and where there is none.
    #: One that was refused is given ever more rarely, until this is set to None.
    password_accepted: bool | None

    def ended(self) -> list[Event]:
        """Give the jobs that have ended: JobDone and JobFailed."""


class MeterSide:
    """A door at the end of an optical port: C12.18, byte by byte."""

    def __init__(
        self,
        logon: LogonSettings,
        permission: Permission | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        # A module asks again by itself: it does not wait for a meter that is silent.
        self._logon = logon = replace(logon, attempts=1)
        self.guard = Guard(permission)
        self.password_accepted: bool | None = None
        self._short = replace(logon, negotiate=False)
        self._pause_us, self._prove_us = FIRST_PAUSE_US, 0
        self.client = Client(ClientOptions(timing=timing))
        self._queue: list[tuple[int, int, int, object, Work]] = []
        self._order = 0
        self._active: object = None
        self._in_session = False
        self._since_us = 0
        self._last = Exchanged(0, 0)
        self._events: list[Event] = []
        self._speeds: list[Event] = []

    def submit(
        self, priority: Priority, work: Work, token: object, now_us: int, rank: int = 0
    ) -> bool:
        """Queue a job; ``token`` comes back with its end.  False when too many wait."""
        if len(self._queue) >= MAX_JOBS:
            return False
        self._order += 1
        heapq.heappush(self._queue, (priority, rank, self._order, token, work))
        self._next(now_us)
        return True

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the port."""
        self.client.receive(data, now_us)
        self._drain(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs."""
        self.client.expire(now_us)
        self._drain(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return self.client.deadline_us()

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        return self.client.outgoing()

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self.client.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give changes of speed, for the port's host."""
        speeds, self._speeds = self._speeds, []
        return speeds

    def ended(self) -> list[Event]:
        """Give the jobs that have ended, for the module."""
        events, self._events = self._events, []
        return events

    def tells_changes(self, table: int) -> bool:
        """A line tells nothing by itself: one must look."""
        return False

    def _next(self, now_us: int) -> None:
        if self._active is not None or not self._queue:
            return
        priority, _, _, token, work = heapq.heappop(self._queue)
        self._active, self._since_us = (token,), now_us
        logon = self._short if priority == Priority.WATCH else self._logon
        if self.password_accepted is False:
            logon = self._after_refusal(logon, now_us)
        else:
            self._pause_us, self._prove_us = FIRST_PAUSE_US, 0
        self.client.run(self._session(logon, work), token, now_us)
        self._drain(now_us)

    def _after_refusal(self, logon: LogonSettings, now_us: int) -> LogonSettings:
        """Give how to log on where the password was refused: seldom with it."""
        if now_us < self._prove_us:
            return replace(logon, password=None)
        self._prove_us = now_us + self._pause_us
        self._pause_us = min(2 * self._pause_us, MAX_PAUSE_US)
        return logon

    def _session(self, logon: LogonSettings, work: Work) -> Script[Any]:
        self._in_session = False
        opened = yield from open_session(logon, self.client.quirks)
        self._in_session = True
        if opened.password_accepted is not None:
            self.password_accepted = opened.password_accepted
        try:
            job = guarded(in_session(work(self.client.limits)), self.guard, self._denied)
            result = yield from job
            self._last = self.client.exchanged
        except (ProtocolError, TableError) as error:
            if not _nobody_there(error):
                yield from self._end_session()
            if isinstance(error, TableError):
                raise RemoteProtocolError(f"a table of the meter: {error}") from error
            raise
        yield from self._end_session()
        return result

    def _end_session(self) -> Script[None]:
        """End the session; what was done in it was done, whatever the meter says, if anything."""
        with suppress(LinkError, RemoteProtocolError):
            yield from close_session(self.client.quirks)

    def _denied(self, event: WriteDenied) -> None:
        self._events.append(event)

    def _drain(self, now_us: int) -> None:
        for event in self.client.events():
            taken_us = now_us - self._since_us
            match event:
                case ScriptDone(token, result):
                    self._events.append(JobDone(token, result, taken_us, self._last))
                    self._active = None
                case ScriptFailed(token, error):
                    self._events.append(JobFailed(token, error, taken_us, self._in_session))
                    self._active = None
                case SetBaud():
                    self._speeds.append(event)
        self._next(now_us)


def _nobody_there(error: Exception) -> bool:
    """Tell whether nobody was heard any more: to end a session takes eight seconds in vain."""
    cause = error.__cause__ if isinstance(error, OutcomeUnknown) else error
    return isinstance(cause, NotAcknowledged) and not isinstance(cause, PacketRefused)
