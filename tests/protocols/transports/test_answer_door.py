"""Answers that come on a connection of the meter's own, beside or instead of the first."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.c1222.node import NodeSettings
from protocols.c1222.security import EaxPrime
from protocols.c1222.stream import ApduStream
from protocols.errors import LinkError, PortError
from protocols.transports import capture
from protocols.transports.apdu_connection import ApduConnection
from protocols.transports.network_meter import NetworkMeter
from protocols.transports.network_name import parse_name
from protocols.transports.pcapng import read_capture
from tests.ports import free_port
from tests.protocols.c1222.conversation import KEY, KEY_ID, Talk

KEYS = {KEY_ID: EaxPrime(KEY)}
Answering = Callable[[socket.socket, bytes], None]


class OtherWay:
    """A meter that takes a request and hands the answer to ``answering``."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._talk = Talk(NodeSettings())
        self._talk.clock.offset_us = time.time_ns() // 1000 - self._talk.now_us
        self._listens = socket.create_server(("127.0.0.1", 0))
        self.name = f"c1222://127.0.0.1:{self._listens.getsockname()[1]}/.7.42"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listens.accept()
            except OSError:
                return
            stream = ApduStream()
            while data := connection.recv(4096):
                for octets in stream.feed(data):
                    for answer in self._talk.offer(octets):
                        self._answering(connection, answer)

    def close(self) -> None:
        self._listens.close()


@pytest.fixture
def port() -> Iterator[int]:
    yield free_port()


def test_an_answer_on_a_second_connection_is_taken_and_in_the_capture(
    port: int, tmp_path: Path
) -> None:
    capture.begin(tmp_path / "read.pcapng")
    kept = []

    def by_another(connection: socket.socket, answer: bytes) -> None:
        other = socket.create_connection(("127.0.0.1", port))
        kept.append(other)
        for octet in answer:  # in any split
            other.sendall(bytes([octet]))

    device = OtherWay(by_another)
    with NetworkMeter(device.name, KEYS, answer_port=port) as meter:
        assert meter.read(1)[:4] == b"SMOP" and meter.read(3) == bytes(5)
    device.close()
    capture.end()
    packets = read_capture((tmp_path / "read.pcapng").read_bytes())
    assert [one.outbound for one in packets] == [True, False, True, False]


def reset_at_its_end(connection: socket.socket) -> None:
    """Close at once, as a program does that ends with octets unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_what_a_connection_brought_before_it_was_reset_is_an_answer_also_with_a_capture(
    port: int, tmp_path: Path
) -> None:
    capture.begin(tmp_path / "read.pcapng")

    def by_another(connection: socket.socket, answer: bytes) -> None:
        other = socket.create_connection(("127.0.0.1", port))
        other.sendall(answer)
        reset_at_its_end(other)

    device = OtherWay(by_another)
    with NetworkMeter(device.name, KEYS, answer_port=port) as meter:
        assert meter.read(1)[:4] == b"SMOP"
    device.close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        asking = ApduConnection(parse_name(f"c1222://127.0.0.1:{server.getsockname()[1]}/.1"))
        asking.send(b"\x60\x00")
        connection, _ = server.accept()
        connection.sendall(b"\x60\x00")
        reset_at_its_end(connection)
        assert asking.receive(10) == [b"\x60\x00"]
        asking.close()
    capture.end()


def test_the_first_connection_may_be_closed_before_the_answer_comes(port: int) -> None:
    def after_closing(connection: socket.socket, answer: bytes) -> None:
        connection.shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(answer)

    device = OtherWay(after_closing)
    with NetworkMeter(device.name, KEYS, answer_port=port) as meter:
        assert meter.read(1)[:4] == b"SMOP"
    device.close()


def test_a_read_that_met_the_end_of_the_first_connection_is_asked_anew_at_once(port: int) -> None:
    seen: list[socket.socket] = []

    def once_a_connection(connection: socket.socket, answer: bytes) -> None:
        if connection in seen:
            connection.shutdown(socket.SHUT_RDWR)  # it was closing when the request came
            return
        seen.append(connection)
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(answer)

    device = OtherWay(once_a_connection)
    with NetworkMeter(device.name, KEYS, answer_port=port, answer_timeout_s=120.0) as meter:
        begin_s = time.monotonic()
        assert meter.read(1)[:4] == b"SMOP" and meter.read(3) == bytes(5)
        assert time.monotonic() - begin_s < 60, "the time for an answer was not waited out"
    device.close()


def test_a_meter_that_answers_on_the_first_connection_is_read_all_the_same(port: int) -> None:
    device = OtherWay(lambda connection, answer: connection.sendall(answer))
    with NetworkMeter(device.name, KEYS, answer_port=port) as meter:
        assert meter.read(1)[:4] == b"SMOP"
    device.close()


def test_garbage_and_crowds_at_the_door_disturb_nobody(port: int) -> None:
    crowd: list[socket.socket] = []

    def behind_a_crowd(connection: socket.socket, answer: bytes) -> None:
        for _ in range(12):
            one = socket.create_connection(("127.0.0.1", port))
            crowd.append(one)
            one.sendall(b"\x60\x88" + b"\xff" * 8)
        connection.sendall(answer)

    device = OtherWay(behind_a_crowd)
    with NetworkMeter(device.name, KEYS, answer_port=port) as meter:
        assert meter.read(1)[:4] == b"SMOP"
    device.close()


def test_without_a_door_the_wait_ends() -> None:
    device = OtherWay(lambda connection, answer: None)
    with (
        NetworkMeter(device.name, KEYS, answer_timeout_s=0.2) as meter,
        pytest.raises(LinkError, match="in time"),
    ):
        meter.read(1)
    device.close()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port} for answers"):
            NetworkMeter("c1222://127.0.0.1:1/.7", KEYS, answer_port=port).__enter__()
