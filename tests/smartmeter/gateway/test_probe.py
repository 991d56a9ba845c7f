"""The probe's thread hands over what a port gives, and no port takes the loop from the others."""

import asyncio
import socket
import threading
import time
from functools import partial

import pytest

from protocols.machine import Event
from protocols.transports.names import open_port
from protocols.transports.port import Port
from smartmeter.gateway.probe import Probe


class Listener:
    """A byte machine that only counts, and says what it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.says = b""
        self.heard = asyncio.Event()

    def receive(self, data: bytes, now_us: int) -> None:
        self.calls += 1
        self.heard.set()

    def expire(self, now_us: int) -> None: ...

    def deadline_us(self) -> int | None:
        return None

    def outgoing(self) -> bytes:
        return self.says

    def sent(self, now_us: int) -> None: ...

    def events(self) -> list[Event]:
        return []


def babble(server: socket.socket) -> None:
    """Send for ever, a few octets at a time, as fast as they are taken."""
    connection, _ = server.accept()
    try:
        while True:
            connection.sendall(b"\xee" * 64)
    except OSError:
        return


async def test_a_port_that_babbles_without_end_leaves_the_loop_to_the_others() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=babble, args=(server,), daemon=True).start()
    machine = Listener()
    name = f"tcp:127.0.0.1:{server.getsockname()[1]}"
    loop = asyncio.get_running_loop()
    probe = Probe(partial(open_port, name), machine, loop, lambda: None, lambda text: None)
    probe.start()
    await machine.heard.wait()
    heard = machine.calls
    time.sleep(0.3)  # noqa: ASYNC251 - the loop has much else to do
    await asyncio.sleep(0)
    assert machine.calls <= heard + 1, "what waits for the loop is bounded"
    await asyncio.to_thread(probe.stop)
    server.close()


async def test_what_was_said_while_the_port_was_away_is_not_told_all_at_once() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    machine, opens = Listener(), threading.Event()
    name = f"tcp:127.0.0.1:{server.getsockname()[1]}"

    def open_it() -> Port:
        assert opens.wait(30)
        return open_port(name)

    loop = asyncio.get_running_loop()
    probe = Probe(open_it, machine, loop, lambda: None, lambda text: None)
    probe.start()
    for number in range(1200):
        machine.says = b"%04d" % number
        probe.flush()
    opens.set()
    connection, _ = await asyncio.to_thread(server.accept)
    assert await asyncio.to_thread(connection.recv, 100) == b"1199"
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(100)
    await asyncio.to_thread(probe.stop)
    connection.close()
    server.close()
