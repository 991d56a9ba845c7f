"""Who should have reported and did not: due times, grace, and episodes of silence.

The TMS set the schedules, so it computes their due times itself.  A machine:
it is told of reports and of the time, and gives actions.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from protocols.machine import Event
from smartmeter.base.clock import DAY_S
from smartmeter.tms.template import DueSchedule, Template

#: Due times between one look at a silent SmartMeter and the next: doubles up to this.
MAX_PATIENCE = 32


@dataclass(frozen=True)
class Overdue(Event):
    """A due time has passed with its grace, and no report came; ``again`` in the same episode."""

    esn: str
    schedule_nbr: int
    due_s: int
    again: bool


@dataclass(frozen=True)
class HeardAgain(Event):
    """A silent SmartMeter reports by itself again."""

    esn: str


@dataclass
class _Watched:
    template: Template
    #: What was due until then does not count.
    since_s: int
    #: What was due before is late only when its grace has passed from then on.
    began_s: int
    #: Up to which due time reports came, by schedule.
    done_s: dict[int, int] = field(default_factory=dict)
    #: An episode of silence is open; it is looked at again after ``patience`` due times, not
    #: before ``look_s``.
    episode: bool = False
    patience: int = 1
    look_s: int = 0
    powerless: bool = False
    #: Counts the entries in the heap; only the newest one holds.
    generation: int = 0

    def slack_s(self, schedule: DueSchedule) -> int:
        """Give how long after its due time a report is not late yet."""
        return self.template.grace_s + schedule.window_s

    def known_s(self, schedule: DueSchedule) -> int:
        """Give the second up to which nothing is missed of a schedule."""
        return max(self.since_s, self.done_s.get(schedule.number, 0))


class SilenceWatch:
    """Watches all provisioned SmartMeters; a heap of the instants at which to look."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._heap: list[tuple[int, str, int]] = []
        self._events: list[Event] = []

    def watch(self, esn: str, template: Template, since_s: int, utc_s: int) -> None:
        """Begin to watch now, without an episode; what was due up to ``since_s`` does not count."""
        old = self._watched.get(esn)
        generation = old.generation + 1 if old else 0
        entry = _Watched(template, since_s, utc_s, generation=generation)
        self._watched[esn] = entry
        self._plan(esn, entry)

    def forget(self, esn: str) -> None:
        """Watch no more: it keeps to another configuration."""
        self._watched.pop(esn, None)

    def version(self, esn: str) -> int:
        """Give the version of the template by which a SmartMeter is watched; 0: it is not."""
        entry = self._watched.get(esn)
        return 0 if entry is None else entry.template.version

    def reports(self, esn: str) -> tuple[DueSchedule, ...]:
        """Give the schedules on which reports of a SmartMeter are due; none of who is unwatched."""
        entry = self._watched.get(esn)
        return () if entry is None else entry.template.reports

    def powerless(self, esn: str) -> bool:
        """Tell whether a SmartMeter that is watched has no mains."""
        entry = self._watched.get(esn)
        return entry is not None and entry.powerless

    def silent(self, esn: str) -> bool:
        """Tell whether an episode of silence is open."""
        entry = self._watched.get(esn)
        return entry is not None and entry.episode

    def resume(self, esn: str, utc_s: int) -> None:
        """Take up an episode that was open before a restart; it is looked at after a due time."""
        entry = self._watched.get(esn)
        if entry is not None:
            entry.episode, entry.since_s = True, utc_s
            self._plan(esn, entry)

    def reported(self, esn: str, schedule_nbr: int, due_s: int, time_s: int, utc_s: int) -> None:
        """Take note of a report that is stored.  One without a schedule only shows life."""
        entry = self._watched.get(esn)
        if entry is None:
            return
        # A run that catches up answers for all due times before it.
        done_s = max(due_s, time_s if due_s else 0)
        entry.done_s[schedule_nbr] = max(entry.done_s.get(schedule_nbr, 0), done_s)
        if entry.episode and due_s:
            entry.episode, entry.patience, entry.look_s = False, 1, 0
            # What else was due while it was silent may be on its way.
            entry.since_s = max(entry.since_s, utc_s)
            self._events.append(HeardAgain(esn))
            self._plan(esn, entry)

    def power(self, esn: str, on: bool, utc_s: int) -> None:
        """Take note of an outage: without mains silence is explained; after it, time is given."""
        entry = self._watched.get(esn)
        if entry is not None:
            entry.powerless = not on
            if on:
                entry.since_s = max(entry.since_s, utc_s)
                # It lives: what is due next tells more than how long it has been silent.
                entry.patience, entry.look_s = 1, 0
                self._plan(esn, entry)

    def tick(self, utc_s: int) -> None:
        """Look at everyone whose instant has come."""
        while self._heap and self._heap[0][0] <= utc_s:
            _, esn, generation = heapq.heappop(self._heap)
            entry = self._watched.get(esn)
            if entry is None or entry.generation != generation:
                continue
            self._look(esn, entry, utc_s)
            self._plan(esn, entry, utc_s)

    def events(self) -> list[Event]:
        """Give what was noticed."""
        events, self._events = self._events, []
        return events

    def next_due_s(self, esn: str, utc_s: int) -> int | None:
        """Give when the next report of a SmartMeter is due."""
        entry = self._watched.get(esn)
        if entry is None:
            return None
        dues = [one.recurrence.following(utc_s) for one in entry.template.reports]
        return min((due for due in dues if due is not None), default=None)

    def _look(self, esn: str, entry: _Watched, utc_s: int) -> None:
        if entry.powerless or utc_s < entry.look_s:
            return
        for schedule in entry.template.reports:
            slack_s = entry.slack_s(schedule)
            due_s = schedule.recurrence.latest(utc_s - slack_s)
            if due_s is None or due_s <= entry.known_s(schedule) or utc_s < entry.began_s + slack_s:
                continue
            self._events.append(Overdue(esn, schedule.number, due_s, entry.episode))
            if entry.episode:
                entry.patience = min(2 * entry.patience, MAX_PATIENCE)
            entry.episode = True
            entry.look_s = utc_s + entry.patience * _pace_s(entry, utc_s)
            return

    def _plan(self, esn: str, entry: _Watched, utc_s: int | None = None) -> None:
        """Enter the next instant at which a due time and its grace are over."""
        ends = []
        for schedule in entry.template.reports:
            slack_s, known_s = entry.slack_s(schedule), entry.known_s(schedule)
            if utc_s is not None and utc_s >= entry.began_s + slack_s:
                known_s = max(known_s, utc_s - slack_s)
            due_s = schedule.recurrence.following(known_s)
            if due_s is not None:
                ends.append(max(due_s, entry.began_s) + slack_s)
        if ends:
            entry.generation += 1
            heapq.heappush(self._heap, (max(min(ends), entry.look_s), esn, entry.generation))


def _pace_s(entry: _Watched, utc_s: int) -> int:
    """Give how long its quickest schedule takes from one look to the next due time."""
    paces = []
    for schedule in entry.template.reports:
        due_s = schedule.recurrence.latest(utc_s - entry.slack_s(schedule))
        following_s = schedule.recurrence.following(utc_s)
        if due_s is not None and following_s is not None:
            paces.append(following_s - due_s)
    return min(paces, default=DAY_S)
