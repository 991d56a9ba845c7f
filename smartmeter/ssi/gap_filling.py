"""Gaps: intervals that left the outbox unsent are read from the meter again, while it has them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ansi_tables.ssi_tables import Cause, ModuleAlarm
from smartmeter.ssi import work
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_side import Jobs, Priority
from smartmeter.ssi.outbox import Outbox
from smartmeter.ssi.profile_reading import profile_sets
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.reports import INTERVALS_PER_REPORT

#: A gap is filled while so many places of the outbox are free.
FILL_ROOM = 64
#: What is old already goes after all that is due now.
LAST_RANK = 255


class GapFilling:
    """Fills one gap at a time, oldest first; a gap shrinks in the commit of its report."""

    def __init__(self, memory: Memory, reporter: Reporter, outbox: Outbox, door: Jobs) -> None:
        self._memory, self._reporter = memory, reporter
        self._outbox, self._door = outbox, door
        self._under_way = False

    def start_due(self, now_us: int) -> bool:
        """Begin to fill the oldest gap when there is room; True when a job was begun."""
        memory, meter = self._memory, self._reporter.meter
        if not memory.profile_gaps or self._under_way or self._outbox.room < FILL_ROOM:
            return False
        if not self._outbox.spare:  # what is set aside would give way, and be a gap again
            return False
        assert meter is not None
        set_nbr, ring_epoch, first, end = memory.profile_gaps[0]
        if ring_epoch != memory.profile_epoch(set_nbr) or set_nbr not in profile_sets(meter):
            memory.profile_gaps = memory.profile_gaps[1:]
            self._reporter.raise_own(
                ModuleAlarm.GAP, "a gap cannot be filled: the ring began anew", now_us, end - first
            )
            return False
        count = min(end - first, INTERVALS_PER_REPORT)
        job = partial(work.collect, meter, work.Wanted({set_nbr: first}, count))
        token = ("gap", set_nbr, first)
        self._under_way = self._door.submit(Priority.SCHEDULE, job, token, now_us, LAST_RANK)
        return self._under_way

    def failed(self) -> None:
        """The meter did not answer: the gap is tried again."""
        self._under_way = False

    def done(self, read: work.Collected, set_nbr: int, first: int, now_us: int) -> None:
        """Report what was read for a gap; what the meter has no more is told as lost."""
        self._under_way = False
        memory, meter = self._memory, self._reporter.meter
        if not memory.profile_gaps or meter is None:
            return
        of_set, ring_epoch, begin, end = memory.profile_gaps[0]
        if (of_set, begin) != (set_nbr, first):
            return
        profile = next((one for one in read.profiles if not one.anew), None)
        reached, oldest = (profile.reached, profile.oldest) if profile else (end, end)
        rest = [[set_nbr, ring_epoch, reached, end]] if reached < end else []
        memory.profile_gaps = rest + memory.profile_gaps[1:]
        if oldest > first:
            lost = min(oldest, end) - first
            self._reporter.keep_own(
                ModuleAlarm.GAP, "intervals were overwritten unread", now_us, lost
            )
        # Where the ring has lost the beginning, as many after the gap were read: not of it.
        filled = [one for one in profile.intervals if one.sequence < end] if profile else []
        if profile is None or not filled:
            self._reporter.keep()
            return
        header = self._reporter.header(Cause.CATCH_UP, now_us)
        profile = replace(profile, intervals=tuple(filled))
        services = self._reporter.make.intervals(profile, ring_epoch, meter.id)
        self._reporter.report(header, services, now_us)
