"""Several meters on one board: a dead port and a silent one slow nobody."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from smartmeter.gateway.status_socket import ask_status
from tests.ports import free_port
from tests.smartmeter.cli.served import meter_process
from tests.smartmeter.gateway.cable import Cable
from tests.smartmeter.processes import KEY

RATE = 1200


def settings(folder: Path, ports: list[str]) -> Path:
    path = folder / "gateway.toml"
    meters = "".join(
        f'[[meters]]\nesn = "SM{n:06d}"\nport = "{port}"\n' for n, port in enumerate(ports, 1)
    )
    path.write_text(f'[gateway]\ndata = "{folder}/data"\n{meters}[csv]\nfile = "{folder}/x.csv"\n')
    return path


def lines_of(folder: Path, esn: str) -> int:
    file = folder / "x.csv"
    text = file.read_text() if file.exists() else ""
    return sum(line.startswith(esn) for line in text.splitlines())


def test_two_meters_report_while_a_third_is_dead_and_a_fourth_is_silent(tmp_path: Path) -> None:
    clock = f"{int(time.time())},{RATE}"
    silent = Cable(free_port())
    silent.silence()
    serve = ("--clock", clock, "--seed")
    with (
        meter_process("--pty", str(tmp_path / "a"), *serve, "1") as (first, _),
        meter_process("--pty", str(tmp_path / "b"), *serve, "2") as (second, _),
    ):
        ports = [str(tmp_path / "none"), first, f"tcp:127.0.0.1:{silent.port}", second]
        gateway = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "smartmeter", "gateway", "run"),
                *("--settings", str(settings(tmp_path, ports)), "--clock", clock),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "SMARTMETER_MODULE_KEY": KEY,
                "SMARTMETER_OPTICAL_PASSWORD": "master",
            },
        )
        end = time.monotonic() + 60
        while (
            time.monotonic() < end
            and min(lines_of(tmp_path, "SM000002"), lines_of(tmp_path, "SM000004")) < 8
        ):
            time.sleep(0.2)
        status = ask_status(tmp_path / "data" / "gateway.sock")
        gateway.send_signal(signal.SIGTERM)
        out, _ = gateway.communicate(timeout=60)
    assert gateway.returncode == 0 and "Traceback" not in out, out
    assert min(lines_of(tmp_path, "SM000002"), lines_of(tmp_path, "SM000004")) >= 8, out
    answers = {one["esn"]: one["meter_answers"] for one in status["meters"]}
    assert answers == {"SM000001": False, "SM000002": True, "SM000003": False, "SM000004": True}
    assert not status["meters"][0]["fresh"] and not status["meters"][2]["fresh"]
    assert out.count("SM000001 port: is away") == 1, "a dead port is said once"
