"""Self-reads: each that is due is done once, also where the line loses the meter's answer.

Whether the meter has done it is open then: the sequence number of its newest self-read (ST-26)
tells when it is tried again, and a meter without one is taken to have done it.  This is kept in
memory only: a module that starts anew in between may have a self-read done twice.
"""

from __future__ import annotations

from ansi_tables import layout_for
from protocols.c1218.scripts import Script, read_part
from protocols.c1218.steps import ClientLimits
from protocols.errors import ServiceRefused
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.work import SELF_READ_BIT, ProcedureRefused, remote_reset

SELF_READS, NEWEST = 26, "LAST_ENTRY_SEQ_NBR"


class SelfReads:
    """Remembers the self-read of which it is not known whether it was done."""

    def __init__(self) -> None:
        #: When it was due, and the newest in ST-26 before.
        self._open: tuple[int, int | None] | None = None

    def script(self, meter: MeterContext, due_s: int, limits: ClientLimits) -> Script[None]:
        """Let the meter read itself, unless it has done so when it was asked before."""
        newest = yield from _newest(meter, limits)
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


def _newest(meter: MeterContext, limits: ClientLimits) -> Script[int | None]:
    """Read the number of the newest self-read; None where the meter tells none."""
    if SELF_READS not in meter.context.fmt.std_tbls_used:
        return None
    layout = layout_for(SELF_READS, meter.context)
    if not layout.has(NEWEST):
        return None
    try:
        octets = yield from read_part(SELF_READS, *layout.field(NEWEST), limits)
    except ServiceRefused:
        return None
    return int(layout.value_at(NEWEST, octets))
