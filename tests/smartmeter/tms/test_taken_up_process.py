"""``tms run`` is killed with -9 amid a list of upgrades, which all meters have in the end."""

import asyncio
import base64
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.cli.tms_client import PASSWORD_VARIABLE, TmsClient
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended
from smartmeter.simulation import served_fleet
from smartmeter.simulation.fleet_keys import key_text, made_keys
from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.upgrade import MODEL
from smartmeter.tms.upgrades import make_image
from tests.ports import free_port
from tests.smartmeter.processes import Process
from tests.smartmeter.ssi.upgrade_image import NEW, PRIVATE, PUBLIC
from tests.waiting import until

METERS, KILLS = 6, 3
#: Some 150 messages for each meter.
IMAGE = make_image(Random("pieces").randbytes(150_000), MODEL, NEW, PRIVATE)
UNDER_WAY = "jobs WHERE kind='upgrade' AND state IN ('waiting', 'running')"


class Killed:
    """A TMS as a process of its own, and simulated meters that it sends an image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        address, page = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.url = f"http://{page}"
        keys, shipment = made_keys(METERS, 1, False), folder / "shipment.csv"
        shipment.write_text(key_text(keys))
        self.tms = Process(
            folder / "tms.log",
            *("tms", "run", "--data", str(folder / "tms"), "--listen", address, "--web", page),
            *("--shipment", str(shipment)),
        )
        self.fleet = ServedFleet(
            keys,
            ServedSettings(BearerSettings("head-end", f"tcp:{address}")),
            lambda: Calendar(wall_utc_us(), 1, monotonic_us()),
        )

    async def start(self) -> None:
        await asyncio.to_thread(self.tms.start, "ready")

    async def kill(self) -> None:
        await asyncio.to_thread(self.tms.end, signal.SIGKILL)

    async def send(self) -> dict[str, int]:
        """Order the upgrade of all; give the numbers that were acknowledged."""
        esns = [member.shipped.esn for member in self.fleet.members]
        order = {"esns": esns, "image": base64.b64encode(IMAGE.file()).decode(), "activation_s": 0}

        def post() -> dict[str, int]:
            return dict(TmsClient(self.url, "operator").post("/api/upgrades", order)["jobs"])

        return await asyncio.to_thread(post)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        path = self.folder / "tms" / "tms.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return connection.execute(sql).fetchall()

    def count(self, sql: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {sql}")[0][0])

    def versions(self) -> set[str]:
        devices = [member.device for member in self.fleet.members]
        return {one.starts[-1] for one in devices if isinstance(one, SmartMeter)}


async def test_an_acknowledged_list_of_upgrades_outlives_kills_of_the_tms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int(time.time())
    print(f"seed {seed}")
    chance = Random(seed)
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    monkeypatch.setattr(served_fleet, "Factory", partial(Factory, upgrade_key=PUBLIC))
    killed = Killed(tmp_path)
    running = asyncio.create_task(killed.fleet.run())
    try:
        await killed.start()
        await until(lambda: killed.count("meters WHERE registered_s>0") == METERS)
        numbers = await killed.send()
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0, 0.6))
            await killed.kill()
            print("open when it was killed:", killed.count(UNDER_WAY))
            await killed.start()
        await until(lambda: killed.count(UNDER_WAY) == 0)
        jobs = killed.rows("SELECT esn, id, state, cause FROM jobs WHERE kind='upgrade'")
        left = killed.count("upgrade_images")
        await until(lambda: killed.versions() == {NEW})
    finally:
        await ended(running)
        await killed.kill()
    assert jobs == [(esn, number, "done", "") for esn, number in numbers.items()]
    assert len(numbers) == METERS and left == 0
    assert "Traceback" not in (tmp_path / "tms.log").read_text()
