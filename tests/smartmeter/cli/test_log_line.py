"""A verb that goes on for years does not end because its log takes nothing."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smartmeter.cli.log_line import log_line
from tests.waiting import wait_until


class Failing(io.StringIO):
    """A stream that fails when it is flushed, as a file on a full disk does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, "failed")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_log_on_a_full_disk_or_that_nobody_reads_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, name, Failing(errno.ENOSPC))
    log_line("a line", err=name == "stderr")
    monkeypatch.setattr(sys, name, Failing(errno.EPIPE))
    log_line("a line", err=name == "stderr")
    monkeypatch.setattr(sys, name, stream := io.StringIO())
    log_line("a line", err=name == "stderr")
    assert stream.getvalue() == "a line\n"


@pytest.mark.parametrize("is_read", [True, False])
def test_a_meter_is_served_where_nothing_can_be_printed(tmp_path: Path, is_read: bool) -> None:
    link = tmp_path / "port"
    command = [sys.executable, "-m", "smartmeter", "meter", "serve", "--pty", str(link)]
    reader, writer = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    os.close(reader)
    with subprocess.Popen(command, stdout=full if is_read else writer, stderr=full) as process:
        os.close(writer)
        os.close(full)
        wait_until(lambda: link.is_symlink() or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_nothing_of_ours_takes_the_number_of_a_standard_stream_that_is_closed() -> None:
    program = """import os
from smartmeter import cli
try:
    cli.main()
except SystemExit:
    os._exit(os.open("/", os.O_RDONLY))
"""
    closed = 'exec "$0" -c "$1" --version <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", closed, sys.executable, program]).returncode > 2
