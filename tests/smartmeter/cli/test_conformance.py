"""The bench as a user runs it: on a simulated meter, on a served one, and wrongly."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocols.errors import PortError
from smartmeter.cli import conformance, group
from smartmeter.cli.conformance import command
from smartmeter.conformance.line import SimulatedLine
from tests.smartmeter.cli.served import assert_one_clear_error, meter_process, smartmeter
from tests.smartmeter.meter.sessions import original

BOTH = {"SMARTMETER_PASSWORD": "reader", "SMARTMETER_MASTER_PASSWORD": "master"}


def test_a_run_writes_its_reports_and_ends_with_0(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("r.json", "r.xml", "r.html")]
    outputs = ("--json", files[0], "--junit", files[1], "--html", files[2])
    done = smartmeter("conformance", "sim:", "--seed", "5", *outputs, **BOTH)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout.splitlines()[-1]
    report = json.loads(Path(files[0]).read_text())
    assert report["summary"]["violation"] == 0 and report["summary"]["passed"] > 90
    assert report["device"]["serial"] == "SM000001" and report["run"]["seed"] == 5
    assert Path(files[1]).read_text().startswith("<?xml")
    assert "</html>" in Path(files[2]).read_text()
    same = smartmeter("conformance", "--diff", files[0], files[0])
    assert same.returncode == 0 and "0 checks" in same.stdout
    again = tmp_path / "again.json"
    replay = smartmeter("conformance", "sim:", "--replay", files[0], "--json", str(again))
    assert replay.returncode == 0 and "nothing failed" in replay.stdout
    assert json.loads(again.read_text())["results"] == [], "what was asked for is there"


def test_a_served_meter_is_tested_through_a_real_port(tmp_path: Path) -> None:
    with meter_process("--pty", str(tmp_path / "meter")) as (port, _):
        chosen = ("--check", "D02", "--check", "D07", "--check", "D39", "--check", "A02")
        done = smartmeter("conformance", port, *chosen, "--group", "line", **BOTH)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout.splitlines()[-1]
        done = smartmeter("conformance", port, *chosen, **BOTH)
        assert "4 passed" in done.stdout.splitlines()[-1], done.stdout


def test_a_plan_sends_nothing_and_says_what_is_left_out() -> None:
    done = smartmeter("conformance", "--plan")
    assert done.returncode == 0
    assert "at 9600 baud" in done.stdout and "--allow-attacks" in done.stdout
    assert "S07" not in done.stdout
    assert "S07" in smartmeter("conformance", "--plan", "--allow-attacks").stdout


@pytest.mark.parametrize(
    "port, words",
    [
        ("", "empty"),
        ("tcp:192.0.2.7", "tcp:HOST:PORT"),
        ("modem:5551234", "modem:NUMBER@PORT"),
        ("modem:5551234@tcp:192.0.2.7", "tcp:HOST:PORT"),
        ("sim:nix", "nix"),
        ("c1222://x", "APTITLE"),
    ],
)
def test_no_plan_is_made_for_what_is_no_name_of_a_port(port: str, words: str) -> None:
    assert_one_clear_error(("conformance", "--plan", port), 2, words)


def test_a_plan_is_made_for_a_port_that_is_elsewhere() -> None:
    assert smartmeter("conformance", "--plan", "/dev/elsewhere").returncode == 0


def test_a_device_that_is_not_there_leaves_no_report(tmp_path: Path) -> None:
    there = tmp_path / "before.json"
    there.write_text("{}")
    outputs = ("--json", str(there), "--html", str(tmp_path / "new.html"))
    arguments = ("conformance", str(tmp_path / "no-port"), *outputs)
    assert_one_clear_error(arguments, 1, "no-port")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"before.json": "{}"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_report_that_cannot_be_written_does_not_keep_the_others_back(tmp_path: Path) -> None:
    outputs = ("--json", "/dev/full", "--html", str(tmp_path / "r.html"))
    done = smartmeter("conformance", "sim:", "--check", "D02", *outputs, **BOTH)
    assert done.returncode == 1 and "/dev/full: No space left" in done.stderr
    assert "1 passed" in done.stdout
    assert "</html>" in (tmp_path / "r.html").read_text()


def test_a_report_for_which_there_is_no_room_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("of a former run")
    run = ("-m", "smartmeter", "conformance", "sim:", "--check", "D02", "--json", str(path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run(
        [sys.executable, "-B", *run],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1])),
        capture_output=True,
        text=True,
        env=os.environ | BOTH,
        timeout=180,
    )
    assert done.returncode == 1 and f"{path}: File too large" in done.stderr
    assert "1 passed" in done.stdout
    assert path.read_text() == "of a former run" and list(tmp_path.iterdir()) == [path]


def test_a_report_that_its_owner_keeps_to_himself_stays_his_when_it_is_made_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.json"
    path.write_text("of a former run")
    path.chmod(0o600)
    run = ("conformance", "sim:", "--check", "D02", "--json", str(path))
    assert CliRunner().invoke(group, run, env=BOTH).exit_code == 0
    assert json.loads(path.read_text())["summary"]["passed"] == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_report_takes_the_place_of_one_whose_folder_takes_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("of a former run")

    def refused(source: str, target: str) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))  # a file that is mounted for itself

    monkeypatch.setattr(os, "replace", refused)
    run = ("conformance", "sim:", "--check", "D02", "--json", str(path))
    assert CliRunner().invoke(group, run, env=BOTH).exit_code == 0
    assert json.loads(path.read_text())["summary"]["passed"] == 1


def verb(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env=BOTH, standalone_mode=False)


def failed_report(path: Path, check: str = "D02") -> str:
    """Write a report in which a check failed."""
    assert verb("sim:", "--check", "D02", "--seed", "7", "--json", str(path)).return_value == 0
    report = json.loads(path.read_text())
    report["results"][0] |= {"verdict": "violation", "check": check}
    path.write_text(json.dumps(report))
    return str(path)


def test_what_failed_is_run_again_with_its_seed_and_reported(tmp_path: Path) -> None:
    file, again = failed_report(tmp_path / "old.json"), tmp_path / "new.json"
    outputs = ("--json", str(again), "--junit", str(tmp_path / "r.xml"))
    assert verb("sim:", "--replay", file, *outputs).return_value == 0
    report = json.loads(again.read_text())
    assert [(one["check"], one["verdict"]) for one in report["results"]] == [("D02", "passed")]
    assert report["run"]["seed"] == 7 and report["device"]["serial"] == "SM000001"
    assert 'tests="1"' in (tmp_path / "r.xml").read_text()


def test_what_failed_of_a_network_is_not_said_to_have_passed_on_a_line(tmp_path: Path) -> None:
    done = verb("sim:", "--replay", failed_report(tmp_path / "r.json", "C35"))
    assert "nothing failed" not in done.output
    assert "C35" in done.output and "1 not run" in done.output, done.output
    assert done.return_value is None and "was run" in str(done.exception), "it is no pass"


class Cut(SimulatedLine):
    """A line that goes for good after some octets have been sent."""

    left = 20

    def write(self, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise PortError("the port has gone")
        super().write(data)

    def reopen(self) -> None:
        raise PortError("the port has gone")


def test_a_port_that_goes_for_good_is_a_violation_and_no_error_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "_line", lambda *arguments: Cut(original()))
    path = tmp_path / "r.json"
    done = verb("/dev/cut", "--group", "packet", "--json", str(path))
    assert done.return_value == 1 and "went away" in done.output, done.exception
    summary = json.loads(path.read_text())["summary"]
    assert summary["violation"] == 1 and summary["not run"] > 1


def test_a_permit_needs_the_serial_number(tmp_path: Path) -> None:
    refused = smartmeter("conformance", "sim:", "--allow-writes", **BOTH)
    assert refused.returncode == 1 and "serial number" in refused.stderr
    wrong = smartmeter("conformance", "sim:", "--allow-attacks", "--yes-serial", "X", **BOTH)
    assert wrong.returncode == 1 and "nameplate" in wrong.stderr
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        allowed = ("--allow-writes", "--yes-serial", "SM000001", "--check", "D71")
        done = smartmeter("conformance", "sim:", *allowed, **BOTH)
    finally:
        os.chdir(here)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        ((), 2, "PORT"),
        (("sim:", "--check", "Z1"), 2, "Z1"),
        (("sim:", "--check", "D07", "--group", "line"), 2, "of the group packet"),
        (("sim:", "--check", "D55"), 2, "needs --allow-attacks"),
        (("sim:", "--check", "D101"), 2, "for a port modem:"),
        (("sim:", "--group", "call"), 2, "for this port"),
        (("sim:", "--tries", "1", "--failures", "2"), 2, "--failures"),
        (("sim:", "--waivers", "/no/such"), 2, "/no/such"),
        (("sim:", "--replay", "/no/such"), 2, "/no/such"),
        (("--plan", "--profile", "/no/such"), 2, "/no/such"),
        (("/dev/no-such-port",), 1, "no-such-port"),
        (("sim:", "--check", "D02", "--html", "/no/such/x.html"), 2, "choose another"),
    ],
)
def test_wrong_use_is_one_clear_error(arguments: tuple[str, ...], status: int, words: str) -> None:
    assert_one_clear_error(("conformance", *arguments), status, words)
