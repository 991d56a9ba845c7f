"""The task scheduler: which schedules are due, and what becomes of missed runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables.ssi_tables import CatchUp, Cause, Task
from protocols.machine import earliest
from smartmeter.base.tasks import Recurrence, jitter_s
from smartmeter.base.zone import Zone
from smartmeter.ssi.configuration import recurrence

#: Missed runs that are made up for one by one, at most.
MAX_CATCH_UP = 96
#: A run this late, and not more, is still on time for a schedule that skips.
ON_TIME_S = 60
#: A clock that is set back by no more than this forgets no run.
SMALL_STEP_S = 300
NEVER_S = 1 << 62
FIRST_RETRY_US, MAX_RETRY_US = 1_000_000, 60_000_000


@dataclass(frozen=True)
class Run:
    """One run of a schedule: what it does, when it was due, why it runs."""

    schedule: Mapping[str, Any]
    due_s: int
    cause: Cause
    forced: bool = False


class Scheduler:
    """Knows the schedules and the last due time of each that was run."""

    def __init__(self, identity: str, marks: dict[str, int]) -> None:
        self._identity = identity
        self._marks = marks
        self._schedules: dict[int, Mapping[str, Any]] = {}
        self._recurrences: dict[int, Recurrence] = {}
        self._delays_s: dict[int, int] = {}
        #: The next due second of each schedule with its delay, None for never; made when asked.
        self._next_s: dict[int, int | None] = {}
        #: Before this second no schedule is due; 0 when the next due seconds must be looked at.
        self._quiet_until_s = 0
        self._running: Counter[int] = Counter()
        self._retry: dict[int, tuple[int, int]] = {}

    def configure(self, schedules: Sequence[Mapping[str, Any]], zone: Zone, utc_s: int) -> None:
        """Take the schedules; a new one counts from now on."""
        enabled = [schedule for schedule in schedules if schedule["ENABLED"]]
        self._schedules = {schedule["SCHEDULE_NBR"]: schedule for schedule in enabled}
        self._recurrences = {n: recurrence(one, zone) for n, one in self._schedules.items()}
        self._delays_s = {
            number: jitter_s(self._identity, number, one["JITTER_S"])
            for number, one in self._schedules.items()
        }
        self._next_s, self._quiet_until_s = {}, 0
        for gone in [mark for mark in self._marks if int(mark) not in self._schedules]:
            del self._marks[gone]
        self._retry = {n: entry for n, entry in self._retry.items() if n in self._schedules}
        for number in self._schedules:
            self._marks.setdefault(str(number), utc_s)

    def clock_set(self, utc_s: int) -> None:
        """The clock was set: what was due in a future that is not to come is due again then.

        A small step back runs nothing twice: what was run stays run.
        """
        for number, mark in self._marks.items():
            if mark > utc_s + SMALL_STEP_S:
                self._marks[number] = utc_s
        self._next_s, self._quiet_until_s = {}, 0

    def schedule(self, number: int) -> Mapping[str, Any] | None:
        """Give an enabled schedule by its number."""
        return self._schedules.get(number)

    def numbers(self, task: Task) -> list[int]:
        """Give the numbers of the enabled schedules of a task."""
        return [number for number, one in self._schedules.items() if one["TASK"] == task]

    def due(self, utc_s: int, now_us: int) -> list[Run]:
        """Give the runs that are due, by priority; each stays taken until ``ended``."""
        if utc_s < self._quiet_until_s:
            return []
        runs: list[Run] = []
        for number, schedule in self._schedules.items():
            next_s = self._next(number)
            if next_s is None or utc_s < next_s or self._running[number]:
                continue
            if now_us < self._retry.get(number, (0, 0))[0]:
                continue
            found = self._due(number, schedule, utc_s)
            if found:
                self._running[number] += len(found)
                runs += found
        first_s = earliest(*map(self._next, self._schedules))
        self._quiet_until_s = NEVER_S if first_s is None else first_s
        return sorted(runs, key=lambda run: (run.schedule["PRIORITY"], run.due_s))

    def _due(self, number: int, schedule: Mapping[str, Any], utc_s: int) -> list[Run]:
        mark = self._marks[str(number)]
        delay_s = self._delays_s[number]
        dues = self._recurrences[number].between(mark, utc_s - delay_s, MAX_CATCH_UP)
        if not dues:
            return []
        if schedule["CATCH_UP"] == CatchUp.RUN_ALL:
            last = len(dues) - 1
            causes = [Cause.SCHEDULE if n == last else Cause.CATCH_UP for n in range(len(dues))]
            return [Run(schedule, due, cause) for due, cause in zip(dues, causes, strict=True)]
        late_s = utc_s - delay_s - dues[-1]
        if schedule["CATCH_UP"] == CatchUp.SKIP and late_s > ON_TIME_S:
            self._marks[str(number)] = dues[-1]
            self._forget(number)
            return []
        return [Run(schedule, dues[-1], Cause.SCHEDULE)]

    def mark(self, run: Run) -> None:
        """Note that a run's outcome is being made durable."""
        number = run.schedule["SCHEDULE_NBR"]
        if str(number) in self._marks:
            self._marks[str(number)] = max(self._marks[str(number)], run.due_s)
            self._forget(number)

    def begun(self, run: Run) -> None:
        """Take a schedule that runs out of turn."""
        self._running[run.schedule["SCHEDULE_NBR"]] += 1

    def ended(self, run: Run) -> None:
        """Free a schedule whose run was done."""
        number = run.schedule["SCHEDULE_NBR"]
        self._running[number] -= 1
        self._retry.pop(number, None)

    def failed(self, run: Run, now_us: int) -> None:
        """Free a schedule whose run failed; it is tried again after a pause that doubles."""
        number = run.schedule["SCHEDULE_NBR"]
        self._running[number] -= 1
        if number not in self._schedules:
            return
        pause_us = min(self._retry.get(number, (0, FIRST_RETRY_US // 2))[1] * 2, MAX_RETRY_US)
        self._retry[number] = (now_us + pause_us, pause_us)

    def try_again(self, now_us: int) -> None:
        """What made runs fail is over: all of them are tried at once."""
        self._retry = dict.fromkeys(self._retry, (now_us, FIRST_RETRY_US))

    def next_utc_s(self) -> int | None:
        """Give the next due second with its delay, of schedules that neither run nor failed."""
        running, retry = self._running, self._retry
        waiting = [n for n in self._schedules if not running.get(n) and n not in retry]
        return earliest(*map(self._next, waiting))

    def _forget(self, number: int) -> None:
        """The next due second of a schedule must be found anew."""
        self._next_s.pop(number, None)
        self._quiet_until_s = 0

    def _next(self, number: int) -> int | None:
        if number not in self._next_s:
            due_s = self._recurrences[number].following(self._marks[str(number)])
            delayed_s = None if due_s is None else due_s + self._delays_s[number]
            self._next_s[number] = delayed_s
        return self._next_s[number]

    def retry_us(self, now_us: int) -> int | None:
        """Give the next instant at which a failed run is tried again."""
        if not self._retry:
            return None
        waiting = (entry for number, entry in self._retry.items() if not self._running[number])
        return min((max(at, now_us) for at, _ in waiting), default=None)
