"""The task scheduler: which schedules are due, and what becomes of missed runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables.ssi_tables import CatchUp, Cause, ScheduleKind, Task
from protocols.machine import earliest
from smartmeter.base.provisioning import recurrence
from smartmeter.base.tasks import Recurrence, jitter_s
from smartmeter.base.zone import Zone
from smartmeter.ssi.reports import NO_SCHEDULE

#: Missed runs that are made up for one by one, at most.
MAX_CATCH_UP = 96
#: A run this late, and not more, is still on time for a schedule that skips.
ON_TIME_S = 60
#: A clock that is set back by no more than this forgets no run.
SMALL_STEP_S = 300
NEVER_S = 1 << 62
#: The members of a schedule that say when it is due, but for its zone.
TIMES = ("KIND", "PERIOD_MIN", "AT_MINUTE", "DAY", "ONCE_TIME")
#: Those of them that matter for a kind.
_TIMES_OF = {
    ScheduleKind.INTERVAL: ("KIND", "PERIOD_MIN", "AT_MINUTE"),
    ScheduleKind.HOURLY: ("KIND", "AT_MINUTE"),
    ScheduleKind.DAILY: ("KIND", "AT_MINUTE"),
    ScheduleKind.WEEKLY: ("KIND", "AT_MINUTE", "DAY"),
    ScheduleKind.MONTHLY: ("KIND", "AT_MINUTE", "DAY"),
    ScheduleKind.ONCE: ("KIND", "ONCE_TIME"),
}
FIRST_RETRY_US, MAX_RETRY_US = 1_000_000, 60_000_000
#: The longest pause after which the meter is asked again for what it refuses: it notes sessions.
MAX_REFUSED_US = 21_600_000_000


@dataclass(frozen=True)
class Run:
    """One run of a schedule: what it does, when it was due, why it runs.

    One that was ``asked`` for comes out of turn: it is tried until it is done, and what
    its schedule has due is due all the same.
    """

    schedule: Mapping[str, Any]
    due_s: int
    cause: Cause
    asked: bool = False

    @property
    def number(self) -> int:
        """Give the number of its schedule; NO_SCHEDULE when it has none."""
        return int(self.schedule["SCHEDULE_NBR"])


def _are_same(before: Sequence[int], now: Sequence[int]) -> bool:
    """Tell whether a schedule is due when it was due, by its ``TIMES``."""
    one, other = dict(zip(TIMES, before, strict=True)), dict(zip(TIMES, now, strict=True))
    return all(one[name] == other[name] for name in _TIMES_OF[ScheduleKind(other["KIND"])])


class Scheduler:
    """Knows the schedules and the last due time of each that was run.

    ``marks`` maps a number to that time, ``marked`` to when that schedule is due, and
    ``marked_tasks`` to what it does.
    """

    def __init__(
        self,
        identity: str,
        marks: dict[str, int],
        marked: dict[str, list[int]],
        marked_tasks: dict[str, int],
    ) -> None:
        self._identity = identity
        self._marks, self._marked, self._marked_tasks = marks, marked, marked_tasks
        self._schedules: dict[int, Mapping[str, Any]] = {}
        self._recurrences: dict[int, Recurrence] = {}
        self._delays_s: dict[int, int] = {}
        #: The next due second of each schedule with its delay, None for never; made when asked.
        self._next_s: dict[int, int | None] = {}
        #: Before this second no schedule is due; 0 when the next due seconds must be looked at.
        self._quiet_until_s = 0
        self._running: Counter[int] = Counter()
        #: Those of them that were due, and are to be marked when they are done.
        self._taken: dict[int, Run] = {}
        self._asked: list[Run] = []
        self._retry: dict[int, tuple[int, int]] = {}

    def configure(self, schedules: Sequence[Mapping[str, Any]], zone: Zone, utc_s: int) -> None:
        """Take the schedules; a new one counts from now on.

        So does one that is due at other times, or has another task: what was missed of the one
        before under its number is not made up for as what this one does.
        """
        enabled = [schedule for schedule in schedules if schedule["ENABLED"]]
        self._schedules = {schedule["SCHEDULE_NBR"]: schedule for schedule in enabled}
        self._recurrences = {n: recurrence(one, zone) for n, one in self._schedules.items()}
        self._delays_s = {
            number: jitter_s(self._identity, number, one["JITTER_S"])
            for number, one in self._schedules.items()
        }
        self._next_s, self._quiet_until_s = {}, 0
        times = {str(n): [int(one[name]) for name in TIMES] for n, one in self._schedules.items()}
        tasks = {str(number): int(one["TASK"]) for number, one in self._schedules.items()}
        for mark in list(self._marks):
            if mark not in times or not self._is_same(mark, times[mark], tasks[mark]):
                del self._marks[mark]
        self._marked.clear()
        self._marked.update(times)
        self._marked_tasks.clear()
        self._marked_tasks.update(tasks)
        self._asked = [run for run in self._asked if self._runs(run.number)]
        self._retry = {n: entry for n, entry in self._retry.items() if self._runs(n)}
        for mark in times:
            self._marks.setdefault(mark, utc_s)

    def _is_same(self, mark: str, times: Sequence[int], task: int) -> bool:
        """Tell whether a schedule that has a mark is due when it was due, and does the same.

        A version before this one did not keep what its marks are of.
        """
        marked, marked_task = self._marked.get(mark, times), self._marked_tasks.get(mark, task)
        return _are_same(marked, times) and marked_task == task

    def _runs(self, number: int) -> bool:
        """Tell whether a run of this number may still be done."""
        return number in self._schedules or number == NO_SCHEDULE

    def clock_set(self, utc_s: int) -> None:
        """The clock was set: what was due in a future that is not to come is due again then.

        A small step back runs nothing twice, and no step runs again what is to run once.
        """
        for number, mark in self._marks.items():
            if self._not_to_come(int(number), mark, utc_s):
                self._marks[number] = utc_s
        # The mark of a run that is under way would lie there again.
        for taken, run in list(self._taken.items()):
            if self._not_to_come(taken, run.due_s, utc_s):
                del self._taken[taken]
        self._next_s, self._quiet_until_s = {}, 0

    def _not_to_come(self, number: int, due_s: int, utc_s: int) -> bool:
        """Tell whether a due second has become one of the future, and may be due again."""
        one = self._recurrences.get(number)
        is_once = one is not None and one.kind is ScheduleKind.ONCE and one.once_s == due_s
        return due_s > utc_s + SMALL_STEP_S and not is_once

    def schedule(self, number: int) -> Mapping[str, Any] | None:
        """Give an enabled schedule by its number."""
        return self._schedules.get(number)

    def numbers(self, task: Task) -> list[int]:
        """Give the numbers of the enabled schedules of a task."""
        return [number for number, one in self._schedules.items() if one["TASK"] == task]

    def due(self, utc_s: int, now_us: int) -> list[Run]:
        """Give the runs that are due, by priority; each stays taken until ``ended``."""
        if utc_s < self._quiet_until_s and not self._asked:
            # What failed and is not due any more is not tried again either.
            self._retry.clear()
            return []
        asked = self._take_asked(now_us)
        waiting = {run.number for run in self._asked}
        runs: list[Run] = []
        for number, schedule in self._schedules.items():
            next_s = self._next(number)
            if next_s is None or utc_s < next_s:
                if number not in waiting:
                    self._retry.pop(number, None)
                continue
            if self._running[number] or now_us < self._retry.get(number, (0, 0))[0]:
                continue
            run = self._due(number, schedule, utc_s)
            if run is not None:
                self._running[number] += 1
                self._taken[number] = run
                runs.append(run)
        first_s = earliest(*map(self._next, self._schedules))
        self._quiet_until_s = NEVER_S if first_s is None else first_s
        return asked + sorted(runs, key=lambda run: (run.schedule["PRIORITY"], run.due_s))

    def _take_asked(self, now_us: int) -> list[Run]:
        """Take the runs that were asked for and need not wait."""
        ready = [one for one in self._asked if now_us >= self._retry.get(one.number, (0, 0))[0]]
        self._asked = [one for one in self._asked if one not in ready]
        self._running.update(one.number for one in ready)
        return ready

    def _due(self, number: int, schedule: Mapping[str, Any], utc_s: int) -> Run | None:
        """Give the run of a schedule that is due; of several that are all wanted the oldest.

        So each has been done before the next one begins, and one that fails is not lost.
        """
        mark = self._marks[str(number)]
        delay_s = self._delays_s[number]
        dues = self._recurrences[number].between(mark, utc_s - delay_s, MAX_CATCH_UP)
        if not dues:
            return None
        if schedule["CATCH_UP"] == CatchUp.RUN_ALL:
            cause = Cause.CATCH_UP if len(dues) > 1 else Cause.SCHEDULE
            return Run(schedule, dues[0], cause)
        late_s = utc_s - delay_s - dues[-1]
        if schedule["CATCH_UP"] == CatchUp.SKIP and late_s > ON_TIME_S:
            self._marks[str(number)] = dues[-1]
            self._forget(number)
            return None
        return Run(schedule, dues[-1], Cause.SCHEDULE)

    def mark(self, run: Run) -> None:
        """Note that a run's outcome is being made durable."""
        mark = str(run.number)
        if mark in self._marks and self._taken.get(run.number) is run:
            self._marks[mark] = max(self._marks[mark], run.due_s)
            self._forget(run.number)

    def ask(self, run: Run) -> Run:
        """Take a run out of turn, or give the one that waits and does the same: it is enough."""
        for one in self._asked:
            if one.schedule == run.schedule:
                return one
        self._asked.append(run)
        return run

    def give_up(self, tasks: Collection[Task]) -> None:
        """Forget the runs of these tasks that were asked for and wait."""
        self._asked = [run for run in self._asked if run.schedule["TASK"] not in tasks]

    def ended(self, run: Run) -> None:
        """Free a schedule whose run was done."""
        self._free(run)
        self._retry.pop(run.number, None)

    def _free(self, run: Run) -> None:
        self._running[run.number] -= 1
        if self._taken.get(run.number) is run:
            del self._taken[run.number]

    def failed(self, run: Run, now_us: int, is_refused: bool = False) -> None:
        """Free a schedule whose run failed; it is tried again after a pause that doubles.

        Of what the meter has refused it grows longer, as that may be for good.
        """
        number = run.number
        self._free(run)
        if not self._runs(number):
            return
        if run.asked and self.ask(run) is not run:
            # Of orders that are the same the last one is kept (``TaskRunner.order``).
            same = [one for one in self._asked if one.schedule == run.schedule]
            last = max(run, *same, key=lambda one: one.due_s)
            self._asked = [one for one in self._asked if one not in same] + [last]
        most_us = MAX_REFUSED_US if is_refused else MAX_RETRY_US
        pause_us = min(self._retry.get(number, (0, FIRST_RETRY_US // 2))[1] * 2, most_us)
        self._retry[number] = (now_us + pause_us, pause_us)

    def try_soon(self, number: int) -> None:
        """Somebody wants a run of this schedule: it does not wait because one has failed."""
        self._retry.pop(number, None)

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
