"""The calendar clock: it has a rate, can be set, can drift and can be wrong.

Two clocks are kept apart everywhere.  The *monotonic* clock counts
microseconds and is never scaled; it drives link timers and retries.  The
*calendar* gives UTC; it drives schedules, stamps and due times, and runs
``rate`` times as fast as the monotonic one.  A machine that waits for a
calendar instant turns it into a monotonic deadline here.

All arithmetic is in integers (Fraction for the rate): two processes that are
given the same ``--clock epoch,rate`` agree to the microsecond for years.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from smartmeter.base.errors import SettingsError

US_PER_S = 1_000_000
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

#: The fastest calendar: a year in about half a minute.  A guess at what is still useful.
MAX_RATE = 1_000_000
#: Seconds since 1970 are 32 bits in C12.22's stamps.
MAX_CALENDAR_S = 1 << 32
#: Not by the system's own times: those of a 32-bit board may end in 2038.  Nor taken from
#: ``ansi_tables``, which loads construct: ``doctor`` and pytest's plug-in do without.
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
#: A wall clock that moves by more against the monotonic one was set.
WALL_SET_US = 1_000_000


class Calendar:
    """UTC as a function of monotonic time: ``utc = epoch + rate * (now - origin)``.

    ``epoch_utc_us`` is None for a clock that has not been set.  Implements
    ``protocols.machine.UtcClock``.
    """

    def __init__(
        self,
        epoch_utc_us: int | None,
        rate: int | Fraction = 1,
        origin_us: int = 0,
    ) -> None:
        if not 0 < rate <= MAX_RATE:
            raise SettingsError(
                "clock", f"rate {rate} is refused", f"give a rate above 0 and up to {MAX_RATE}"
            )
        self._epoch_utc_us = epoch_utc_us
        self._origin_us = origin_us
        #: By how much it was set forward in all since it was made; a first setting is not counted.
        self.moved_us = 0
        self._nominal = Fraction(rate)
        # As two integers: it is asked for every message, and Fraction is slow.
        self._ratio = self._nominal.as_integer_ratio()

    @property
    def is_set(self) -> bool:
        """Tell whether the clock has been set."""
        return self._epoch_utc_us is not None

    @property
    def rate(self) -> Fraction:
        """Give the nominal rate: calendar seconds per monotonic second, drift left out."""
        return self._nominal

    def utc_us(self, now_us: int) -> int | None:
        """Give UTC in microseconds since 1970, or None while the clock is not set."""
        if self._epoch_utc_us is None:
            return None
        numerator, denominator = self._ratio
        ahead = numerator * (now_us - self._origin_us)
        # Towards zero, also before the origin.
        return self._epoch_utc_us + (
            ahead // denominator if ahead >= 0 else -(-ahead // denominator)
        )

    def utc_s(self, now_us: int) -> int | None:
        """Give UTC in whole seconds since 1970, or None while the clock is not set."""
        utc_us = self.utc_us(now_us)
        return None if utc_us is None else utc_us // US_PER_S

    def deadline_us(self, utc_us: int) -> int:
        """Give the first monotonic instant at which the calendar shows ``utc_us`` or later."""
        if self._epoch_utc_us is None:
            raise SettingsError("clock", "the calendar has not been set", "set it first")
        numerator, denominator = self._ratio
        return self._origin_us - (self._epoch_utc_us - utc_us) * denominator // numerator

    def set_drift(self, drift_ppm: int, now_us: int) -> None:
        """Let the calendar drift from now on: so many parts in a million too fast."""
        if self._epoch_utc_us is not None:
            self._epoch_utc_us = self.utc_us(now_us)
            self._origin_us = now_us
        drifting = self._nominal * Fraction(1_000_000 + drift_ppm, 1_000_000)
        self._ratio = drifting.as_integer_ratio()

    def set(self, utc_us: int, now_us: int) -> None:
        """Set the calendar: from ``now_us`` on it runs from ``utc_us``; rate and drift stay."""
        before_us = self.utc_us(now_us)
        self.moved_us += 0 if before_us is None else utc_us - before_us
        self._epoch_utc_us = utc_us
        self._origin_us = now_us


def monotonic_us() -> int:
    """Give the machine's monotonic clock in microseconds; only hosts call this."""
    return time.monotonic_ns() // 1000


def wall_utc_us() -> int:
    """Give the machine's wall clock as UTC in microseconds; only hosts call this."""
    return time.time_ns() // 1000


def utc_moment(utc_s: int) -> datetime:
    """Give UTC seconds since 1970 as an instant; OverflowError at the ends of the calendar."""
    return _BEGIN + timedelta(seconds=utc_s)


def shared_calendar(
    text: str, wall_us: int, now_us: int, latest_s: int = MAX_CALENDAR_S
) -> Calendar:
    """Make the calendar of a ``--clock epoch,rate`` setting.

    ``epoch`` is a Unix time in seconds: at that wall-clock instant the calendar
    shows the same instant, and from then on it runs ``rate`` times as fast.
    Processes on one machine that are given the same text agree, whenever each
    of them starts.  An empty text is the wall clock itself.  ``latest_s`` is where
    the dates of the process end.
    """
    if not text:
        return Calendar(wall_us, 1, now_us)
    try:
        epoch_text, rate_text = text.split(",")
        epoch_us, rate = int(epoch_text) * US_PER_S, Fraction(rate_text)
    except (ValueError, ZeroDivisionError):
        raise SettingsError(
            "--clock", f"{text!r} is not 'epoch,rate'", "give a Unix time and a rate: 1767225600,60"
        ) from None
    if not 0 < rate <= MAX_RATE:
        raise SettingsError(
            "--clock", f"rate {rate_text} is refused", f"use 0 < rate <= {MAX_RATE}"
        )
    shown_us = epoch_us + int(rate * (wall_us - epoch_us))
    if not 0 <= shown_us < latest_s * US_PER_S:
        raise SettingsError(
            "--clock", f"{text!r:.80} is no time that a meter shows", "give an epoch nearer to now"
        )
    return Calendar(shown_us, rate, now_us)


def follow_wall(calendar: Calendar, text: str, wall_us: int, now_us: int) -> None:
    """Set a calendar made by ``shared_calendar`` of this text again, if the wall clock was set.

    A wall clock that shows what no calendar could is not followed.
    """
    with suppress(SettingsError):
        shown_us = shared_calendar(text, wall_us, now_us).utc_us(now_us) or 0
        apart_us = abs(shown_us - (calendar.utc_us(now_us) or 0))
        is_time = 0 <= shown_us < MAX_CALENDAR_S * US_PER_S
        if is_time and apart_us > WALL_SET_US * calendar.rate:
            calendar.set(shown_us, now_us)
