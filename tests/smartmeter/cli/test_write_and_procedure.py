"""``write``, ``procedure`` and ``shell``: shown, agreed to, carried out, read back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.transports.pump import open_meter
from tests.smartmeter.cli.served import meter_process, smartmeter

MASTER = {"SMARTMETER_PASSWORD": "master"}
NAME = b"POLE 17".ljust(20)


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with meter_process("--tcp", "127.0.0.1:0") as (name, _):
        yield name


def held(port: str, table: int = 5) -> bytes:
    with open_meter(port, password=b"master") as meter:
        return meter.read(table)


def test_a_write_is_shown_carried_out_and_read_back(port: str, tmp_path: Path) -> None:
    done = smartmeter("write", port, "ST-5", NAME.hex(), "--yes", "--json", **MASTER)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"table": 5, "written": 20, "verified": True}
    assert "now" in done.stderr and NAME.hex(" ") in done.stderr and held(port) == NAME
    octets = tmp_path / "octets"
    octets.write_bytes(b"18")
    part = smartmeter("write", port, "5", "--file", str(octets), "--offset", "5", "--yes", **MASTER)
    assert part.returncode == 0 and held(port) == b"POLE 18".ljust(20)


def test_an_element_is_written_by_its_name(port: str) -> None:
    done = smartmeter("write", port, "5", "--set", "IDENTIFICATION=POLE 19", "--yes", **MASTER)
    assert done.returncode == 0 and held(port) == b"POLE 19".ljust(20)
    wrong = smartmeter("write", port, "5", "--set", "NAME=POLE", "--yes", **MASTER)
    assert wrong.returncode == 2 and "IDENTIFICATION" in wrong.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("write", "5", "00"), "a script says --yes"),
        (("write", "5", "00", "--yes", "--serial-number", "OTHER"), "not OTHER"),
        (("write", "0", "00", "--yes"), "iar"),
        (("procedure", "CLEAR_DATA"), "a script says --yes"),
        (("procedure", "SP-9", "zz", "--yes"), "hexadecimal"),
        (("procedure", "9", "ACTION_FLAG.NONE=1", "--yes"), "DEMAND_RESET_FLAG"),
        (("procedure", "soon"), "REMOTE_RESET"),
        (("write", "7", "00"), "smartmeter procedure"),
        (("write", "5"), "--set"),
    ],
)
def test_without_consent_or_sense_nothing_is_sent(
    port: str, arguments: tuple[str, ...], words: str
) -> None:
    before = held(port)
    done = smartmeter(arguments[0], port, *arguments[1:], **MASTER)
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert held(port) == before


def test_what_clears_wants_the_serial_number_typed(port: str) -> None:
    def run(typed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "smartmeter", "procedure", "sim:", "3"],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            env={"SMARTMETER_PASSWORD": "master", "PATH": ""},
        )

    refused = run("SM999999\n")
    assert refused.returncode == 1 and "nothing was sent" in refused.stderr
    done = run("SM000001\n")
    assert done.returncode == 0 and "CLEAR_DATA: completed" in done.stdout


def test_a_procedure_tells_its_result(port: str) -> None:
    flag = "ACTION_FLAG.DEMAND_RESET_FLAG=1"
    done = smartmeter("procedure", port, "REMOTE_RESET", flag, "--yes", "--json", **MASTER)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["result_code"] == 0 and shown["result"]["SUCCESS_FLAG"]["DEMAND_RESET_FLAG"] == 1
    unknown = smartmeter("procedure", port, "99", "--yes", **MASTER)
    assert unknown.returncode == 1 and "unrecognized" in unknown.stdout


def test_a_shell_keeps_one_session_and_tells_which_lines_failed(port: str) -> None:
    def say(lines: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "smartmeter", "shell", port, *options],
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            env={"SMARTMETER_PASSWORD": "master", "PATH": ""},
        )

    good = say("tables\nread ST-5\nhex 5 0 4\nwrite 5 504f4c45 --\nline\n")
    assert "ST-52" in good.stdout and "IDENTIFICATION" in good.stdout
    assert "50 4f 4c 45" in good.stdout and "1024 octets x 128 packets, 9600 baud" in good.stdout
    assert good.returncode == 1 and "hexadecimal" in good.stderr
    written = say('write 5 "IDENTIFICATION=POLE 20"\nprocedure 9 02\nquit\n', "--yes")
    assert written.returncode == 0, written.stderr
    assert held(port) == b"POLE 20".ljust(20)
    asked = say("write 5 00\nnonsense\n")
    assert asked.returncode == 1 and "--yes" in asked.stderr and "say help" in asked.stderr
