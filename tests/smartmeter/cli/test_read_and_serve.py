"""A served meter is read through real ports by the command line."""

import json
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ansi_tables import Context, Snapshot, image_to_json, layout_for
from ansi_tables.procedures import Initiate, encode_initiate
from protocols.errors import ServiceRefused
from protocols.transports.memory import MachinePort
from protocols.transports.pump import MeterPort, monotonic_us, open_meter
from protocols.transports.recording import ReplayPort
from smartmeter.base.clock import Calendar, wall_utc_us
from smartmeter.base.nvram import MemoryNvram
from smartmeter.cli import overview
from smartmeter.cli.read import Found, print_table
from smartmeter.cli.served_meters import ServedOptions, served_meter
from smartmeter.gateway.flash_file import FlashFile
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.cli.served import assert_one_clear_error, meter_process, smartmeter

EIGHT = ("0", "1", "3", "5", "23", "52", "64")


def test_a_pty_serves_the_tables_and_the_password_decides_which(tmp_path: Path) -> None:
    link = str(tmp_path / "meter")
    with meter_process("--pty", link, "--clock", f"{int(time.time())},60") as (port, _):
        assert port == link
        closed = smartmeter("read", port, "52", "76", "--json")
        assert closed.returncode == 1
        assert json.loads(closed.stdout)["76"]["error"]["code"] == "isc"
        opened = smartmeter("read", port, "76", "--json", SMARTMETER_PASSWORD="reader")
        assert opened.returncode == 0 and "EVENT_FLAGS" in opened.stdout
        done = smartmeter("read", port, *EIGHT, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert list(shown) == list(EIGHT)
    assert shown["1"]["fields"]["MFG_SERIAL_NUMBER"] == "SM000001"
    assert shown["23"]["name"] == "CURRENT_REG_DATA_TBL"
    assert len(shown["64"]["fields"]["LP_DATA_SET1"]) == 10
    assert 23 in shown["0"]["fields"]["STD_TBLS_USED"]
    assert shown["52"]["fields"]["CLOCK_CALENDAR"]["iso"].startswith("20")
    assert not Path(link).exists()


@pytest.mark.parametrize("profile", PROFILES)
def test_what_the_ready_line_calls_public_is_all_that_anybody_may_read(profile: str) -> None:
    options = ServedOptions(profile, 1, "", None, None, "", None, False, False)
    served = served_meter(options, 0)
    public = {int(number) for number in served.text.partition("public: ")[2].split()}
    read = set()
    with MeterPort(MachinePort(served.machine, monotonic_us)) as meter:
        for number in range(100):
            with suppress(ServiceRefused):
                meter.read(number)
                read.add(number)
    assert public == read


def test_a_meter_keeps_its_memory_and_its_clock_over_kill_9(tmp_path: Path) -> None:
    begun = int(time.time())
    state = ("--tcp", "127.0.0.1:0", "--state", str(tmp_path), "--clock", f"{begun},60")
    ahead = timedelta(days=100)
    with meter_process(*state) as (port, process):
        with open_meter(port, password=b"master") as meter:
            meter.write(5, b"POLE 17".ljust(20))
            context = Context.from_images({0: meter.read(0)})
            layout = layout_for(52, context)
            set_forward = {
                "SET_MASK": {"SET_TIME_FLAG": 1, "SET_DATE_FLAG": 1, "SET_TIME_DATE_QUAL": 0},
                "DATE_TIME": layout.decode(meter.read(52)).CLOCK_CALENDAR.value + ahead,
                "TIME_DATE_QUAL": 0,
            }
            assert meter.procedure(encode_initiate(Initiate(10, 1, set_forward), context))[3] == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "meter.nvram").stat().st_mode & 0o777 == 0o600
    with meter_process(*state) as (port, _), open_meter(port) as meter:
        assert meter.read(5) == b"POLE 17".ljust(20)
        assert meter.read_part(5, 5, 2) == b"17"
        shown = layout.decode(meter.read(52)).CLOCK_CALENDAR.value
        unset = datetime.fromtimestamp(begun + 60 * (time.time() - begun), UTC)
        assert abs(shown.replace(tzinfo=UTC) - unset - ahead) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seed", "999999999999999"), "--seed"),
        (("--clock", "1767225600,1000000"), "give an epoch nearer to now"),
        (("--profile", "commercial"), "holds a meter of profile residential"),
    ],
)
def test_what_no_meter_can_be_served_with_is_one_clear_error(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    memory = FlashFile(tmp_path / "meter.nvram")
    Meter(MeterSettings(), memory, Calendar(wall_utc_us()), 0)
    done = smartmeter(
        "meter", "serve", "--tcp", "127.0.0.1:0", "--state", str(tmp_path), *arguments
    )
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_a_state_folder_belongs_to_one_process_until_it_is_killed(tmp_path: Path) -> None:
    state = ("--tcp", "127.0.0.1:0", "--state", str(tmp_path / "state"))
    with meter_process(*state) as (_, process):
        done = smartmeter("meter", "serve", *state)
        assert done.returncode == 1 and "another process" in done.stderr, done.stderr
        process.send_signal(signal.SIGKILL)
        process.wait()
    with meter_process(*state):
        pass


@pytest.mark.parametrize("where", ["pty", "tcp"])
def test_a_meter_whose_memory_takes_nothing_ends_with_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    # Compiled files would be cut off, too, and stay for others.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    state, name = tmp_path / "state", str(tmp_path / "meter") if where == "pty" else "127.0.0.1:0"
    with meter_process(f"--{where}", name, "--state", str(state)) as (port, process):
        # What is kept has no room to grow, as on a full disk.
        kept = sum(file.stat().st_size for file in state.iterdir())
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (kept, kept))
        set_it = ("--set", "IDENTIFICATION=POLE 17", "--yes")
        failed = smartmeter("write", port, "5", *set_it, SMARTMETER_PASSWORD="master")
        _, told = process.communicate(timeout=60)
    assert failed.returncode == 1
    assert process.returncode == 1 and told.count("\n") == 1, told
    assert "meter.nvram" in told and "free some space" in told


@pytest.mark.skipif(sys.platform != "linux", reason="only there a pty tells that it is served")
def test_a_link_belongs_to_the_meter_that_is_served_there_until_it_is_killed(
    tmp_path: Path,
) -> None:
    link = str(tmp_path / "meter")
    with meter_process("--pty", link) as (_, first):
        arguments = ("meter", "serve", "--pty", link, "--serial-number", "OTHER")
        assert_one_clear_error(arguments, 1, "another process serves there")
        with open_meter(link) as meter:
            assert b"SM000001" in meter.read(1)
        first.kill()
        first.wait()
        with (
            meter_process("--pty", link, "--serial-number", "OTHER"),
            open_meter(link) as meter,
        ):
            assert b"OTHER" in meter.read(1)


def test_a_recorded_session_replays_without_the_meter(tmp_path: Path) -> None:
    book = tmp_path / "session.jsonl"
    book.touch(0o644)
    done = smartmeter("read", "sim:", "1", "--json", "--record", str(book))
    assert done.returncode == 0, done.stderr
    assert book.stat().st_mode & 0o077 == 0, "it holds passwords"
    with MeterPort(ReplayPort(book.read_text().splitlines())) as meter:
        assert meter.read(0)
        assert meter.read(1).hex() == json.loads(done.stdout)["1"]["hex"]


def test_read_without_tables_is_one_screen_for_a_person() -> None:
    done = smartmeter("read", "sim:")
    assert done.returncode == 0, done.stderr
    assert "SMOP SM-RES-1, serial SM000001" in done.stdout
    assert "Wh delivered" in done.stdout and "varh received" in done.stdout
    assert "UTC, +0 s" in done.stdout or "UTC, -1 s" in done.stdout
    assert "locked" not in done.stdout and len(done.stdout.splitlines()) < 24


def test_the_screen_says_what_is_locked() -> None:
    screen = list(overview.lines(Snapshot({}), {23: "isc"}, datetime.now(UTC)))
    assert screen == ["locked     ST-23 (isc); a password may open it"]


def test_the_screen_promises_no_password_for_what_is_not_there() -> None:
    screen = list(overview.lines(Snapshot({}), {12: "iar", 23: "isc"}, datetime.now(UTC)))
    assert screen == ["locked     ST-23 (isc); a password may open it", "refused    ST-12 (iar)"]


def test_the_screen_says_once_what_does_not_decode() -> None:
    tables = Snapshot({0: bytes(16), 1: bytes(32), 23: bytes(8)})
    (line,) = overview.lines(tables, {}, datetime.now(UTC))
    assert line.startswith("wrong      ST-00 DIM_MFG_PROC_USED at octet 16")


def test_read_prints_a_listing_for_a_person() -> None:
    done = smartmeter("read", "sim:", "ST-52", "1", "23")
    assert done.returncode == 0 and "CLOCK_CALENDAR" in done.stdout and "SM-RES-1" in done.stdout
    assert "active energy delivered: " in done.stdout and " Wh\n" in done.stdout


def test_read_tells_of_octets_after_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found([52], faults_end_it=True)
    found.snapshot.images |= {0: Meter(MeterSettings(), MemoryNvram(), Calendar(0), 0).table(0, 0)}
    found.snapshot.images[52] = bytes.fromhex("0d050314382b04beef")
    print_table(found, 52)
    assert "2 octets follow the table" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (("read", "/dev/no-such-port", "1"), 1, "smartmeter doctor"),
        (("read", "tcp:nowhere", "1"), 2, "tcp:HOST:PORT"),
        (("read", "sim:", "ST-x"), 2, "ST-23"),
        (("read", "sim:", "1", "--user", "far too long a name"), 2, "10 characters"),
        (("meter", "serve"), 2, "--pty LINK"),
        (("meter", "serve", "--tcp", "x"), 2, "HOST:PORT"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--interval", "7"), 2, "divisor"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--profile", "toaster"), 2, "residential-tou"),
        (("meter", "serve", "--tcp", "127.0.0.1:0", "--clock", "soon"), 2, "epoch,rate"),
        (("meter", "serve", "--pty", "/no/such/folder/x"), 1, "choose a name"),
        (("decode", "table", "23", "00"), 1, "ST-00"),
        (("decode", "table", "1", "zz"), 2, "hexadecimal"),
        (("decode", "table"), 2, "number"),
    ],
)
def test_wrong_input_is_one_clear_error(
    arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert_one_clear_error(arguments, status, words)


def test_decode_reads_an_image_and_names_what_is_missing(tmp_path: Path) -> None:
    st0 = "020a884845434f0200191901000a0202030100efbdf1df031efcf0c1"
    st0 += "1fc203c807000000e0a0400002244000000ac003"
    image = tmp_path / "meter.json"
    image.write_text(image_to_json({0: bytes.fromhex(st0), 3: b"\1\0\0\0\x20"}))
    done = smartmeter("decode", "table", "--image", str(image), "--all", "--json")
    assert json.loads(done.stdout)["3"]["fields"]["ED_MODE"]["METERING_FLAG"] == 1
    layout = smartmeter("decode", "table", "1", "--layout", "--image", str(image))
    assert "MFG_SERIAL_NUMBER" in layout.stdout and "32 octets" in layout.stdout
    missing = smartmeter("decode", "table", "23", "00", "--image", str(image))
    assert missing.returncode == 1 and "ST-21" in missing.stderr
    image.write_text("{")
    broken = smartmeter("decode", "table", "1", "00", "--image", str(image))
    assert broken.returncode == 2 and "no JSON" in broken.stderr


def test_a_served_meter_ends_quietly_while_a_client_is_connected() -> None:
    with meter_process("--tcp", "127.0.0.1:0") as (port, process):
        client = socket.create_connection(("127.0.0.1", int(port.rpartition(":")[2])), 60)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        client.close()
    assert process.returncode == 0
    assert "Traceback" not in told and "Exception" not in told, told


def test_ctrl_c_ends_a_read_at_once_and_a_question_without_answer_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "smartmeter",
                "read",
                f"tcp:127.0.0.1:{silent.getsockname()[1]}",
            ],
            stderr=subprocess.PIPE,
            text=True,
            # Tests that run in the background of a shell have it ignored, and pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        connection, _ = silent.accept()
        assert connection.recv(100)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
        connection.close()
    assert (process.returncode, told.strip()) == (130, "smartmeter: stopped")
    asked = smartmeter("gateway", "init", "--out", str(tmp_path), "--port", "/dev/null")
    assert asked.returncode == 1 and "question was not answered" in asked.stderr
    assert "--help tells" in asked.stderr
