"""The main job as a user runs it: the demo without a page, its JSON, and its wrong use."""

import json
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.errors import SettingsError
from smartmeter.cli.demo import command
from tests.smartmeter.cli.served import smartmeter


def test_the_demo_provisions_everyone_loses_nothing_and_polls_by_exception(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = smartmeter(
        "demo", "--headless", "--duration", "45", "--json", "--data", str(data), timeout=300
    )
    assert done.returncode == 0, done.stderr
    count = json.loads(done.stdout)
    assert count["provisioned"] == count["meters"] == 20
    assert count["intervals_stored"] == count["intervals_expected"] > 500
    assert count["duplicates"] == count["altered"] == 0
    assert count["outages"] >= 1 and count["restorations"] >= 1
    assert count["recovered"] >= 1 and count["alarms"] >= 1
    assert 0 < count["polls"] <= count["reports"] // 10
    with closing(sqlite3.connect(data / "tms.sqlite3")) as database:
        sql = "SELECT count(*) FROM alarms WHERE source=1 AND code=47"
        assert database.execute(sql).fetchone() == (1,), "one was tampered with, once"
    assert "Traceback" not in done.stderr
    again = smartmeter("demo", "--headless", "--duration", "5", "--data", str(data))
    assert again.returncode == 2 and "fresh folder" in again.stderr


def test_wrong_use_of_the_demo_is_one_line_and_status_two() -> None:
    for arguments in (["--headless"], ["--meters", "0"], ["--speed", "0"], ["--port", "99999"]):
        done = smartmeter("demo", *arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr


def test_a_demo_that_cannot_start_leaves_no_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = smartmeter("demo", "--port", port, TMPDIR=str(tmp_path))
    assert done.returncode == 2 and "choose another port" in done.stderr
    assert not list(tmp_path.glob("smartmeter-demo-*"))


@pytest.mark.parametrize(
    ("utc_s", "told"),
    [(0, "1970"), (631_151_999, "1989"), (3_786_911_000, "2090"), (4_733_510_400, "2120")],
    ids=["no battery", "just before", "on its way", "far"],
)
def test_a_computer_whose_clock_no_meter_can_show_is_told_so_before_anything_is_made(
    utc_s: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.cli.demo.wall_utc_us", lambda: utc_s * 1_000_000)
    arguments = ("--headless", "--duration", "2", "--data", str(tmp_path / "new"))
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, SettingsError)
    assert f"clock: comes to {told}, and meters tell 1990 to 2089; set it" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_temporary_can_be_made_the_demo_asks_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    done = CliRunner().invoke(command, ["--headless", "--duration", "1"])
    assert "give a folder by --data DIR" in str(done.exception)
