"""A node that listens for its host: strangers beside it, a host that comes back, limits."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocols.c1222.builder import Envelope, build_apdu
from smartmeter.comms import listening
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.event_loop import ended
from smartmeter.comms.listening import MAX_CANDIDATES, ListeningBearer
from tests.ports import free_port
from tests.protocols.c1222.conversation import HOST, METER, READ_1, lock, request
from tests.smartmeter.comms.served import call
from tests.waiting import until


@asynccontextmanager
async def listened() -> AsyncIterator[tuple[int, Any]]:
    """A bearer that listens; gives its port, and the connection once a host has come."""
    port = free_port()
    bearer = ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{port}"))
    task = asyncio.create_task(bearer.connect())
    try:
        yield port, task
    finally:
        if task.done() and not task.exception():
            task.result().close()
        await ended(task)


def taking(connection: Connection, arrived: list[bytes]) -> "asyncio.Task[None]":
    return asyncio.ensure_future(connection.receive(arrived.append))  # type: ignore[return-value]


async def test_who_only_connects_does_not_take_the_hosts_place() -> None:
    async with listened() as (port, connecting):
        host_reader, host = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        strangers = [await call(port) for _ in range(MAX_CANDIDATES + 5)]
        strangers[0][1].write(b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.1)
        connection.send(request([READ_1]))
        assert await asyncio.wait_for(host_reader.read(100), 60) == request([READ_1])
        first = strangers[1][0]
        assert await asyncio.wait_for(first.read(1), 60) == b"", "of too many the oldest is closed"
        assert not task.done() and arrived == []
        task.cancel()
        host.close()


async def test_a_host_that_comes_back_is_sent_what_the_node_has_to_say() -> None:
    async with listened() as (port, connecting):
        _, first = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        reader, second = await call(port)
        second.write(request([READ_1], 1))
        await until(lambda: arrived == [request([READ_1], 1)])
        connection.send(request([READ_1], 2))
        assert await asyncio.wait_for(reader.read(100), 60) == request([READ_1], 2)
        first.close()
        await until(lambda: len(connection._all) == 1)
        assert not task.done(), "that the first connection was closed ends nothing"
        second.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


async def come_and_go(port: int, connecting: asyncio.Task[Any]) -> None:
    """A host opens a connection and closes it, and the bearer takes note."""
    _, host = await call(port)
    connection = await connecting
    task = taking(connection, [])
    host.close()
    await asyncio.wait_for(task, 60)
    connection.close()


async def test_a_host_that_comes_again_at_once_is_not_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two connections the bearer rests; many hosts open one for each question."""
    monkeypatch.setattr(listening, "KEPT_S", 60.0)
    port = free_port()
    bearer = ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{port}"))
    connecting = asyncio.create_task(bearer.connect())
    arrived: list[bytes] = []
    for _ in range(3):
        await come_and_go(port, connecting)
        _, again = await asyncio.open_connection("127.0.0.1", port)  # the bearer rests
        again.write(request([READ_1]))
        arrived.clear()
        connecting = asyncio.create_task(bearer.connect())
        connection = await asyncio.wait_for(connecting, 60)
        task = taking(connection, arrived)
        await until(lambda: arrived == [request([READ_1])])
        again.close()
        await asyncio.wait_for(task, 60)
        connection.close()
        connecting = asyncio.create_task(bearer.connect())
    await ended(connecting)


async def test_a_port_that_nobody_listens_at_any_more_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "KEPT_S", 0.05)
    async with listened() as (port, connecting):
        await come_and_go(port, connecting)
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionRefusedError):
                while True:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    await asyncio.sleep(0.01)


async def test_a_port_that_is_listened_at_again_is_kept_as_long_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    bearer = ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{port}"))
    for kept_s in (0.05, 60.0):
        monkeypatch.setattr(listening, "KEPT_S", kept_s)
        connecting = asyncio.create_task(bearer.connect())
        await come_and_go(port, connecting)
    first_has_passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, first_has_passed.set)
    await first_has_passed.wait()
    (await asyncio.open_connection("127.0.0.1", port))[1].close()


async def test_strangers_that_only_connect_do_not_keep_the_host_from_coming_back() -> None:
    async with listened() as (port, connecting):
        _, first = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        strangers = [await call(port) for _ in range(MAX_CANDIDATES)]
        reader, again = await call(port)
        again.write(request([READ_1], 1))
        await until(lambda: arrived == [request([READ_1], 1)])
        connection.send(request([READ_1], 2))
        assert await asyncio.wait_for(reader.read(100), 60) == request([READ_1], 2)
        for writer in (first, again, *(writer for _, writer in strangers)):
            writer.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


async def test_a_stranger_who_came_first_does_not_hide_the_node_from_its_silent_host() -> None:
    async with listened() as (port, connecting):
        _, stranger = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        reader, host = await call(port)
        await until(lambda: len(connection._all) == 2)
        connection.send(request([READ_1], 1))  # the host waits for a registration
        assert await asyncio.wait_for(reader.read(100), 60) == request([READ_1], 1)
        host.write(request([READ_1], 2))
        await until(lambda: arrived == [request([READ_1], 2)])
        for writer in (stranger, host):
            writer.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


async def test_a_stranger_who_came_first_and_goes_leaves_the_host_connected() -> None:
    async with listened() as (port, connecting):
        _, stranger = await call(port)
        connection = await connecting
        task = taking(connection, [])
        reader, host = await call(port)
        await until(lambda: len(connection._all) == 2)
        stranger.close()
        await until(lambda: len(connection._all) == 1)
        connection.send(request([READ_1]))
        assert await asyncio.wait_for(reader.read(100), 60) == request([READ_1])
        assert not task.done(), "the host is still there"
        host.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


def answer(to_id: int, **options: Any) -> bytes:
    """An answer of the node to the host; with a lock a secured one."""
    return build_apdu(Envelope(77, HOST, METER, to_id), [b"\0"], **options)


async def received(reader: asyncio.StreamReader, octets: bytes) -> None:
    assert await asyncio.wait_for(reader.readexactly(len(octets)), 60) == octets


async def test_strangers_that_speak_take_nothing_from_a_host_that_has_shown_a_key() -> None:
    async with listened() as (port, connecting):
        host_reader, host = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        host.write(request([READ_1], 1, lock()))
        await until(lambda: len(arrived) == 1)
        connection.send(answer(1, lock=lock()))
        await received(host_reader, answer(1, lock=lock()))
        connection.send(request([READ_1], 2))
        await received(host_reader, request([READ_1], 2))
        host.write(answer(2))
        await until(lambda: len(arrived) == 2)
        strangers = []
        for number in range(MAX_CANDIDATES + 2):
            strangers.append(await call(port))
            strangers[-1][1].write(request([READ_1], 100 + number))
            await until(lambda: len(arrived) == len(strangers) + 2)
        connection.send(request([READ_1], 3))
        await received(host_reader, request([READ_1], 3))
        connection.send(answer(100 + number))
        await received(strangers[-1][0], answer(100 + number))  # the first that it is sent
        assert connection._counts["closed to make room"] == 3
        host.close()
        await until(lambda: len(connection._all) < MAX_CANDIDATES)
        assert not task.done(), "somebody who has spoken is still there, and may be the host"
        connection.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


@pytest.mark.parametrize("host_first", [True, False])
async def test_a_stranger_that_asks_in_the_hosts_name_takes_no_answer_from_it(
    host_first: bool,
) -> None:
    async with listened() as (port, connecting):
        host_reader, host = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        stranger_reader, stranger = await call(port)
        asking = [(host, request([READ_1], 1, lock())), (stranger, request([READ_1], 1))]
        for writer, asked in asking if host_first else asking[::-1]:
            writer.write(asked)
            await until(lambda asked=asked: asked in arrived)  # type: ignore[misc]
            if writer is stranger:
                connection.send(answer(1))
                await received(stranger_reader, answer(1))
        connection.send(answer(1, lock=lock()))
        await received(host_reader, answer(1, lock=lock()))  # and nothing of the stranger's
        connection.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


async def test_a_host_that_only_answers_is_not_hidden_by_strangers_that_speak() -> None:
    async with listened() as (port, connecting):
        _, stranger = await call(port)
        connection = await connecting
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        stranger.write(request([READ_1], 1))
        await until(lambda: len(arrived) == 1)
        reader, host = await call(port)
        await until(lambda: len(connection._all) == 2)
        connection.send(request([READ_1], 2))
        await received(reader, request([READ_1], 2))
        stranger.close()
        await until(lambda: len(connection._all) == 1)
        assert not task.done()
        host.close()
        await asyncio.wait_for(asyncio.wait((task,)), 60)


async def test_what_is_no_message_is_counted_with_its_reason() -> None:
    async with listened() as (port, connecting):
        _, host = await call(port)
        connection = await connecting
        reader, stranger = await call(port)
        stranger.write(b"GET / HTTP/1.0\r\n\r\n")
        assert await asyncio.wait_for(reader.read(1), 60) == b""
        assert connection._counts == {"connections": 2, "closed not-an-apdu": 1}
        host.close()


async def test_a_candidate_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PATIENCE_S", 0.1)
    async with listened() as (port, connecting):
        host_reader, host = await call(port)
        connection = await connecting
        reader, candidate = await call(port)
        assert await asyncio.wait_for(reader.read(1), 60) == b""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host_reader.read(1), 0.2)  # the way itself may be silent
        for writer in (host, candidate):
            writer.close()
        connection.close()


async def test_a_message_before_anybody_takes_it_is_kept() -> None:
    async with listened() as (port, connecting):
        _, host = await call(port)
        host.write(request([READ_1]))
        connection = await connecting
        await asyncio.sleep(0.1)
        arrived: list[bytes] = []
        task = taking(connection, arrived)
        await until(lambda: arrived == [request([READ_1])])
        task.cancel()


async def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"listen:127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError):
            await ListeningBearer(BearerSettings("in", address)).connect()
    with contextlib.suppress(asyncio.CancelledError):
        task = asyncio.create_task(
            ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{free_port()}")).connect()
        )
        await asyncio.sleep(0.05)
        task.cancel()
        await task
