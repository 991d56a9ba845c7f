"""The line to a device under test: octets and instants, with no rule of the protocol in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from protocols.errors import PortError
from protocols.machine import Machine, SetBaud
from protocols.psem.codes import START_BAUD
from protocols.transports.port import Port

BITS_AN_OCTET = 10
CHUNK_OCTETS = 16
#: The longest single wait on a port, so that a key press is seen.
MAX_WAIT_US = 200_000


class Line(Protocol):
    """What the bench asks of a line, be it real or simulated.

    ``exact``: octets take their time on it, and instants are true to the microsecond.
    """

    exact: bool

    def now_us(self) -> int:
        """Give the time; it never goes back."""

    def write(self, data: bytes) -> None:
        """Send octets; returns when the last has left."""

    def read(self, until_us: int) -> bytes:
        """Give what came first, or nothing when it is ``until_us``."""

    def set_baud(self, baud: int) -> None:
        """Change our speed."""

    def cut(self) -> bool:
        """Lose the carrier of a call and call again; False where there is none."""

    def reopen(self) -> None:
        """Open a port anew that has gone; PortError when it cannot be."""

    def close(self) -> None:
        """Let the line go."""


@runtime_checkable
class InACall(Protocol):
    """A machine at the other end of a call."""

    def line_lost(self, now_us: int) -> None:
        """The carrier has gone."""


class SimulatedLine:
    """A machine at the other end, in virtual time: an hour of silence costs nothing.

    When our speed is not the device's, what is sent is lost, as on a real line.
    """

    exact = True

    def __init__(self, machine: Machine, now_us: int = 1_000_000) -> None:
        self._machine = machine
        self._now_us = now_us
        self._ours = self._theirs = self._speaks_at = START_BAUD
        self._rest = b""

    def now_us(self) -> int:
        """Give the virtual time."""
        return self._now_us

    def write(self, data: bytes) -> None:
        """Let the octets take their time, and hand them over in chunks, as a UART would."""
        for at in range(0, len(data), CHUNK_OCTETS):
            chunk = data[at : at + CHUNK_OCTETS]
            self._pass_to(self._now_us + len(chunk) * self._octet_us(self._ours))
            if self._ours == self._theirs:
                self._machine.receive(chunk, self._now_us)
                self._events()

    def read(self, until_us: int) -> bytes:
        """Let the machine speak, or time pass, until then; the first octet comes by itself."""
        while True:
            if self._rest:
                data, self._rest = self._rest, b""
                if heard := self._arrived(data, last=True):
                    return heard
                continue
            if data := self._machine.outgoing():
                self._speaks_at = self._theirs
                self._rest = data[1:]
                if heard := self._arrived(data[:1], last=not self._rest):
                    return heard
                continue
            self._events()
            if self._now_us >= until_us:
                return b""
            due_us = self._machine.deadline_us()
            if due_us is None or due_us > until_us:
                self._now_us = until_us
                continue
            self._now_us = max(self._now_us, due_us)
            self._machine.expire(self._now_us)

    def _arrived(self, data: bytes, last: bool) -> bytes:
        """Let octets take their time; give them, or nothing when our speed is another."""
        self._now_us += len(data) * self._octet_us(self._speaks_at)
        if last:
            self._machine.sent(self._now_us)
            self._events()
        return data if self._speaks_at == self._ours else b""

    def set_baud(self, baud: int) -> None:
        """Change our speed."""
        self._ours = baud

    def cut(self) -> bool:
        """Lose the carrier, where the machine is in a call."""
        if not isinstance(self._machine, InACall):
            return False
        self._machine.line_lost(self._now_us)
        self._rest = b""
        return True

    def reopen(self) -> None:
        """Do nothing: the machine stays."""

    def close(self) -> None:
        """Do nothing: the machine stays."""

    def _pass_to(self, until_us: int) -> None:
        """Let time pass while we send: what the machine says meanwhile waits."""
        while (due_us := self._machine.deadline_us()) is not None and due_us < until_us:
            self._now_us = max(self._now_us, due_us)
            self._machine.expire(self._now_us)
            if (after_us := self._machine.deadline_us()) is not None and after_us <= due_us:
                break  # it waits for its octets to be taken
        self._now_us = until_us

    def _events(self) -> None:
        for event in self._machine.events():
            if isinstance(event, SetBaud):
                self._theirs = event.baud

    @staticmethod
    def _octet_us(baud: int) -> int:
        return BITS_AN_OCTET * 1_000_000 // baud


class PortLine:
    """A real port; ``now_us`` is the computer's monotonic clock.

    ``again`` opens one anew that has gone.  ``hangs_up``: that is no fault, and is done
    without a word, since devices of C12.21 end their calls.
    """

    exact = False

    def __init__(
        self,
        port: Port,
        now_us: Callable[[], int],
        again: Callable[[], Port] | None = None,
        hangs_up: bool = False,
    ) -> None:
        self._port = port
        self._clock_us = now_us
        self._again = again
        self._hangs_up = hangs_up

    def now_us(self) -> int:
        """Give the computer's time."""
        return self._clock_us()

    def write(self, data: bytes) -> None:
        """Write; the port returns when it has left as far as it can tell."""
        try:
            self._port.write(data)
        except PortError as error:
            self._call_again(error)
            self._port.write(data)

    def _call_again(self, error: PortError) -> None:
        """Open a port anew whose call has ended: the device at its end is in Base state."""
        if not self._hangs_up:
            raise error
        self.reopen()

    def reopen(self) -> None:
        """Open a port anew that has gone; PortError when it cannot be."""
        if self._again is None:
            raise PortError("the port has gone, and nobody can open it anew")
        self.close()
        self._port = self._again()

    def read(self, until_us: int) -> bytes:
        """Wait for octets; empty when none came."""
        while True:
            left_us = until_us - self._clock_us()
            try:
                if data := self._port.read(max(0, min(left_us, MAX_WAIT_US)) / 1e6):
                    return data
            except PortError as error:
                self._call_again(error)
            if left_us <= 0:
                return b""

    def set_baud(self, baud: int) -> None:
        """Change our speed; a port that cannot is told by its PortError."""
        self._port.set_baud(baud)

    def cut(self) -> bool:
        """End the call and begin another."""
        if not self._hangs_up:
            return False
        self.reopen()
        return True

    def close(self) -> None:
        """Let the port go."""
        try:
            self._port.close()
        except PortError:
            return  # it has gone already
