"""What a terminal shows beside the answer leaves it as it was."""

import io
import sys

import pytest
from rich.progress import Progress

from smartmeter.cli.terminal import CountedProgress

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("at", ["start", "add_task", None])
def test_a_bar_that_is_stopped_as_it_begins_gives_the_cursor_back(
    at: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(bars: Progress, *_: object, **__: object) -> None:
        bars.live.start()
        raise KeyboardInterrupt

    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    if at is not None:
        monkeypatch.setattr(Progress, at, stopped)
    with pytest.raises(KeyboardInterrupt), CountedProgress("days", 3):
        raise KeyboardInterrupt
    assert screen.getvalue().count(HIDDEN) == screen.getvalue().count(SHOWN) == 1
