"""Two gateways never work on one state file, or one database, whatever else their settings say."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.test_kill import KEY

pytest.importorskip("fcntl", reason="a system without such locks warns nobody")
RUN = ("gateway", "run", "--settings")


def settings(folder: Path, name: str, data: str, state: str) -> Path:
    file = folder / f"{name}.toml"
    file.write_text(
        f'[gateway]\ndata = "{folder}/{data}"\nsocket = "{folder}/{name}.sock"\n'
        f'[module]\nesn = "SM1"\nstate = "{folder}/{state}"\n'
        f'[meter]\nport = "{folder}/none"\n[[tms]]\naddress = "tcp:127.0.0.1:1"\n'
    )
    return file


@contextmanager
def running(file: Path) -> Iterator[None]:
    """Run a gateway until it is told to stop, which it obeys from the moment it says ``ready``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smartmeter", *RUN, file],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SMARTMETER_MODULE_KEY": KEY, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None and process.stdout.readline().startswith("ready")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_gateway_that_says_ready_can_be_told_to_stop_at_once(tmp_path: Path) -> None:
    with running(settings(tmp_path, "a", "data", "state")):
        pass


def test_a_second_gateway_at_the_same_files_is_refused(tmp_path: Path) -> None:
    with running(settings(tmp_path, "a", "data", "state")):
        for name, data, state in (("b", "data", "other"), ("c", "more", "state")):
            file = settings(tmp_path, name, data, state)
            second = smartmeter(*RUN, str(file), SMARTMETER_MODULE_KEY=KEY)
            assert second.returncode == 1 and "ready" not in second.stdout
            assert f"{tmp_path}/{data if name == 'b' else state}: another process" in second.stderr
