"""A load generator and two servers for it: our TMS, and a bare epoll loop that echoes."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from c1222_peers import INTERVALS, bare_server, echo_server, processor_s

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, Cause, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NOTIFICATION, Envelope, Lock, build_apdu
from protocols.c1222.registration import DEVICE_CLASS
from protocols.c1222.security import EaxPrime
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.event_loop import allow_sockets, run_server
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import profile_part
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.template import make_template

METERS = 200
HOST = ApTitle.parse(".1")
IDLE_CONNECTIONS = 2000
#: Open files that both ends may have beside these.
SPARE_FILES = 128
#: What a server is asked through its pipe.
CPU, MEMORY = "cpu", "memory"
_SEED, _KEY_ID = 7, 0
CONFIG_VERSION = make_template().version


def reports(factory: Factory, first: int, count: int, utc_s: int) -> list[bytes]:
    """Give so many reports of one SmartMeter: header, and a load-profile part, raw."""
    cipher, made = EaxPrime(factory.key), []
    for number in range(first, first + count):
        header = {
            "BASE": DEFAULT_BASE,
            "ESN": factory.esn,
            "OUTBOX_EPOCH": 1,
            "REPORT_NBR": number,
            "CAUSE": Cause.SCHEDULE,
            "SCHEDULE_NBR": 1,
            "TIME": utc_s,
            "DUE_TIME": utc_s,
            "CONFIG_VERSION": CONFIG_VERSION,
            "CONTEXT_ID": 1,
            "STATE": 6,
            "WARNING": 0,
        }
        intervals = [
            Interval(number * INTERVALS + n, utc_s + 900 * n, b"", (250 + n, 31 * n))
            for n in range(INTERVALS)
        ]
        part = profile_part(1, intervals, 900, 1, 1)
        image = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part)
        services = [
            encode_request(FullWrite(DEFAULT_BASE + table, octets))
            for table, octets in (
                (SsiTable.REPORT_HEADER, ssi_tables.encode(SsiTable.REPORT_HEADER, header)),
                (SsiTable.LOAD_PROFILE_PART, image),
            )
        ]
        lock = Lock(cipher, _KEY_ID, utc_s.to_bytes(4, "big"))
        envelope = Envelope(number, HOST, factory.title, None, NOTIFICATION)
        made.append(build_apdu(envelope, services, lock, ed_class=DEVICE_CLASS))
    return made


def _resident_octets() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tms_server(pipe: Connection, folder: str, factories: list[Factory]) -> None:
    """Run a TMS that knows the SmartMeters; tells processor seconds and memory when asked."""
    run_server(_tms(pipe, folder, factories))


async def _tms(pipe: Connection, folder: str, factories: list[Factory]) -> None:
    tms = TmsServer(Path(folder), Calendar(wall_utc_us(), 1, monotonic_us()))
    await tms.start("127.0.0.1", 0)
    tms.import_shipment([Shipped(f.esn, str(f.title), f.key, MODEL) for f in factories])
    tms.store.write_now(
        lambda c: c.executemany(
            "INSERT INTO contexts VALUES (?,1,0,x'00')", [(f.esn,) for f in factories]
        )
    )
    version = tms.head_end.template.version
    tms.store.write_now(lambda c: c.execute("UPDATE meters SET config_version=?", (version,)))
    pipe.send(tms.address)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked() -> None:
        question = pipe.recv()
        if question is None:
            stop.set()
        else:
            pipe.send(_resident_octets() if question == MEMORY else processor_s())

    loop.add_reader(pipe.fileno(), asked)
    await stop.wait()
    await tms.stop()


class Process:
    """A server in a process of its own."""

    def __init__(self, run: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(theirs, *arguments), daemon=True)
        self._process.start()
        self.address: tuple[str, int] = self._pipe.recv()

    def cpu_s(self) -> float:
        """Give processor seconds so far."""
        self._pipe.send(CPU)
        return float(self._pipe.recv())

    def resident_octets(self) -> int:
        """Give the memory that is held; not to be asked within a pass, for it tidies up first."""
        self._pipe.send(MEMORY)
        return int(self._pipe.recv())

    def stop(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join()


@dataclass(frozen=True)
class Pass:
    """One pass of the generator: messages a second, and a processor second of the server."""

    per_s: float
    per_cpu_s: float
    generator_busy: float


class Generator:
    """One connection a SmartMeter, one message under way on each, in an epoll loop."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._poll = select.epoll()
        self._peers: dict[int, socket.socket] = {}
        for _ in range(METERS):
            peer = socket.create_connection(process.address)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[peer.fileno()] = peer
            self._poll.register(peer, select.EPOLLIN)

    def drive(self, messages: list[list[bytes]]) -> Pass:
        """Send each connection's messages, each after the answer to the one before."""
        waiting = {number: iter(own) for number, own in zip(self._peers, messages, strict=True)}
        before, own_before, begin = self._process.cpu_s(), processor_s(), time.perf_counter()
        for number, peer in self._peers.items():
            peer.send(next(waiting[number]))
        count, open_peers = 0, len(waiting)
        while open_peers:
            for number, _ in self._poll.poll(10):
                answer = self._peers[number].recv(65_536)
                if not answer:
                    raise SystemExit("the server closed a connection")
                count += 1
                message = next(waiting[number], None)
                if message is None:
                    open_peers -= 1
                else:
                    self._peers[number].send(message)
        wall_s, own_s = time.perf_counter() - begin, processor_s() - own_before
        cpu_s = self._process.cpu_s() - before
        return Pass(count / wall_s, count / cpu_s, own_s / wall_s)

    def close(self) -> None:
        """Let the connections go."""
        for peer in self._peers.values():
            peer.close()


def idle_connection_octets(process: Process) -> float:
    """Give what one silent connection takes of the server's memory; fewer where files are few."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_CONNECTIONS, files - SPARE_FILES)
    before = process.resident_octets()
    idle = [socket.create_connection(process.address) for _ in range(count)]
    time.sleep(1)
    after = process.resident_octets()
    for peer in idle:
        peer.close()
    return (after - before) / count


def measure_server(messages: int, rounds: int) -> dict[str, float]:
    """Give the figures of the TMS beside those of the echo and of the least, taken in turns."""
    allow_sockets()
    factories = [factory_of(n, _SEED, "tcp:127.0.0.1:1") for n in range(1, METERS + 1)]
    each = max(2, messages // METERS // rounds)
    utc_s = wall_utc_us() // 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        processes = (
            Process(tms_server, folder, factories),
            Process(echo_server),
            Process(bare_server, factories),
        )
        generators = [Generator(process) for process in processes]
        passes: list[list[Pass]] = []
        for turn in range(rounds + 1):  # the first one warms up
            made = [reports(f, 1 + turn * each, each, utc_s) for f in factories]
            passes.append([generator.drive(made) for generator in generators])
        passes = passes[1:]
        for generator in generators:
            generator.close()
        idle = idle_connection_octets(processes[0])
        for process in processes:
            process.stop()
    ours, echo, _ = (list(one) for one in zip(*passes, strict=True))
    per_cpu = statistics.median(one.per_cpu_s for one in ours)
    return {
        "server_vs_epoll": _ratio(passes, 0, 1),
        "least_vs_epoll": _ratio(passes, 2, 1),
        "report_cpu_us": round(1e6 / per_cpu, 1),
        "idle_connection_bytes": round(idle),
        "reports_per_s": round(statistics.median(one.per_s for one in ours)),
        "echoes_per_s": round(statistics.median(one.per_s for one in echo)),
        "generator_busy": round(max(one.generator_busy for one in ours), 3),
        "report_octets": len(made[0][0]),
    }


def _ratio(passes: list[list[Pass]], server: int, peer: int) -> float:
    """Give how one server does beside another, by processor second; the median of the passes."""
    return round(
        statistics.median(one[server].per_cpu_s / one[peer].per_cpu_s for one in passes), 4
    )
