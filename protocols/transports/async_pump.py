"""The machine and the conversation of ``pump``, in an asyncio loop.

::

    async with open_meter_async("/dev/ttyUSB0", password=b"secret") as meter:
        image = await meter.read(23)

One task talks with a meter at a time; other tasks of the loop go on meanwhile.
A call that is cancelled leaves the session undefined: close it.
"""

from __future__ import annotations

import asyncio
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
from protocols.transports.names import open_port
from protocols.transports.port import Port, drop_leftovers
from protocols.transports.pump import MAX_WAIT_S, PATIENCE_S, REOPEN_S, monotonic_us


class AsyncMeterPort:
    """A meter on a port, one session at a time; a blocking port waits in a thread.

    Raises what :class:`protocols.transports.pump.MeterPort` raises.
    """

    def __init__(
        self,
        open_the_port: Callable[[], Port],
        settings: LogonSettings | None = None,
        options: ClientOptions | None = None,
    ) -> None:
        self._open_the_port = open_the_port
        self._port: Port | None = None
        self._conversation = Conversation(settings, options)
        self.client = self._conversation.client
        self._one = asyncio.Lock()
        self._closing = False

    @property
    def opened(self) -> Opened | None:
        """Give how the session was opened."""
        return self._conversation.opened

    async def __aenter__(self) -> AsyncMeterPort:
        """Open the port and a session."""
        self._port = await asyncio.to_thread(self._open_the_port)
        try:
            await asyncio.to_thread(drop_leftovers, self._port)
            await self.run(self._conversation.open())
        except BaseException:
            self._port.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session, if the line still stands, and the port."""
        self._closing = True
        try:
            if self._conversation.may_close(error):
                with suppress(ProtocolError):  # the meter returns to Base by itself after 6 s
                    await self.run(self._conversation.close())
        finally:
            if self._port is not None:
                self._port.close()

    async def read(self, table: int, progress: Progress | None = None) -> bytes:
        """Give a whole table, whatever its size."""
        return await self.run(self._conversation.read(table, progress))

    async def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table."""
        return await self.run(self._conversation.read_part(table, offset, count))

    async def read_index(self, table: int, indices: tuple[int, ...], count: int) -> bytes:
        """Give elements of a table by their position in its structure."""
        return await self.run(self._conversation.read_index(table, indices, count))

    async def read_default(self) -> bytes:
        """Give the table that the device chooses."""
        return await self.run(self._conversation.read_default())

    async def write(self, table: int, data: bytes, progress: Progress | None = None) -> None:
        """Write a whole table; OutcomeUnknown when the line fails meanwhile."""
        await self.run(self._conversation.write(table, data, progress))

    async def write_part(self, table: int, offset: int, data: bytes) -> None:
        """Write octets of a table; OutcomeUnknown when the line fails meanwhile."""
        await self.run(self._conversation.write_part(table, offset, data))

    async def procedure(self, initiate: bytes, ask: bool = True) -> bytes:
        """Run a procedure: the image of ST-07 in, the image of ST-08 out."""
        return await self.run(self._conversation.procedure(initiate, ask))

    async def keep_alive(self, seconds: int) -> None:
        """Keep the session for an idle time."""
        await self.run(self._conversation.keep_alive(seconds))

    async def run(self, script: Script[T]) -> T:
        """Run a script of your own; calls of several tasks follow each other."""
        async with self._one:
            ended = await self._run(script)
        value: T = ended.outcome()
        return value

    async def _run(self, script: Script[Any]) -> ScriptDone | ScriptFailed:
        token = object()
        ended: ScriptDone | ScriptFailed | None = None
        self.client.run(script, token, monotonic_us())
        while True:
            try:
                await self._write_out()
                assert self._port is not None
                ended = self._conversation.heed_events(self._port.set_baud, token) or ended
                if ended is not None and self.client.quiet:
                    return ended
                await self._wait()
            except PortError as error:
                if ended is not None:
                    return ended
                await self._come_back(error)

    async def _write_out(self) -> None:
        assert self._port is not None
        if data := self.client.outgoing():
            await asyncio.to_thread(self._port.write, data)
            self.client.sent(monotonic_us())

    async def _wait(self) -> None:
        assert self._port is not None
        wait_s = self._conversation.wait_s(monotonic_us(), MAX_WAIT_S)
        data = await asyncio.to_thread(self._port.read, wait_s)
        self._conversation.waited(data, monotonic_us())

    async def _come_back(self, error: PortError) -> None:
        """Open a port that has gone, once it is back; what runs is told that its link was lost."""
        assert self._port is not None
        if self._closing:
            raise error
        self._port.close()
        give_up_us = monotonic_us() + int(PATIENCE_S * 1e6)
        while True:
            try:
                self._port = await asyncio.to_thread(self._open_the_port)
                break
            except PortError:
                if monotonic_us() >= give_up_us:
                    raise error from None
                await asyncio.sleep(REOPEN_S)
        self.client.line_lost(LinkError(str(error)), monotonic_us())


def open_meter_async(
    name: str,
    *,
    user_id: int = 0,
    user: bytes = b"",
    password: bytes | None = None,
    options: ClientOptions | None = None,
    rts: bool = True,
    dtr: bool = False,
    **more: Any,
) -> AsyncMeterPort:
    """Give a meter on a port, for ``async with``; ``more`` goes to LogonSettings.

    ``rts`` and ``dtr`` are the lines that many probes take their power from.
    """
    settings = LogonSettings(user_id=user_id, user=user, password=password, **more)
    return AsyncMeterPort(lambda: open_port(name, rts, dtr), settings, options)
