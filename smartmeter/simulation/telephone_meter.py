"""A simulated meter behind a modem: C12.21 on the telephone, beside its optical port."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocols.c1221.server import CallOptions, CallServer
from protocols.machine import Event
from protocols.modem.answering import AnsweringModem
from smartmeter.meter.meter import Meter
from smartmeter.meter.tables import port_of


class TelephoneMeter:
    """The machine at the modem's port; the meter goes on measuring behind it."""

    def __init__(
        self, meter: Meter, ticket: Callable[[], bytes], identity: int, now_us: int
    ) -> None:
        self.meter = meter
        self._modem = AnsweringModem(
            CallServer(port_of(meter), CallOptions(ticket, identity)), now_us
        )
        self.receive, self.outgoing = self._modem.receive, self._modem.outgoing
        self.sent = self._modem.sent

    def expire(self, now_us: int) -> None:
        """Measure, and act on time-outs of the call."""
        self.meter.expire(now_us)
        self._modem.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = (self.meter.deadline_us(), self._modem.deadline_us())
        return min((due for due in dues if due is not None), default=None)

    def events(self) -> Sequence[Event]:
        """Give nothing."""
        return ()
