"""A simulated meter behind a modem: C12.21 on the telephone, beside its optical port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from protocols.c1221.server import CallOptions, CallServer
from protocols.machine import Event, earliest
from protocols.modem.answering import AnsweringModem
from protocols.transports.capture import Notes
from smartmeter.meter.meter import Meter
from smartmeter.meter.optical_port import OpticalPort


class KeyedPort(OpticalPort):
    """A device whose clients may prove a key instead of a password (C12.21, 5.4).

    The standard does not say what ST-45's keys open: here key ``n`` opens what the password
    ``n`` of ST-42 does, and a key beyond them nothing.
    """

    def __init__(self, meter: Meter, keys: Mapping[int, bytes]) -> None:
        super().__init__(meter)
        self._access, self._keys = meter.access, keys

    def authentication_key(self, key_id: int) -> bytes | None:
        """Give a key, or None."""
        return self._keys.get(key_id)

    def authenticated(self, key_id: int, now_us: int) -> None:
        """Grant what the key opens."""
        passwords = self._access.rules.passwords
        if key_id < len(passwords):
            self._access.groups |= passwords[key_id][1]


class _Noted:
    """A device in a call, and what is said there: the modem's commands are no part of it."""

    def __init__(self, server: CallServer, notes: Notes) -> None:
        self._server, self._notes = server, notes
        self.expire, self.deadline_us = server.expire, server.deadline_us
        self.sent, self.events = server.sent, server.events
        self.line_began, self.line_lost = server.line_began, server.line_lost

    def receive(self, data: bytes, now_us: int) -> None:
        """Note, and take."""
        self._notes.received(data)
        self._server.receive(data, now_us)

    def outgoing(self) -> bytes:
        """Give, and note."""
        data = self._server.outgoing()
        if data:
            self._notes.sent(data)
        return data


class TelephoneMeter:
    """The machine at the modem's port; the meter goes on measuring behind it.

    ``notes`` are told what passes in calls.
    """

    def __init__(
        self,
        meter: Meter,
        ticket: Callable[[], bytes],
        identity: int,
        now_us: int,
        keys: Mapping[int, bytes] | None,
        notes: Notes,
    ) -> None:
        self.meter = meter
        device = KeyedPort(meter, keys) if keys else OpticalPort(meter)
        server = _Noted(CallServer(device, CallOptions(ticket, identity)), notes)
        self._modem = AnsweringModem(server, now_us)
        self.receive, self.outgoing = self._modem.receive, self._modem.outgoing
        self.sent = self._modem.sent

    def expire(self, now_us: int) -> None:
        """Measure, and act on time-outs of the call."""
        self.meter.expire(now_us)
        self._modem.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(self.meter.deadline_us(), self._modem.deadline_us())

    def events(self) -> Sequence[Event]:
        """Give nothing."""
        return ()
