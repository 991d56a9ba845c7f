"""The loop of a server is uvloop where it is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys

import pytest

from smartmeter.comms import event_loop
from smartmeter.comms.event_loop import ended, run_server
from tests.protocols.c1222.conversation import READ_1, request
from tests.smartmeter.comms.served import Client, serving


async def _module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_a_server_runs_on_uvloop() -> None:
    assert run_server(_module_of_the_loop()).startswith("uvloop")


def test_without_uvloop_a_server_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_server(_module_of_the_loop()).startswith("asyncio")


def test_an_exception_comes_through_and_leaves_the_process_as_it_was() -> None:
    before = gc.get_threshold()

    async def fails() -> None:
        assert gc.get_threshold() == event_loop.GC_THRESHOLDS
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_server(fails())
    assert gc.get_threshold() == before


def test_on_uvloop_connections_and_datagrams_are_answered() -> None:
    async def ask_both() -> int:
        async with serving() as served:
            client = await Client.connect(served)
            client.writer.write(request([READ_1]))
            answers = await client.apdus(1)
            datagram = request([READ_1])
            answers.append(await asyncio.to_thread(_ask, datagram, served.listener.udp_address))
            client.writer.close()
            return len([answer for answer in answers if answer[:1] == b"\x60"])

    assert run_server(ask_both()) == 2


def _ask(datagram: bytes, address: tuple[str, int]) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.sendto(datagram, address)
        return client.recv(4096)


class Deaf:
    """Work that loses the first cancellation, as ``asyncio.wait_for`` of Python 3.11 can."""

    def __init__(self) -> None:
        self.told = 0

    async def run(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.told += 1
                if self.told > 1:
                    raise


async def _begun(*works: Deaf) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(work.run()) for work in works]
    await asyncio.sleep(0)
    return tasks


def test_a_task_that_lost_its_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "TELL_AGAIN_S", 0.01)

    async def end_it() -> bool:
        [task] = await _begun(Deaf())
        await asyncio.wait_for(ended(task), 60)
        return task.cancelled()

    assert asyncio.run(end_it())


def test_a_wait_of_a_library_that_ends_as_it_is_cancelled_keeps_nobody() -> None:
    async def publish(answer: asyncio.Event) -> None:
        while True:
            await asyncio.wait_for(answer.wait(), 60)
            answer.clear()

    async def end_it() -> bool:
        answer = asyncio.Event()
        task = asyncio.create_task(publish(answer))
        for _ in range(3):
            await asyncio.sleep(0)
        answer.set()
        await asyncio.sleep(0)
        await asyncio.wait_for(ended(task), 60)
        return task.cancelled()

    assert asyncio.run(end_it())


def test_who_is_cancelled_while_he_ends_others_sees_them_end() -> None:
    async def end_it() -> tuple[bool, bool]:
        [inner] = await _begun(Deaf())
        outer = asyncio.create_task(ended(inner))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await ended(outer)
        return inner.cancelled(), outer.cancelled()

    assert asyncio.run(end_it()) == (True, True)
