"""``fleet serve`` says what keeps it, or one of its meters, from work."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.cli import fleet_serve, group
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended
from smartmeter.simulation.fleet_keys import made_keys
from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings

#: A drawn device without the clock table.
WITHOUT_CLOCK = 967


async def test_a_meter_without_a_clock_is_named_once_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet_serve, "PATIENCE_S", 0.2)
    bearer = BearerSettings("head-end", "tcp:127.0.0.1:9")
    settings = ServedSettings(bearer, seed=WITHOUT_CLOCK, profile="random")
    calendar = Calendar(wall_utc_us(), 1, monotonic_us())
    fleet = ServedFleet(made_keys(2, WITHOUT_CLOCK, False), settings, lambda: calendar)
    running = [
        asyncio.create_task(fleet.run()),
        asyncio.create_task(fleet_serve.tell_hindrances(fleet)),
    ]
    said = ""
    async with asyncio.timeout(60):
        while "error 30" not in said:
            await asyncio.sleep(0.1)
            said += capsys.readouterr().err
    await asyncio.sleep(0.7)
    said += capsys.readouterr().err
    await ended(*running)
    assert said.count("waits for its meter") == 1 and said.startswith("SM000001: ")
    assert "of table 52: the meter answered" in said
    waiting, at_work = (member.device.standing() for member in fleet.members)
    assert waiting["error"] == 30 and "table 52" in str(waiting["why"])
    assert at_work["error"] in (0, 31), "it only lacks a head-end"


@pytest.mark.parametrize("option", ["--control", "--listen", "--clock"])
def test_what_is_written_wrong_is_said_before_a_key_file_is_made(
    option: str, tmp_path: Path
) -> None:
    where = ["--connect", "127.0.0.1:9", "--keys", str(tmp_path / "keys.csv"), option, "nowhere"]
    done = CliRunner().invoke(group, ["fleet", "serve", *where])
    assert isinstance(done.exception, SettingsError) and option in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--control", "--listen"])
def test_a_port_that_another_has_is_said_before_a_key_file_is_made(
    option: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        where = ["--connect", "127.0.0.1:9", "--keys", str(tmp_path / "keys.csv"), option, taken]
        done = CliRunner().invoke(group, ["fleet", "serve", *where])
    assert isinstance(done.exception, SettingsError)
    assert f"{option} {taken}: cannot listen: Address already in use" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_of_a_key_file(tmp_path: Path) -> None:
    where = ("--connect", "127.0.0.1:9", "--keys", str(tmp_path / "keys.csv"), "--count", "20")
    failed = subprocess.run(
        [sys.executable, "-m", "smartmeter", "fleet", "serve", *where],
        capture_output=True,
        text=True,
        timeout=180,
        # Compiled files would be cut off, too, and stay for others.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        check=False,
    )
    assert failed.returncode == 2 and "keys.csv" in failed.stderr, failed.stderr
    assert list(tmp_path.iterdir()) == [], "the next start would take it for all there are"
