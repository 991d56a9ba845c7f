"""The probe's thread hands over what a port gives, and no port takes the loop from the others."""

import asyncio
import socket
import threading
import time
from functools import partial

from protocols.machine import Event
from protocols.transports.names import open_port
from smartmeter.gateway.probe import Probe


class Listener:
    """A byte machine that only counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.heard = asyncio.Event()

    def receive(self, data: bytes, now_us: int) -> None:
        self.calls += 1
        self.heard.set()

    def expire(self, now_us: int) -> None: ...

    def deadline_us(self) -> int | None:
        return None

    def outgoing(self) -> bytes:
        return b""

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
