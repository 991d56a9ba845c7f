"""How far the stamp of a secured message may lie from the clock of who gets it."""

from __future__ import annotations

from protocols.c1222.node import WINDOW_S
from smartmeter.base.clock import Calendar


def stamp_window_s(calendar: Calendar) -> int:
    """Give the window in seconds of a calendar: one that runs faster sees more of them pass."""
    return WINDOW_S * max(1, int(calendar.rate))
