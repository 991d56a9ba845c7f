"""A head-end that calls nodes says why one is away, also where the loop raises without a word."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from protocols.transports.port import system_words
from smartmeter.comms import listener as listening
from smartmeter.comms.caller import Caller
from smartmeter.comms.listener import Listener
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls import TlsFiles
from tests.smartmeter.comms.far_ends import LIMIT, Answering
from tests.waiting import until


async def _told_of(address: str) -> str:
    """Call a node; give the first thing that is said of it."""
    handler, told = Answering(), list[str]()
    called = Listener(handler, LIMIT)
    caller = Caller(address, called, TlsFiles(), Standing("node", told.append))
    calling = asyncio.create_task(caller.run(handler))
    try:
        await until(lambda: told)
    finally:
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        await called.close()
    return told[0]


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that answers nobody: as many wait there as the system lets."""
    with socket.socket() as bound, contextlib.ExitStack() as waiting:
        bound.bind(("127.0.0.1", 0))
        bound.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(bound.getsockname())
        yield bound.getsockname()[1]


async def test_a_node_that_does_not_answer_is_away_with_that_cause(
    busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "CONNECT_TIMEOUT_S", 0.1)
    told = await _told_of(f"tcp:127.0.0.1:{busy}")
    assert told == "node: is away (Connection timed out)"


async def test_a_node_that_hangs_up_on_tls_is_away_with_that_cause() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        told = await _told_of(f"tls:127.0.0.1:{port}")
    assert told == "node: is away (Connection reset by peer)"


def test_what_tls_says_of_a_time_out_is_told_without_the_place_in_its_source() -> None:
    error = TimeoutError("_ssl.c:989: The handshake operation timed out")
    assert system_words(error) == "The handshake operation timed out"
