"""A C12.22 device on sockets, read by a network meter."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from protocols.c1222.access import Rights
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import NodeSettings
from protocols.c1222.security import EaxPrime
from protocols.c1222.server import Refused
from protocols.c1222.sessions import SessionTable
from protocols.psem.codes import ResponseCode
from tests.protocols.c1222.conversation import (
    KEY,
    KEY_ID,
    Tables,
    Talk,
)
from tests.smartmeter.comms.served import Served, serving

KEYS = {KEY_ID: EaxPrime(KEY)}
#: The first octet of a Security request.
SECURITY = 0x51


@contextmanager
def device(settings: NodeSettings, tables: Tables | None = None) -> Iterator[tuple[str, Served]]:
    """Serve a device in a loop of its own thread; gives its name and itself."""
    ready, found = threading.Event(), []

    async def run() -> None:
        async with serving() as served:
            served.talk = Talk(settings, tables=tables)
            # The device stands still at one instant of its own clock: let that be now.
            served.talk.clock.offset_us = time.time_ns() // 1000 - served.talk.now_us
            stop = asyncio.Event()
            found.append((served, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    served, loop, stop = found[0]
    try:
        port = served.listener.tcp_address[1]
        yield f"c1222://127.0.0.1:{port}/.7.42", served
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class InSession(Tables):
    """A device that serves tables in sessions alone, as one may (identify, feature 05)."""

    sessions: SessionTable

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if not len(self.sessions):
            raise Refused(ResponseCode.isss)
        return super().read(table, rights, now_us)

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        if not len(self.sessions):
            raise Refused(ResponseCode.isss)
        super().write(table, offset, data, rights, now_us)


def by_datagrams(name: str, served: Served) -> str:
    """Give the name of the same device by UDP."""
    own = name[name.index("127") : name.rindex("/")]
    host, port = served.listener.udp_address
    return name.replace("c1222:", "c1222+udp:").replace(own, f"{host}:{port}")


def relay_says(code: ResponseCode, asked: bytes) -> bytes:
    """Give what a relay, which has no key, answers in the meter's place."""
    apdu = decode_apdu(asked)
    envelope = Envelope(9, apdu.calling, apdu.called, apdu.calling_invocation_id)
    return build_apdu(envelope, [bytes([code])])


@contextmanager
def answering_once(answer: Callable[[bytes], bytes], reads_on: bool = False) -> Iterator[str]:
    """Serve a device that closes every connection after one answer; gives its name.

    ``reads_on``: it closes when the next request has come.
    """

    def serve() -> None:
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                with line:
                    line.sendall(answer(line.recv(4096)))
                    if reads_on:
                        line.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"c1222://127.0.0.1:{door.getsockname()[1]}/.7.42"
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()
