"""The outage detector: loss, momentary filter, last gasp, restoration.

Two witnesses are joined: the mains sense of the module, and the meter's own
log of power down and up.  The start of a loss that the sense sees is made
durable at once, from the hold-up energy, so that the return is known as one
even when the module was off in between.  What the meter tells of a loss that
the module knows already is not told again; one that only the meter saw (a
module on another supply, or killed without a word) becomes a record like any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables.ssi_tables import Disposition
from protocols.machine import Event, earliest
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.tasks import jitter_s
from smartmeter.ssi.memory import MAX_OUTAGES, MAX_POWER_GAPS, Losses
from smartmeter.ssi.meter_data import own_second

US_PER_MS = 1000
#: A threshold longer than the energy: the last gasp, if there is one, leaves with this share of it.
GASP_SHARE_PERCENT = 60
#: How far the clocks of meter and module may be apart for their losses to be one.
SAME_LOSS_S = 120
#: How far before or after a loss that the log tells of by itself another of its entries may lie.
NEXT_LOSS_S = 3
#: For so long a loss is still known after the log was read: clocks may differ, and be set.
FORGET_S = 3600


@dataclass(frozen=True)
class LastGasp(Event):
    """The mains have been away for the threshold; ``waits_us`` lie before each message."""

    number: int
    start_s: int
    waits_us: tuple[int, ...]


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

    def __init__(self, esn: str, memory: Losses, calendar: Calendar) -> None:
        self._esn = esn
        self._memory = memory
        self._calendar = calendar
        self._settings: Mapping[str, Any] = {"ENABLED": 0, "THRESHOLD_S": 0, "HOLD_UP_MS": 0}
        self._gasp_us: int | None = None
        self._gone_us: int | None = None
        #: Until then a loss that began under our eyes is momentary; its stamps, in whole seconds,
        #: may lie a second further apart than it lasted.
        self._momentary_until_us = 0
        #: The starts of known losses that a read of the log, which is being judged, has as its own.
        self._in_log: frozenset[int] = frozenset()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the OUTAGE table."""
        self._settings = settings

    @property
    def enabled(self) -> bool:
        """Tell whether outages are told of."""
        return bool(self._settings["ENABLED"])

    @property
    def mains_on(self) -> bool:
        """Tell whether the mains are there, as far as the module knows."""
        return self._gone_us is None

    @property
    def tells(self) -> bool:
        """Tell whether the mains are away, and that is told where it lasts."""
        return self.enabled and not self.mains_on

    def lost(self, now_us: int) -> None:
        """The mains are lost: note when; ``memory`` is to be made durable now."""
        if self._gone_us is not None:
            return
        hold_us = self._settings["HOLD_UP_MS"] * US_PER_MS
        self._gone_us = now_us + hold_us
        utc_us = self._calendar.utc_us(now_us)
        if utc_us is None or not self.enabled:
            return
        threshold_us = self._calendar.deadline_us(utc_us + self._settings["THRESHOLD_S"] * US_PER_S)
        if self._memory.outage_start_s is None:
            self._memory.outage_start_s = utc_us // US_PER_S
            self._memory.outage_reported = False
            self._momentary_until_us = threshold_us
        self._gasp_us = threshold_us
        gasps = self._settings["LAST_GASP_COUNT"]
        if hold_us and gasps and self._settings["DISPOSITION"] == Disposition.ALARM:
            self._gasp_us = min(threshold_us, now_us + hold_us * GASP_SHARE_PERCENT // 100)

    def clock_set(self, step_s: int) -> None:
        """The clock was set: a loss that lasts began as long ago as before.

        The meter may have logged a loss that ended before by the time that the clock has now.
        """
        memory = self._memory
        if self._gone_us is not None and memory.outage_start_s is not None:
            memory.outage_start_s += step_s
        if abs(step_s) > SAME_LOSS_S:
            moved = [[a + step_s, b + step_s] for a, b in memory.power_gaps]
            memory.power_gaps = [*moved, *memory.power_gaps][-MAX_POWER_GAPS:]
            # By how much is known: what follows one of these is another.
            self._note_logged(a for a, _ in moved)

    def returned(self, now_us: int) -> Event | None:
        """The mains are there, also at a start; tell what that ends, once the clock is set."""
        self._gone_us = self._gasp_us = None
        memory, utc_s = self._memory, self._calendar.utc_s(now_us)
        start_s = memory.outage_start_s
        if start_s is None or utc_s is None:
            return None
        # Where the clock went back meanwhile nobody knows for how long, but that it ends now.
        start_s, memory.outage_start_s = min(start_s, utc_s), None
        reported, memory.outage_reported = memory.outage_reported, False
        memory.power_gaps = [*memory.power_gaps, [start_s, utc_s]][-MAX_POWER_GAPS:]
        return self._ended(start_s, utc_s, reported, now_us < self._momentary_until_us)

    def log_tells(self, starts_s: Sequence[int], ahead_s: int) -> None:
        """Know, before a read of the meter's log is judged, when the losses in it began.

        A known loss that began with one of them is that one, and not another shortly before it.
        """
        moments_s = [*starts_s, *(start_s - ahead_s for start_s in starts_s)]
        self._in_log = frozenset(
            a
            for a, _ in self._memory.power_gaps
            if any(abs(a - moment_s) <= NEXT_LOSS_S for moment_s in moments_s)
        )

    def evidence(self, power_up: bool, time_s: int, ahead_s: int = 0) -> Event | None:
        """Take a power event of the meter's log; tell what it ends that the module did not see.

        ``ahead_s`` is by how much the meter's clock is ahead of the module's now; whether it
        was so already when the event was logged, nobody knows: either may be a known loss.
        """
        if not self.enabled:
            return None
        if not power_up:
            self._memory.meter_down_s = time_s
            return None
        start_s, self._memory.meter_down_s = self._memory.meter_down_s, None
        if start_s is None:
            return None
        if self._saw(start_s - ahead_s, time_s - ahead_s) or self._saw(start_s, time_s):
            return None
        # Nobody knows when one began that has no time, or whose clock went back meanwhile.
        start_s = min(start_s or time_s, time_s)
        return self._ended(own_second(start_s, ahead_s), own_second(time_s, ahead_s), False)

    def log_was_read(self, utc_s: int) -> None:
        """The meter's log has told what it had: losses that ended before need not be known."""
        memory = self._memory
        # One of the future was dated, or moved, by a clock that was far off.
        memory.power_gaps = [gap for gap in memory.power_gaps if abs(gap[1] - utc_s) < FORGET_S]
        self._note_logged(())

    def knows(self, time_s: int) -> bool:
        """Tell whether an instant lies in a loss that the sense saw, or in the one that lasts."""
        gaps = list(self._memory.power_gaps)
        if self._memory.outage_start_s is not None:
            gaps.append([self._memory.outage_start_s, time_s])
        return any(a - SAME_LOSS_S <= time_s <= b + SAME_LOSS_S for a, b in gaps)

    def _saw(self, start_s: int, end_s: int) -> bool:
        """Tell whether a loss of the meter's log is one that the sense saw.

        What flickers at its end lies inside.  Another may come shortly before, or follow without
        a word from a module that had no energy left: it is another when the log tells of this one.
        """
        memory, last_s = self._memory, self._memory.outage_start_s
        if last_s is not None and last_s - SAME_LOSS_S <= end_s:
            return True
        for index, (a, b) in enumerate(memory.power_gaps):
            early_s = NEXT_LOSS_S if a in self._in_log else SAME_LOSS_S
            late_s = NEXT_LOSS_S if a in memory.gaps_logged else SAME_LOSS_S
            begins = a - early_s <= start_s <= b + late_s
            if begins or a <= end_s <= b + late_s:
                if begins and not a - NEXT_LOSS_S <= start_s <= b + NEXT_LOSS_S:
                    # The clocks are apart, or one was set: what follows is beside it in the log.
                    a, b = start_s, start_s + b - a
                    before, after = memory.power_gaps[:index], memory.power_gaps[index + 1 :]
                    memory.power_gaps = [*before, [a, b], *after]
                self._note_logged((a,))
                return True
        return False

    def _note_logged(self, starts_s: Iterable[int]) -> None:
        """Note the starts of known losses that the log has told of; others are forgotten."""
        memory = self._memory
        known = {start_s for start_s, _ in memory.power_gaps}
        memory.gaps_logged = sorted(known.intersection((*memory.gaps_logged, *starts_s)))

    def _ended(self, start_s: int, end_s: int, reported: bool, is_short: bool = False) -> Event:
        memory = self._memory
        duration_s = max(0, end_s - start_s)
        if (is_short or duration_s < self._settings["THRESHOLD_S"]) and not reported:
            memory.momentaries += 1
            return Momentary(duration_s)
        number, memory.next_outage = memory.next_outage, memory.next_outage + 1
        memory.outages = [*memory.outages, [number, start_s, end_s]][-MAX_OUTAGES:]
        return Restored(number, start_s, end_s)

    def expire(self, now_us: int) -> list[Event]:
        """Give the last gasp when it is due, and the end of the energy."""
        events: list[Event] = []
        start_s = self._memory.outage_start_s
        if self._gasp_us is not None and now_us >= self._gasp_us:
            self._gasp_us = None
            if start_s is not None:
                self._memory.outage_reported = True
                number, left_us = self._memory.next_outage, (self._gone_us or now_us) - now_us
                events.append(LastGasp(number, start_s, self._waits_us(number, left_us)))
        if self._gone_us is not None and now_us >= self._gone_us:
            events.append(PowerGone())
        return events

    def _waits_us(self, number: int, left_us: int) -> tuple[int, ...]:
        """Give the waits before the messages: each leaves somewhere in a window of its own.

        A hash of the ESN and the message chooses where, so that two meters whose messages
        collided once do not collide again.  Windows are shortened where the energy that is
        left would not last for all of them.
        """
        count = self._settings["LAST_GASP_COUNT"]
        longest_ms = max(0, left_us) // US_PER_MS // max(1, count)
        spread_ms = min(self._settings["LAST_GASP_SPREAD_MS"], longest_ms)
        moments = [
            turn * spread_ms + jitter_s(f"{self._esn}/{number}", turn, spread_ms)
            for turn in range(count)
        ]
        before = [0, *moments]
        return tuple(
            (moment - last) * US_PER_MS for last, moment in zip(before, moments, strict=False)
        )

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(self._gasp_us, self._gone_us)
