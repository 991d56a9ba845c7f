"""Databases that the medium has damaged hold no gateway up, and no octet of them is lost."""

import asyncio
import shutil
from pathlib import Path

import pytest

from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import StorageError
from smartmeter.gateway.place_checks import check_places
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.set_aside import MAX_ASIDE, aside, set_aside
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.gateway.reports import gateway_with_readings
from tests.smartmeter.ssi.host import EPOCH_US

PAGE_OCTETS = 4096
JUNK = b"\xa5"


def spoil(path: Path, from_octet: int) -> bytes:
    """Write junk over all from an octet on; give what is there then."""
    octets = path.read_bytes()[:from_octet]
    path.write_bytes(octets + JUNK * (path.stat().st_size - from_octet))
    return path.read_bytes()


def test_damaged_readings_are_set_aside_with_the_lines_that_were_made_of_them(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    data = tmp_path / "data"
    gateway_with_readings(tmp_path, said)._readings.close()
    lines, junk = (data / "i.csv").read_bytes(), spoil(data / "readings.sqlite3", 0)
    gateway = gateway_with_readings(tmp_path, said)
    assert gateway._readings.after("intervals", 0) == []
    assert (data / "readings.sqlite3.aside-1").read_bytes() == junk
    assert (data / "i.csv.aside-1").read_bytes() == lines and not (data / "i.csv").exists()
    assert "not a database; it is set aside" in said[-2] and "readings.sqlite3.aside-1" in said[-1]
    gateway._readings.close()


@pytest.mark.parametrize("name", ["readings.sqlite3", "tms/tms.sqlite3"])
async def test_a_gateway_that_meets_damage_begins_anew_without_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("smartmeter.gateway.service.FILES_S", 0.05)
    said: list[str] = []
    data = tmp_path / "data"
    gateway_with_readings(tmp_path, said)._readings.close()
    Store(data / "tms" / "tms.sqlite3").close()
    junk = spoil(data / name, PAGE_OCTETS if name.startswith("readings") else 0)
    gateway = gateway_with_readings(tmp_path, said)
    assert gateway.local is not None
    seat = gateway._seats[0]
    seat.calendar.set(EPOCH_US, monotonic_us())
    seat.clock_known.set()
    async with asyncio.timeout(60):
        await gateway.run()
    assert gateway.again and aside(data / name)[0].read_bytes() == junk
    assert (data / "readings.sqlite3").exists() is not name.startswith("readings")
    assert any("a database is damaged" in line for line in said)
    told = [one for one in check_places(gateway._settings) if ".aside-1" in one.subject]
    assert [(one.wrong, one.text) for one in told] == [(False, "was damaged, and set aside")]


async def test_who_looks_into_a_database_before_it_is_open_here_makes_nothing_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.service.FILES_S", 0.01)
    gateway = gateway_with_readings(tmp_path, [])
    other = Store(tmp_path / "data" / "tms" / "tms.sqlite3")
    watching = asyncio.create_task(gateway._watch_files())
    assert await asyncio.wait([watching], timeout=0.1) == (set(), {watching})
    other.close()  # and its log is gone
    assert await asyncio.wait([watching], timeout=0.1) == (set(), {watching})
    watching.cancel()
    gateway._readings.close()


async def test_a_damaged_database_that_there_is_no_room_to_set_aside_begins_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.service.FILES_S", 0.05)

    class Said(list[str]):
        def append(self, line: str) -> None:
            if "set aside already" in line:
                gateway.stop.set()

    said = Said()
    data = tmp_path / "data"
    gateway_with_readings(tmp_path, said)._readings.close()
    Store(data / "tms" / "tms.sqlite3").close()
    spoil(data / "tms" / "tms.sqlite3", 0)
    for number in range(1, MAX_ASIDE + 1):
        (data / "tms" / f"tms.sqlite3.aside-{number}").touch()
    gateway = gateway_with_readings(tmp_path, said)
    seat = gateway._seats[0]
    seat.calendar.set(EPOCH_US, monotonic_us())
    seat.clock_known.set()
    async with asyncio.timeout(60):
        await gateway.run()
    assert not gateway.again
    assert (data / "tms" / "tms.sqlite3").read_bytes()[:1] == JUNK


def test_what_is_set_aside_keeps_its_log_and_takes_no_other_files_name(tmp_path: Path) -> None:
    database = tmp_path / "r"
    for number in range(1, MAX_ASIDE + 1):
        database.write_text(f"database {number}")
        (tmp_path / "r-wal").write_text(f"log {number}")
        (tmp_path / "r-shm").write_text("")
        assert set_aside(database) == tmp_path / f"r.aside-{number}"
    told = [(path.read_text(), Path(f"{path}-wal").read_text()) for path in aside(database)]
    assert told == [(f"database {n}", f"log {n}") for n in range(1, MAX_ASIDE + 1)]
    assert not [path.name for path in tmp_path.iterdir() if ".aside-" not in path.name]
    database.write_text("once more")
    with pytest.raises(StorageError, match="9 were set aside already; look at its medium"):
        set_aside(database)
    assert database.read_text() == "once more"


def test_a_link_to_another_medium_stays_one(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "big" / "r")
    (tmp_path / "big" / "r").write_bytes(JUNK * PAGE_OCTETS)
    set_aside(tmp_path / "r")
    Readings(tmp_path / "r").close()
    assert {"r", "r.aside-1"} <= {path.name for path in (tmp_path / "big").iterdir()}
    assert (tmp_path / "r").is_symlink()
    shutil.rmtree(tmp_path / "big")
