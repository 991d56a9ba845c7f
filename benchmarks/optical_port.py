"""How close the optical port comes to its limits, and what it costs beside a public client.

Line time is reckoned on a simulated line, so it does not depend on the machine;
costs are ratios against the peer in the same run, interleaved, medians.
``python benchmarks/optical_port.py [--rounds N] [--json]``; exit status 1 below a bar.

* ``line_time_vs_limit``: a 4 kB table at 9600 baud in packets of 512, the turn-around at
  its minimum, against the bits and turn-arounds that nothing can save.
* ``line_time_with_latency_vs_bound``: the same with 20 ms turn-around at both ends and 16 ms
  of a USB adapter's timer, against the bound reckoned with those waits.
* ``negotiated_vs_9600``: the same read at 57,600 baud and the largest packet that the device
  grants, against 9600 baud and 512.
* ``packet_vs_termineter``: build and parse a packet of that read.
* ``client_cpu_vs_termineter``: processor time of the client for that read.
* ``crc_vs_pure_crcmod``: the checksum of such a packet against crcmod without its extension.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from crcmod import _crcfunpy

from protocols.c1218.client import Client, ClientOptions, ScriptDone
from protocols.c1218.scripts import LogonSettings, open_session, read_table
from protocols.c1218.server import Server, ServerOptions
from protocols.crc import crc16
from protocols.datalink.packet import Packet, decode_packet
from protocols.datalink.timing import Timing
from protocols.machine import SetBaud
from protocols.psem.codes import ResponseCode
from protocols.transports.pump import MeterPort

TABLE, TABLE_OCTETS, PACKET = 64, 4096, 512
BITS_AN_OCTET, US_PER_S = 10, 1_000_000
IMAGE = bytes(n * 7 & 0xFF for n in range(TABLE_OCTETS))
#: Termineter takes two packets of 512 at most.
TERMINETER_PIECE = 2 * (PACKET - 8) - 4
BARS = {
    "line_time_vs_limit": 0.99,
    "line_time_with_latency_vs_bound": 0.9,
    "negotiated_vs_9600": 5.5,
    "packet_vs_termineter": 100.0,
    "client_cpu_vs_termineter": 25.0,
    "crc_vs_pure_crcmod": 10.0,
}


class OneTable:
    """A device of one table that anyone may read."""

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session."""
        return ResponseCode.ok

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Take any password."""
        return ResponseCode.ok

    def read(self, table: int, now_us: int) -> bytes:
        """Give the table."""
        return IMAGE

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Take nothing."""

    def session_ended(self, normally: bool, now_us: int) -> None:
        """Forget nothing."""


class TimedLine:
    """Client and device on a line whose bits take time; ``latency_us`` delays what is read."""

    def __init__(self, turn_around_us: int, latency_us: int, packet: int, baud: int) -> None:
        timing = Timing(turn_around_us=turn_around_us)
        self.client = Client(ClientOptions(timing=timing))
        options = ServerOptions(max_packet_octets=packet, timing=timing)
        self.server = Server(OneTable(), options)
        self.now_us, self._latency_us = 0, latency_us
        self._bauds = {id(self.client): 9600, id(self.server): 9600}
        self._under_way: dict[int, deque[tuple[int, int, bytes]]] = {
            id(self.client): deque(),
            id(self.server): deque(),
        }
        bauds = (baud,) if baud != 9600 else ()
        self.run(open_session(LogonSettings(packet_octets=packet, packets=255, bauds=bauds)))

    def run(self, script: Any) -> tuple[Any, int]:
        """Run a script; give its result, and how long the line was taken."""
        begun_us, token, result = self.now_us, object(), None
        self.client.run(script, token, self.now_us)
        while True:
            self._send(self.client)
            self._send(self.server)
            for event in self.client.events():
                if isinstance(event, SetBaud):
                    self._bauds[id(self.client)] = event.baud
                elif isinstance(event, ScriptDone) and event.token is token:
                    result = event
            idle = self.client.quiet and not any(self._under_way.values())
            if result is not None and idle:
                return result.result, self.now_us - begun_us
            self._step()

    def _send(self, machine: Client | Server) -> None:
        for event in self.server.events():
            if isinstance(event, SetBaud):
                self._bauds[id(self.server)] = event.baud
        queue = self._under_way[id(machine)]
        if not queue and (data := machine.outgoing()):
            bits_us = -(-len(data) * BITS_AN_OCTET * US_PER_S // self._bauds[id(machine)])
            latency_us = self._latency_us if machine is self.server else 0
            left_us = self.now_us + bits_us
            queue.append((left_us, left_us + latency_us, data))

    def _step(self) -> None:
        dues = [due for m in (self.client, self.server) if (due := m.deadline_us()) is not None]
        dues += [
            moment for queue in self._under_way.values() for item in queue for moment in item[:2]
        ]
        self.now_us = max(self.now_us, min(due for due in dues if due > self.now_us))
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            queue = self._under_way[id(sender)]
            if queue and queue[0][0] == self.now_us:
                sender.sent(self.now_us)
            if queue and queue[0][1] <= self.now_us:
                receiver.receive(queue.popleft()[2], self.now_us)
        for machine in (self.client, self.server):
            due_us = machine.deadline_us()
            if due_us is not None and due_us <= self.now_us:
                machine.expire(self.now_us)


def bound_us(turn_around_us: int, latency_us: int, packet: int) -> float:
    """Reckon what nothing can save: every bit at 9600 baud, every turn-around, every read."""
    room = packet - 8
    message = TABLE_OCTETS + 4
    packets = -(-message // room)
    octets = (3 + 8) + 1 + (message + 8 * packets) + packets
    # Request, then for each packet: the device turns round, is read late, the client turns round.
    turns = 2 * packets
    bits_us = octets * BITS_AN_OCTET * US_PER_S / 9600
    return bits_us + turns * turn_around_us + packets * latency_us


def line_times() -> dict[str, float]:
    """Give the three figures of line time."""

    def read_us(turn_around_us: int, latency_us: int, packet: int, baud: int) -> int:
        line = TimedLine(turn_around_us, latency_us, packet, baud)
        image, taken_us = line.run(read_table(TABLE, line.client.limits))
        assert image == IMAGE
        return taken_us

    plain_us = read_us(175, 0, PACKET, 9600)
    late_us = read_us(20_000, 16_000, PACKET, 9600)
    fast_us = read_us(175, 0, 8192, 57_600)
    return {
        "line_time_vs_limit": bound_us(175, 0, PACKET) / plain_us,
        "line_time_with_latency_vs_bound": bound_us(20_000, 16_000, PACKET) / late_us,
        "negotiated_vs_9600": plain_us / fast_us,
    }


def ratio(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int, repeat: int) -> float:
    """Give how many times longer the peer takes: medians of interleaved rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, count, kept in ((ours, repeat, times[0]), (peer, max(1, repeat // 20), times[1])):
            begun_s = time.process_time()
            for _ in range(count):
                work()
            kept.append((time.process_time() - begun_s) / count)
    return statistics.median(times[1]) / statistics.median(times[0])


class Canned:
    """A port, and a serial port of pyserial's shape, whose device answers from a recording.

    Time passes only while nothing is there to read.
    """

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = deque(answers)
        self._stream = bytearray()
        self._now_us = 0

    def now_us(self) -> int:
        """Give this port's own time."""
        return self._now_us

    def write(self, data: bytes) -> int:
        """Take what the client says, and make the next answer available."""
        if self._answers:
            self._stream += self._answers.popleft()
        return len(data)

    def read(self, wanted: float) -> bytes:
        """Give so many octets (pyserial), or all that is there (our ports wait for a time)."""
        if not isinstance(wanted, int):
            data = bytes(self._stream)
            self._stream.clear()
            if not data:
                self._now_us += int(wanted * 1e6) + 1
            return data
        data = bytes(self._stream[:wanted])
        del self._stream[:wanted]
        return data

    def flushInput(self) -> None:
        """Do nothing: a recording has no leftovers."""

    def flushOutput(self) -> None:
        """Do nothing."""

    def set_baud(self, baud: int) -> None:
        """Have no speed."""

    def close(self) -> None:
        """Stay."""


class Spy(Canned):
    """Lets a device answer, and keeps its answers."""

    def __init__(self) -> None:
        super().__init__([])
        self.answers: list[bytes] = []
        options = ServerOptions(max_packet_octets=PACKET, timing=Timing(turn_around_us=0))
        self._server = Server(OneTable(), options)

    def write(self, data: bytes) -> int:
        """Let the device answer."""
        self._server.receive(bytes(data), 0)
        self.answers.append(self._server.outgoing())
        self._stream += self.answers[-1]
        return len(data)


def our_read_s(port: Canned) -> float:
    """Read the table with our client; give the processor time."""
    settings = LogonSettings(packet_octets=PACKET, packets=255)
    with MeterPort(port, settings, now_us=port.now_us) as meter:
        begun_s = time.process_time()
        image = meter.read(TABLE)
        taken_s = time.process_time() - begun_s
    assert image == IMAGE
    return taken_s


def termineter_read_s(port: Any) -> float:
    """Read the table with Termineter, in the pieces that it can take."""
    from c1218.connection import Connection

    connection: Any = Connection("loop://")
    connection.serial_h = port
    connection.start()
    connection.login()
    begun_s = time.process_time()
    image = b"".join(
        connection.get_table_data(TABLE, min(TERMINETER_PIECE, TABLE_OCTETS - at), at)
        for at in range(0, TABLE_OCTETS, TERMINETER_PIECE)
    )
    taken_s = time.process_time() - begun_s
    assert image == IMAGE
    connection.stop()
    return taken_s


def client_cost(rounds: int) -> float:
    """Give Termineter's processor time for the read of a 4 kB table over ours."""
    clients = (our_read_s, termineter_read_s)
    recordings = []
    for client in clients:
        spy = Spy()
        client(spy)
        recordings.append(spy.answers)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds * 10):
        for client, recording, kept in zip(clients, recordings, times, strict=True):
            kept.append(client(Canned(recording)))
    return statistics.median(times[1]) / statistics.median(times[0])


def costs(rounds: int) -> dict[str, float]:
    """Give the three figures of processor time."""
    from c1218.data import C1218Packet

    piece = IMAGE[: PACKET - 8]
    octets = Packet(piece).encode()
    pure = _pure_crcmod()
    assert pure(octets[:-2]) == crc16(octets[:-2])
    return {
        "packet_vs_termineter": ratio(
            lambda: decode_packet(Packet(piece).encode()),
            lambda: C1218Packet.from_bytes(C1218Packet(piece).build()),
            rounds,
            200,
        ),
        "client_cpu_vs_termineter": client_cost(rounds),
        "crc_vs_pure_crcmod": ratio(lambda: crc16(octets), lambda: pure(octets), rounds, 500),
    }


def _pure_crcmod() -> Callable[[bytes], int]:
    """Give crcmod's own pure-Python checksum, whether or not its extension is installed."""
    from crcmod.crcmod import _mkTable_r  # the generator that crcmod itself uses

    lookup = _mkTable_r(0x11021, 16)
    return lambda data: _crcfunpy._crc16r(data, 0xFFFF, lookup) ^ 0xFFFF


def main() -> int:
    """Print the figures, and tell by the exit status whether they meet their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = {**line_times(), **costs(chosen.rounds)}
    if chosen.json:
        print(json.dumps({key: round(value, 4) for key, value in figures.items()}, indent=1))
    else:
        for key, value in figures.items():
            print(f"{key:34s} {value:10.3f}   at least {BARS[key]}")
    return 0 if all(figures[key] >= bar for key, bar in BARS.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
