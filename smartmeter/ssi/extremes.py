"""The lowest and the highest value of a window of time that moves, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

#: Slices of a window: values that come faster share one, of which both extremes are kept.
SLICES = 64


@dataclass
class _Slice:
    begin_us: int
    low_us: int
    low: Fraction
    high_us: int
    high: Fraction


class Extremes:
    """What was seen in the last ``window_us``; exact but for the oldest slice of the window."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._slice_us = max(1, window_us // SLICES)
        self._slices: deque[_Slice] = deque()

    def __len__(self) -> int:
        return len(self._slices)

    def saw(self, value: Fraction, now_us: int) -> None:
        """Take a value, and forget those that have left the window."""
        last = self._slices[-1] if self._slices else None
        if last is None or now_us - last.begin_us >= self._slice_us:
            self._slices.append(_Slice(now_us, now_us, value, now_us, value))
        else:
            if value <= last.low:
                last.low_us, last.low = now_us, value
            if value >= last.high:
                last.high_us, last.high = now_us, value
        begin_us = now_us - self._window_us
        while max(self._slices[0].low_us, self._slices[0].high_us) < begin_us:
            self._slices.popleft()

    def farthest(self, value: Fraction, now_us: int) -> Fraction:
        """Give how far from a value anything in the window was."""
        begin_us = now_us - self._window_us
        lows = (value - one.low for one in self._slices if one.low_us >= begin_us)
        highs = (one.high - value for one in self._slices if one.high_us >= begin_us)
        return max(max(lows, default=Fraction(0)), max(highs, default=Fraction(0)), Fraction(0))
