"""``smartmeter tms export``: whole files only, one clear line for what is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.errors import SettingsError
from smartmeter.cli.tms import command
from smartmeter.cli.whole_file import whole_file
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.cli.served import assert_one_clear_error, smartmeter
from tests.smartmeter.tms.stored import kept, record, store

__all__ = ["kept", "store"]


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    name = tmp_path / "day.csv"
    with pytest.raises(RuntimeError), whole_file("--out", str(name)) as out:
        out.write("half")
        out.flush()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for text in ("one\n", "two\n"):
        with whole_file("--out", str(name)) as out:
            out.write(text)
            assert not name.exists() or name.read_text() == "one\n"
    assert name.read_bytes() == b"two\n" and name.stat().st_mode & 0o777 == 0o600
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "day.csv"):
        with pytest.raises(SettingsError, match="--out"), whole_file("--out", str(wrong)):
            raise AssertionError("it was opened")


def test_it_exports_while_the_store_is_written_and_twice_the_same(
    kept: Store, tmp_path: Path
) -> None:
    record(kept, range(20))
    out, names = tmp_path / "out.csv", tmp_path / "names"
    names.write_text("SM1\n\n")
    span = ("--from", "2026-01-01T00:30", "--to", "2026-01-01T02:00+01:00")
    asked = ("tms", "export", "intervals", "--data", str(tmp_path), "--list", str(names), *span)
    done = smartmeter(*asked, "--out", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = out.read_text().splitlines()
    assert lines[0].startswith("esn,set,begin_utc,end_utc,end_local,length_s,Wh delivered,status")
    assert [line.split(",")[2] for line in lines[1:]] == [
        "2026-01-01T00:30:00Z",
        "2026-01-01T00:45:00Z",
    ]
    again = smartmeter(*asked)
    assert again.stdout == out.read_text()


@pytest.mark.parametrize("verb", [("backup",), ("export", "alarms")])
def test_nothing_is_written_over_the_database_that_it_is_of(
    kept: Store, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    database, link = tmp_path / "tms.sqlite3", tmp_path / "link"
    link.symlink_to(database)
    before = database.stat().st_ino
    for out in (database, link):
        arguments = ("tms", *verb, "--data", str(tmp_path), "--out", str(out))
        assert_one_clear_error(arguments, 2, "is the database itself; choose another name")
    assert database.stat().st_ino == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_takes_nothing_is_told_in_one_line(kept: Store, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "smartmeter", "tms", "export", "alarms"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*program, "--data", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "standard output: No space left on device; free some space" in done.stderr


def test_a_copy_that_finds_no_room_is_told_by_the_name_that_was_asked_for(
    kept: Store, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    line = ["smartmeter", "tms", "backup", "--data", str(tmp_path), "--out", str(out)]
    program = "import sys, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
    program += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    program += f"sys.argv = {line}; from smartmeter.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and f"smartmeter: --out {out}: " in done.stderr, done.stderr
    assert not [one for one in tmp_path.iterdir() if "copy" in one.name]


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("SM9",), "SM9: is not known"),
        (("--from", "yesterday"), "--from: 'yesterday' is no time; write 2026"),
        (("--to", "0001-01-01T00:00+14:00"), "--to: .* is not 1970 to 2106"),
        (("--list", "{folder}/none"), "none"),
        (("--out", "{folder}/no/such"), "--out"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    store: Store, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    given = [one.format(folder=tmp_path) for one in arguments]
    asked = ["export", "events", "--data", str(tmp_path), *given]
    done = CliRunner().invoke(command, asked, standalone_mode=False)
    assert isinstance(done.exception, SettingsError) and done.stdout == ""
    assert re.search(told, str(done.exception))
    assert len(str(done.exception).splitlines()) == 1


def test_a_copy_is_made_of_a_store_that_is_written_and_stands_alone(
    kept: Store, tmp_path: Path
) -> None:
    record(kept, range(3))
    copy = tmp_path / "elsewhere" / "copy.sqlite3"
    copy.parent.mkdir()
    asked = ["backup", "--data", str(tmp_path), "--out", str(copy)]
    done = CliRunner().invoke(command, asked, standalone_mode=False)
    assert done.exception is None and "octets" in done.stdout
    assert [one.name for one in copy.parent.iterdir()] == ["copy.sqlite3"]
    assert copy.stat().st_mode & 0o777 == 0o600
    record(kept, range(3, 6))
    shown = [
        CliRunner().invoke(command, ["export", "intervals", "--data", str(data)]).stdout
        for data in (copy, tmp_path)
    ]
    assert shown[1].startswith(shown[0]) and len(shown[0].splitlines()) == 4
    assert [one.name for one in copy.parent.iterdir()] == ["copy.sqlite3"], "reading makes no file"
    opened = Store(copy)
    assert opened.number("SELECT count(*) FROM intervals") == 3
    opened.close()
