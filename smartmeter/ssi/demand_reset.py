"""Demand resets: one in 24 hours that nobody forced, and each that is meant is done once.

The intention is durable before the meter is told, and how many resets the meter had counted
(ST-23) with it.  An answer that the line lost, and a power cut before it came, leave open whether
the meter has done it: its own count tells when it is tried again.  A meter without such a count
is taken to have done it.  A module that was cut off before it had told the meter tells it again.
"""

from __future__ import annotations

from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import OutcomeUnknown, ProtocolError
from smartmeter.base.clock import DAY_S, HOUR_S
from smartmeter.ssi.log_reading import DEMAND_RESET
from smartmeter.ssi.memory import Resets
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.work import DEMAND_RESET_BIT, read_count, remote_reset

#: Between two resets that nobody forced (a common rule of utilities): 24 hours, with a minute
#: for what was tried again the day before.
INTERVAL_S = DAY_S - 60
REGISTERS, COUNT = 23, "NBR_DEMAND_RESETS"


class DemandResets:
    """Keeps in the module's memory when the last one was, and whether it was told."""

    def __init__(self, memory: Resets, reporter: Reporter) -> None:
        self._memory, self._reporter = memory, reporter
        #: The last one, and the one before it, were begun since the start: by the clock of now.
        self._by_this_clock = self._before_too = False
        if memory.reset_before_s is not None and not memory.reset_open:  # cut off before it asked
            self._undo()

    def may_begin(self, utc_s: int) -> bool:
        """Tell whether the last demand reset is long enough ago, or is still to be found out."""
        last_s = self._memory.reset_s
        return self._memory.reset_open or not last_s or abs(utc_s - last_s) >= INTERVAL_S

    def begin(self, utc_s: int, due_s: int) -> None:
        """Take note that a reset is meant; the meter is not asked yet.

        One that was due before the last one was begun is that one, however long ago that is.
        """
        memory = self._memory
        if abs(utc_s - memory.reset_s) >= INTERVAL_S and due_s > memory.reset_s:
            memory.reset_open = False
        if not memory.reset_open:
            memory.reset_before_s, self._before_too = memory.reset_s, self._by_this_clock
        memory.reset_s, self._by_this_clock = utc_s, True

    def clock_set(self, step_s: int) -> None:
        """The clock was set: what was done by it is as long ago as before.

        But for a mere correction, by which a daily one may come sooner than after 24 hours.
        """
        memory = self._memory
        if abs(step_s) < HOUR_S:
            return
        if self._by_this_clock and memory.reset_s:
            memory.reset_s = max(1, memory.reset_s + step_s)
        if self._before_too and memory.reset_before_s:
            memory.reset_before_s = max(1, memory.reset_before_s + step_s)

    def script(self, meter: MeterContext, sequence: int, limits: ClientLimits) -> Script[None]:
        """Reset the demand; what it was before stands in ST-25 then."""
        memory = self._memory
        count = yield from read_count(meter, REGISTERS, COUNT, limits)
        if not memory.reset_open or (count is not None and count == memory.reset_count):
            told = memory.reset_told
            self._ask(count)
            try:
                yield from remote_reset(meter, DEMAND_RESET_BIT, sequence, limits)
            except OutcomeUnknown:
                raise
            except ProtocolError:
                # It was not done.  What an earlier one has left may still have to be reported.
                memory.reset_open, memory.reset_told = False, told
                memory.refused_effect(DEMAND_RESET)
                raise
        self.give_up()

    def _ask(self, count: int | None) -> None:
        """Make durable that the meter is about to be asked."""
        memory = self._memory
        if memory.reset_open:
            memory.refused_effect(DEMAND_RESET)
        memory.expect_effect(DEMAND_RESET, memory.reset_s)
        memory.reset_open, memory.reset_count, memory.reset_told = True, count, False
        self._reporter.keep_in_session()

    def failed(self) -> bool:
        """A reset came to no good end; True when the meter may have done it all the same.

        StorageError when the memory did not take that it was meant.
        """
        self._reporter.raise_fault()
        if not self._memory.reset_open:
            self._undo()
            self._reporter.keep()
        return self._memory.reset_open

    def _undo(self) -> None:
        """It was not done: the one before it is the last."""
        self._memory.reset_s = self._memory.reset_before_s or 0
        self._memory.reset_before_s, self._by_this_clock = None, self._before_too

    def give_up(self) -> None:
        """Nobody will ask again what became of a reset: it counts as done."""
        self._memory.reset_open, self._memory.reset_before_s = False, None
