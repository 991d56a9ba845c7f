"""The one place where bytes meet time: a machine run on a port, blocking.

:func:`open_meter` is what most users want::

    with open_meter("/dev/ttyUSB0", password=b"secret") as meter:
        image = meter.read(23)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeVar

from protocols.c1218.client import Client, ClientOptions, ScriptDone, ScriptFailed, Step
from protocols.c1218.scripts import (
    LogonSettings,
    Opened,
    close_session,
    open_session,
    read_part,
    read_table,
    run_procedure,
    write_part,
    write_table,
)
from protocols.errors import LinkError, ProtocolError
from protocols.machine import SetBaud
from protocols.psem.services import Response
from protocols.transports.port import Port
from protocols.transports.tcp import TcpPort

T = TypeVar("T")
#: The longest single wait on a port, so that a key press is seen.
MAX_WAIT_S = 0.2


def monotonic_us() -> int:
    """Give the computer's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


class MeterPort:
    """A meter on a port, one session at a time; every call blocks until it is done.

    ProtocolError (LinkError, ServiceRefused, PortError …) when it cannot be.
    """

    def __init__(
        self,
        port: Port,
        settings: LogonSettings | None = None,
        options: ClientOptions | None = None,
        now_us: Callable[[], int] = monotonic_us,
    ) -> None:
        self._port = port
        self._settings = settings or LogonSettings()
        self._now_us = now_us
        self.client = Client(options)
        self._open = False
        self.opened: Opened | None = None

    def __enter__(self) -> MeterPort:
        """Open a session."""
        try:
            self.opened = self.run(open_session(self._settings))
        except BaseException:
            self._port.close()
            raise
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session, if the line still stands, and the port."""
        try:
            if self._open and not isinstance(error, LinkError):
                self.run(close_session())
        except ProtocolError:
            self._open = False  # the meter returns to Base by itself after 6 s
        finally:
            self._port.close()

    def read(self, table: int) -> bytes:
        """Give a whole table."""
        return self.run(read_table(table, self.client.limits))

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table."""
        return self.run(read_part(table, offset, count, self.client.limits))

    def write(self, table: int, data: bytes) -> None:
        """Write a whole table."""
        self.run(write_table(table, data, self.client.limits))

    def write_part(self, table: int, offset: int, data: bytes) -> None:
        """Write octets of a table."""
        self.run(write_part(table, offset, data, self.client.limits))

    def procedure(self, initiate: bytes) -> bytes:
        """Run a procedure: the image of ST-07 in, the image of ST-08 out."""
        return self.run(run_procedure(initiate, self.client.limits))

    def run(self, script: Generator[Step, Response, T]) -> T:
        """Run a script of your own."""
        token = object()
        self.client.run(script, token, self._now_us())
        while True:
            self._write_out()
            result = self._result(token)
            if result is not None:
                if isinstance(result, ScriptFailed):
                    raise result.error
                value: T = result.result
                return value
            self._wait()

    def _result(self, token: object) -> ScriptDone | ScriptFailed | None:
        found: ScriptDone | ScriptFailed | None = None
        for event in self.client.events():
            if isinstance(event, SetBaud):
                self._write_out()
                self._port.set_baud(event.baud)
            elif isinstance(event, ScriptDone | ScriptFailed) and event.token is token:
                found = event
        if found is not None:
            self._write_out()
        return found

    def _write_out(self) -> None:
        if data := self.client.outgoing():
            self._port.write(data)
            self.client.sent(self._now_us())

    def _wait(self) -> None:
        due_us = self.client.deadline_us()
        now_us = self._now_us()
        wait_s = MAX_WAIT_S if due_us is None else max(0.0, (due_us - now_us) / 1e6)
        data = self._port.read(min(wait_s, MAX_WAIT_S))
        now_us = self._now_us()
        if data:
            self.client.receive(data, now_us)
        if due_us is not None and now_us >= due_us:
            self.client.expire(now_us)


def open_port(name: str) -> Port:
    """Open a port by its name: a device, ``tcp:HOST:PORT``, or any URL that pyserial knows."""
    if name.startswith("tcp:"):
        host, _, port = name[4:].rpartition(":")
        if not host or not port.isdecimal():
            raise ProtocolError(f"{name}: a TCP port is written tcp:HOST:PORT")
        return TcpPort.connect(host.strip("[]"), int(port))
    # pyserial asks which system this is when it is imported: only who opens a port needs it.
    from protocols.transports.serial_port import SerialPort

    return SerialPort(name)


def open_meter(
    name: str, *, user_id: int = 0, user: bytes = b"", password: bytes | None = None, **more: Any
) -> MeterPort:
    """Give a meter on a port, to be used with ``with``; ``more`` goes to LogonSettings."""
    settings = LogonSettings(user_id=user_id, user=user, password=password, **more)
    return MeterPort(open_port(name), settings)
