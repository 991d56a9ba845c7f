"""Random and mutated octets at both ends: no exception escapes, no state outside the table, and
memory stays flat.  A fixed share runs always; ten million octets at night."""

import tracemalloc
from random import Random
from typing import Any

import pytest

from protocols.c1218.client import Client, ScriptDone, ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.server import Server
from protocols.c1218.session import State
from protocols.datalink.packet import MAX_PACKET_OCTETS, Packet
from tests.protocols.c1218.device_bench import IndexedModel

#: Octets for each end: the share of every run, and of a night.
SHARE, NIGHT = 150_000, 10_000_000
#: What one end may hold: a packet, a message of 255, and what waits to be written.
MOST_HELD = 300 * MAX_PACKET_OCTETS
_TEXT = """
20 21 52 300000 300005 3f0005000000000a 3e 3100050001 0001 7005 6104000806 600080ff
50000141424344454647484920 22 530900 711e010403 00 0a 000003010203fa 4000050002686930
"""
MESSAGES = [bytes.fromhex(word) for word in _TEXT.split()]
MESSAGES += [b"\x51secret" + b" " * 14, b"\x40\0\5\0\x14" + b"w" * 20 + b"\xb4"]


class Chaos:
    """Makes octets: noise, packets, broken packets, copies, and pieces of what was said."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.toggle = 0
        self.last = b""

    def octets(self, heard: bytes) -> bytes:
        """Give the next octets for an end that has just said ``heard``."""
        rng = self.rng
        match rng.randrange(9):
            case 0:
                return rng.randbytes(rng.randrange(40))
            case 1:
                return self.last
            case 2:
                return rng.choice((b"\x06", b"\x15", b"\x55", b"\xee", b"\x06\x06"))
            case 3:
                return self._mutated(heard or self.last)
            case 4:
                return b"\x06" + self._mutated(self._packet())
            case 5:
                return bytes([0xEE, 0, rng.randrange(256), rng.randrange(256)]) + rng.randbytes(4)
            case _:
                self.last = self._packet()
                return b"\x06" + self.last

    def _packet(self) -> bytes:
        rng = self.rng
        self.toggle ^= 0x20
        message = rng.choice(MESSAGES)
        if rng.random() < 0.3:
            message += rng.randbytes(rng.randrange(30))
        ctrl, seq = self.toggle, 0
        if rng.random() < 0.2:
            ctrl, seq = rng.randrange(256), rng.randrange(4)
        return Packet(message, ctrl, seq, rng.choice((0, 0, 5))).encode()

    def _mutated(self, octets: bytes) -> bytes:
        rng, data = self.rng, bytearray(octets)
        for _ in range(rng.randrange(3)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data) + 1) if rng.random() < 0.2 else len(data)
        return bytes(data[:cut])


def feed(machine: Any, chaos: Chaos, data: bytes, now_us: int) -> tuple[bytes, int]:
    """Give a machine octets in random pieces and let time pass; give what it said, and the time."""
    rng, said = chaos.rng, b""
    while data:
        cut = rng.randint(1, len(data))
        machine.receive(data[:cut], now_us)
        data = data[cut:]
        now_us += rng.choice((0, 200, 1_000, 30_000))
        due_us = machine.deadline_us()
        if due_us is not None and due_us <= now_us:
            machine.expire(now_us)
        said += machine.outgoing()
        machine.sent(now_us)
    if rng.random() < 0.05:
        now_us += rng.choice((600_000, 2_100_000, 7_000_000))
        machine.expire(now_us)
        said += machine.outgoing()
    return said, now_us


def held(machine: Any) -> int:
    """Give the octets that a machine keeps."""
    link = machine._link
    kept = len(link._parser._buffer) + sum(map(len, link._assembly._pieces))
    return kept + len(link._outgoing) + sum(len(packet.data) for packet in link._waiting)


def fuzz_device(octets: int, seed: int) -> set[State]:
    chaos, device = Chaos(seed), IndexedModel()
    server, now_us, said, done = Server(device), 0, b"", 0
    reached = set()
    while done < octets:
        data = chaos.octets(said)
        said, now_us = feed(server, chaos, data, now_us)
        server.events()
        done += max(1, len(data))
        reached.add(server.state)
        assert server.state in State and held(server) <= MOST_HELD
        device.writes.clear()
    return reached


def fuzz_client(octets: int, seed: int) -> set[State]:
    chaos, now_us, said, done, ended = Chaos(seed), 0, b"", 0, 0
    talk = Conversation(LogonSettings(password=b"p", bauds=(57600,)), None)
    client: Client = talk.client
    while done < octets:
        if not client.busy:
            work = (talk.open, talk.close, lambda: talk.read(5), lambda: talk.write(5, b"w" * 60))
            client.run(chaos.rng.choice(work)(), None, now_us)
        data = chaos.octets(said)
        said, now_us = feed(client, chaos, data, now_us)
        done += max(1, len(data))
        for event in client.events():
            ended += isinstance(event, ScriptDone | ScriptFailed)
        assert held(client) <= MOST_HELD and len(client._queue) == 0
    assert ended > octets // 20_000
    return set(State)


@pytest.mark.parametrize("fuzz", [fuzz_device, fuzz_client])
def test_octets_of_any_kind_leave_an_end_whole(fuzz: Any) -> None:
    assert fuzz(SHARE, 1) == set(State)  # it gets through to every state


@pytest.mark.parametrize("fuzz", [fuzz_device, fuzz_client])
def test_memory_stays_flat_however_long_it_goes(fuzz: Any) -> None:
    tracemalloc.start()
    try:
        fuzz(SHARE // 10, 2)
        before, _ = tracemalloc.get_traced_memory()
        fuzz(SHARE // 3, 3)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000


@pytest.mark.night
@pytest.mark.parametrize("fuzz", [fuzz_device, fuzz_client])
@pytest.mark.parametrize("seed", range(4))
def test_ten_million_octets_leave_an_end_whole(fuzz: Any, seed: int) -> None:
    assert fuzz(NIGHT // 4, 100 + seed) == set(State)
