"""The scheduled clock check: module and meter compared, in three bands.

Up to CLOCK_SILENT_S apart the module follows the meter and says nothing; up to
CLOCK_REFUSE_S it follows and says so; beyond, it refuses to follow (error 6)
until the two agree again or someone sets one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansi_tables.ssi_tables import ModuleAlarm
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.scheduler import Scheduler
from smartmeter.ssi.states import ErrorCode


class ClockCheck:
    """Sets the module's calendar, and tells the scheduler when it did."""

    def __init__(self, reporter: Reporter, calendar: Calendar, scheduler: Scheduler) -> None:
        self._reporter, self._calendar, self._scheduler = reporter, calendar, scheduler
        self._silent_s, self._refuse_s = 0, 0
        #: The meter's clock minus the module's when they were last compared.
        self.offset_s = 0
        #: The clock was set back, and the network's face has not heard of it.
        self.went_back = False

    def configure(self, general: Mapping[str, int]) -> None:
        """Take the bands from the GENERAL table."""
        self._silent_s, self._refuse_s = general["CLOCK_SILENT_S"], general["CLOCK_REFUSE_S"]

    def set(self, meter_s: int, now_us: int) -> None:
        """Set the calendar from the meter's clock."""
        own_s = self._calendar.utc_s(now_us)
        self.went_back = self.went_back or (own_s is not None and meter_s < own_s)
        self._calendar.set(meter_s * US_PER_S, now_us)
        self._scheduler.clock_set(meter_s)

    def compare(self, meter_s: int, now_us: int) -> None:
        """Compare the clocks: follow the meter silently, flag it, or refuse."""
        offset_s = self.offset_s = meter_s - self._reporter.utc_s(now_us)
        if abs(offset_s) > self._refuse_s:
            if not self._reporter.life.has(ErrorCode.CLOCK_OFF):
                self._reporter.life.set_error(ErrorCode.CLOCK_OFF)
                self._raise("the clocks differ too much", offset_s, now_us)
            return
        self._reporter.life.clear(ErrorCode.CLOCK_OFF)
        if abs(offset_s) > self._silent_s:
            self._raise("the meter's clock was set", offset_s, now_us)
        if offset_s:
            self.set(meter_s, now_us)

    def _raise(self, text: str, offset_s: int, now_us: int) -> None:
        self._reporter.raise_own(ModuleAlarm.CLOCK_OFF, text, now_us, offset_s)
