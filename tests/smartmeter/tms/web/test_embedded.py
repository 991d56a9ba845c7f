"""The page's server inside the program: a taken port is one error, and nothing else is printed."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from uvicorn.server import ServerState

from smartmeter.base.errors import SettingsError
from smartmeter.tms.web import embedded
from smartmeter.tms.web.embedded import WebServer
from tests.waiting import PATIENCE_S, until

#: More than the system takes of an answer that nobody reads.
LONG = "x" * (16 << 20)


async def test_a_port_that_is_taken_is_one_clear_error(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = WebServer(FastAPI(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(SettingsError, match="in use; choose another port"):
            await server.start()
        await server.stop()
    assert capfd.readouterr() == ("", "")


async def test_a_page_listens_for_both_families() -> None:
    server = WebServer(FastAPI(), "::", 0)
    await server.start()
    try:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=60):
                pass
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("proxies", "told"),
    [
        (None, "192.0.2.7 https"),
        ("198.51.100.1", "127.0.0.1 http"),
        ("127.0.0.0/8", "192.0.2.7 https"),
    ],
)
async def test_who_asks_is_told_by_a_proxy_on_this_machine_or_where_the_environment_says(
    proxies: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FastAPI()

    @app.get("/who")
    async def who(request: Request) -> str:
        assert request.client is not None
        return f"{request.client.host} {request.url.scheme}"

    if proxies is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxies)
    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        address = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
            headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
            assert (await client.get("/who", headers=headers)).json() == told
    finally:
        await server.stop()


async def test_a_page_that_is_told_to_end_while_it_begins_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    begun, going_on = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow(_: FastAPI) -> AsyncIterator[None]:
        begun.set()
        await going_on.wait()
        yield

    server = WebServer(FastAPI(lifespan=slow), "127.0.0.1", 0)
    starting = asyncio.create_task(server.start())
    await begun.wait()
    starting.cancel()
    asyncio.get_running_loop().call_soon(going_on.set)
    with pytest.raises(asyncio.CancelledError):
        await starting
    for task in asyncio.all_tasks() - {asyncio.current_task()}:  # as at the end of the program
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(embedded, "PATIENCE_S", 0.3)
    monkeypatch.setattr(embedded, "MAX_CONNECTIONS", 3)
    app = FastAPI()

    @app.get("/")
    async def page() -> str:
        return "page"

    @app.get("/long")
    async def long() -> str:
        return LONG

    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop()


async def asked(server: WebServer, octets: bytes) -> bytes:
    """Send octets, and give all that comes before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(octets)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


@pytest.mark.parametrize("octets", [b"", b"GET ", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_ask_in_time_is_let_go(served: WebServer, octets: bytes) -> None:
    assert await asked(served, octets) == b""


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
async def test_a_request_without_end_is_refused_before_it_takes_memory(
    served: WebServer, begin: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await asked(served, begin + b"a" * 400_000)
    assert not answer or b" 400 " in answer  # what was not read may cost the answer
    assert capfd.readouterr() == ("", ""), "strangers do not fill the log"


async def test_a_crowd_that_asks_nothing_keeps_nobody_out_for_long(
    served: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = [asyncio.create_task(asked(served, b"GET")) for _ in range(5)]
    await asyncio.gather(*crowd)
    monkeypatch.setattr(embedded, "PATIENCE_S", 60.0)  # a busy machine asks slowly
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await asked(served, request)).endswith(b'"page"')


@pytest.mark.parametrize("kept", ["keep-alive", "close"])
async def test_who_takes_nothing_of_the_answers_is_let_go(
    served: WebServer, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setattr(embedded, "STALL_S", 0.5)
    connections = served._server.server_state.connections
    request = f"GET /long HTTP/1.1\r\nHost: x\r\nConnection: {kept}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as deaf:
        deaf.sendall(request.encode() * 3)
        await until(lambda: connections, "it is connected")
        await until(lambda: not connections, "it is let go")


async def test_who_takes_an_answer_slowly_gets_all_of_it(
    served: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATIENCE_S", 0.01)
    request = b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.setblocking(False)
        loop, octets = asyncio.get_running_loop(), 0
        await loop.sock_sendall(slow, request)
        while taken := await loop.sock_recv(slow, 1 << 18):
            octets += len(taken)
            await asyncio.sleep(0.02)
    assert octets > len(LONG)


class Looks(asyncio.AbstractEventLoop):
    """A loop whose time is as it is told, and that leaves it to the test when to look."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def call_later(self, *about: Any, context: Any = None) -> Any:
        return None

    call_at = call_later


class Line(asyncio.Transport):
    """What was not taken yet, and whether it was cut off."""

    left, is_cut = 0, False

    def get_write_buffer_size(self) -> int:
        return self.left

    def close(self) -> None:
        """It waits for the reader."""

    def abort(self) -> None:
        self.is_cut = True


def looks_until_it_is_cut(left: list[int], refilled: bool = False) -> int | None:
    """Look each 20 s, as so much is left; give at which look it was cut off."""
    config = uvicorn.Config(FastAPI())
    config.load()
    loop, line = Looks(), Line()
    connection = embedded._Connection(config, ServerState(), {}, loop)
    connection.connection_made(line)
    for look, line.left in enumerate(left, 1):
        loop.now_s += embedded.PATIENCE_S
        if refilled:
            connection.resume_writing()
        connection._look()
        if line.is_cut:
            return look
    return None


@pytest.mark.parametrize(
    ("left", "cut_at"),
    [
        ([9] * 5, 4),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], None),
        ([9, 9, 9, 8, 8, 8, 8], 7),
        ([9, 9, 9, 0, 9, 9, 9, 9], 8),
        ([0] * 9, None),
    ],
)
def test_who_takes_something_within_each_minute_is_not_let_go(
    left: list[int], cut_at: int | None
) -> None:
    assert looks_until_it_is_cut(left) == cut_at


def test_what_is_as_full_again_at_each_look_was_taken_meanwhile() -> None:
    assert looks_until_it_is_cut([9] * 9, refilled=True) is None


@pytest.mark.parametrize("target", ["http://tms.example:80/", "HTTP://tms.example:80"])
async def test_a_target_with_scheme_and_host_is_the_path_at_that_host(target: str) -> None:
    app = FastAPI()

    @app.get("/")
    async def page(request: Request) -> str:
        return str(request.url)

    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        head = f"GET {target}?a=%2F HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"
        told = await asked(server, head.encode())
        assert told.endswith(b'"http://tms.example:80/?a=%2F"'), told
    finally:
        await server.stop()
