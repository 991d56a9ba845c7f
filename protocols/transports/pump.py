"""The one place where bytes meet time: a machine run on a port, blocking.

:func:`open_meter` is what most users want::

    with open_meter("/dev/ttyUSB0", password=b"secret") as meter:
        image = meter.read(23)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from protocols.c1218.client import ClientOptions, ScriptDone, ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings, Opened
from protocols.c1218.steps import Script, T
from protocols.c1218.transfer import Progress
from protocols.errors import LinkError, PortError, ProtocolError
from protocols.transports.names import open_port as open_port
from protocols.transports.port import Port, drop_leftovers
from protocols.transports.port import monotonic_us as monotonic_us

#: The longest single wait on a port, so that a key press is seen.
MAX_WAIT_S = 0.2
#: A port that has gone is tried again so often, and waited for so long.
REOPEN_S, PATIENCE_S = 0.5, 15.0


class MeterPort:
    """A meter on a port, one session at a time; every call blocks until it is done.

    ProtocolError (LinkError, ServiceRefused, PortError …) when it cannot be.
    ``reopen`` opens the port again when it has gone; ``conversation`` may be that of a call.
    """

    def __init__(
        self,
        port: Port,
        settings: LogonSettings | None = None,
        options: ClientOptions | None = None,
        now_us: Callable[[], int] = monotonic_us,
        reopen: Callable[[], Port] | None = None,
        conversation: Conversation | None = None,
    ) -> None:
        self._port, self._now_us = port, now_us
        self._reopen = reopen
        self._conversation = conversation or Conversation(settings, options)
        self.client = self._conversation.client

    @property
    def opened(self) -> Opened | None:
        """Give how the session was opened."""
        return self._conversation.opened

    def __enter__(self) -> MeterPort:
        """Open a session."""
        try:
            drop_leftovers(self._port)
            self.run(self._conversation.open())
        except BaseException:
            self._port.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session, if the line still stands, and the port."""
        self._reopen = None
        try:
            if self._conversation.may_close(error):
                with suppress(ProtocolError):  # the meter returns to Base by itself after 6 s
                    self.run(self._conversation.close())
        finally:
            self._port.close()

    def read(self, table: int, progress: Progress | None = None) -> bytes:
        """Give a whole table, whatever its size."""
        return self.run(self._conversation.read(table, progress))

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table."""
        return self.run(self._conversation.read_part(table, offset, count))

    def read_index(self, table: int, indices: tuple[int, ...], count: int) -> bytes:
        """Give elements of a table by their position in its structure."""
        return self.run(self._conversation.read_index(table, indices, count))

    def read_default(self) -> bytes:
        """Give the table that the device chooses."""
        return self.run(self._conversation.read_default())

    def write(self, table: int, data: bytes, progress: Progress | None = None) -> None:
        """Write a whole table; OutcomeUnknown when the line fails meanwhile."""
        self.run(self._conversation.write(table, data, progress))

    def write_part(self, table: int, offset: int, data: bytes) -> None:
        """Write octets of a table; OutcomeUnknown when the line fails meanwhile."""
        self.run(self._conversation.write_part(table, offset, data))

    def procedure(self, initiate: bytes, ask: bool = True) -> bytes:
        """Run a procedure: the image of ST-07 in, the image of ST-08 out."""
        return self.run(self._conversation.procedure(initiate, ask))

    def keep_alive(self, seconds: int) -> None:
        """Keep the session for an idle time."""
        self.run(self._conversation.keep_alive(seconds))

    def run(self, script: Script[T]) -> T:
        """Run a script of your own."""
        token = object()
        ended: ScriptDone | ScriptFailed | None = None
        self.client.run(script, token, self._now_us())
        while True:
            try:
                self._write_out()
                ended = self._conversation.heed_events(self._port.set_baud, token) or ended
                if ended is not None and self.client.quiet:
                    break
                self._wait()
            except PortError as error:
                if ended is not None:
                    break
                self._come_back(error)
        value: T = ended.outcome()
        return value

    def _write_out(self) -> None:
        if data := self.client.outgoing():
            self._port.write(data)
            self.client.sent(self._now_us())

    def _wait(self) -> None:
        wait_s = self._conversation.wait_s(self._now_us(), MAX_WAIT_S)
        data = self._port.read(wait_s) if wait_s else b""
        self._conversation.waited(data, self._now_us())

    def _come_back(self, error: PortError) -> None:
        """Open a port that has gone, once it is back; what runs is told that its link was lost."""
        if self._reopen is None:
            raise error
        self._port.close()
        give_up_us = self._now_us() + int(PATIENCE_S * 1e6)
        while True:
            try:
                self._port = self._reopen()
                break
            except PortError:
                if self._now_us() >= give_up_us:
                    raise error from None
                time.sleep(REOPEN_S)
        self.client.line_lost(LinkError(str(error)), self._now_us())


def open_meter(
    name: str,
    *,
    user_id: int = 0,
    user: bytes = b"",
    password: bytes | None = None,
    options: ClientOptions | None = None,
    rts: bool = True,
    dtr: bool = False,
    **more: Any,
) -> MeterPort:
    """Give a meter on a port, to be used with ``with``; ``more`` goes to LogonSettings.

    ``rts`` and ``dtr`` are the lines that many probes take their power from.
    """
    settings = LogonSettings(user_id=user_id, user=user, password=password, **more)
    return MeterPort(
        open_port(name, rts, dtr), settings, options, reopen=lambda: open_port(name, rts, dtr)
    )
