"""Commands as processes that can be killed, and what a meter and a TMS hold after that."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from ansi_tables.snapshot import Snapshot
from tests.smartmeter.cli.served import smartmeter
from tests.waiting import wait_until

pytest.importorskip("pty", reason="needs a pty")

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
