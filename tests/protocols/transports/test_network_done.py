"""What a meter on the network did is told as done, however it answers then: procedures, writes."""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocols.c1222.access import AccessDesk, Rights, Task
from protocols.c1222.node import Node, NodeSettings, RequestArrived
from protocols.c1222.server import Refused, Server
from protocols.errors import OutcomeUnknown
from protocols.psem.codes import ResponseCode
from protocols.transports import network_meter
from protocols.transports.network_meter import NetworkMeter
from tests.protocols.c1222.conversation import METER, PASSWORD, Tables, Talk
from tests.protocols.transports.network_device import KEYS, SECURITY, device, relay_says


class Procedures(Tables):
    """A device whose procedures finish when they are asked for the second time."""

    times = 0

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if table != 8:
            return super().read(table, rights, now_us)
        self.times += 1
        return self.images[7][:3] + bytes([0 if self.times > 1 else 1])


def test_a_procedure_is_started_once_and_asked_for_until_it_is_done() -> None:
    tables = Procedures()
    with (
        device(NodeSettings(), tables) as (name, _),
        NetworkMeter(name, KEYS, PASSWORD, 2) as meter,
    ):
        assert meter.procedure(b"\x0b\x00\x21") == b"\x0b\x00\x21\x00"
        assert tables.times == 2
        assert meter.procedure(b"\x0b\x00\x22", ask=False) == b""
        assert tables.times == 2


def test_a_procedure_whose_answer_is_refused_is_not_told_as_refused() -> None:
    tables = Tables()  # it has no ST-08
    with (
        device(NodeSettings(), tables) as (name, _),
        NetworkMeter(name, KEYS, PASSWORD, 2) as meter,
        pytest.raises(OutcomeUnknown, match="was started"),
    ):
        meter.procedure(b"\x0b\x00\x21")
    assert tables.images[7] == b"\x0b\x00\x21"


class BusyAnswer(Tables):
    """A device that starts a procedure, and is too busy to show its answer at once."""

    waiting = True

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if self.waiting:
            self.waiting = False
            raise Refused(ResponseCode.bsy)
        return self.images[7][:3] + b"\0"


@pytest.mark.parametrize("code", [None, ResponseCode.uat, ResponseCode.sme, ResponseCode.nett])
def test_a_procedure_that_was_started_is_told_so_whatever_the_network_says_then(
    code: ResponseCode | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_meter, "BUSY_PAUSE_US", 0)
    talk = Talk(NodeSettings(), tables=BusyAnswer())
    talk.clock.offset_us = time.time_ns() // 1000 - talk.now_us
    started = b"\x0b\x00\x21"

    def serve() -> None:
        line, _ = door.accept()
        with line:
            line.sendall(talk.offer(line.recv(4096))[0])
            asked = line.recv(4096)
            line.sendall(talk.offer(asked)[0] if code is None else relay_says(code, asked))

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve)
        thread.start()
        name = f"c1222://127.0.0.1:{door.getsockname()[1]}/.7.42"
        with NetworkMeter(name, KEYS, PASSWORD, 2) as meter:
            if code is None:
                assert meter.procedure(started) == started + b"\0"
            else:
                with pytest.raises(OutcomeUnknown, match=f"was started.*{code.name}"):
                    meter.procedure(started)
        thread.join()
    assert talk.tables.images[7] == started


class BusyOnce(Tables):
    """A device that is too busy for its first procedure, and has the result of one before."""

    waiting = True

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        if self.waiting:
            self.waiting = False
            raise Refused(ResponseCode.bsy)
        self.images[8] = data[:3] + b"\0new"


class EndsAtRefusal(Node):
    """A node that leaves out what it was asked behind something that it refused."""

    def answer(self, token: int, responses: Sequence[bytes], now_us: int) -> None:
        refused = [n for n, one in enumerate(responses) if one[0] != ResponseCode.ok]
        super().answer(token, responses[: min(refused, default=len(responses)) + 1], now_us)


@pytest.mark.parametrize("node", [Node, EndsAtRefusal])
def test_the_result_of_a_procedure_that_was_busy_at_first_is_not_the_one_from_before(
    node: type[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_meter, "BUSY_PAUSE_US", 0)
    initiate = b"\x0b\x00\x21"
    tables = BusyOnce()
    tables.images[8] = initiate + b"\0old"
    with device(NodeSettings(), tables) as (name, served):
        talk = served.talk
        talk.server = Server(node(METER, talk.ring, talk.clock, None, talk.settings), tables)
        with NetworkMeter(name, KEYS) as meter:
            assert meter.procedure(initiate) == initiate + b"\0new"


class Lenient(AccessDesk):
    """A desk that refuses a password, and does what is asked behind it all the same."""

    def screen(self, message: RequestArrived, now_us: int) -> list[bytes | Task]:
        assert message.services[0][0] == SECURITY
        rest = replace(message, services=message.services[1:])
        return [bytes([ResponseCode.isc]), *super().screen(rest, now_us)]


class ForAll(Tables):
    """A device that everybody may write to, and that counts it."""

    writes = 0

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        self.writes += 1
        self.images[table] = data


def test_what_a_meter_wrote_behind_a_password_that_it_refuses_is_not_told_as_refused() -> None:
    tables = ForAll()
    with device(NodeSettings(), tables) as (name, served):
        served.talk.server._desk = Lenient(served.talk.server.node.sessions, tables, b"")
        with NetworkMeter(name, KEYS, b"wrong") as meter:
            meter.write(3, b"whole")
            assert meter.password_accepted is False
    assert tables.images[3] == b"whole" and tables.writes == 1
