"""Self-reads: each that is due is done once, also where the line loses the meter's answer.

Whether the meter has done it is open then: the sequence number of its newest self-read (ST-26)
tells when it is tried again, and a meter without one is taken to have done it.  This is kept in
memory only: a module that starts anew in between may have a self-read done twice.
"""

from __future__ import annotations

from protocols.c1218.scripts import Script
from protocols.c1218.steps import ClientLimits
from protocols.errors import ServiceRefused
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.work import SELF_READ_BIT, ProcedureRefused, read_count, remote_reset

SELF_READS, NEWEST = 26, "LAST_ENTRY_SEQ_NBR"


class SelfReads:
    """Remembers the self-read of which it is not known whether it was done."""

    def __init__(self) -> None:
        #: When it was due, and the newest in ST-26 before.
        self._open: tuple[int, int | None] | None = None

    def script(self, meter: MeterContext, due_s: int, limits: ClientLimits) -> Script[None]:
        """Let the meter read itself, unless it has done so when it was asked before."""
        newest = yield from read_count(meter, SELF_READS, NEWEST, limits)
        asked, self._open = self._open, None
        if asked is not None and asked[0] == due_s and (newest is None or newest != asked[1]):
            return
        self._open = due_s, newest
        try:
            yield from remote_reset(meter, SELF_READ_BIT, due_s, limits)
        except (ServiceRefused, ProcedureRefused):
            self._open = None
            raise
        self._open = None
