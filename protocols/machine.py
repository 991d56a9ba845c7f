"""What every protocol machine is: bytes and instants in, bytes and events out.

A machine holds the rules and no port, clock or random source.  Its host, a
shell in ``protocols.transports`` or a simulation, carries the bytes and tells
the time, so that the same code runs on a serial probe, a socket and a
simulated street.

Monotonic time is an integer count of microseconds, passed in as ``now_us``;
it never goes back and has no relation to the calendar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

US_PER_S = 1_000_000


class Event:
    """Something that happened inside a machine; the base of all events, values all of them."""

    __slots__ = ()


@dataclass(frozen=True)
class SetBaud(Event):
    """The host sets the line to ``baud`` once all bytes written so far have left."""

    baud: int


@dataclass(frozen=True)
class HangUp(Event):
    """The host closes the line."""

    reason: str


def earliest(*dues: int | None) -> int | None:
    """Give the first of several instants, of which None is none; None when there is none at all."""
    first = None  # a loop, since every machine asks this at every step
    for due in dues:
        if due is not None and (first is None or due < first):
            first = due
    return first


class Machine(Protocol):
    """A byte machine: one port, no I/O."""

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the line, in any split."""

    def expire(self, now_us: int) -> None:
        """The instant that ``deadline_us`` named has come."""

    def deadline_us(self) -> int | None:
        """Give the instant at which ``expire`` is wanted, or None."""

    def outgoing(self) -> bytes:
        """Give the bytes to write now, and forget them."""

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left the line; timers start here."""

    def events(self) -> Sequence[Event]:
        """Give what happened since the last call, and forget it."""


class UtcClock(Protocol):
    """A calendar clock that a machine may ask: UTC from a monotonic instant."""

    def utc_us(self, now_us: int) -> int | None:
        """Give microseconds since 1970-01-01 UTC, or None while the clock is not set."""
