"""What is acknowledged stands where a power cut leaves it, and is on the medium itself."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from smartmeter.base.file import make_folder
from smartmeter.cli.state_folder import claim
from smartmeter.comms.relay_host import RelayHost
from smartmeter.gateway.flash_file import FlashFile
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.setup import Found, write_files
from smartmeter.gateway.sinks.csv_file import CsvFile
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.synchronised import watched_medium


def begin_csv(folder: Path) -> None:
    with closing(Readings(folder.parents[2] / "readings")) as readings:
        CsvFile(folder / "intervals.csv", readings).step()


def begin_setup(folder: Path) -> None:
    meter = Found("/dev/null", True, "a meter", "1", "m")
    write_files(folder, folder / "data", [meter], "", None, 2)


def begin_relay(folder: Path) -> None:
    RelayHost(ApTitle.parse(".91"), domain=ApTitle.parse(".7"), data=folder)


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(lambda folder: FlashFile(folder / "memory").close(), id="a memory"),
        pytest.param(lambda folder: Readings(folder / "readings").close(), id="readings"),
        pytest.param(lambda folder: Store(folder / "tms").close(), id="a head-end's database"),
        pytest.param(begin_csv, id="the CSV file"),
        pytest.param(begin_setup, id="a gateway's settings"),
        pytest.param(begin_relay, id="a relay's registrations"),
        pytest.param(claim, id="a folder of memories"),
    ],
)
def test_what_is_kept_in_a_new_folder_is_not_lost_with_its_name(
    tmp_path: Path, begin: Callable[[Path], object]
) -> None:
    folder = tmp_path / "new" / "folder"
    with watched_medium() as medium:
        begin(folder)
    assert medium.holds(tmp_path, tmp_path / "new")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with watched_medium() as medium:
        make_folder(tmp_path)
        with pytest.raises(FileExistsError):
            make_folder(tmp_path / "file")
    assert medium.was_left_alone()


@pytest.mark.parametrize("opened", [Store, Readings])
def test_what_a_killed_process_has_written_is_on_the_medium_before_it_is_believed(
    tmp_path: Path, opened: type[Store | Readings]
) -> None:
    left = tmp_path / "left"
    left.mkdir()
    database = opened(tmp_path / "own")
    with closing(sqlite3.connect(tmp_path / "own")) as other:
        other.execute("CREATE TABLE written (n)")
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"own{end}", left / f"own{end}")
    database.close()
    log = left / "own-wal"
    assert log.stat().st_size > 0
    with watched_medium() as medium:
        database = opened(left / "own")
        assert medium.holds(log, left)
    database.close()
