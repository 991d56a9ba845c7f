"""The module's clock: set from the meter's, checked in three bands, and judged by the TMS's.

Up to CLOCK_SILENT_S apart the module follows the meter and says nothing; up to
CLOCK_REFUSE_S it follows and says so; beyond, or when the meter has lost its time,
it refuses to follow (error 6) until the two agree again or someone sets one of them.
What the meter shows is held against the time at which it was read, which lies between
request and answer: where the answer was lost and sent again, or the session was long in
ending, now is seconds later.

A module that starts has no time but the meter's, which may be wrong by years.
Each registration is answered with the TMS's own time, in a stamp that only who
has the key can make, bound to the request.  Beyond CLOCK_REFUSE_S from that the
module takes it, and compares the meter with it as above.  The band ends where
C12.22 refuses stamps: who followed the meter further would not be heard.  Until
the TMS has told its time, or DOUBT_US have passed, the meter's is in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansi_tables.ssi_tables import ModuleAlarm
from protocols.c1218.client import Exchanged
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.ssi.memory import Seen
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.scheduler import Scheduler
from smartmeter.ssi.states import ErrorCode

#: For how long a module that starts waits for the TMS's time before it believes the meter's.
DOUBT_US = 20_000_000


class ClockCheck:
    """Sets the module's calendar, and tells the scheduler when it did."""

    def __init__(
        self, memory: Seen, reporter: Reporter, calendar: Calendar, scheduler: Scheduler
    ) -> None:
        self._memory = memory
        self._reporter, self._calendar, self._scheduler = reporter, calendar, scheduler
        self._silent_s, self._refuse_s = 0, 0
        #: The meter's clock minus the module's when they were last compared.
        self.offset_s = 0
        #: The same as it is held to be now: 0 while the module follows the meter.
        self.ahead_s = 0
        #: The clock was set so that the network's face must begin anew, and has not.
        self.renew_stamps = False
        #: By how much it was set since the parts that keep times of their own were told.
        self.moved_s = 0
        #: The module has no time but the meter's own: that the two agree says nothing.
        self._copied = False
        #: The meter had no time when it was asked last.
        self._is_lost = False
        self._doubt_since_us: int | None = None

    def configure(self, general: Mapping[str, int]) -> None:
        """Take the bands from the GENERAL table."""
        self._silent_s = general["CLOCK_SILENT_S"]
        self._refuse_s = min(general["CLOCK_REFUSE_S"], stamp_window_s(self._calendar))

    def begin(self, meter_s: int, last: Exchanged) -> None:
        """Set the calendar for the first time, from the meter's clock as it was at ``last``."""
        self._calendar.set(meter_s * US_PER_S, last.answered_us)
        self.ahead_s, self._copied = 0, True

    def _set(self, utc_us: int, now_us: int) -> None:
        self.moved_s += round((utc_us - self._own_us(now_us)) / US_PER_S)
        self._calendar.set(utc_us, now_us)
        self._scheduler.clock_set(self._reporter.utc_s(now_us))

    def doubt(self, now_us: int) -> None:
        """Doubt a time that was just taken from the meter, until the TMS has told its own."""
        self._doubt_since_us = now_us

    def doubt_ends_us(self) -> int | None:
        """Give when a doubt ends by itself; None without one."""
        return None if self._doubt_since_us is None else self._doubt_since_us + DOUBT_US

    def trust(self, now_us: int) -> bool:
        """End the doubt; True when there was one.

        Not before does the scheduler hear of the time: by a wrong one it would forget its runs.
        """
        doubted, self._doubt_since_us = self._doubt_since_us is not None, None
        if doubted:
            self._scheduler.clock_set(self._reporter.utc_s(now_us))
        return doubted

    def tms_told(self, tms_s: int, within_s: int, now_us: int) -> None:
        """Take the TMS's time, at most ``within_s`` old, if the own clock is too far from it.

        Then the meter is compared with that, by where its clock was last seen.
        """
        own_s, self._copied = self._reporter.utc_s(now_us), False
        if abs(tms_s - own_s) - within_s > self._refuse_s:
            meter_s = own_s + self.ahead_s
            self._set(tms_s * US_PER_S, now_us)
            self.renew_stamps = True
            self.compare(meter_s, Exchanged(now_us, now_us), now_us)
            self._reporter.keep()
        elif not self.ahead_s and not self._is_lost:  # so is the meter's, which the module follows
            self._agreed()

    def compare(self, meter_s: int, last: Exchanged, now_us: int) -> None:
        """Compare the clocks as at ``last``: follow the meter silently, flag it, or refuse."""
        self._is_lost = False
        offset_us = self._offset_us(meter_s, last)
        offset_s = self.offset_s = -(-offset_us // US_PER_S)
        if abs(offset_s) > self._refuse_s:
            self.ahead_s, self._copied = offset_s, False
            self._refuse("the clocks differ too much", offset_s, now_us)
            return
        self._reporter.life.clear(ErrorCode.CLOCK_OFF)
        if not self._copied:
            self._agreed()
        if abs(offset_s) > self._silent_s:
            self._raise("the meter's clock was set", offset_s, now_us)
        self.ahead_s = 0
        if offset_us:
            self.renew_stamps = self.renew_stamps or offset_us < 0
            self._set(self._own_us(now_us) + offset_us, now_us)

    def lost(self, now_us: int) -> None:
        """The meter does not know what time it is: the module goes on by its own clock."""
        self._is_lost = True
        self._refuse("the meter's clock is not set", 0, now_us)

    def _refuse(self, text: str, offset_s: int, now_us: int) -> None:
        """Do not follow the meter; that is told once, until the trouble is over."""
        self._reporter.life.set_error(ErrorCode.CLOCK_OFF)
        if not self._memory.clock_refused:
            self._memory.clock_refused = True
            self._raise(text, offset_s, now_us)

    def _agreed(self) -> None:
        """The trouble is over: the next one is told, also by a module that starts with it."""
        if self._memory.clock_refused:
            self._memory.clock_refused = False
            self._reporter.keep()

    def _offset_us(self, meter_s: int, last: Exchanged) -> int:
        """Give by how much the meter is ahead; 0 where the two may well be equal.

        Of what is possible the least: who runs ahead of the meter reads an interval before
        the meter has ended it.
        """
        least_us = meter_s * US_PER_S - self._own_us(last.answered_us)
        most_us = (meter_s + 1) * US_PER_S - self._own_us(last.asked_us)
        return 0 if least_us <= 0 <= most_us else least_us

    def _own_us(self, at_us: int) -> int:
        own_us = self._calendar.utc_us(at_us)
        assert own_us is not None  # nothing is compared before the clock was set
        return own_us

    def _raise(self, text: str, offset_s: int, now_us: int) -> None:
        self._reporter.raise_own(ModuleAlarm.CLOCK_OFF, text, now_us, offset_s)
