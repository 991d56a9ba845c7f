"""Demand resets: one in 24 hours that nobody forced, and each that is meant is done once.

The intention is durable before the meter is told, so that a power cut in between cannot lead
to a second reset.  An answer that the line lost leaves open whether the meter has done it: its
own count of resets (ST-23) tells when it is tried again, and a meter without such a count is
taken to have done it.
"""

from __future__ import annotations

from ansi_tables import layout_for
from protocols.c1218.scripts import Script, read_part
from protocols.c1218.steps import ClientLimits
from protocols.errors import ServiceRefused
from smartmeter.base.tasks import DAY_S
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.work import DEMAND_RESET_BIT, ProcedureRefused, remote_reset

#: Between two resets that nobody forced (a common rule of utilities): 24 hours, with a minute
#: for what was tried again the day before.
INTERVAL_S = DAY_S - 60
REGISTERS, COUNT = 23, "NBR_DEMAND_RESETS"


class DemandResets:
    """Keeps in the module's memory when the last one was, and whether it was told."""

    def __init__(self, memory: Memory, reporter: Reporter) -> None:
        self._memory, self._reporter = memory, reporter
        #: The meter was asked, and what it did is not known; how many it had counted before.
        self._open = False
        self._count: int | None = None
        #: When the one before was.
        self._before_s = 0

    def may_begin(self, utc_s: int) -> bool:
        """Tell whether the last demand reset is long enough ago, or is still to be found out."""
        last_s = self._memory.reset_s
        return self._open or not last_s or abs(utc_s - last_s) >= INTERVAL_S

    def begin(self, utc_s: int) -> None:
        """Note that the meter is about to reset its demand."""
        memory = self._memory
        self._open = self._open and abs(utc_s - memory.reset_s) < INTERVAL_S
        if not self._open:
            self._before_s = memory.reset_s
        memory.reset_s, memory.reset_told = utc_s, False
        self._reporter.keep()

    def script(self, meter: MeterContext, sequence: int, limits: ClientLimits) -> Script[None]:
        """Reset the demand; what it was before stands in ST-25 then."""
        count = yield from _count(meter, limits)
        if self._open and (count is None or count != self._count):
            self._open = False
            return
        self._open, self._count = True, count
        try:
            yield from remote_reset(meter, DEMAND_RESET_BIT, sequence, limits)
        except (ServiceRefused, ProcedureRefused):
            self._open = False
            raise
        self._open = False

    def failed(self) -> bool:
        """A reset came to no good end; True when the meter may have done it all the same."""
        if not self._open:
            self._memory.reset_s, self._memory.reset_told = self._before_s, True
            self._reporter.keep()
        return self._open

    def give_up(self) -> None:
        """Nobody will ask again what became of a reset: it counts as done."""
        self._open = False


def _count(meter: MeterContext, limits: ClientLimits) -> Script[int | None]:
    """Read how many resets the meter has counted; None where it does not count."""
    if REGISTERS not in meter.context.fmt.std_tbls_used:
        return None
    layout = layout_for(REGISTERS, meter.context)
    if not layout.has(COUNT):
        return None
    try:
        octets = yield from read_part(REGISTERS, *layout.field(COUNT), limits)
    except ServiceRefused:
        return None
    return int(layout.value_at(COUNT, octets))
