"""What the state file acknowledged is there after kill -9, torn writes and rewriting."""

import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smartmeter.base.errors import StorageError
from smartmeter.gateway.flash_file import COMPACT_OCTETS, MAGIC, FlashFile

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
    for number in range(40):
        memory.commit({"a": bytes([number]) * 60_000})
    assert (tmp_path / "state").stat().st_size < 2 * COMPACT_OCTETS
    assert FlashFile(tmp_path / "state").get("a") == bytes([39]) * 60_000


@given(st.binary(min_size=1, max_size=40))
def test_a_file_that_is_no_state_file_is_left_alone(tmp_path_factory: object, data: bytes) -> None:
    assume(not data.startswith(MAGIC))
    path = Path(str(tmp_path_factory.mktemp("x"))) / "state"  # type: ignore[attr-defined]
    path.write_bytes(data)
    with pytest.raises(StorageError, match="move it away"):
        FlashFile(path)
    assert path.read_bytes() == data
