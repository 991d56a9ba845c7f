"""A modem that answers the telephone, and what is behind it: one machine for the modem's port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocols.machine import Event, HangUp, Machine, earliest
from protocols.modem.at import (
    INITIALISE,
    NO_ANSWER,
    AtModem,
    CallEnded,
    CommandDone,
    Connected,
    DataArrived,
    Told,
)

RING = "RING"
#: A modem that was switched off and on has forgotten what it was told: it is told again.
REMIND_US = 300_000_000


class Called(Machine, Protocol):
    """A machine that is called: a C12.21 device, or a host of C12.22.

    It is told when a call begins, and when one has ended; its event HangUp ends one.
    """

    def line_began(self, now_us: int) -> None:
        """A call begins."""

    def line_lost(self, now_us: int) -> None:
        """The call has ended."""


class AnsweringModem:
    """Takes each call that rings, serves it, and hangs up when the call is over."""

    def __init__(self, server: Called, now_us: int) -> None:
        self._server = server
        self._modem = AtModem()
        self._modem.command(INITIALISE, now_us)
        self._remind_us = now_us + REMIND_US
        #: Whether it has been freed of a call that we know nothing of, since it was reminded.
        self._was_freed = False
        self._events: list[Event] = []

    def receive(self, data: bytes, now_us: int) -> None:
        """Take octets from the modem."""
        self._modem.receive(data, now_us)
        self._heed(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs of the call and of the modem."""
        self._server.expire(now_us)
        self._modem.expire(now_us)
        if now_us >= self._remind_us:
            self._remind_us, self._was_freed = now_us + REMIND_US, False
            if not self._modem.stands:
                self._modem.command(INITIALISE, now_us)
        self._heed(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(self._server.deadline_us(), self._modem.deadline_us(), self._remind_us)

    def outgoing(self) -> bytes:
        """Give the octets for the modem."""
        if octets := self._server.outgoing():
            self._modem.send(octets)
        return self._modem.outgoing()

    def sent(self, now_us: int) -> None:
        """The octets have left: response timers start here."""
        self._server.sent(now_us)
        self._heed(now_us)

    def events(self) -> Sequence[Event]:
        """Give CommandDone when the modem was initialised, or would not be."""
        events, self._events = self._events, []
        return events

    def _heed(self, now_us: int) -> None:
        for event in self._modem.events():
            match event:
                case Told(line) if line == RING:
                    self._modem.answer(now_us)
                case CommandDone(token, result=result) if token == INITIALISE:
                    self._events.append(event)
                    if result == NO_ANSWER and not self._was_freed:
                        self._was_freed = True
                        self._modem.end_forgotten_call(now_us)
                        self._modem.command(INITIALISE, now_us)
                case DataArrived(octets):
                    self._server.receive(octets, now_us)
                case Connected():
                    self._server.line_began(now_us)
                case CallEnded():
                    self._server.line_lost(now_us)
        for event in self._server.events():
            if isinstance(event, HangUp):
                self._flush_then_hang_up(now_us)

    def _flush_then_hang_up(self, now_us: int) -> None:
        """Say what is left to say, then end the call."""
        self._modem.send(self._server.outgoing())
        self._modem.hang_up(now_us)
