"""The outage detector: loss, momentary filter, last gasp, restoration.

The mains sense tells it of loss and return.  The start of a loss is made
durable at once, from the hold-up energy, so that the return is known as one
even when the module was off in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocols.machine import Event
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.ssi.memory import MAX_OUTAGES, Memory

US_PER_MS = 1000
#: A threshold longer than the energy: the last gasp leaves with this share of it.
GASP_SHARE_PERCENT = 60


@dataclass(frozen=True)
class LastGasp(Event):
    """The mains have been away for the threshold; there is energy left to say so."""

    number: int
    start_s: int


@dataclass(frozen=True)
class Momentary(Event):
    """The mains were away for less than the threshold."""

    duration_s: int


@dataclass(frozen=True)
class Restored(Event):
    """The mains are back after a sustained outage."""

    number: int
    start_s: int
    end_s: int


@dataclass(frozen=True)
class PowerGone(Event):
    """The hold-up energy is used up: the module stops."""


class OutageDetector:
    """Keeps its record in the module's memory; the module commits it on every event."""

    def __init__(self, memory: Memory, calendar: Calendar) -> None:
        self._memory = memory
        self._calendar = calendar
        self._settings: Mapping[str, Any] = {"ENABLED": 0, "THRESHOLD_S": 0, "HOLD_UP_MS": 0}
        self._gasp_us: int | None = None
        self._gone_us: int | None = None

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the OUTAGE table."""
        self._settings = settings

    @property
    def mains_on(self) -> bool:
        """Tell whether the mains are there, as far as the module knows."""
        return self._gone_us is None

    def lost(self, now_us: int) -> None:
        """The mains are lost: note when; ``memory`` is to be made durable now."""
        if self._gone_us is not None:
            return
        hold_us = self._settings["HOLD_UP_MS"] * US_PER_MS
        self._gone_us = now_us + hold_us
        utc_us = self._calendar.utc_us(now_us)
        if utc_us is None or not self._settings["ENABLED"]:
            return
        if self._memory.outage_start_s is None:
            self._memory.outage_start_s = utc_us // US_PER_S
            self._memory.outage_reported = False
        threshold_us = self._calendar.deadline_us(utc_us + self._settings["THRESHOLD_S"] * US_PER_S)
        self._gasp_us = min(threshold_us, now_us + hold_us * GASP_SHARE_PERCENT // 100)

    def returned(self, now_us: int) -> Event | None:
        """The mains are there, also at a start; tell what that ends, once the clock is set."""
        self._gone_us = self._gasp_us = None
        memory, utc_s = self._memory, self._calendar.utc_s(now_us)
        start_s = memory.outage_start_s
        if start_s is None or utc_s is None:
            return None
        memory.outage_start_s = None
        duration_s = max(0, utc_s - start_s)
        if duration_s < self._settings["THRESHOLD_S"] and not memory.outage_reported:
            memory.momentaries += 1
            return Momentary(duration_s)
        number, memory.next_outage = memory.next_outage, memory.next_outage + 1
        memory.outages = [*memory.outages, [number, start_s, utc_s]][-MAX_OUTAGES:]
        memory.outage_reported = False
        return Restored(number, start_s, utc_s)

    def expire(self, now_us: int) -> list[Event]:
        """Give the last gasp when it is due, and the end of the energy."""
        events: list[Event] = []
        start_s = self._memory.outage_start_s
        if self._gasp_us is not None and now_us >= self._gasp_us:
            self._gasp_us = None
            if start_s is not None:
                self._memory.outage_reported = True
                events.append(LastGasp(self._memory.next_outage, start_s))
        if self._gone_us is not None and now_us >= self._gone_us:
            events.append(PowerGone())
        return events

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = (self._gasp_us, self._gone_us)
        return min((due for due in dues if due is not None), default=None)
