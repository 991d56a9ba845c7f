"""Whether the meter answers, and when it is to be read from the start.

A meter need not tell that others have programmed it: of those that log it many leave out the tables
that matter.  So its context is read anew once a day, in less than a second at 9600 baud, and when a
meter that was lost answers again: who programs it at its optical port takes the probe off.
"""

from __future__ import annotations

from ansi_tables.ssi_tables import ModuleAlarm
from protocols.machine import earliest
from smartmeter.base.clock import DAY_S, US_PER_S
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.scheduler import FIRST_RETRY_US, MAX_RETRY_US, Scheduler

DAY_US = DAY_S * US_PER_S
#: Failures in a row after which the meter counts as unreachable.
UNREACHABLE_AFTER = 3


class MeterLink:
    """Counts what failed in a row, and tells when the meter is lost and when it is back."""

    def __init__(
        self, memory: Memory, reporter: Reporter, scheduler: Scheduler, now_us: int
    ) -> None:
        self._memory, self._reporter, self._scheduler = memory, reporter, scheduler
        #: When the meter's context is to be read because it may be another; and because of its age.
        self._soon_us: int | None = now_us
        self._old_us: int | None = None
        #: Sessions with the meter that failed since the module's start.
        self.failures = 0
        self._in_a_row = 0
        #: Until then it is not told again that what the meter answers cannot be read.
        self._unreadable_until_us = now_us
        self._reading = False
        #: Until the context is tried again, should it fail next; also in an outage, which counts
        #: for no failure.
        self._pause_us = FIRST_RETRY_US

    @property
    def answers(self) -> bool:
        """Tell whether the meter was read and has not failed to answer several times since."""
        return not self._memory.meter_lost and self._reporter.meter is not None

    @property
    def read_due_us(self) -> int | None:
        """Give when the meter's context is to be read; None while that is under way."""
        return earliest(self._soon_us, self._old_us)

    def read_again(self, now_us: int) -> None:
        """Let the meter's context be read anew: a table of it has changed."""
        self._soon_us = now_us
        self._doubt_context()

    def table_written(self, number: int, now_us: int) -> None:
        """A table was written from the network: it may be one of the context."""
        meter = self._reporter.meter
        if meter is not None and number in meter.images:
            self.read_again(now_us)

    def _doubt_context(self) -> None:
        if self._reporter.meter is not None:
            self._reporter.meter.old = True

    def read_soon(self, now_us: int) -> None:
        """Let it be read anew, unless that is under way or put off."""
        if self._soon_us is None and not self._reading:
            self._soon_us = now_us

    def put_off(self, now_us: int) -> None:
        """Too much else waits at the port: the meter's context is read a little later."""
        self._reading = False
        self._soon_us = now_us + FIRST_RETRY_US

    def read_done(self, now_us: int) -> None:
        """The meter's context was read."""
        self._reading, self._pause_us = False, FIRST_RETRY_US
        self._old_us = now_us + DAY_US

    def read_failed(self, now_us: int) -> None:
        """The meter's context could not be read: it is tried again, each time after longer."""
        self._reading = False
        self._soon_us = now_us + self._pause_us
        self._pause_us = min(2 * self._pause_us, MAX_RETRY_US)

    def take_due(self, now_us: int) -> bool:
        """Tell whether the meter's context is to be read now; it is then due no longer."""
        due_us = self.read_due_us
        if due_us is None or now_us < due_us:
            return False
        self._soon_us, self._old_us, self._reading = None, None, True
        return True

    def answered(self, now_us: int) -> bool:
        """A job at the meter was done; True when that tells that the meter is back.

        It is told once the module knows the time.
        """
        self._in_a_row = 0
        if not self._memory.meter_lost or not self._reporter.utc_s(now_us):
            return False
        self._memory.meter_lost = False
        self._scheduler.try_again(now_us)
        self._reporter.raise_own(ModuleAlarm.METER_BACK, "the meter answers again", now_us)
        return True

    def logged_on(self, accepted: bool | None, now_us: int) -> bool:
        """Tell when the meter begins to refuse the module's password (``accepted`` False).

        True when it takes the password again: what it has hidden meanwhile is read then.
        """
        refused, memory = accepted is False, self._memory
        if accepted is None or refused is memory.seen.password_refused:
            return False
        memory.seen.password_refused = refused
        if refused:
            text = "the meter refuses the module's password"
            self._reporter.raise_own(ModuleAlarm.METER_SECURITY, text, now_us)
        else:
            self.read_soon(now_us)
        return not refused

    def failed(
        self, cause: str, now_us: int, in_outage: bool = False, answers: bool = False
    ) -> bool:
        """A job at the meter failed; True when that makes the meter unreachable.

        One that is silent in an outage has lost its mains: that is told as the outage.  One that
        ``answers``, but with what cannot be read, may have been programmed.  That is told as its
        loss once a day: what else it is asked brings it back at once, and the same fails again.
        """
        self.failures += 1
        if in_outage:
            return False
        self._in_a_row += 1
        lost = self._memory.meter_lost
        if self._in_a_row < UNREACHABLE_AFTER or lost or self._reporter.meter is None:
            return False
        self._doubt_context()
        if answers and now_us < self._unreadable_until_us:
            self._in_a_row = 0
            self.read_soon(now_us)
            return False
        if answers:
            self._unreadable_until_us = now_us + DAY_US
        self._memory.meter_lost = True
        self._reporter.raise_own(ModuleAlarm.METER_UNREACHABLE, cause, now_us)
        return True
