"""What a gateway takes of a small board: memory, idle processor time, time to the first report.

A real ``gateway run`` on a line of 9600 baud (a TCP line that lets 960 octets a
second through), a real ``meter serve`` and ``tms run``; Linux only.
``python benchmarks/gateway.py [--seconds N] [--json]``; status 1 when a limit is not met.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from smartmeter.ssi.factory import relative_title

LIMITS = {"rss_mb": 45.0, "idle_cpu_percent": 1.0, "first_report_s": 10.0}
OCTETS_S = 960
ESN, KEY = "SM000001", "00112233445566778899aabbccddeeff"
TICKS_S = os.sysconf("SC_CLK_TCK")


def line_of_9600_baud(target: int) -> int:
    """Carry connections to a port at 960 octets a second each way; give the port to use."""
    server = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(16):
            time.sleep(len(data) / OCTETS_S)
            sink.sendall(data)

    def accept() -> None:
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a command and wait for its ready line."""
    environment = {
        **os.environ,
        "SMARTMETER_MODULE_KEY": KEY,
        "SMARTMETER_OPTICAL_PASSWORD": "master",
    }
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "smartmeter", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("ready"):
            break
    return process


def free_port() -> int:
    """Give a TCP port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reports(database: Path) -> int:
    """Give how many reports the TMS has."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM reports").fetchone()[0])


def cpu_s(pid: int) -> float:
    """Give the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def measure(folder: Path, seconds: float) -> dict[str, float]:
    """Give the figures, each with its ratio to the limit."""
    meter_port, tms_port = free_port(), free_port()
    (folder / "ship.csv").write_text(f"esn,title,key,model\n{ESN},{relative_title(ESN)},{KEY},x\n")
    (folder / "g.toml").write_text(
        f'[gateway]\ndata = "{folder}"\n[module]\nesn = "{ESN}"\n'
        f'[meter]\nport = "tcp:127.0.0.1:{line_of_9600_baud(meter_port)}"\n'
        f'[[tms]]\naddress = "tcp:127.0.0.1:{tms_port}"\n[csv]\nfile = "{folder}/x.csv"\n'
    )
    tms = ("tms", "run", "--data", str(folder / "tms"), "--web", "off")
    tms += ("--listen", f"127.0.0.1:{tms_port}", "--shipment", str(folder / "ship.csv"))
    running = [start(*tms), start("meter", "serve", "--tcp", f"127.0.0.1:{meter_port}")]
    try:
        begin = time.monotonic()
        gateway = start("gateway", "run", "--settings", str(folder / "g.toml"))
        running.append(gateway)
        while not reports(folder / "tms" / "tms.sqlite3"):
            time.sleep(0.02)
        first_s = time.monotonic() - begin
        time.sleep(20)  # provisioning is over then
        used, since = cpu_s(gateway.pid), time.monotonic()
        time.sleep(seconds)
        cpu = 100 * (cpu_s(gateway.pid) - used) / (time.monotonic() - since)
        status = Path(f"/proc/{gateway.pid}/status").read_text()
        rss_kb = int(status.split("VmRSS:")[1].split()[0])
    finally:
        for process in running:
            process.terminate()
            process.wait()
    figures = {"rss_mb": rss_kb / 1024, "idle_cpu_percent": cpu, "first_report_s": first_s}
    ratios = {f"{name}_to_limit": value / LIMITS[name] for name, value in figures.items()}
    return {name: round(value, 3) for name, value in (figures | ratios).items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="A gateway on a small board.")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long idle is looked at")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.seconds)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    if any(figures[f"{name}_to_limit"] > 1 for name in LIMITS):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
