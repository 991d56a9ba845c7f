"""The control interface over HTTP: the standard library's server, in a thread of its own.

The thread only speaks HTTP; what a request asks for is done in the meters' own loop, so that
no meter is touched from two threads.  Bodies, headers and idle time are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from smartmeter.base.address import host_port, shown
from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import SettingsError, told_as
from smartmeter.simulation.actions import ControlError, Controllable

MAX_BODY_OCTETS = 4 << 20
#: Of a Content-Length: Python does not read an integer of any length.
MAX_DIGITS = 20
IDLE_S = 10.0
ANSWER_S = 10.0
EXPIRE_EVERY_S = 0.05


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    control: Controllable
    loop: asyncio.AbstractEventLoop

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client go that has hung up; an error of ours is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "smartmeter-control"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the call log is the meter's."""

    def _answer(self) -> None:
        try:
            body = self._body()
            done = asyncio.run_coroutine_threadsafe(self._handle(body), self.server.loop)
            self._send(200, done.result(ANSWER_S))
        except ControlError as error:
            self._send(error.status, {"error": str(error)})
        except TimeoutError:
            self._send(503, {"error": "the meters are busy; try again"})

    async def _handle(self, body: Any) -> Any:
        path = self.path.partition("?")[0]
        return self.server.control.handle(self.command, path, body, monotonic_us())

    def _body(self) -> Any:
        """Read a JSON body; only JSON is taken, so that no web page can send one unasked."""
        text = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not text.isdecimal():
            self.close_connection = True
            raise ControlError(411, "send the body with its Content-Length")
        length = int(text[:MAX_DIGITS])
        if len(text) > MAX_DIGITS or length > MAX_BODY_OCTETS:
            self.close_connection = True
            raise ControlError(413, f"at most {MAX_BODY_OCTETS} octets")
        octets = self.rfile.read(length)  # first of all: what is unread would break the answer
        if self.command == "GET" or (self.command == "DELETE" and not length):
            return None
        if self.headers.get_content_type() != "application/json":
            raise ControlError(415, "send Content-Type: application/json")
        try:
            return json.loads(octets or b"{}")
        except (ValueError, RecursionError):
            raise ControlError(400, "the body is no JSON") from None

    def _send(self, status: int, value: Any) -> None:
        octets = json.dumps(value).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)


def control_place(address: str) -> tuple[str, int]:
    """Read where ``--control`` listens; SettingsError when it is no HOST:PORT."""
    return host_port("--control", address, "127.0.0.1:8090")


@contextlib.asynccontextmanager
async def controlled(control: Controllable, address: str) -> AsyncIterator[str]:
    """Serve the control interface while the body runs; gives its URL."""
    host, port = control_place(address)
    with told_as(SettingsError, f"--control {address}", "choose a port that is free"):
        server = _Server(host, port)
    server.control, server.loop = control, asyncio.get_running_loop()
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    expiring = asyncio.create_task(_expire(control))
    try:
        yield f"http://{shown(host, server.server_address[1])}"
    finally:
        expiring.cancel()
        await asyncio.to_thread(server.shutdown)
        server.server_close()


async def _expire(control: Controllable) -> None:
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        control.expire(monotonic_us())
