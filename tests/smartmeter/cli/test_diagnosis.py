"""Optical reality, each through a pty or TCP: the client copes, and ``doctor`` explains."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import serial

from protocols.c1218.server import Server, ServerOptions
from protocols.datalink.timing import Timing
from protocols.errors import OutcomeUnknown
from protocols.machine import Event, Machine
from protocols.quirks import Quirk
from protocols.transports import serving
from protocols.transports.pump import open_meter
from smartmeter.base.finding import Finding
from smartmeter.cli import diagnosis
from smartmeter.cli.doctor import look_at_board
from smartmeter.gateway.setup import probe
from tests.protocols.c1218.adapter import Adapter
from tests.protocols.c1218.deviations import IMAGES, Deviant
from tests.protocols.c1218.device_bench import ModelDevice
from tests.smartmeter.cli.served import line_to, meter_process, smartmeter

#: Silence is found out in a second, not in eight.
IMPATIENT = Timing(response_us=200_000)


@contextmanager
def served(machine: Machine, link: Path | None = None) -> Iterator[str]:
    """Serve a machine in a thread, on a pty at ``link`` or on TCP; gives the port's name."""
    loop, started, names = asyncio.new_event_loop(), threading.Event(), []

    def ready(port: int = 0) -> None:
        names.append(str(link) if link else f"tcp:127.0.0.1:{port}")
        started.set()

    work = (
        serving.serve_pty(machine, link, ready)
        if link
        else serving.serve_tcp(machine, "127.0.0.1", 0, ready)
    )
    task = loop.create_task(work)  # type: ignore[arg-type]

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield names[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


class Talker:
    """A machine that answers every octet with the same text, as a console does."""

    def __init__(self, text: bytes) -> None:
        self._text, self._out = text, b""

    def receive(self, data: bytes, now_us: int) -> None:
        self._out = self._text

    def expire(self, now_us: int) -> None:
        """Have nothing due."""

    def deadline_us(self) -> int | None:
        return None

    def outgoing(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def sent(self, now_us: int) -> None:
        """Have no timers."""

    def events(self) -> Sequence[Event]:
        return ()


class Late(Deviant):
    """A meter behind a USB adapter whose timer keeps every answer for 16 ms."""

    held: bytes = b""
    due_us: int | None = None

    def outgoing(self) -> bytes:
        if data := super().outgoing():
            self.held += data
            self.due_us = self.due_us or self.now_us + 16_000
        if self.due_us is None or self.now_us < self.due_us:
            return b""
        out, self.held, self.due_us = self.held, b"", None
        return out

    def deadline_us(self) -> int | None:
        dues = (super().deadline_us(), self.due_us)
        return min((due for due in dues if due is not None), default=None)


def texts(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_a_probe_that_echoes_is_read_through_and_named(tmp_path: Path) -> None:
    with served(Deviant(frozenset({Quirk.ECHO})), tmp_path / "probe") as port:
        with open_meter(port) as meter:
            assert meter.read(6) == IMAGES[6]
        found = texts(diagnosis.talk(line_to(port)))
    assert not found["meter"].wrong and "Q3 echo" in found


def test_a_sleepy_meter_with_swapped_checksums_is_named_by_the_verb() -> None:
    with served(Deviant(frozenset({Quirk.WAKE_UP, Quirk.TOGGLE_FROM_1}))) as port:
        done = smartmeter("doctor", port, "--json")
    assert '"Q4 wake-up"' in done.stdout and '"Q9 toggle-from-1"' in done.stdout
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("features", ["07201131303233", "0201000801"])
def test_a_meter_whose_features_end_in_the_middle_is_looked_at_all_the_same(features: str) -> None:
    answer = bytes.fromhex("001000" + features)
    server = Server(ModelDevice(), ServerOptions(identification=answer))
    with served(server) as port:
        found = texts(diagnosis.talk(line_to(port)))
    assert "ends inside a feature, granted 1024 octets" in found["meter"].text
    assert not any(one.wrong for one in found.values()) and "ST-01" in found


def test_a_meter_that_does_not_know_the_user_is_not_told_as_none() -> None:
    with served(Server(ModelDevice())) as port:
        found = probe(port, "", 200)
    assert not found.meter and found.text.startswith("a meter lets nobody in: Logon: ")
    assert "it may want another user id or user name" in found.text


def test_the_latency_of_an_adapter_is_measured_and_explained() -> None:
    with served(Late(frozenset())) as port:
        found = texts(diagnosis.talk(line_to(port)))
    assert not found["meter"].wrong and "larger packets" in found["latency"].remedy
    assert int(found["latency"].text.split()[2]) >= 16


@pytest.mark.parametrize(
    "heard, words",
    [
        (b"\r\nraspberrypi login: ", "console"),
        (b"/ABC5SN1234\r\n", "IEC 62056-21"),
        (bytes(range(128, 200)), "mini-UART"),
        (b"", "flat side"),
        (b"\x15", "crc-swapped"),
        (b"\x06", "another session"),
    ],
)
def test_what_comes_instead_of_a_meter_is_explained(heard: bytes, words: str) -> None:
    with served(Talker(heard)) as port:
        line = line_to(port, IMPATIENT)
        line.options = replace(line.options, answer_timeout_us=300_000)
        found = texts(diagnosis.talk(line))
    assert found["meter"].wrong and words in found["meter"].remedy


def test_a_mirror_instead_of_a_meter_is_explained(tmp_path: Path) -> None:
    class Mirror(Talker):
        def receive(self, data: bytes, now_us: int) -> None:
            self._out += data

    with served(Mirror(b""), tmp_path / "probe") as port:
        found = texts(diagnosis.talk(line_to(port, IMPATIENT)))
    assert "only our own octets" in found["meter"].text


def test_the_uarts_of_a_raspberry_pi_are_explained(tmp_path: Path) -> None:
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "proc" / "device-tree" / "model").write_bytes(b"Raspberry Pi 4 Model B\0")
    (tmp_path / "proc" / "cmdline").write_text("console=serial0,115200 console=tty1 root=/dev/sda")
    (tmp_path / "dev" / "serial0").symlink_to("ttyS0")
    found = texts(look_at_board("/dev/serial0", tmp_path))
    assert found["console"].wrong and "raspi-config" in found["console"].remedy
    assert "ttyAMA0" in found["mini-UART"].remedy
    assert not list(look_at_board("/dev/serial0", tmp_path / "elsewhere"))


def test_a_probe_that_wants_its_power_from_dtr_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Powered(Adapter):
        """Answers while DTR is on and RTS off."""

        timeout = 0.0
        in_waiting = 0

        def read(self, size: int = 1) -> bytes:
            time.sleep(min(self.timeout, 0.02))
            on = self.lines == {"rts": False, "dtr": True}
            return b"\x06" if on and self.written else b""

    def opening(url: str, **settings: Any) -> Powered:
        return Powered(url, **settings)

    monkeypatch.setattr(serial, "serial_for_url", opening)
    found = texts(diagnosis.talk(line_to("/dev/probe", IMPATIENT)))
    assert found["meter"].wrong and "--no-rts --dtr" in found["power"].remedy


class Cutter:
    """A serial server that drops its first connection after some octets from the meter."""

    def __init__(self, meter: str, cut_after: int) -> None:
        self._meter = int(meter.rpartition(":")[2])
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            near, _ = self._listener.accept()
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self._meter))
            left = self._cut_after if self.connections == 1 else 1 << 30
            threading.Thread(target=self._carry, args=(near, far, None), daemon=True).start()
            self._carry(far, near, left)

    def _carry(self, one: socket.socket, other: socket.socket, left: int | None) -> None:
        try:
            while data := one.recv(4096):
                if left is not None:
                    left -= len(data)
                    if left < 0:
                        break
                other.sendall(data)
        except OSError:
            return
        finally:
            for end in (one, other):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with meter_process("--tcp", "127.0.0.1:0") as (name, _):
        yield name


def reading(port: str, **options: Any) -> bytes:
    with open_meter(port, password=b"reader", packet_octets=64, packets=8, **options) as meter:
        return meter.read(62) + meter.read(76)


def test_a_port_that_vanishes_and_comes_back_costs_a_read_nothing(port: str) -> None:
    whole = reading(port)
    cutter = Cutter(port, cut_after=1500)
    assert len(reading(cutter.port)) == len(whole) and cutter.connections > 1
    found = texts(diagnosis.talk(line_to(Cutter(port, cut_after=30).port)))
    assert "came back 1 times" in found["vanishing"].text and "cable" in found["vanishing"].remedy


def test_a_write_under_way_when_its_port_vanishes_is_not_repeated(port: str) -> None:
    cutter = Cutter(port, cut_after=1 << 30)
    with (
        pytest.raises(OutcomeUnknown, match="read it back"),
        open_meter(cutter.port, password=b"master") as meter,
    ):
        port_of(meter).shutdown(socket.SHUT_RDWR)
        meter.write(5, b"POLE 17".ljust(20))


def port_of(meter: Any) -> socket.socket:
    connection = meter._port._socket
    assert isinstance(connection, socket.socket)
    return connection


def test_a_pty_that_goes_and_comes_back_under_its_name_is_read_on(tmp_path: Path) -> None:
    link = str(tmp_path / "meter")
    restarted: list[Callable[[], None]] = []
    with meter_process("--pty", link) as (name, process):
        with open_meter(name, password=b"reader", packet_octets=64, packets=2) as meter:

            def cut(done: int, whole: int | None) -> None:
                if not restarted:
                    process.kill()
                    process.wait()
                    Path(link).unlink(missing_ok=True)
                    again = meter_process("--pty", link)
                    again.__enter__()
                    restarted.append(lambda: again.__exit__(None, None, None))

            assert len(meter.read(64, cut)) > 4000
        restarted[0]()


def test_a_serial_server_by_its_socket_url_is_read(port: str) -> None:
    url = port.replace("tcp:", "socket://")
    with open_meter(url, password=b"reader") as meter:
        assert meter.read(5) and not meter._port.is_line  # type: ignore[attr-defined]
    assert not texts(diagnosis.talk(line_to(url)))["meter"].wrong
