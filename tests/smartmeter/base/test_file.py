"""Files from a person are read up to a limit, whatever their name leads to."""

import errno
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import (
    FORGOTTEN_S,
    file_number,
    leads_to,
    make_folder,
    parse_toml,
    read_file,
    read_text,
    replacing,
    sync_folder,
    sync_found,
    write_new,
)


def test_a_file_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "octets"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345" and read_text(path, 5) == "12345"
    with pytest.raises(SettingsError, match="octets: is larger than 4 octets; check the name"):
        read_file(path, 4)


def test_a_device_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SettingsError, match="/dev/zero: is larger than 1000 octets"):
        read_file(Path("/dev/zero"), 1000)


def test_a_file_takes_the_memory_of_its_octets_and_not_of_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "octets"
    path.write_bytes(bytes(300_000))
    tracemalloc.start()
    found = read_file(path, 1 << 30)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 300_000 and most < 1_000_000


def test_a_pipe_is_read_like_a_file() -> None:
    source, sink = os.pipe()
    os.write(sink, b"piped")
    os.close(sink)
    assert read_file(Path(f"/dev/fd/{source}"), 100) == b"piped"
    os.close(source)


def test_a_named_pipe_is_read_to_its_end_from_who_writes_later(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        found = threads.submit(read_file, pipe, 6)
        with pipe.open("wb", buffering=0) as writer:  # waits for the reader
            writer.write(b"abc")
            writer.write(b"def")
        assert found.result() == b"abcdef"
        found = threads.submit(read_file, pipe, 6)
        with pipe.open("wb", buffering=0) as writer:
            writer.write(b"abcdefg")
        with pytest.raises(SettingsError, match="larger than 6 octets"):
            found.result()


def test_a_pipe_that_is_open_to_be_written_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartmeter.base.file._PIPE_WAITS", 1)
    reading, writing = os.pipe()
    with ThreadPoolExecutor() as threads:
        found = threads.submit(read_file, Path(f"/dev/fd/{reading}"), 10)
        with pytest.raises(TimeoutError):
            found.result(timeout=1)
        os.write(writing, b"late")
        os.close(writing)
        assert found.result() == b"late"
    os.close(reading)


def test_a_pipe_that_was_closed_with_nothing_written_is_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("smartmeter.base.file._PIPE_WAITS", 1)
    reading, writing = os.pipe()
    os.close(writing)
    assert read_file(Path(f"/dev/fd/{reading}"), 10) == b""
    os.close(reading)
    monkeypatch.setattr("smartmeter.base.file._PIPE_WAITS", 1000)
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as threads:
        found = threads.submit(read_file, tmp_path / "pipe", 10)
        (tmp_path / "pipe").open("wb").close()  # waits for the reader
        assert found.result() == b""


def test_a_pipe_that_nobody_writes_into_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("smartmeter.base.file._PIPE_WAITS", 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="place: is a pipe that nobody writes into"):
        read_file(tmp_path / "pipe", 10, "place")


def test_what_cannot_be_read_is_told_by_the_place_that_named_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--key-file: No such file"):
        read_file(tmp_path / "none", 100, "--key-file")
    with pytest.raises(SettingsError, match="Is a directory; check name and rights"):
        read_file(tmp_path, 100)


def test_text_must_be_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="--share: is no UTF-8 text"):
        read_text(path, 100, "--share")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = " + "[" * 30_000, "nested too deep"),
        ("a = " + "{a=" * 10_000, "nested too deep"),
        ("a = " + "1" * 5000, "too many digits"),
        ("a b", "at line 1"),
    ],
    ids=["arrays", "tables", "digits", "no TOML"],
)
def test_what_is_no_toml_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"g.toml: .*{told}.*; write TOML"):
        parse_toml(text, "g.toml")


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("old")
    left = tmp_path / f".kept.json.{os.getpid()}.new"
    left.write_text("of a process with the same number that was killed")
    with pytest.raises(ZeroDivisionError), replacing(path) as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(tmp_path) == [path.name]
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError), replacing(tmp_path / "none" / "x"):
        raise AssertionError("there is no such folder")


def test_what_was_left_beside_a_file_by_who_was_killed_is_gone_a_day_later(tmp_path: Path) -> None:
    path, day_before_s = tmp_path / "copy[1].db", time.time() - FORGOTTEN_S - 60
    fresh, others = ".copy[1].db.2.new", [".copy1.db.1.new", ".copy[1].db.x.new", ".new"]
    for name in (".copy[1].db.1.new", ".copy[1].db.1.new-journal", fresh, *others):
        (tmp_path / name).touch()
        if name != fresh:
            os.utime(tmp_path / name, (day_before_s, day_before_s))
    with replacing(path):
        pass
    assert set(os.listdir(tmp_path)) == {path.name, fresh, *others}


def test_a_name_leads_to_its_file_until_another_stands_there(tmp_path: Path) -> None:
    path, other = tmp_path / "kept", tmp_path / "other"
    assert file_number(path) is None and not leads_to(path, None)
    path.touch()
    number = file_number(path)
    assert leads_to(path, number)
    other.touch()
    other.replace(path)
    assert not leads_to(path, number)
    path.unlink()
    assert not leads_to(path, number)


def test_a_name_that_nobody_may_look_at_counts_as_leading_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept"
    path.touch()
    number = file_number(path)

    def locked(self: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", locked)
    assert leads_to(path, number) and file_number(path) is None


def test_a_file_that_is_replaced_through_a_link_is_the_one_to_which_it_leads(
    tmp_path: Path,
) -> None:
    (tmp_path / "safe").mkdir()
    held, link = tmp_path / "safe" / "copy", tmp_path / "link"
    link.symlink_to(held)
    for text in ("begun", "replaced"):
        with replacing(link) as path:
            path.write_text(text)
        assert link.is_symlink() and held.read_text() == text
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["copy", "link", "safe"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_new_file_is_closed_when_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows refuses the name to one that is open.
    renamed = os.replace

    def looked_at(source: str, target: str) -> None:
        open_files = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
        assert os.path.realpath(source) not in open_files
        renamed(source, target)

    monkeypatch.setattr(os, "replace", looked_at)
    with replacing(tmp_path / "new") as beside:
        beside.write_text("whole")
    assert (tmp_path / "new").read_text() == "whole"


def test_a_new_file_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    write_new(path, b"first")
    assert path.stat().st_mode & 0o777 == 0o600
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link):
        with pytest.raises(FileExistsError):
            write_new(taken, b"second")
    assert path.read_bytes() == b"first" and sorted(os.listdir(tmp_path)) == ["key", "link"]


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_that_others_may_read_is_as_the_umask_lets_it_be(
    tmp_path: Path, mask: int, mode: int
) -> None:
    before = os.umask(mask)
    try:
        write_new(tmp_path / "public", b"", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("has_links", [True, False])
def test_what_another_process_makes_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    path, free = tmp_path / "key", tmp_path / "free"
    synchronise = os.fsync

    def beaten(descriptor: int) -> None:
        path.write_text("the other's")
        synchronise(descriptor)

    def refused(source: Path, target: Path) -> None:
        raise PermissionError  # as a file system says it where a file has one name

    if not has_links:
        monkeypatch.setattr(os, "link", refused)
    write_new(free, b"made")
    monkeypatch.setattr(os, "fsync", beaten)
    with pytest.raises(FileExistsError):
        write_new(path, b"ours")
    assert path.read_text() == "the other's" and free.read_text() == "made"
    assert sorted(os.listdir(tmp_path)) == ["free", "key"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_synchronises_no_folders_is_let_be(tmp_path: Path, code: int) -> None:
    asked = []

    def refused(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(code, os.strerror(code))

    sync_folder(tmp_path, refused)
    assert asked


def test_a_medium_that_fails_is_told_of_a_folder_too(tmp_path: Path) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path, failing)


def test_a_log_that_its_own_program_removes_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, opened = tmp_path / "log", os.open
    log.touch()

    def opened_late(path: Path, flags: int) -> int:
        log.unlink(missing_ok=True)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", opened_late)
    sync_found(log)
    assert not log.exists()


def test_a_folder_that_may_be_written_and_not_read_takes_folders_and_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def unreadable(path: Path, flags: int, mode: int = 0o777) -> int:
        if path.is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", unreadable)
    log = tmp_path / "new" / "folder" / "log"
    make_folder(log.parent)
    log.touch()
    sync_found(log)
