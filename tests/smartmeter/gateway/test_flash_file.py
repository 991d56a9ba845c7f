"""What the state file acknowledged is there after kill -9, torn writes and rewriting."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import DAMAGED_PAGE
from smartmeter.gateway.flash_file import (
    COMPACT_OCTETS,
    MAGIC,
    FlashFile,
    Medium,
    WriteBudget,
    read_pages,
)

WRITER = """
import sys
from pathlib import Path
from smartmeter.gateway.flash_file import FlashFile
memory = FlashFile(Path(sys.argv[1]))
number = int(memory.get("a") or b"0")
while True:
    number += 1
    memory.commit({"a": str(number).encode(), "b": str(number).encode()})
    print(number, flush=True)
"""


def pages(memory: FlashFile) -> dict[str, bytes | None]:
    return {name: memory.get(name) for name in memory.names()}


def test_pages_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    memory = FlashFile(tmp_path / "state")
    memory.commit({"a": b"1", "b": b"2"})
    memory.commit({"a": None, "c": b"\x00\xff"})
    again = FlashFile(tmp_path / "state")
    assert pages(again) == {"b": b"2", "c": b"\x00\xff"}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_commit_torn_at_any_octet_leaves_the_state_before_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    memory = FlashFile(path)
    memory.commit({"a": b"old", "b": b"old"})
    whole = path.stat().st_size
    memory.commit({"a": b"new", "b": b"new"})
    data = path.read_bytes()
    for cut in range(whole, len(data)):
        path.write_bytes(data[:cut])
        torn = FlashFile(path)
        assert pages(torn) == {"a": b"old", "b": b"old"}
        torn.commit({"c": b"later"})
        assert FlashFile(path).get("c") == b"later"


def test_a_tail_of_zeros_which_a_power_cut_leaves_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "state"
    FlashFile(path).commit({"a": b"1"})
    with path.open("ab") as file:
        file.write(bytes(4096))
    memory = FlashFile(path)
    assert pages(memory) == {"a": b"1"}
    memory.commit({"b": b"2"})
    assert pages(FlashFile(path)) == {"a": b"1", "b": b"2"}


def test_a_lost_record_before_whole_ones_is_told_and_takes_no_other_with_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state"
    memory = FlashFile(path)
    memory.commit({"a": b"1", "b": b"1"})
    begin = path.stat().st_size
    memory.commit({"a": b"2"})
    end = path.stat().st_size
    memory.commit({"c": b"3"})
    data = path.read_bytes()
    for at in range(begin, end):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        held = {"a": b"1", "b": b"1", "c": b"3", DAMAGED_PAGE: b"1"}
        assert pages(FlashFile(path)) == held, at
        again = FlashFile(path)
        assert pages(again) == held, "it is known until somebody has begun anew"
        again.commit({DAMAGED_PAGE: None})
        assert DAMAGED_PAGE not in pages(FlashFile(path))


def test_what_is_no_file_keeps_its_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for opened in (FlashFile, read_pages):
        with pytest.raises(StorageError, match="is no regular file"):
            opened(pipe)
        assert pipe.is_fifo()


def test_a_killed_writer_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    rng, last = Random(7), 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "state")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(rng.randint(1, 60)):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split("\n")
        last = max([last, *(int(line) for line in rest[:-1] if line)])
        memory = FlashFile(tmp_path / "state")
        assert memory.get("a") == memory.get("b")
        assert int(memory.get("a") or b"0") in (last, last + 1)


def test_the_file_is_rewritten_before_it_grows_without_end(tmp_path: Path) -> None:
    memory = FlashFile(tmp_path / "state")
    files = len(os.listdir("/proc/self/fd"))
    for number in range(40):
        memory.commit({"a": bytes([number]) * 60_000})
    assert (tmp_path / "state").stat().st_size < 2 * COMPACT_OCTETS
    assert len(os.listdir("/proc/self/fd")) <= files, "none is left open"
    assert FlashFile(tmp_path / "state").get("a") == bytes([39]) * 60_000


def test_a_name_that_is_a_link_to_a_better_medium_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.flash_file.COMPACT_OCTETS", 1000)
    link, real = tmp_path / "state", tmp_path / "disk" / "state"
    link.symlink_to(real)
    with pytest.raises(StorageError, match="No such file or directory"):
        FlashFile(link)  # not mounted yet: a new module must not begin here
    real.parent.mkdir()
    for value in (b"1", b"2"):
        memory = FlashFile(link)
        for _ in range(100):
            memory.commit({"page": value})
        memory.close()
        assert link.is_symlink() and 0 < real.stat().st_size < 10_000
        assert FlashFile(real).get("page") == value


@given(st.binary(min_size=1, max_size=40))
def test_a_file_that_is_no_state_file_is_left_alone(tmp_path_factory: object, data: bytes) -> None:
    assume(not data.startswith(MAGIC))
    path = Path(str(tmp_path_factory.mktemp("x"))) / "state"  # type: ignore[attr-defined]
    path.write_bytes(data)
    with pytest.raises(StorageError, match="move it away"):
        FlashFile(path)
    assert path.read_bytes() == data


class FailingMedium(Medium):
    """Works ``calls`` times; then it fails, or the power goes with half of a write done."""

    def __init__(self, calls: int, fault: BaseException, once: bool = False) -> None:
        self.left, self.fault, self.once = calls, fault, once

    def _count(self) -> bool:
        self.left -= 1
        return self.left == -1 if self.once else self.left < 0

    def write(self, descriptor: int, octets: bytes) -> int:
        if self._count():
            super().write(descriptor, octets[: len(octets) // 2])
            raise self.fault
        return super().write(descriptor, octets)

    def sync(self, descriptor: int) -> None:
        if self._count():
            raise self.fault
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        if self._count():
            raise self.fault
        super().truncate(descriptor, size)

    def replace(self, source: Path, target: Path) -> None:
        if self._count():
            raise self.fault
        super().replace(source, target)


class NoFolders(Medium):
    """A file system that synchronises no folders, as some of another computer's."""

    def sync(self, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        super().sync(descriptor)


def test_a_memory_is_begun_where_folders_cannot_be_synchronised(tmp_path: Path) -> None:
    FlashFile(tmp_path / "state", NoFolders()).commit({"a": b"1"})
    assert FlashFile(tmp_path / "state").get("a") == b"1"


class PowerCut(BaseException):
    """The moment at which the board goes dark."""


#: Large pages, so that the log is rewritten on the way.
STEPS = [{"a": bytes([n]) * 90_000, "b": bytes([n])} for n in range(1, 15)]


@pytest.mark.parametrize("fault", [PowerCut(), OSError(28, "No space left on device")], ids=str)
@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
def test_a_medium_that_fails_after_any_write_keeps_the_state_before_or_after_it(
    tmp_path: Path, fault: BaseException, once: bool
) -> None:
    calls = 0
    done = False
    while not done:
        path = tmp_path / f"state{calls}"
        FlashFile(path).commit({"b": bytes([0])})
        medium = FailingMedium(calls, fault, once)
        memory = FlashFile(path, medium)
        acknowledged = tried = 0
        try:
            for tried, step in enumerate(STEPS, 1):
                try:
                    memory.commit(step)
                except StorageError:
                    break
                acknowledged = tried
        except PowerCut:
            pass
        found = FlashFile(path).get("b")
        assert found in (bytes([acknowledged]), bytes([tried])), (calls, acknowledged, tried)
        assert FlashFile(path).get("a") == (STEPS[found[0] - 1]["a"] if found[0] else None)
        path.unlink()
        done, calls = medium.left >= 0, calls + 1
    assert calls > 2 * len(STEPS)


def test_after_a_full_disk_the_same_file_goes_on(tmp_path: Path) -> None:
    FlashFile(tmp_path / "state").commit({"b": b"0"})
    memory = FlashFile(tmp_path / "state", FailingMedium(2, OSError(28, "full"), once=True))
    memory.commit({"a": b"1"})
    with pytest.raises(StorageError, match="nothing was changed"):
        memory.commit({"a": b"2"})
    assert memory.get("a") == b"1"
    memory.commit({"a": b"3"})
    assert FlashFile(tmp_path / "state").get("a") == b"3"


def test_a_file_that_was_removed_takes_nothing_that_would_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state"
    memory = FlashFile(path)
    memory.commit({"a": b"1"})
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(StorageError, match="was removed"):
        memory.commit({"a": b"2"})
    again = FlashFile(path)
    again.commit({"a": b"2"})
    assert FlashFile(path).get("a") == b"2"


def test_a_fault_that_writes_for_ever_is_stopped_and_let_go_on_later(tmp_path: Path) -> None:
    now_us = 0
    budget = WriteBudget(lambda: now_us, day_octets=100_000)
    memory = FlashFile(tmp_path / "state", budget=budget)
    written = 0
    with pytest.raises(StorageError, match="within a day"):
        for number in range(1000):
            memory.commit({"a": b"x" * 1000, "n": str(number).encode()})
            written = number
    assert 20 < written < 100 and memory.octets <= 100_000
    assert memory.get("n") == str(written).encode()
    memory = FlashFile(tmp_path / "state", budget=budget)
    with pytest.raises(StorageError, match="within a day"):
        memory.commit({"a": b"x" * 1000})
    now_us += 3600 * 1_000_000
    memory.commit({"n": b"later"})
    assert FlashFile(tmp_path / "state").get("n") == b"later"


class CountingMedium(Medium):
    """Counts what is written; no file takes another's name."""

    written = 0

    def write(self, descriptor: int, octets: bytes) -> int:
        self.written += len(octets)
        return super().write(descriptor, octets)

    def replace(self, source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_rewritten_wears_the_medium_no_more_for_that(tmp_path: Path) -> None:
    path, page, commits = tmp_path / "state", b"x" * 100_000, 2000
    FlashFile(path).commit({"a": page})
    budget = WriteBudget(lambda: 0, day_octets=8 * COMPACT_OCTETS)
    medium = CountingMedium()
    memory = FlashFile(path, medium, budget)
    for number in range(commits):
        memory.commit({"n": str(number).encode() * 200})
    assert path.stat().st_size > 2 * COMPACT_OCTETS, "it was to be rewritten"
    assert medium.written < 2 * path.stat().st_size
    assert not budget.take(8 * COMPACT_OCTETS - medium.written + 1), "all of it was counted"
    assert FlashFile(path).get("n") == str(commits - 1).encode() * 200


class SmallDisk(Medium):
    """Has room for so many octets of all files in a folder."""

    def __init__(self, folder: Path, octets: int) -> None:
        self._folder, self._octets = folder, octets

    def write(self, descriptor: int, octets: bytes) -> int:
        left = self._octets - sum(file.stat().st_size for file in self._folder.iterdir())
        return super().write(descriptor, octets[:left]) if left > 0 else 0


def test_a_log_for_whose_rewriting_a_disk_has_no_room_takes_what_it_has_room_for(
    tmp_path: Path,
) -> None:
    path, page = tmp_path / "state", b"x" * 100_000
    memory = FlashFile(path, SmallDisk(tmp_path, COMPACT_OCTETS + 150_000))
    memory.commit({"a": page})
    number = 0
    while path.stat().st_size < COMPACT_OCTETS + 100_000:
        number += 1
        memory.commit({"n": str(number).encode() * 200})
    assert FlashFile(path).get("n") == str(number).encode() * 200


@pytest.mark.parametrize("at", range(len(MAGIC)))
def test_a_beginning_that_was_lost_takes_no_record_with_it(tmp_path: Path, at: int) -> None:
    path = tmp_path / "state"
    memory = FlashFile(path)
    memory.commit({"a": b"1"})
    memory.commit({"b": b"2"})
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
    for _ in range(2):
        assert pages(FlashFile(path)) == {"a": b"1", "b": b"2", DAMAGED_PAGE: b"1"}
    assert path.read_bytes().startswith(MAGIC)


def test_a_large_file_that_is_no_state_file_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b'"a":[{"b":1}],' * (1 << 18))
    began_s = time.process_time()
    with pytest.raises(StorageError, match="move it away"):
        read_pages(path)
    assert time.process_time() - began_s < 3  # a copy of all the rest at each brace takes 12


def test_a_process_that_may_open_no_more_files_goes_on_with_the_log_that_it_has(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state"
    memory = FlashFile(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(path, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        for number in range(20):
            memory.commit({"a": bytes([number]) * 60_000})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert path.stat().st_size > COMPACT_OCTETS, "it was to be rewritten"
    assert FlashFile(path).get("a") == bytes([19]) * 60_000
