"""What every verb does alike: packages that are missing, Ctrl-C, names of files, folders in use."""

import os
import signal
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click import Context, Group
from click.testing import CliRunner

from protocols.errors import PortNameError
from smartmeter.base.errors import StorageError
from smartmeter.cli import EXTRAS, VERBS, _missing, _once_more, group
from smartmeter.cli.logon import logon_settings
from smartmeter.cli.state_folder import claim

ROOT = Path(__file__).resolve().parents[3]


def _run(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, as if a package were not installed."""
    code = f"import sys; sys.modules[{without!r}] = None; from smartmeter.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("place", ["click", "smartmeter.cli.decode_frame"])
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(place: str) -> None:
    code = f"""import sys
from smartmeter.__main__ import main
class Interrupted:
    def find_spec(self, name, *rest):
        if name == {place!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
main()"""
    command = [sys.executable, "-c", code, "decode", "frame", "00"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    # The system counts some as ended by the signal; a shell gives the same for both.
    assert done.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in done.stderr


def test_a_package_that_is_missing_is_named_with_what_installs_it() -> None:
    done = _run("decode", "frame", "00", "--protocol", "c1222", without="cryptography")
    told = 'smartmeter: cryptography is not installed; pip install "smartmeter[network]"\n'
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        ("--debug tms run --data ./tms", "cryptography.x509", "tms"),
        ("demo", "aiomqtt", "tms"),
        ("gateway run", "cryptography", "gateway"),
        ("gateway run --with-tms off", "nicegui", "tms"),
        ("relay run", "cryptography", "network"),
        ("compare-polling", "cryptography", "network"),
        ("compare-polling --plot figures.svg", "cryptography", "network,plot"),
        ("compare-polling --plot=figures.svg", "cryptography", "network,plot"),
    ],
)
def test_what_brings_all_that_a_verb_wants_is_named_at_once(
    line: str, module: str, extra: str
) -> None:
    assert _missing(module, line.split()).endswith(f'pip install "smartmeter[{extra}]"')


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("tms run --data FOLDER", "nicegui"),
        ("tms run --data FOLDER --web off", "prometheus_client"),
        ("tms run --data FOLDER --web off --mqtt mqtt:127.0.0.1:1", "aiomqtt"),
        ("relay run --master .7 --data FOLDER --metrics 127.0.0.1:0", "prometheus_client"),
        ("demo --data FOLDER", "argon2"),
    ],
)
def test_a_missing_package_is_told_before_a_folder_is_made(
    line: str, package: str, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    words = [str(folder) if word == "FOLDER" else word for word in line.split()]
    done = _run(*words, without=package)
    assert done.returncode == 1 and f"{package} is not installed; pip install" in done.stderr
    assert done.stderr.count("\n") == 1 and not folder.exists()


def test_the_bench_of_an_optical_port_needs_nothing_of_the_network() -> None:
    done = _run("conformance", "--plan", "--check", "D07", without="cryptography")
    assert done.returncode == 0 and done.stdout.startswith("D07 "), done.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tms cancel --kind upgrade --url ftp://host", "--url: 'ftp://host' is no address"),
        ("tms cancel", "name SmartMeters, or give --list FILE or --kind"),
        ("write sim: 5 --set A=1 00", "give one of HEX, --file FILE and --set PATH=VALUE"),
        ("nonsense", "No such command 'nonsense'."),
    ],
)
def test_whatever_goes_wrong_is_told_by_the_program_in_one_form(line: str, told: str) -> None:
    assert _run(*line.split()).stderr.splitlines()[-1].startswith(f"smartmeter: {told}")


def test_a_reader_that_has_gone_is_no_failure() -> None:
    """As in ``smartmeter decode table --all … | head -1``, where a shell heeds all of a pipe."""
    words = ("decode", "table", "--all", "--image", "docs/c1219/example_meter.json")
    with subprocess.Popen(
        [sys.executable, "-m", "smartmeter", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_a_letter_that_the_output_has_no_code_for_ends_nothing(tmp_path: Path) -> None:
    latin = subprocess.run(
        [sys.executable, "-m", "smartmeter", "read", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
    )
    assert latin.returncode == 0 and rb"echo \u2026" in latin.stdout
    # Nor does the name of a file that is no text.
    named = subprocess.run(
        [sys.executable, "-m", "smartmeter", "tms", "upgrade", "key", b"name\xff"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=60,
    )
    assert named.returncode == 0, named.stderr


def test_what_the_system_refuses_is_told_in_its_words_with_the_name(tmp_path: Path) -> None:
    done = _run("tms", "upgrade", "key", str(tmp_path / "no" / "key"))
    assert done.returncode in (1, 2) and "Errno" not in done.stderr
    assert f"{tmp_path / 'no' / 'key'}" in done.stderr and "No such file" in done.stderr
    command = [sys.executable, "-m", "smartmeter", "decode", "frame", "--help"]
    for unbuffered in ("", "1"):  # containers often have it set
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "w") as full:
            printed = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment
            )
        assert printed.returncode == 1
        assert printed.stderr == "smartmeter: output: No space left on device; free some space\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "status"),
    [(("read", "nowhere"), 1), (("read",), 2), (("decode",), 2), (("read", "sim:", "no"), 2)],
)
def test_an_error_that_cannot_be_told_has_its_exit_status(
    words: tuple[str, ...], status: int
) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "smartmeter", *words], stderr=full, timeout=60)
    assert done.returncode == status


def test_a_question_that_cannot_be_printed_is_told_as_one_without_an_answer(tmp_path: Path) -> None:
    words = ("gateway", "init", "--out", str(tmp_path), "--port", "/dev/null")
    command = [sys.executable, "-m", "smartmeter", *words]
    for unbuffered in ("", "1"):
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("smartmeter: "), done.stderr


def test_no_verb_is_told_by_half_a_sentence_in_the_list_of_its_group() -> None:
    verbs = [group.get_command(Context(group), name) for name in VERBS]
    groups = [verb for verb in verbs if isinstance(verb, Group)]
    for one in groups:
        told = CliRunner().invoke(one, ["--help"]).output
        assert "..." not in told.partition("Commands:")[2], told
        groups += [verb for verb in one.commands.values() if isinstance(verb, Group)]
    assert len(groups) > 8


def test_every_extra_that_is_named_is_there() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(EXTRAS.values()) <= set(setup["options.extras_require"])


def test_a_ctrl_c_that_fell_where_nothing_can_be_raised_comes_again() -> None:
    # A shell lets what it runs in the background ignore the signal, and that is inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _once_more(cast(Any, SimpleNamespace(exc_type=KeyboardInterrupt)))
            for _ in range(1000):
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "line",
    [
        ("clone", "sim:", ""),
        ("conformance", "sim:", "--replay", ""),
        ("decode", "table", "1", "--image", ""),
        ("doctor", ""),
        ("fleet", "--dot", ""),
        ("gateway", "check", "--settings", ""),
        ("read", "sim:", "--password-file", ""),
        ("relay", "run", "--master", ".7", "--data", ""),
        ("tms", "run", "--data", ""),
        ("tms", "upgrade", "key", ""),
        ("tms", "polled", "add", ""),
    ],
)
def test_an_empty_name_of_a_file_is_wrong_use(line: tuple[str, ...]) -> None:
    """As of a variable that is not set: the option is not taken for left out."""
    done = CliRunner().invoke(group, line)
    assert done.exit_code == 2 and "is empty; give a name" in done.output


@pytest.mark.parametrize(
    "line",
    [
        "clone sim: -",
        "compare-polling --plot -",
        "conformance sim: --check D07 --junit -",
        "demo --headless --duration 1 --data -",
        "fleet --trace -",
        "gateway check --settings -",
        "read sim: 1 --pcap -",
        "read sim: 1 --record -",
        "tms backup --data . --out -",
        "tms run --data . --template -",
    ],
)
def test_a_dash_is_no_file_where_it_is_not_standard_output(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, line.split())
    assert done.exit_code == 2 and "a file that is called so is ./-" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["", "tcp:h", "tcp://h:1", "socket://h", "modem:1", "c1222://h/"])
@pytest.mark.parametrize(
    "line",
    [
        ("read",),
        ("write", "5", "00", "--yes"),
        ("procedure", "2", "--yes"),
        ("shell",),
        ("clone", "x.json"),
        ("meter", "show"),
        ("conformance",),
    ],
    ids=" ".join,
)
def test_a_name_that_no_port_has_is_wrong_use(line: tuple[str, ...], port: str) -> None:
    place = 2 if line[0] == "meter" else 1
    done = CliRunner().invoke(group, (*line[:place], port, *line[place:]))
    assert isinstance(done.exception, PortNameError) and not done.output


@pytest.mark.parametrize(
    "line",
    [
        ("fleet", "--dot", "x" * 256),
        ("gateway", "check", "--settings", "folder/" + "x" * 256),
        ("gateway", "init", "--out", "o", "--data", "ü" * 128),
    ],
)
def test_a_name_of_a_file_that_no_system_takes_is_wrong_use(line: tuple[str, ...]) -> None:
    done = CliRunner().invoke(group, line)
    assert done.exit_code == 2 and "a name of more than 255 octets" in done.output


@pytest.mark.parametrize(
    "line",
    [
        ("fleet", "--dot", "nowhere/x"),
        ("fleet", "--trace", "nowhere/x"),
        ("read", "sim:", "1", "--record", "nowhere/x"),
        ("conformance", "sim:", "--check", "D07", "--html", "nowhere/x"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, line)
    assert "nowhere/x: No such file or directory; choose another" in str(done.exception)
    assert not done.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "line",
    [
        ("fleet", "--meters", "1", "--days", "1", "--quiet", "--dot"),
        ("fleet", "--meters", "1", "--days", "1", "--quiet", "--trace"),
        ("read", "sim:", "1", "--record"),
    ],
)
def test_a_disk_that_is_full_is_told_of_the_file_that_was_asked_for(line: tuple[str, ...]) -> None:
    done = CliRunner().invoke(group, (*line, "/dev/full"))
    assert isinstance(done.exception, StorageError)
    assert f"{line[-1]} /dev/full: No space left on device; free" in str(done.exception)


@pytest.mark.parametrize(
    "line",
    [
        ("relay", "run", "--master", ".7", "--listen", "127.0.0.1:0", "--data"),
        ("fleet", "serve", "--connect", "127.0.0.1:1", "--keys", "{}/keys.csv", "--state"),
    ],
    ids=" ".join,
)
def test_a_folder_in_which_another_process_keeps_its_state_is_left_alone(
    line: tuple[str, ...], tmp_path: Path
) -> None:
    """Two master relays would each undo what the other acknowledged."""
    folder = tmp_path / "state"
    claim(folder)
    done = _run(*(word.format(tmp_path) for word in line), str(folder))
    assert done.returncode == 1
    assert "another process keeps its state there" in done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("text", ["MT--1", "ST-", "ST-2048", "23x", "-1", "٣", "99999", ""])
def test_a_name_that_is_no_table_says_what_one_looks_like(text: str) -> None:
    done = CliRunner().invoke(group, ("read", "sim:", "--", text))
    assert done.exit_code == 2 and "is no table; write 23" in done.output


@pytest.mark.parametrize("budget", ["nan", "inf"])
def test_a_budget_is_a_number_of_seconds(budget: str) -> None:
    done = CliRunner().invoke(group, ("conformance", "sim:", "--budget", budget))
    assert done.exit_code == 2 and "--budget is a number of seconds" in done.output


def test_a_password_that_no_meter_takes_is_told_before_the_line_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMARTMETER_PASSWORD", "x" * 21)
    done = CliRunner().invoke(group, ("read", "nowhere"))
    assert str(done.exception).startswith("the password: has 21 octets, and a meter takes 20;")


def test_an_empty_variable_is_no_password_and_an_empty_file_one_of_blanks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "blank").write_text("\n")
    monkeypatch.delenv("SMARTMETER_PASSWORD", raising=False)
    assert logon_settings(0, "", None, False).password is None
    monkeypatch.setenv("SMARTMETER_PASSWORD", "")
    assert logon_settings(0, "", None, False).password is None
    assert logon_settings(0, "", str(tmp_path / "blank"), False).password == b""
    monkeypatch.setenv("SMARTMETER_PASSWORD", " ")
    assert logon_settings(0, "", None, False).password == b" "


@pytest.mark.parametrize("url", ["http://127.0.0.1:x", "http://127.0.0.1:99999", "http://[::1"])
def test_an_address_of_a_tms_with_a_port_that_is_none_is_wrong_use(url: str) -> None:
    done = CliRunner().invoke(group, ("tms", "polled", "list", "--url", url))
    assert "is no address; write http://HOST:PORT" in str(done.exception)
