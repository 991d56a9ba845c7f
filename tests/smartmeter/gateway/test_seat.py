"""What a gateway takes of its module: into the readings before it leaves, and understood."""

import asyncio
from pathlib import Path

import pytest

from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.listening import ListeningBearer
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.tapped_module import TappedModule
from tests.ports import free_port
from tests.smartmeter.gateway.reports import gateway_with_readings
from tests.smartmeter.ssi.host import FACTORY, Street, raise_alarms, schedule, schedules
from tests.waiting import until


def not_expected(error: StorageError) -> None:
    raise error


def test_readings_that_were_begun_anew_wait_for_the_tables_by_which_reports_are_understood(
    tmp_path: Path,
) -> None:
    street = Street()
    street.run(10)
    module = street.device.module
    meter, module.parts.reporter.meter = module.meter, None  # as after a start
    assert meter is not None
    raise_alarms(street, 1)
    module.expire(street.world.now_us)
    readings = Readings(tmp_path / "r")
    tapped = TappedModule(module, readings, not_expected)
    assert not tapped.outgoing() and not readings.after("happenings", 0)
    module.parts.reporter.meter = meter
    tapped.expire(street.world.now_us)
    assert readings.after("happenings", 0) and readings.knows(FACTORY.esn)
    again = TappedModule(module, Readings(tmp_path / "r"), not_expected)
    module.parts.reporter.meter = None
    raise_alarms(street, 1)
    again.expire(street.world.now_us)
    assert len(readings.after("happenings", 0)) == 2, "what is known already is not waited for"


def test_a_state_file_that_fell_back_behind_the_readings_loses_nothing_of_what_follows(
    tmp_path: Path,
) -> None:
    """Its end was lost as a whole: nothing in the file itself shows it."""
    street, readings = Street(baud=9600), Readings(tmp_path / "r")
    street.run(260)
    street.provision(SCHEDULES=schedules(schedule()))

    def reports(hours: int) -> None:
        tapped = TappedModule(street.device.module, readings, not_expected)
        for _ in range(2 * hours):
            street.host.refusing = True  # they wait until the readings have them
            street.run(1700)
            tapped.expire(street.world.now_us)
            street.host.refusing = False
            street.run(100)

    reports(1)
    held = street.device.nvram
    before = {name: held.get(name) or b"" for name in held.names()}
    reports(3)
    for hours in (4, 5):  # the same copy twice: the second time it is of an epoch before
        epoch = readings.taken(FACTORY.esn)[0]
        street.device.nvram = MemoryNvram(before)
        street.device.restart(street.world.now_us)
        reports(hours)
        assert readings.taken(FACTORY.esn)[0] > epoch
    sequences = {row["sequence"] for row in readings.after("intervals", 0)}
    assert set(range(len(street.journal) - 2)) <= sequences
    told = {sequence for sequence, _, _ in street.host.intervals()}
    assert set(range(len(street.journal) - 2)) <= told


async def test_storage_that_takes_nothing_is_told_once_and_once_when_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.seat.STORAGE_REST_S", 0.01)
    said: list[str] = []
    gateway = gateway_with_readings(tmp_path, said)
    readings, [seat] = gateway._readings, gateway._seats
    bearer = ListeningBearer(BearerSettings("in", f"listen:127.0.0.1:{free_port()}"))
    bearer.counts["closed too-slow"] += 2
    seat._bearers = [bearer]
    task = asyncio.create_task(seat.run())

    async def until_storage_was_told_of(times: int) -> None:
        await until(lambda: sum("storage" in line for line in said) >= times)

    await until_storage_was_told_of(1)
    await until(lambda: "state" in seat.status())
    running = seat._running
    assert running is not None
    running.module.parts.network.counts["replay"] += 3
    readings._db.do("PRAGMA query_only=ON")  # as on a medium that is full, or read-only
    running.end(StorageError("state", "No space left on device", "free some space"))
    await until_storage_was_told_of(3)
    await asyncio.sleep(0.1)  # it tries again
    status = seat.status()
    assert "storage has failed" in status["text"] and "readonly database" in status["text"]
    assert status["network_events"] == {"closed too-slow": 2, "replay": 3}
    assert not {"meter_answers", "state", "outbox"} & set(status), "no module runs"
    readings._db.do("PRAGMA query_only=OFF")
    await until_storage_was_told_of(4)
    await until(lambda: "state" in seat.status())
    assert seat.status()["network_events"] == status["network_events"], "it goes on from there"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    told = [line for line in said if "storage" in line]
    assert [("works" in line, "readonly" in line) for line in told] == [
        *((True, False), (False, False), (False, True), (True, False))
    ], told
    readings.close()
