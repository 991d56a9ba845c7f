"""Two gateways never work on one state file, or one database, whatever else their settings say."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.cli import group
from tests.smartmeter.cli.served import running, smartmeter
from tests.smartmeter.processes import KEY

pytest.importorskip("fcntl", reason="a system without such locks warns nobody")
RUN = ("gateway", "run", "--settings")


def settings(folder: Path, name: str, data: str, state: str) -> Path:
    file = folder / f"{name}.toml"
    file.write_text(
        f'[gateway]\ndata = "{folder}/{data}"\nsocket = "{folder}/{name}.sock"\n'
        f'[module]\nesn = "SM1"\nstate = "{folder}/{state}"\n'
        f'[meter]\nport = "{folder}/none"\n[[tms]]\naddress = "tcp:127.0.0.1:1"\n'
    )
    return file


def test_a_gateway_that_says_ready_can_be_told_to_stop_at_once(tmp_path: Path) -> None:
    with running(*RUN, str(settings(tmp_path, "a", "data", "state")), SMARTMETER_MODULE_KEY=KEY):
        pass


def test_a_second_gateway_at_the_same_files_is_refused(tmp_path: Path) -> None:
    with running(*RUN, str(settings(tmp_path, "a", "data", "state")), SMARTMETER_MODULE_KEY=KEY):
        for name, data, state in (("b", "data", "other"), ("c", "more", "state")):
            file = settings(tmp_path, name, data, state)
            second = smartmeter(*RUN, str(file), SMARTMETER_MODULE_KEY=KEY)
            assert second.returncode == 1 and "ready" not in second.stdout
            assert f"{tmp_path}/{data if name == 'b' else state}: another process" in second.stderr


def test_check_tells_what_another_process_has_and_makes_nothing(tmp_path: Path) -> None:
    def told(name: str, data: str, state: str) -> str:
        file = settings(tmp_path, name, data, state)
        checked = smartmeter(
            "gateway", "check", "--no-meter", "--settings", str(file), SMARTMETER_MODULE_KEY=KEY
        )
        return checked.stdout

    with running(*RUN, str(settings(tmp_path, "a", "data", "state")), SMARTMETER_MODULE_KEY=KEY):
        for name, data, state in (("b", "data", "other"), ("c", "more", "state")):
            held = tmp_path / (data if name == "b" else state)
            assert told(name, data, state).count("another process") == 1
            assert f"WRONG {held}: another process keeps its state there" in told(name, data, state)
        assert "another process" not in told("a", "data", "state"), "it is the one of these"
    assert "another process" not in told("b", "data", "state")
    assert not (tmp_path / "more").exists() and not (tmp_path / "other.lock").exists()


def test_a_second_gateway_with_the_same_settings_opens_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMETER_MODULE_KEY", KEY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "readings.sqlite3").write_bytes(b"\xa5" * 8192)  # it would set it aside
    file = settings(tmp_path, "a", "data", "data/state")
    (tmp_path / "up.pub").write_text("00" * 32)
    (tmp_path / "b.toml").write_text(
        f'{file.read_text()}[upgrade]\npublic_key_file = "{tmp_path}/up.pub"\n'
    )
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(f"{tmp_path}/a.sock")
        first.listen()
        for name in ("a", "b"):  # alone, and below a launcher
            done = CliRunner().invoke(group, (*RUN, f"{tmp_path}/{name}.toml"))
            assert "a.sock: a gateway runs with these settings; end it first" in str(done.exception)
            assert "ready" not in done.output
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["readings.sqlite3"]
