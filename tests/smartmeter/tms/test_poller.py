"""Sessions with plain meters: the dead ones hold up nobody but each other."""

import asyncio
import socket
from pathlib import Path
from random import Random

import pytest

from protocols.c1218.client import ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.server import Server
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead
from smartmeter.tms import poller
from smartmeter.tms.model import State
from smartmeter.tms.polled_list import PolledMeter, import_polled
from smartmeter.tms.polled_source import PolledSource
from smartmeter.tms.poller import Poller
from smartmeter.tms.source import Answered, Unanswered
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import make_template
from tests.protocols.c1218.line import Line, Tables
from tests.smartmeter.cli.served import meter_process

DEAD, SECONDS = 6, 2.0


async def test_who_answers_is_asked_although_many_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "MAX_SESSIONS", 2)
    monkeypatch.setattr("protocols.transports.async_tcp.CONNECT_TIMEOUT_S", SECONDS)
    dead = [socket.create_server(("127.0.0.1", 0)) for _ in range(DEAD)]  # they accept nobody
    with meter_process("--tcp", "127.0.0.1:0") as (address, _):
        meters = [
            PolledMeter(f"D{n}", f"tcp:127.0.0.1:{one.getsockname()[1]}", 2, b"", "")
            for n, one in enumerate(dead)
        ]
        meters.append(PolledMeter("P1", address, 2, b"", ""))
        store = Store(tmp_path / "tms.sqlite3")
        store.write_now(lambda c: import_polled(c, meters, 0))
        sql = "UPDATE meters SET state=? WHERE esn LIKE 'D%'"
        store.write_now(lambda c: c.execute(sql, (State.SILENT,)) and None)
        source = PolledSource(store, make_template())
        source.load(0)
        came = asyncio.Event()
        asked = Poller(source, came.set)
        try:
            for esn in (*(f"D{n}" for n in range(DEAD)), "P1"):
                source.ask(esn, [encode_request(FullRead(0))], 0)
            asked.begin()
            events = []
            async with asyncio.timeout(60):
                while not any(isinstance(one, Answered) for one in events):
                    await came.wait()
                    came.clear()
                    events += source.events()
            assert isinstance(events[-1], Answered) and events[-1].responses[0][:1] == b"\0"
            assert len(events) <= DEAD, "it has not waited for all of the dead ones"
            assert source.silent == {f"D{n}" for n in range(DEAD)}
        finally:
            await asked.stop()
            store.close()
            for one in dead:
                one.close()


async def test_a_poll_that_has_begun_goes_on_although_many_first_questions_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "MAX_SESSIONS", 1)
    monkeypatch.setattr("protocols.transports.async_tcp.CONNECT_TIMEOUT_S", SECONDS)
    dead = [socket.create_server(("127.0.0.1", 0)) for _ in range(DEAD)]
    with meter_process("--tcp", "127.0.0.1:0") as (address, _):
        meters = [PolledMeter("P1", address, 2, b"", "")]
        meters += [
            PolledMeter(f"D{n}", f"tcp:127.0.0.1:{one.getsockname()[1]}", 2, b"", "")
            for n, one in enumerate(dead)
        ]
        store = Store(tmp_path / "tms.sqlite3")
        store.write_now(lambda c: import_polled(c, meters, 0))
        source = PolledSource(store, make_template())
        source.load(0)
        answers: list[Answered] = []
        done = asyncio.Event()

        def settle() -> None:
            for event in source.events():
                if isinstance(event, Answered):
                    answers.append(event)
                    source.ask("P1", [encode_request(FullRead(1))], 0)
            asked.begin()
            if len(answers) == 3:
                done.set()

        asked = Poller(source, settle)
        try:
            for one in meters:
                source.ask(one.esn, [encode_request(FullRead(0))], 0)
            asked.begin()
            async with asyncio.timeout(60):
                await done.wait()
            assert len(source.silent) < DEAD, "it has not waited for all of the dead ones"
        finally:
            await asked.stop()
            store.close()
            for listening in dead:
                listening.close()


def test_a_password_that_is_refused_within_a_poll_is_no_refusal_of_a_table() -> None:
    talk = Conversation(LogonSettings(2, b"TMS", b"secret"), None)
    device = Tables({3: b"", 2050: b"private"})
    line = Line(talk.client, Server(device), Random(1))
    line.run(talk.open())
    line.run(talk.close())
    device.password = b"another".ljust(20)
    done = line.run(poller._answers(talk, [encode_request(FullRead(2050))]))
    assert isinstance(done, ScriptFailed) and "refuses the password" in str(done.error)


@pytest.mark.parametrize("address", ["socket://a\0b:1", "socket://127.0.0.1:1"])
async def test_whatever_a_question_meets_it_has_an_end_and_the_meter_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    async def broken(*about: object) -> None:
        raise RuntimeError("a fault of ours")

    if "\0" not in address:
        monkeypatch.setattr(poller, "converse", broken)
    store = Store(tmp_path / "tms.sqlite3")
    store.write_now(lambda c: import_polled(c, [PolledMeter("P1", address, 2, b"", "")], 0))
    source = PolledSource(store, make_template())
    source.load(0)
    came = asyncio.Event()
    asked = Poller(source, came.set)
    source.ask("P1", [encode_request(FullRead(0))], 0)
    asked.begin()
    async with asyncio.timeout(60):
        await came.wait()
    [told] = source.events()
    await asked.stop()
    store.close()
    assert isinstance(told, Unanswered)
    assert "nothing bears such a name" in told.cause or "a fault of ours" in told.cause
