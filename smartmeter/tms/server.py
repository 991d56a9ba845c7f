"""The TMS as an asyncio host: TCP connections in, the head-end between, one clock."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.base.errors import SettingsError
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template, make_template

DEFAULT_PORT = 1153
TICK_S = 0.1
READ_OCTETS = 65_536
#: A peer that does not read its answers is let go when so much waits for it.
MAX_UNSENT_OCTETS = 1 << 20
MAX_CONNECTIONS = 100_000


@dataclass(eq=False)
class _Connection:
    """One TCP connection: a path of the collector."""

    writer: asyncio.StreamWriter


class TmsServer:
    """One TMS on a data folder, listening for SmartMeters."""

    def __init__(self, data: Path, calendar: Calendar, template: Template | None = None) -> None:
        self.store = Store(data / "tms.sqlite3")
        self.calendar = calendar
        self._template = template or make_template()
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._stopping = False
        self.head_end: HeadEnd

    async def start(self, host: str, port: int) -> None:
        """Listen; SettingsError when the address is taken."""
        loop = asyncio.get_running_loop()

        def call_soon(function: object) -> None:
            if not self._stopping:
                loop.call_soon_threadsafe(self._run, function)

        self.head_end = HeadEnd(self.store, self.calendar, self._template, call_soon)
        self.head_end.load(monotonic_us())
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            raise SettingsError(
                f"{host}:{port}", f"cannot listen: {error.strerror}", "choose another port"
            ) from error
        self._ticker = asyncio.create_task(self._tick())

    @property
    def address(self) -> tuple[str, int]:
        """Give the host and port that are listened on."""
        assert self._server is not None
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    @property
    def connections(self) -> int:
        """Give how many connections are open."""
        return len(self._connections)

    def import_shipment(self, shipped: list[Shipped]) -> int:
        """Enter SmartMeters; gives how many were new."""
        utc_s = self.calendar.utc_s(monotonic_us()) or 0

        def change(connection: sqlite3.Connection) -> int:
            return import_shipment(connection, shipped, utc_s)

        try:
            new = self.store.write_now(change)
        except sqlite3.IntegrityError as error:
            raise SettingsError(
                "shipment file", f"contradicts what is stored: {error}", "mend the title"
            ) from error
        self.head_end.load_keys()
        return new

    async def stop(self) -> None:
        """End: close all connections, commit what waits."""
        self._stopping = True
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.writer.close()
        await asyncio.sleep(0)
        self.store.close()

    def flush(self) -> None:
        """Write what the head-end has to send."""
        for path, octets in self.head_end.outgoing():
            if not isinstance(path, _Connection) or path not in self._connections:
                continue
            transport = path.writer.transport
            if transport.get_write_buffer_size() > MAX_UNSENT_OCTETS:
                transport.abort()
            elif not transport.is_closing():
                path.writer.write(octets)

    def _run(self, function: object) -> None:
        if callable(function) and not self._stopping:
            function()
            self.flush()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.head_end.expire(monotonic_us())
            self.flush()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        if len(self._connections) >= MAX_CONNECTIONS or self._stopping:
            writer.close()
            return
        self._connections.add(connection)
        stream = ApduStream()
        try:
            while data := await reader.read(READ_OCTETS):
                for octets in stream.feed(data):
                    self.head_end.receive(connection, octets, monotonic_us())
                self.flush()
        except ApduRejected as error:
            self.head_end.refused(f"stream: {error.reason}", monotonic_us())
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(connection)
            if not self._stopping:
                self.head_end.disconnected(connection)
            writer.close()
