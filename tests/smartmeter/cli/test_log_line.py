"""A verb that goes on for years does not end because its log takes nothing."""

import errno
import io
import sys

import pytest

from smartmeter.cli.log_line import log_line


class Failing(io.StringIO):
    """A stream that fails when it is flushed, as a file on a full disk does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, "failed")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_log_on_a_full_disk_ends_nothing_and_one_that_nobody_reads_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, name, Failing(errno.ENOSPC))
    log_line("a line", err=name == "stderr")
    monkeypatch.setattr(sys, name, Failing(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        log_line("a line", err=name == "stderr")
    monkeypatch.setattr(sys, name, stream := io.StringIO())
    log_line("a line", err=name == "stderr")
    assert stream.getvalue() == "a line\n"
