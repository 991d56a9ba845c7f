"""``write``, ``procedure`` and ``shell``: shown, agreed to, carried out, read back."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from ansi_tables import Record, name_of
from ansi_tables.context import Context
from ansi_tables.formats import DeviceFormat
from ansi_tables.numbers import RawNumber
from ansi_tables.procedures import encode_initiate
from protocols.errors import NotAcknowledged
from protocols.transports.pump import open_meter
from smartmeter.cli import main
from smartmeter.cli.members import set_members
from smartmeter.cli.procedure import make_call
from smartmeter.cli.tables import table_number
from smartmeter.cli.write import Change, write_agreed
from tests.smartmeter.cli.served import meter_process

Done = subprocess.CompletedProcess[str]
NAME = b"POLE 17".ljust(20)


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with meter_process("--tcp", "127.0.0.1:0") as (name, _):
        yield name


@pytest.fixture
def smartmeter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Give the command line in this process, as the master and with what is typed."""

    def run(*arguments: str, typed: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["smartmeter", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        monkeypatch.setenv("SMARTMETER_PASSWORD", "master")
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code if isinstance(ended.value.code, int) else 0
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


def held(port: str, table: int = 5) -> bytes:
    with open_meter(port, password=b"master") as meter:
        return meter.read(table)


def test_a_write_is_shown_carried_out_and_read_back(
    port: str, tmp_path: Path, smartmeter: Callable[..., Done]
) -> None:
    done = smartmeter("write", port, "ST-5", NAME.hex(), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"table": 5, "written": 20, "verified": True}
    assert "now" in done.stderr and NAME.hex(" ") in done.stderr and held(port) == NAME
    octets = tmp_path / "octets"
    octets.write_bytes(b"18")
    part = smartmeter("write", port, "5", "--file", str(octets), "--offset", "5", "--yes")
    assert part.returncode == 0 and held(port) == b"POLE 18".ljust(20)


class GoneOnceItWasWritten:
    """A meter whose line fails when it has accepted a write."""

    octets = bytes(20)

    def read(self, table: int, progress: object = None) -> bytes:
        if self.octets == NAME:
            raise NotAcknowledged("nobody acknowledges")
        return self.octets

    def write(self, table: int, data: bytes, progress: object = None) -> None:
        self.octets = data


def test_a_write_that_was_accepted_is_told_as_done_though_the_line_fails_after_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    meter: Any = GoneOnceItWasWritten()
    assert write_agreed(meter, Change(5, NAME), yes=True) == 0
    told = capsys.readouterr().out
    assert (
        told == "20 octets were accepted; the table could not be read back: nobody acknowledges\n"
    )


def test_an_element_is_written_by_its_name(port: str, smartmeter: Callable[..., Done]) -> None:
    done = smartmeter("write", port, "5", "--set", "IDENTIFICATION=POLE 19", "--yes")
    assert done.returncode == 0 and held(port) == b"POLE 19".ljust(20)
    wrong = smartmeter("write", port, "5", "--set", "NAME=POLE", "--yes")
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
        (("procedure", "10", "SET_MASK.SET_TIME_FLAG=1", "--yes"), "give DATE_TIME too"),
        (("procedure", "5", "--yes"), "UPDATE_LAST_READ_ENTRY: give TBL_LIST, ENTRIES_READ too"),
        (("procedure", "soon"), "REMOTE_RESET"),
        (("write", "7", "00"), "smartmeter procedure"),
        (("write", "5"), "--set"),
        (("write", "5", "--set", f"IDENTIFICATION={'A' * 21}", "--yes"), "smartmeter: ST-05 IDENT"),
        (("procedure", "21", "CONTROL_POINTS=0", "--yes"), "a set; write its members as [0,3]"),
        (("procedure", "9", "01", "ffff", "--yes"), "REMOTE_RESET: 2 octets more than it takes"),
        (("write", "33", "--set", "PRI_DISP_SOURCES=3-4", "--yes"), "a list; write its elements"),
    ],
)
def test_without_consent_or_sense_nothing_is_sent(
    port: str, arguments: tuple[str, ...], words: str, smartmeter: Callable[..., Done]
) -> None:
    before = held(port)
    done = smartmeter(arguments[0], port, *arguments[1:])
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert held(port) == before


@pytest.mark.parametrize("number", [7, 8, 9])
def test_flags_that_are_left_out_ask_for_nothing(number: int) -> None:
    context = Context(DeviceFormat(dim_mfg_status_used=1))
    image = encode_initiate(make_call(number, False, (), context), context)
    assert len(image) > 3 and not any(image[3:])


def test_what_clears_wants_the_serial_number_typed(smartmeter: Callable[..., Done]) -> None:
    refused = smartmeter("procedure", "sim:", "3", typed="SM999999\n")
    assert refused.returncode == 1 and "nothing was sent" in refused.stderr
    done = smartmeter("procedure", "sim:", "3", typed="SM000001\n")
    assert done.returncode == 0 and "CLEAR_DATA: completed" in done.stdout


def test_a_procedure_tells_its_result(port: str, smartmeter: Callable[..., Done]) -> None:
    flag = "ACTION_FLAG.DEMAND_RESET_FLAG=1"
    done = smartmeter("procedure", port, "REMOTE_RESET", flag, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["result_code"] == 0 and shown["result"]["SUCCESS_FLAG"]["DEMAND_RESET_FLAG"] == 1
    unknown = smartmeter("procedure", port, "99", "--yes")
    assert unknown.returncode == 1 and "unrecognized" in unknown.stdout


def test_a_shell_keeps_one_session_and_tells_which_lines_failed(
    port: str, smartmeter: Callable[..., Done]
) -> None:
    def say(lines: str, *options: str) -> Done:
        return smartmeter("shell", port, *options, typed=lines)

    assert say('write 5 "IDENTIFICATION=POLE 19"\n', "--yes").returncode == 0
    good = say("tables\nread ST-5\nhex 5 0 4\nwrite 5 504f4c45 --\nline\n")
    assert "ST-52" in good.stdout and "IDENTIFICATION" in good.stdout
    assert "50 4f 4c 45" in good.stdout and "1024 octets x 128 packets, 9600 baud" in good.stdout
    assert good.returncode == 1 and "hexadecimal" in good.stderr
    written = say('write 5 "IDENTIFICATION=POLE 20"\nprocedure 9 02\nquit\n', "--yes")
    assert written.returncode == 0, written.stderr
    assert held(port) == b"POLE 20".ljust(20)
    asked = say("write 5 00\nnonsense\n")
    assert asked.returncode == 1 and "--yes" in asked.stderr and "say help" in asked.stderr


def test_times_are_written_as_people_write_them(port: str, smartmeter: Callable[..., Done]) -> None:
    given = ("SET_MASK=3", "TIME_DATE_QUAL=0")
    done = smartmeter("procedure", port, "10", *given, "DATE_TIME=2026-02-03T04:05:06", "--yes")
    assert done.returncode == 0 and "2026-02-03T04:05:06" in done.stdout
    for text, told in (
        ("yesterday", "write 2026-02-03T04:05:06"),
        ("2026-02-03T04:05:06+02:00", "has a zone"),
    ):
        wrong = smartmeter("procedure", port, "10", *given, f"DATE_TIME={text}", "--yes")
        assert wrong.returncode == 2 and told in wrong.stderr


def test_a_decimal_takes_the_place_of_a_register_that_was_never_set_exactly() -> None:
    unset = Record(VALUE=RawNumber(b"      "))
    assert set_members(unset, ("VALUE=85.87",)) == {"VALUE": Decimal("85.87")}
    assert set_members(unset, ("VALUE=85",)) == {"VALUE": 85}


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("=1", "'=1': write PATH=VALUE"),
        ("LIST.2=1", "LIST.2: there is no 2; there is 0 to 1"),
        ("NAME=1", "NAME: there is no NAME; there is LIST"),
        ("LIST.0.A=1", "LIST.0.A: there is no A; there is nothing in it"),
    ],
)
def test_a_member_that_is_not_there_is_answered_with_those_that_are(
    assignment: str, told: str
) -> None:
    with pytest.raises(click.UsageError) as refused:
        set_members({"LIST": [1, 2]}, (assignment,))
    assert refused.value.message == told


def test_a_table_is_named_in_any_of_the_ways_in_which_it_is_printed() -> None:
    for number in (0, 23, 2053, 4109, 6147, 8193, 12289):
        assert table_number(name_of(number)) == table_number(str(number)) == number
    assert table_number("pending-st-13") == 4109
    for wrong in ("pending", "pending-ST-2048", "MT-2048", "16384", "ST-", "soon"):
        with pytest.raises(click.UsageError, match="pending-ST-13"):
            table_number(wrong)
