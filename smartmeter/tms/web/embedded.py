"""The web server inside the program's own loop: it takes no signals and ends when told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from smartmeter.base.address import shown
from smartmeter.base.errors import SettingsError
from smartmeter.comms.sockets import cannot_listen, listening_sockets

#: How long a browser may take to let go at the end.
GRACE_S = 3
START_TIMEOUT_S = 60.0
#: Connections at once, those of open pages beside them; more are closed.
MAX_CONNECTIONS = 500
#: How long a connection may take to tell what it asks for.
PATIENCE_S = 20.0
#: How long it may take nothing of what it is answered.  What the system holds for it counts as
#: taken, and the system takes more only when a third of that, up to a megabyte or so, has gone.
STALL_S = 60.0


class _Connection(H11Protocol):
    """uvicorn's connection with an end to its patience; what it asks for is 64 KiB at most.

    A body may take its time: nobody but who has logged in is asked for more than a form.  So may
    who reads the answer, as long as some of it is taken.
    """

    _owes_since_s: float | None = None
    #: Octets that were not taken yet at the last look, 0 as well where some were since.
    _left = 0
    _taken_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, if there is room."""
        super().connection_made(transport)
        self._owes_since_s = self._taken_s = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS:
            transport.close()
        else:
            self.loop.call_later(PATIENCE_S, self._look)

    def data_received(self, data: bytes) -> None:
        """Take octets; a request that is whole owes nothing until the next one begins."""
        if self._owes_since_s is None:
            self._owes_since_s = self.loop.time()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._owes_since_s = None

    def resume_writing(self) -> None:
        """Go on: most of what was to be read was taken."""
        super().resume_writing()
        self._left = 0

    def _look(self) -> None:
        if self not in self.connections:
            return  # it has gone, or carries a page now
        now_s, left = self.loop.time(), self.transport.get_write_buffer_size()
        if not 0 < self._left <= left:
            self._taken_s = now_s
        self._left = left
        if now_s >= self._taken_s + STALL_S:
            self.transport.abort()  # to close it would wait for the reader
            return
        if self._owes_since_s is not None and now_s >= self._owes_since_s + PATIENCE_S:
            self.transport.close()
            self._owes_since_s = None
        self.loop.call_at((self._owes_since_s or now_s) + PATIENCE_S, self._look)


class _OriginForm:
    """ASGI middleware: a target with scheme and host is its path at that host.

    A proxy may send the one that it was sent; what ``Host`` says is left out then
    (RFC 9112, 3.2.2).
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        scheme, colon, target = scope.get("path", "").partition("://")
        if colon and scheme.lower() in ("http", "https"):
            host, _, path = target.partition("/")
            raw_path = b"/" + scope["raw_path"].partition(b"://")[2].partition(b"/")[2]
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            headers = [(b"host", host.encode()), *others]
            scope = {**scope, "path": f"/{path}", "raw_path": raw_path, "headers": headers}
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the program that embeds it has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield


class WebServer:
    """A page server as an asyncio task."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        # At INFO uvicorn logs client ids, and a client id is all that the handshake asks for; at
        # WARNING it logs a line for each broken request.
        config = uvicorn.Config(
            _OriginForm(app),
            http=_Connection,
            lifespan="on",
            timeout_graceful_shutdown=GRACE_S,
            log_level="error",
            server_header=False,
        )
        # The framework looks at every server of the program when one starts, for its application.
        config.load()
        self._host, self._port = host, port
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; SettingsError when the address is taken."""
        address = shown(self._host, self._port)
        try:
            # uvicorn would print a line of its own about an address that is taken.
            sockets = listening_sockets(self._host, self._port, socket.SOCK_STREAM)
        except OSError as error:
            raise cannot_listen(f"web page {address}", error) from error
        self._task = asyncio.create_task(self._serve(sockets))
        try:
            await self._begin(self._task, address)
        except BaseException:
            await self.stop()  # else its application would be cut off, and print that
            raise

    async def _begin(self, serving: asyncio.Task[None], address: str) -> None:
        end = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while not self._server.started:
            if serving.done() or asyncio.get_running_loop().time() > end:
                text = f"did not start on {address} within {START_TIMEOUT_S:.0f} s"
                raise SettingsError("web page", text, "is this machine overloaded? Try again")
            await asyncio.sleep(0.02)

    async def _serve(self, sockets: list[socket.socket]) -> None:
        with contextlib.suppress(SystemExit):
            await self._server.serve(sockets)

    @property
    def port(self) -> int:
        """Give the port that is listened on."""
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """End; open pages see the connection close."""
        self._server.should_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._task, GRACE_S + 2)
