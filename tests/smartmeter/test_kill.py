"""Processes are killed with -9 at random moments; every interval is at the TMS once, unaltered.

``tms run``, ``gateway run`` and ``meter serve`` as separate processes on one
clock; the seed of the moments is printed.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import IO

import pytest

from ansi_tables.snapshot import Snapshot
from smartmeter.ssi.factory import relative_title
from tests.ports import free_port
from tests.smartmeter.cli.served import smartmeter
from tests.waiting import wait_until

pytest.importorskip("pty", reason="needs a pty")

KILLS = 10
RATE = 1200
ESN = "SM000007"
KEY = "00112233445566778899aabbccddeeff"
PER_BLOCK = 96


class Process:
    """One ``smartmeter`` command that can be killed and started again."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log, self._arguments = log, arguments
        self._file: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait_for: str) -> None:
        mark = self._log.stat().st_size if self._log.exists() else 0
        self._file = self._log.open("ab")
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "SMARTMETER_MODULE_KEY": KEY,
            "SMARTMETER_OPTICAL_PASSWORD": "master",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smartmeter", *self._arguments],
            stdout=self._file,
            stderr=self._file,
            env=environment,
        )

        def is_said() -> bool:
            assert self.process.poll() is None, self._log.read_text()
            return wait_for in self._log.read_text()[mark:]

        wait_until(is_said, self._log.read_text)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None and self._file is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self._file.close()
        return status


def stored(database: Path) -> list[tuple[int, int, list[int]]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT sequence, end_s, raw FROM intervals ORDER BY sequence")
        return [(sequence, end_s, json.loads(raw)) for sequence, end_s, raw in rows]


def meters_own(link: Path | str) -> list[list[int]]:
    """Give the values of all intervals that the meter's ring holds, oldest first."""
    tables = (0, 61, 62, 63, 64)
    answer = json.loads(smartmeter("read", str(link), *map(str, tables), "--json").stdout)
    snapshot = Snapshot({n: bytes.fromhex(answer[str(n)]["hex"]) for n in tables})
    status = snapshot[63].LP_STATUS_SET1
    assert status.LAST_BLOCK_SEQ_NBR < status.NBR_VALID_BLOCKS, "the ring has wrapped"
    values = []
    for number in range(status.NBR_VALID_BLOCKS):
        last = number == status.NBR_VALID_BLOCKS - 1
        count = status.NBR_VALID_INT if last else PER_BLOCK
        for index in range(count):
            values.append(list(snapshot[64].LP_DATA_SET1[number].LP_INT[index].INT_DATA))
    return values


def wait_until_it_grows(database: Path, by: int) -> None:
    begin = len(stored(database))
    wait_until(lambda: len(stored(database)) >= begin + by)


def test_killing_tms_and_gateway_ten_times_each_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = int(time.time())
    print(f"seed {seed}")
    chance = Random(seed)
    clock = f"{int(time.time())},{RATE}"
    link, database = tmp_path / "meter", tmp_path / "tms" / "tms.sqlite3"
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "shipment.csv").write_text(
        f"esn,title,key,model\n{ESN},{relative_title(ESN)},{KEY},test\n"
    )
    (tmp_path / "template.json").write_text('{"general": {"ACK_TIMEOUT_MS": 2000}}')
    (tmp_path / "gateway.toml").write_text(
        f'[module]\nesn = "{ESN}"\nstate = "{tmp_path}/module.nvram"\n'
        f'[meter]\nport = "{link}"\n[[tms]]\naddress = "tcp:{address}"\n'
    )
    tms_arguments = ("tms", "run", "--data", str(tmp_path / "tms"), "--listen", address)
    tms_arguments += ("--web", "off", "--shipment", str(tmp_path / "shipment.csv"))
    tms_arguments += ("--template", str(tmp_path / "template.json"), "--clock", clock)
    meter_arguments = ("meter", "serve", "--pty", str(link), "--seed", "7", "--clock", clock)
    meter = Process(tmp_path / "meter.log", *meter_arguments, "--state", str(tmp_path / "state"))
    tms = Process(tmp_path / "tms.log", *tms_arguments)
    gateway = Process(
        tmp_path / "gateway.log",
        *("gateway", "run", "--settings", str(tmp_path / "gateway.toml"), "--clock", clock),
    )
    try:
        meter.start("ready")
        tms.start("ready")
        gateway.start("ready")
        wait_until_it_grows(database, 1)
        for victim in [tms] * KILLS + [gateway] * KILLS:
            time.sleep(chance.uniform(0.0, 1.6))
            assert victim.end(signal.SIGKILL) == -signal.SIGKILL
            victim.start("ready")
        wait_until_it_grows(database, max(3, 21 - len(stored(database))))
        assert gateway.end(signal.SIGTERM) == 0
        assert tms.end(signal.SIGTERM) == 0
        rows, own = stored(database), meters_own(link)
        assert meter.end(signal.SIGTERM) == 0
    finally:
        for process in (gateway, tms, meter):
            if process.process is not None and process.process.poll() is None:
                process.end(signal.SIGKILL)
    assert [sequence for sequence, _, _ in rows] == list(range(len(rows)))
    assert [values for _, _, values in rows] == own[: len(rows)]
    assert len({end_s for _, end_s, _ in rows}) == len(rows) > 20
    for log in ("meter.log", "tms.log", "gateway.log"):
        assert "Traceback" not in (tmp_path / log).read_text(), (tmp_path / log).read_text()
