"""Gaps: what left the outbox unsent is read from the meter again, while it has it.

Intervals that it has no more are told as lost, entries of its log are counted as missed.  What it
refuses, as while it is locked, is asked for again later, after the other gaps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ansi_tables.ssi_tables import Cause, ModuleAlarm
from smartmeter.ssi import work
from smartmeter.ssi.memory import ReadLists
from smartmeter.ssi.meter_side import Jobs, Priority, Work
from smartmeter.ssi.outbox import LOG_SET, Outbox
from smartmeter.ssi.profile_reading import profile_sets
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.reports import (
    INTERVALS_PER_REPORT,
    IntervalPart,
    event_parts,
    interval_parts,
)
from smartmeter.ssi.scheduler import FIRST_RETRY_US, MAX_RETRY_US

#: A gap is filled while so many places of the outbox are free.
FILL_ROOM = 64
#: What is old already goes after all that is due now.
LAST_RANK = 255
#: A meter that refuses what a gap is of is asked again after so long.
REFUSED_US = 900_000_000
#: Up to where a gap is dealt with, where what the meter has of it begins, and that as services.
_Filled = tuple[int, int, list[IntervalPart]]


class GapFilling:
    """Fills one gap at a time, oldest first; a gap shrinks in the commit of its report."""

    def __init__(self, lists: ReadLists, reporter: Reporter, outbox: Outbox, door: Jobs) -> None:
        self._lists, self._reporter = lists, reporter
        self._outbox, self._door = outbox, door
        self._under_way = False
        self._not_before_us = 0
        self._pause_us = FIRST_RETRY_US

    def next_us(self) -> int | None:
        """Give when the oldest gap may be filled; None when there is none, or no room."""
        if not self._lists.profile_gaps or self._under_way or self._outbox.room < FILL_ROOM:
            return None
        # Without a spare place what is set aside would give way, and be a gap again.
        return self._not_before_us if self._outbox.spare else None

    def start_due(self, now_us: int) -> bool:
        """Begin to fill the oldest gap when there is room; True when a job was begun."""
        lists, meter, due_us = self._lists, self._reporter.meter, self.next_us()
        if due_us is None or now_us < due_us:
            return False
        assert meter is not None
        set_nbr, ring_epoch, first, end = lists.profile_gaps[0]
        known = (LOG_SET, *profile_sets(meter))
        if ring_epoch != lists.profile_epoch(set_nbr) or set_nbr not in known:
            lists.profile_gaps = lists.profile_gaps[1:]
            if set_nbr == LOG_SET:
                lists.events_missed += end - first
                self._reporter.keep()
            else:
                text = "a gap cannot be filled: the ring began anew"
                self._reporter.raise_own(ModuleAlarm.GAP, text, now_us, end - first)
            return False
        count = min(end - first, INTERVALS_PER_REPORT)
        job: Work = partial(work.collect, meter, work.Wanted({set_nbr: first}, count))
        if set_nbr == LOG_SET:
            job = partial(work.read_again, meter, first, count)
        token = ("gap", set_nbr, first)
        self._under_way = self._door.submit(Priority.SCHEDULE, job, token, now_us, LAST_RANK)
        if not self._under_way:
            self.failed(now_us)
        return self._under_way

    def failed(self, now_us: int) -> None:
        """The meter did not answer: the gap is tried again after a pause that doubles."""
        self._under_way = False
        self._not_before_us = now_us + self._pause_us
        self._pause_us = min(2 * self._pause_us, MAX_RETRY_US)

    def done(self, read: work.Collected, set_nbr: int, first: int, now_us: int) -> None:
        """Report what was read for a gap; what the meter has no more is told as lost."""
        self._under_way, self._pause_us, self._not_before_us = False, FIRST_RETRY_US, now_us
        lists, meter = self._lists, self._reporter.meter
        if not lists.profile_gaps or meter is None:
            return
        of_set, ring_epoch, begin, end = lists.profile_gaps[0]
        if (of_set, begin) != (set_nbr, first):
            return
        if not read.profiles and read.log is None:
            self._not_before_us = now_us + REFUSED_US
            lists.profile_gaps = lists.profile_gaps[1:] + lists.profile_gaps[:1]
            return
        parts = self._entries if set_nbr == LOG_SET else self._intervals
        reached, oldest, services = parts(read, lists.profile_gaps[0], meter.id)
        rest = [[set_nbr, ring_epoch, reached, end]] if reached < end else []
        lists.profile_gaps = rest + lists.profile_gaps[1:]
        lost = min(oldest, end) - first
        if lost > 0 and set_nbr == LOG_SET:
            lists.events_missed += lost
        elif lost > 0:
            text = "intervals were overwritten unread"
            self._reporter.keep_own(ModuleAlarm.GAP, text, now_us, lost)
        if not services:
            self._reporter.keep()
            return
        header = self._reporter.header(Cause.CATCH_UP, now_us)
        self._reporter.report(header, services, now_us)

    def _intervals(self, read: work.Collected, gap: list[int], context_id: int) -> _Filled:
        _, ring_epoch, _, end = gap
        profile = next((one for one in read.profiles if not one.anew), None)
        if profile is None:
            return end, end, []
        # Where the ring has lost the beginning, as many after the gap were read: not of it.
        filled = tuple(one for one in profile.intervals if one.sequence < end)
        profile = replace(profile, intervals=filled)
        return profile.reached, profile.oldest, interval_parts(profile, ring_epoch, context_id)

    def _entries(self, read: work.Collected, gap: list[int], _: int) -> _Filled:
        _, log_epoch, first, end = gap
        found = read.log.entries if read.log is not None else ()
        entries = tuple(one for one in found if first <= one.sequence < end)
        if read.log is None or not entries:
            return end, end, []
        parts = event_parts(replace(read.log, entries=entries), log_epoch)
        return entries[-1].sequence + 1, entries[0].sequence, parts
