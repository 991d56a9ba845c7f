"""A gateway whose files are removed under way says so, begins anew and reads the meter again."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.smartmeter.cli.served import meter_process
from tests.smartmeter.processes import KEY
from tests.waiting import wait_until

RATE = 3600


def sequences(data: Path) -> list[int]:
    try:
        with closing(sqlite3.connect(f"file:{data}/readings.sqlite3?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT sequence FROM intervals WHERE channel=0 ORDER BY sequence")
            return [row[0] for row in rows]
    except sqlite3.Error:
        return []


def until_there_are(count: int, data: Path) -> list[int]:
    wait_until(lambda: len(sequences(data)) >= count)
    return sequences(data)


def test_a_data_folder_that_is_removed_costs_nothing_that_the_meter_has(tmp_path: Path) -> None:
    clock, data = f"{int(time.time())},{RATE}", tmp_path / "data"
    with meter_process("--pty", str(tmp_path / "m"), "--clock", clock) as (port, _):
        file = tmp_path / "g.toml"
        file.write_text(
            f'[gateway]\ndata = "{data}"\n[module]\nesn = "SM1"\n[meter]\nport = "{port}"\n'
            f'[csv]\nfile = "{data}/i.csv"\n'
        )
        run = ("-u", "-m", "smartmeter", "gateway", "run", "--settings", str(file))
        secrets = {"SMARTMETER_MODULE_KEY": KEY, "SMARTMETER_OPTICAL_PASSWORD": "master"}
        gateway = subprocess.Popen(
            [sys.executable, *run, "--clock", clock],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **secrets},
        )
        try:
            before = until_there_are(4, data)
            # Out of its sight first: while it writes a folder is not always empty at the end.
            shutil.rmtree(data.rename(tmp_path / "removed"))
            after = until_there_are(len(before) + 2, data)
        finally:
            gateway.send_signal(signal.SIGTERM)
            out, _ = gateway.communicate(timeout=60)
    assert gateway.returncode == 0 and "Traceback" not in out, out
    assert after == list(range(after[-1] + 1)), "all that the meter recorded, once"
    assert "readings.sqlite3: was removed or replaced; the gateway begins anew" in out, out
    assert len((data / "i.csv").read_text().splitlines()) > len(after)
