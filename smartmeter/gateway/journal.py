"""What the gateway says: each thing once, its end once, and never a flood.

A line that was said within the hour is counted and not said again.  What comes and
goes all the time is told of ``MAX_CHANGES_DAY`` times a day, so that there is room for
others; beyond ``MAX_LINES_DAY`` lines a day, all are only counted.  journald takes some 720
octets for a line of 300: that is 7 MB a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

REPEAT_US = 3600 * 1_000_000
DAY_US = 24 * REPEAT_US
MAX_LINES_DAY, MAX_CHANGES_DAY = 10_000, 1000
#: What is wrong, why, and the whole of its remedy.
MAX_LINE = 300
MAX_REMEMBERED = 1000


class Journal:
    """Passes lines on to ``write``; ``clock_us`` gives monotonic microseconds."""

    def __init__(self, write: Callable[[str], None], clock_us: Callable[[], int]) -> None:
        self._write, self._clock_us = write, clock_us
        self._said: dict[str, tuple[int, int]] = {}
        self._day_us, self._lines = clock_us(), 0
        self._states: dict[str, str] = {}
        #: How often each subject has changed today.
        self._changes: Counter[str] = Counter()

    def say(self, text: str) -> None:
        """Say a line, unless it was said within the hour."""
        text = text.replace("\n", " ")[:MAX_LINE]
        now_us = self._clock_us()
        since_us, count = self._said.get(text, (now_us - REPEAT_US, 0))
        if now_us - since_us < REPEAT_US:
            self._said[text] = (since_us, count + 1)
            return
        self._said.pop(text, None)
        if len(self._said) >= MAX_REMEMBERED:
            self._said.pop(next(iter(self._said)))
        self._said[text] = (now_us, 0)
        self._put(f"{text} ({count} times more since)" if count else text, now_us)

    def state(self, subject: str, text: str, why: str = "") -> None:
        """Say how a subject does, when that is another than before; and why, which may vary."""
        now_us = self._clock_us()
        self._begin_day(now_us)
        if self._states.get(subject) == text:
            return
        self._states[subject] = text
        self._changes[subject] += 1
        line = f"{subject}: {text}" + (f" ({why})" if why else "")
        if self._changes[subject] == MAX_CHANGES_DAY:
            line = f"{subject}: comes and goes all the time: silent about it until tomorrow"
        if self._changes[subject] <= MAX_CHANGES_DAY:
            self._put(line.replace("\n", " ")[:MAX_LINE], now_us)

    def _begin_day(self, now_us: int) -> None:
        if now_us - self._day_us >= DAY_US:
            self._day_us, self._lines = now_us, 0
            for subject, number in self._changes.items():
                if number >= MAX_CHANGES_DAY:
                    self._states.pop(subject, None)  # how it does was not told any more
            self._changes.clear()

    def _put(self, text: str, now_us: int) -> None:
        self._begin_day(now_us)
        self._lines += 1
        if self._lines < MAX_LINES_DAY:
            self._write(text)
        elif self._lines == MAX_LINES_DAY:
            self._write("too many lines: silent until tomorrow")
