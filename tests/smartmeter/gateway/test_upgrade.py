"""Upgrades end to end, as real processes: ``tms run``, ``gateway run``, ``meter serve``, the CLI.

The images are wheels of this checkout; nothing comes over a network.
"""

import contextlib
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smartmeter.ssi.factory import relative_title
from smartmeter.version import VERSION
from tests.ports import free_port
from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.gateway.wheels import ROOT, our_wheel, wheel_of
from tests.smartmeter.processes import (
    ESN,
    KEY,
    Process,
    meters_own,
    stored,
    wait_until_it_grows,
)
from tests.waiting import wait_until

RATE = 600
BROKEN = {"smartmeter/__init__.py": b"raise RuntimeError('this version is broken')\n"}
#: Starts, reads its meter, and never says a word to its TMS.
MUTE = {
    "smartmeter/comms/tcp.py": (ROOT / "smartmeter/comms/tcp.py").read_text()
    + "\n\nasync def _mute(self):\n    raise OSError('no network')\n\n\nTcpBearer.connect = _mute\n"
}
PASSWORD = "only for this test"


class Upgraded:
    """A TMS, a gateway that takes images of one key, and a meter; ``manager`` is the service's."""

    def __init__(self, folder: Path, manager: socket.socket) -> None:
        self.manager, self.words = manager, list[bytes]()
        self.folder, self.link = folder, folder / "meter"
        self.database = folder / "tms" / "tms.sqlite3"
        tms, self.page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.cli("tms", "upgrade", "key", f"{folder}/upgrade.key")
        (folder / "shipment.csv").write_text(
            f"esn,title,key,model\n{ESN},{relative_title(ESN)},{KEY},test\n"
        )
        (folder / "gateway.toml").write_text(
            f'[module]\nesn = "{ESN}"\nstate = "{folder}/module.nvram"\n'
            f'[meter]\nport = "{self.link}"\n[[tms]]\naddress = "tcp:{tms}"\n'
            f'[upgrade]\npublic_key_file = "{folder}/upgrade.key.pub"\ntrial_s = 60\n'
        )
        clock = ("--clock", f"{int(time.time())},{RATE}")
        self.meter = Process(
            folder / "meter.log",
            *("meter", "serve", "--pty", str(self.link), "--seed", "7", *clock),
            *("--state", str(folder / "state")),
        )
        self.tms = Process(
            folder / "tms.log",
            *("tms", "run", "--data", str(folder / "tms"), "--listen", tms, *clock),
            *("--web", self.page, "--shipment", str(folder / "shipment.csv")),
        )
        self.gateway = Process(
            folder / "gateway.log",
            *("gateway", "run", "--settings", str(folder / "gateway.toml"), *clock),
        )

    def start(self) -> None:
        """Start all three, and wait until something has come to the TMS."""
        for process in (self.meter, self.tms, self.gateway):
            process.start("ready")
        wait_until_it_grows(self.database, 1)

    def cli(self, *arguments: str, status: int = 0) -> str:
        keys = {"SMARTMETER_TMS_PASSWORD": PASSWORD, "SMARTMETER_MODULE_KEY": KEY}
        done = smartmeter(*arguments, **keys)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def send(self, wheel: bytes, key: str = "upgrade.key") -> None:
        """Make, sign and send an image, as an operator does."""
        files = {kind: self.folder / f"{len(wheel)}.{kind}" for kind in ("whl", "image")}
        files["whl"].write_bytes(wheel)
        signs = ("--key", f"{self.folder}/{key}", "--out", str(files["image"]))
        self.cli("tms", "upgrade", "image", str(files["whl"]), *signs)
        url = ("--url", f"http://{self.page}")
        self.cli("tms", "upgrade", "send", str(files["image"]), ESN, *url)

    def kill_the_gateway(self) -> None:
        """Cut its power, and start it again."""
        assert self.gateway.end(signal.SIGKILL) == -signal.SIGKILL
        self.gateway.start("ready")

    def status(self) -> dict[str, Any]:
        """Give what the TMS knows of the upgrade."""
        url = ("--url", f"http://{self.page}")
        [one] = json.loads(self.cli("tms", "upgrade", "status", "--json", *url))
        return dict(one)

    def wait_for_row(self, query: str) -> str:
        """Wait until the TMS' store holds a row; give its first column."""
        rows: list[tuple[object]] = []

        def there_is_one() -> bool:
            self.hear()
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
                rows.extend(connection.execute(query).fetchmany(1))
            return bool(rows)

        wait_until(there_is_one, lambda: f"{query}\n{self.log('gateway')}")
        return str(rows[0][0])

    def wait_for_word(self, word: str, since: str = "ready") -> None:
        """Wait until the gateway has said something, the second word after the first."""

        def is_said() -> bool:
            self.hear()
            return word in self.log("gateway").partition(since)[2]

        wait_until(is_said, lambda: self.log("gateway"))

    def hear(self) -> None:
        """Take what the service manager was told: its socket holds ten words, and drops more."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.words.append(self.manager.recv(1000))

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upgraded]:
    monkeypatch.setenv("SMARTMETER_TMS_PASSWORD", PASSWORD)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        running = Upgraded(tmp_path, manager)
        try:
            running.start()
            yield running
        finally:
            for process in (running.gateway, running.tms, running.meter):
                if process.process is not None and process.process.poll() is None:
                    process.end(signal.SIGKILL)


REFUSED = "SELECT cause FROM jobs WHERE kind='upgrade' AND state='failed'"
ROLLED_BACK = f"SELECT text FROM alarms WHERE text='rolled back: runs {VERSION}'"
CONFIRMED = "SELECT text FROM alarms WHERE text='confirmed: runs 9.0.2'"


def the_service_stops_once(upgraded: Upgraded) -> None:
    """Another version that takes over is no end: systemd would kill what says that it stops."""
    upgraded.hear()
    words = upgraded.words
    assert [b"STOPPING" in word for word in words] == [False] * (len(words) - 1) + [True], words


def no_interval_was_lost(upgraded: Upgraded) -> None:
    wait_until_it_grows(upgraded.database, 1)
    assert upgraded.gateway.end(signal.SIGTERM) == 0
    assert upgraded.tms.end(signal.SIGTERM) == 0
    rows, own = stored(upgraded.database), meters_own(upgraded.link)
    assert [sequence for sequence, _, _ in rows] == list(range(len(rows)))
    assert [values for _, _, values in rows] == own[: len(rows)]


def test_a_broken_version_goes_back_by_itself_and_a_good_one_stays_whatever_is_killed(
    upgraded: Upgraded,
) -> None:
    upgraded.cli("tms", "upgrade", "key", f"{upgraded.folder}/thief.key")
    upgraded.send(wheel_of({}, "9.9.9"), "thief.key")
    assert "wrong signature" in upgraded.wait_for_row(REFUSED)
    upgraded.send(wheel_of(BROKEN, "9.0.1"))
    upgraded.wait_for_row(ROLLED_BACK)
    assert upgraded.log("gateway").count("version 9.0.1 is on trial") == 3
    upgraded.send(our_wheel("9.0.2"))
    time.sleep(0.7)  # some of its pieces have been taken
    upgraded.kill_the_gateway()
    upgraded.wait_for_word("version 9.0.2 is on trial")
    upgraded.kill_the_gateway()
    upgraded.wait_for_row(CONFIRMED)
    upgraded.wait_for_word("version 9.0.2 ended with status 0")
    upgraded.wait_for_word("state 06", since="ended with status 0")
    status = upgraded.status()["module"]
    assert (status["running_version"], status["last_result"]) == ("9.0.2", "confirmed")
    told = upgraded.cli("gateway", "status", "--settings", f"{upgraded.folder}/gateway.toml")
    assert "slot 1 runs 9.0.2, idle, last: confirmed" in told
    no_interval_was_lost(upgraded)
    the_service_stops_once(upgraded)


@pytest.mark.night
def test_a_version_that_does_not_reach_its_tms_goes_back_after_its_trial(
    upgraded: Upgraded,
) -> None:
    upgraded.send(our_wheel("9.0.1", MUTE))
    upgraded.wait_for_row(ROLLED_BACK)
    assert upgraded.log("gateway").count("version 9.0.1 is on trial") == 1
    no_interval_was_lost(upgraded)
