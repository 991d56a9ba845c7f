"""A meter is cloned through a real port, and its twin is served and cloned again."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from protocols.transports.pump import open_meter
from tests.smartmeter.cli.served import (
    STANDING,
    assert_one_clear_error,
    meter_process,
    smartmeter,
)
from tests.waiting import wait_until


def test_a_clone_of_the_clone_is_equal_byte_for_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    with meter_process("--pty", str(tmp_path / "meter"), *STANDING) as (port, _):
        done = smartmeter("clone", port, str(first), SMARTMETER_PASSWORD="reader")
    assert done.returncode == 0, done.stderr
    assert "refused: 7 iar" in done.stdout
    assert first.stat().st_mode & 0o777 == 0o600
    with meter_process("--tcp", "127.0.0.1:0", "--image", str(first)) as (port, _):
        assert smartmeter("clone", port, str(second), SMARTMETER_PASSWORD="reader").returncode == 0
        shown = smartmeter("read", port, "1", "23", "76", "--json")
    assert second.read_bytes() == first.read_bytes()
    assert json.loads(shown.stdout)["76"]["error"]["code"] == "isc"
    assert json.loads(shown.stdout)["1"]["fields"]["MFG_SERIAL_NUMBER"] == "SM000001"
    assert sorted(tmp_path.iterdir()) == [first, second]


class Sluice:
    """Forwards a connection to a meter, whose answers pass by portions as the test lets them."""

    PORTION_OCTETS = 40

    def __init__(self, port: str) -> None:
        self._far = socket.create_connection(("127.0.0.1", int(port.rsplit(":", 1)[1])))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = f"tcp:127.0.0.1:{self._server.getsockname()[1]}"
        self._opened = threading.Event()
        threading.Thread(target=self._carry, daemon=True).start()

    def let_through(self) -> None:
        """Let one portion pass, however often this is called before."""
        self._opened.set()

    def _carry(self) -> None:
        near, _ = self._server.accept()
        threading.Thread(target=self._hold, args=(near,), daemon=True).start()
        with suppress(OSError), self._far:  # whoever asked was killed
            while data := near.recv(1000):
                self._far.sendall(data)

    def _hold(self, near: socket.socket) -> None:
        with suppress(OSError):  # whoever listened was killed
            while data := self._far.recv(self.PORTION_OCTETS):
                self._opened.wait()
                self._opened.clear()
                near.sendall(data)


def test_an_interrupted_clone_goes_on_where_it_stopped(tmp_path: Path) -> None:
    image, part = tmp_path / "meter.json", tmp_path / "meter.json.part"
    with meter_process("--tcp", "127.0.0.1:0", *STANDING) as (port, _):
        assert smartmeter("clone", port, str(image)).returncode == 0
        whole = json.loads(image.read_text())["tables"]
        image.unlink()
        sluice = Sluice(port)
        command = (sys.executable, "-m", "smartmeter", "clone", sluice.port, str(image))
        cloning = subprocess.Popen(command)
        while not part.exists() and cloning.poll() is None:
            sluice.let_through()
            time.sleep(0.02)
        cloning.send_signal(signal.SIGKILL)
        cloning.wait()
        assert part.stat().st_mode & 0o777 == 0o600
        kept = json.loads(part.read_text())["tables"]
        assert kept and len(kept) < len(whole)
        with open_meter(port):
            pass  # whoever comes first ends the session that was left open
        assert smartmeter("clone", port, str(image)).returncode == 0
    assert json.loads(image.read_text())["tables"] == whole
    assert not part.exists()


def test_a_clone_replaces_an_older_one_of_its_meter_and_no_other_file(tmp_path: Path) -> None:
    image, other = tmp_path / "meter.json", tmp_path / "notes.json"
    other.write_text("{}")
    with meter_process("--tcp", "127.0.0.1:0", "--seed", "8") as (port, _):
        assert smartmeter("clone", port, str(image)).returncode == 0
        assert smartmeter("clone", port, str(image)).returncode == 0
        done = smartmeter("clone", port, str(other))
        assert done.returncode == 2 and "notes.json" in done.stderr, done.stderr
    kept = image.read_bytes()
    with meter_process("--tcp", "127.0.0.1:0", "--seed", "9") as (port, _):
        done = smartmeter("clone", port, str(image))
        assert done.returncode == 1 and "another meter" in done.stderr, done.stderr
        part = tmp_path / "new.json.part"
        part.write_bytes(kept)
        done = smartmeter("clone", port, str(tmp_path / "new.json"))
        assert f"{part}: holds the clone of another meter" in done.stderr, done.stderr
        part.unlink()
    assert other.read_text() == "{}" and image.read_bytes() == kept
    assert sorted(tmp_path.iterdir()) == [image, other]


def test_a_live_twin_runs_on_from_its_image(tmp_path: Path) -> None:
    image = tmp_path / "meter.json"
    assert smartmeter("clone", "sim:", str(image)).returncode == 0
    live = ("--image", str(image), "--live", "--clock", f"{int(time.time())},36000")
    with meter_process("--tcp", "127.0.0.1:0", *live) as (port, _), open_meter(port) as meter:
        first = {number: meter.read(number) for number in (1, 23, 52)}
        for number in (23, 52):
            wait_until(lambda n=number: meter.read(n) != first[n])
        assert meter.read(1) == first[1]


def test_many_meters_are_served_at_once(tmp_path: Path) -> None:
    with meter_process("--tcp", "127.0.0.1:0", "--count", "3", "--seed", "7") as (port, process):
        assert process.stdout is not None
        ports = [port] + [process.stdout.readline().split()[1] for _ in range(2)]
        serials = set()
        for each in ports:
            with open_meter(each) as meter:
                serials.add(meter.read(1)[-16:].strip())
    assert serials == {b"SM000007", b"SM000008", b"SM000009"}


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (("clone", "sim:", "/no/such/folder/x.json"), 2, "mkdir"),
        (("clone", "sim:", "/dev/null"), 2, "is no file"),
        (("clone", "sim:", "x.json", "--share", "--with-secrets"), 2, "--share"),
        (("clone", "tcp:127.0.0.1:1", "/tmp/never.json"), 1, "listening"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--image", "/no/such"), 2, "/no/such"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--live"), 2, "--image"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--image", "x", "--state", "y"), 2, "--state"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--count", "0"), 2, "--count"),
        (("meter", "serve", "--tcp", "127.0.0.1:65000", "--count", "999"), 2, "lower port"),
    ],
)
def test_wrong_use_is_one_clear_error(arguments: tuple[str, ...], status: int, words: str) -> None:
    assert_one_clear_error(arguments, status, words)
