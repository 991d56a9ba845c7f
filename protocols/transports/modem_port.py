"""A call as a port: dialled when it is opened, hung up when it is closed.

``modem:NUMBER@PORT`` names the number and the port that the modem is at,
``modem:NUMBER/IDENTITY@PORT`` also the device on a shared line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocols.errors import LocalProtocolError, PortError, PortNameError
from protocols.modem.at import (
    INITIALISE,
    AtModem,
    CallEnded,
    CommandDone,
    Connected,
    DataArrived,
)
from protocols.transports.port import MODEM, Port, monotonic_us

#: The longest single wait on the port.
MAX_WAIT_S = 0.2
MAX_IDENTITY = 255


@dataclass(frozen=True)
class CallName:
    """Whom to call, which device there, and by the modem at which port."""

    number: str
    identity: int
    port: str


def call_name(name: str) -> CallName:
    """Read ``modem:NUMBER[/IDENTITY]@PORT``; PortNameError when it is none."""
    number, at, port = name.removeprefix(MODEM).partition("@")
    number, slash, identity = number.partition("/")
    known = identity.isascii() and identity.isdecimal() and int(identity) <= MAX_IDENTITY
    if not number or not port or not at or (slash and not known) or port.startswith(MODEM):
        raise PortNameError(
            f"{name}: a call is written modem:NUMBER@PORT, modem:5551234@/dev/ttyUSB0"
        )
    return CallName(number, int(identity or 0), port)


class ModemPort:
    """Implements ``Port`` over another one that a modem is at."""

    def __init__(self, line: Port, number: str) -> None:
        self._line = line
        self._modem = AtModem()
        self._data = bytearray()
        self._ended: str | None = None
        self._is_initialised = self._stands = False
        try:
            self._modem.command(INITIALISE, monotonic_us())
            self._run_until(lambda: self._is_initialised)
            self._modem.dial(number, monotonic_us())
            self._run_until(lambda: self._stands or self._ended is not None)
        except LocalProtocolError as error:
            line.close()
            raise PortError(str(error)) from error
        except PortError:
            line.close()
            raise
        if not self._stands:
            line.close()
            raise PortError(f"{number}: {self._ended}; check number, modem and line")

    def read(self, timeout_s: float) -> bytes:
        """Give what has arrived in the call; PortError when the carrier has gone."""
        if not self._data:
            self._step(timeout_s)
        data = bytes(self._data)
        self._data.clear()
        if not data and self._ended is not None:
            raise PortError(f"the call has ended: {self._ended}")
        return data

    def write(self, data: bytes) -> None:
        """Write into the call."""
        if self._ended is not None:
            raise PortError(f"the call has ended: {self._ended}")
        self._modem.send(data)
        self._flush()

    def set_baud(self, baud: int) -> None:
        """Do nothing: the speed is the modem's."""

    def close(self) -> None:
        """Hang up, and let the port go, whose DTR says so too."""
        try:
            if self._ended is None:
                self._modem.hang_up(monotonic_us())
                self._run_until(lambda: self._ended is not None)
                self._run_until(lambda: self._modem.deadline_us() is None)
        except PortError:
            self._ended = "the port has gone"
        finally:
            self._line.close()

    def _run_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._step(MAX_WAIT_S)

    def _step(self, timeout_s: float) -> None:
        self._flush()
        now_us, due_us = monotonic_us(), self._modem.deadline_us()
        wait_s = timeout_s if due_us is None else min(timeout_s, max(0, due_us - now_us) / 1e6)
        data = self._line.read(wait_s)
        now_us = monotonic_us()
        if data:
            self._modem.receive(data, now_us)
        self._modem.expire(now_us)
        self._flush()
        for event in self._modem.events():
            if isinstance(event, DataArrived):
                self._data += event.octets
            elif isinstance(event, Connected):
                self._stands = True
            elif isinstance(event, CallEnded):
                self._ended = event.reason
            elif isinstance(event, CommandDone) and event.token == INITIALISE:
                if not event.ok:
                    raise PortError(f"the modem says {event.result} to {INITIALISE}; is it one?")
                self._is_initialised = True

    def _flush(self) -> None:
        if data := self._modem.outgoing():
            self._line.write(data)
