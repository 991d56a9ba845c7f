"""When plain meters are polled: they know nothing of schedules, so the TMS keeps its template's."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import Content, SsiTable
from smartmeter.base.tasks import Recurrence, jitter_s
from smartmeter.tms.template import Template

#: Polls that begin in one turn of the loop: each takes it a fraction of a millisecond.
MAX_DUE = 500


@dataclass(frozen=True)
class PollSchedule:
    """What is read when, as the template's schedule says it to a SmartMeter."""

    number: int
    recurrence: Recurrence
    window_s: int
    load_profile: bool
    event_log: bool
    tables: tuple[int, ...]


def poll_schedules(template: Template) -> tuple[PollSchedule, ...]:
    """Give the reports of a template as polls."""
    value = ssi_tables.decode(SsiTable.SCHEDULES, template.images[SsiTable.SCHEDULES])
    entries = {one["SCHEDULE_NBR"]: one for one in value["SCHEDULES"]}
    found = []
    for due in template.reports:
        entry = entries[due.number]
        tables = [*entry["TABLES"], *(part["TABLE"] for part in entry["PARTS"])]
        found.append(
            PollSchedule(
                due.number,
                due.recurrence,
                due.window_s,
                bool(entry["CONTENT"] & Content.LOAD_PROFILE),
                bool(entry["CONTENT"] & Content.EVENT_LOG),
                tuple(sorted(set(tables))),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class PollDue:
    """It is time to poll a meter."""

    esn: str
    schedule: PollSchedule
    due_s: int


class PollPlan:
    """A machine of due times; a meter's place in a schedule's window follows from its ESN."""

    def __init__(self, schedules: Sequence[PollSchedule]) -> None:
        self._schedules = {one.number: one for one in schedules}
        self._heap: list[tuple[int, str, int, int]] = []
        self._known: set[str] = set()

    def __contains__(self, esn: str) -> bool:
        return esn in self._known

    def add(self, esn: str, polled: Mapping[int, int], utc_s: int) -> None:
        """Begin with a meter; ``polled`` gives the last due second that was served, by schedule.

        What was missed while nobody watched is polled at once, once.
        """
        if esn in self._known:
            return
        self._known.add(esn)
        for one in self._schedules.values():
            due_s = one.recurrence.latest(utc_s)
            if due_s is not None and due_s > polled.get(one.number, 0):
                heapq.heappush(self._heap, (utc_s, esn, one.number, due_s))
            else:
                self._next(esn, one, utc_s)

    def remove(self, esn: str) -> None:
        """Forget a meter."""
        self._known.discard(esn)
        self._heap = [entry for entry in self._heap if entry[1] != esn]
        heapq.heapify(self._heap)

    def tick(self, utc_s: int) -> list[PollDue]:
        """Give what is due, the first ``MAX_DUE`` of it: the rest is given in the next turns."""
        found: list[PollDue] = []
        while len(found) < MAX_DUE and self._heap and self._heap[0][0] <= utc_s:
            _, esn, number, due_s = heapq.heappop(self._heap)
            schedule = self._schedules[number]
            found.append(PollDue(esn, schedule, due_s))
            self._next(esn, schedule, max(due_s, utc_s - schedule.window_s))
        return found

    def next_due_s(self, esn: str, utc_s: int) -> int | None:
        """Give when a meter is polled next."""
        dues = (one.recurrence.following(utc_s) for one in self._schedules.values())
        return min((due for due in dues if due is not None), default=None)

    def _next(self, esn: str, schedule: PollSchedule, after_s: int) -> None:
        due_s = schedule.recurrence.following(after_s)
        if due_s is not None:
            at_s = due_s + jitter_s(esn, schedule.number, schedule.window_s)
            heapq.heappush(self._heap, (at_s, esn, schedule.number, due_s))
