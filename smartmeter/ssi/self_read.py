"""Self-reads: each that is due is done once, also where the line loses the meter's answer.

That the meter is about to be asked is durable before it is, with the sequence number of its newest
self-read (ST-26).  An answer that the line lost, and a power cut, leave open whether it was done:
that number tells when it is tried again, and a meter without one is taken to have done it.
"""

from __future__ import annotations

from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import OutcomeUnknown, ProtocolError
from smartmeter.ssi.log_reading import SELF_READ
from smartmeter.ssi.memory import Resets
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.work import SELF_READ_BIT, read_count, remote_reset

SELF_READS, NEWEST = 26, "LAST_ENTRY_SEQ_NBR"


class SelfReads:
    """Keeps in the module's memory the self-read of which it is not known whether it was done."""

    def __init__(self, memory: Resets, reporter: Reporter) -> None:
        self._memory, self._reporter = memory, reporter

    def script(self, meter: MeterContext, due_s: int, limits: ClientLimits) -> Script[None]:
        """Let the meter read itself, unless it has done so when it was asked before."""
        memory = self._memory
        newest = yield from read_count(meter, SELF_READS, NEWEST, limits)
        asked, memory.self_read_asked = memory.self_read_asked, None
        if asked is not None and asked[0] == due_s:
            if newest is None or newest != asked[1]:
                return
            memory.refused_effect(SELF_READ)
        memory.expect_effect(SELF_READ, memory.self_read_s)
        memory.self_read_asked = [due_s, newest]
        self._reporter.keep_in_session()
        try:
            yield from remote_reset(meter, SELF_READ_BIT, due_s, limits)
        except OutcomeUnknown:
            raise
        except ProtocolError:  # it was not done
            memory.self_read_asked = None
            memory.refused_effect(SELF_READ)
            raise
        memory.self_read_asked = None
