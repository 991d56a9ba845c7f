"""Bad days of a gateway: unplugged, moved away, cut off, killed, its meter's clock set.

``meter serve``, ``gateway run`` and ``tms run`` on one fast calendar; probe and
network are cables that the test cuts.  At the end every interval that the
meter recorded is at the TMS and in the CSV file, once and equal.
"""

import csv
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ansi_tables.snapshot import Snapshot
from protocols.transports.pump import open_meter
from smartmeter.ssi.factory import relative_title
from tests.smartmeter.gateway.cable import Cable
from tests.smartmeter.test_kill import (
    ESN,
    KEY,
    Process,
    free_port,
    meters_own,
    signal,
    stored,
    wait_until_it_grows,
)

RATE = 3600
HOUR_S = 3600 / RATE
SET_CLOCK = 10


class Days:
    """Everything that runs, and what goes wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clock = f"{int(time.time())},{RATE}"
        self.meter_port, tms_port = free_port(), free_port()
        self.probe, self.network = Cable(self.meter_port), Cable(tms_port)
        self.database = folder / "tms" / "tms.sqlite3"
        self.csv = folder / "intervals.csv"
        (folder / "shipment.csv").write_text(
            f"esn,title,key,model\n{ESN},{relative_title(ESN)},{KEY},test\n"
        )
        (folder / "template.json").write_text('{"general": {"ACK_TIMEOUT_MS": 1000}}')
        (folder / "gateway.toml").write_text(
            f'[gateway]\ndata = "{folder}/gateway"\n'
            f'[module]\nesn = "{ESN}"\nstate = "{folder}/module.nvram"\n'
            f'[meter]\nport = "tcp:127.0.0.1:{self.probe.port}"\n'
            f'[[tms]]\naddress = "tcp:127.0.0.1:{self.network.port}"\n'
            f'[csv]\nfile = "{self.csv}"\n'
        )
        self.meter = Process(
            folder / "meter.log",
            *("meter", "serve", "--tcp", f"127.0.0.1:{self.meter_port}", "--seed", "7"),
            *("--clock", clock, "--state", str(folder / "state")),
        )
        self.tms = Process(
            folder / "tms.log",
            *("tms", "run", "--data", str(folder / "tms"), "--web", "off", "--clock", clock),
            *("--listen", f"127.0.0.1:{tms_port}", "--shipment", str(folder / "shipment.csv")),
            *("--template", str(folder / "template.json")),
        )
        self.gateway = Process(
            folder / "gateway.log",
            *("gateway", "run", "--settings", str(folder / "gateway.toml"), "--clock", clock),
        )
        for process in (self.meter, self.tms, self.gateway):
            process.start("ready")

    def kill(self, process: Process) -> None:
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        process.start("ready")

    def set_the_meters_clock(self, by: timedelta) -> None:
        """Do it at the meter itself, as a technician does, while the gateway's probe is off."""
        logon = {"user_id": 2, "user": b"SSI", "password": b"master"}
        with open_meter(f"tcp:127.0.0.1:{self.meter_port}", **logon) as meter:
            now = Snapshot({n: meter.read(n) for n in (0, 52)})[52].CLOCK_CALENDAR.value
            to = now + by
            stamp = (to.year % 100, to.month, to.day, to.hour, to.minute, to.second)
            answer = meter.procedure(bytes((SET_CLOCK, 0, 1, 3, *stamp, 0)))
            assert answer[3] == 0, answer.hex()

    def wait_for_the_module(self) -> None:
        """Wait until the module itself has reported what the TMS had to fetch in between."""
        end = time.monotonic() + 90
        there = stored(self.database)[-1][0]
        while time.monotonic() < end:
            lines = self.csv.read_text().splitlines()
            if int(lines[-1].split(",")[3]) >= there:
                return
            time.sleep(0.2)
        raise AssertionError(self.log("gateway"))

    def log(self, name: str) -> str:
        """Give what a process said."""
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    running = Days(tmp_path)
    yield running
    for process in (running.gateway, running.tms, running.meter):
        if process.process is not None and process.process.poll() is None:
            process.end(signal.SIGKILL)


def test_everything_that_the_meter_recorded_is_at_the_tms_and_in_the_csv_file_once(
    days: Days,
) -> None:
    wait_until_it_grows(days.database, 3)
    days.probe.cut()
    time.sleep(2 * HOUR_S)
    days.probe.mend()
    wait_until_it_grows(days.database, 6)
    days.probe.silence()
    time.sleep(2 * HOUR_S)
    days.probe.cut()
    days.probe.mend()
    wait_until_it_grows(days.database, 3)
    days.network.cut()
    time.sleep(13 * HOUR_S)
    days.network.mend()
    wait_until_it_grows(days.database, 40)
    days.kill(days.gateway)
    wait_until_it_grows(days.database, 3)
    days.kill(days.meter)
    days.kill(days.tms)
    wait_until_it_grows(days.database, 6)
    for by in (timedelta(minutes=4), timedelta(minutes=-7)):
        days.probe.cut()
        time.sleep(HOUR_S)
        days.set_the_meters_clock(by)
        days.probe.mend()
        wait_until_it_grows(days.database, 6)
    days.wait_for_the_module()
    assert days.gateway.end(signal.SIGTERM) == 0
    assert days.tms.end(signal.SIGTERM) == 0
    rows, own = stored(days.database), meters_own(f"tcp:127.0.0.1:{days.meter_port}")
    assert days.meter.end(signal.SIGTERM) == 0
    assert [sequence for sequence, _, _ in rows] == list(range(len(rows)))
    assert [values for _, _, values in rows] == own[: len(rows)]
    assert len(rows) > 100
    with days.csv.open() as lines:
        names = ("sequence", "channel", "raw")
        found = [tuple(int(row[name]) for name in names) for row in csv.DictReader(lines)]
    at_least = [(n, c, value) for n, _, values in rows for c, value in enumerate(values)]
    assert sorted(found)[: len(at_least)] == at_least and len(set(found)) == len(found)
    told = days.log("gateway")
    for name in ("gateway", "tms", "meter"):
        assert "Traceback" not in days.log(name), days.log(name)
    assert told.count("meter: does not answer") <= 4, told
    assert told.count(" port: ") <= 20, told
