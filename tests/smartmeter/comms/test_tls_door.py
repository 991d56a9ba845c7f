"""Silent handshakes give way, strangers are counted, honest ones pass."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smartmeter.comms import tls_door
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.listening import MAX_CANDIDATES, ListeningBearer
from smartmeter.comms.sockets import listening_sockets
from smartmeter.comms.tls import TlsFiles, client_tls, server_tls
from smartmeter.comms.tls_door import TlsDoor
from tests.ports import free_port
from tests.protocols.c1222.conversation import READ_1, request
from tests.smartmeter.comms.authority import make_authority
from tests.smartmeter.comms.served import call
from tests.waiting import until


class _Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]


@asynccontextmanager
async def open_door(own: TlsFiles, most: int) -> AsyncIterator[tuple[int, Counter[str]]]:
    """A door with a greeter behind it; gives its port and what it counts."""
    counts: Counter[str] = Counter()
    door = TlsDoor(server_tls(own), _Greeter, counts, most)
    [bound] = listening_sockets("127.0.0.1", 0, socket.SOCK_STREAM)
    door.open(bound)
    yield bound.getsockname()[1], counts
    door.close()
    await until(lambda: bound.fileno() < 0, "listens no more")


async def greeted(port: int, own: TlsFiles) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls(own))
    said = await asyncio.wait_for(reader.read(5), 60)
    writer.close()
    return said


async def test_silent_connections_give_way_to_one_that_shakes_hands(tmp_path: Path) -> None:
    own = make_authority(tmp_path, "own")
    async with open_door(own, most=3) as (port, counts):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        assert await greeted(port, own) == b"hello"
        assert counts == {"refused tls full": 6}
        for oldest, _ in silent[:6]:
            assert await asyncio.wait_for(oldest.read(1), 60) == b"", "the oldest were let go"
    for _, writer in silent:
        writer.close()


async def test_who_speaks_no_tls_or_is_too_slow_is_let_go_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_door, "HANDSHAKE_S", 0.2)
    own = make_authority(tmp_path, "own")
    async with open_door(own, most=3) as (port, counts):
        for first in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(100), 60)
            writer.close()
        await until(lambda: counts["refused tls"] == 2, "both counted")
        monkeypatch.setattr(tls_door, "HANDSHAKE_S", 60)  # of a busy machine's
        assert await greeted(port, own) == b"hello"


async def test_a_node_that_listens_with_tls_lets_its_host_in_past_silent_ones(
    tmp_path: Path,
) -> None:
    own = make_authority(tmp_path, "own")
    port = free_port()
    bearer = ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{port}", tls=own))
    connecting = asyncio.create_task(bearer.connect())
    silent = [await call(port) for _ in range(MAX_CANDIDATES + 4)]
    assert not connecting.done(), "nobody has shaken hands"
    _, host = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls(own))
    connection = await asyncio.wait_for(connecting, 60)
    arrived: list[bytes] = []
    receiving = asyncio.ensure_future(connection.receive(arrived.append))
    host.write(request([READ_1]))
    await until(lambda: arrived == [request([READ_1])], "heard")
    connection.close()
    await receiving
    for writer in (host, *(one for _, one in silent)):
        writer.close()
