"""Processes are killed with -9 at random moments; every interval is at the TMS once, unaltered.

``tms run``, ``gateway run`` and ``meter serve`` as separate processes on one
clock; the seed of the moments is printed.
"""

import signal
import time
from pathlib import Path
from random import Random

from smartmeter.ssi.factory import relative_title
from tests.ports import free_port
from tests.smartmeter.processes import (
    ESN,
    KEY,
    Process,
    meters_own,
    stored,
    wait_until_it_grows,
)

KILLS = 10
RATE = 1200


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
