"""Work with single SmartMeters: one script at a time each, bounded tries, a named end.

A machine around scripts of ``exchanges``: it is given answers and the time,
and says what to send.  A message that nobody answers is sent again, and the work goes on
from there; what was refused, or had no answer yet, begins anew.  What it does is durable through
its owner, which is told of every change of a job.  Nothing else is sent to a SmartMeter
while an answer may still come.  What waits for one that is not there stands aside for other work
until it is heard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocols.machine import Event, earliest
from smartmeter.base.errors import StorageError
from smartmeter.tms.exchanges import Exchange, ExchangeFailed, ExchangeRefused
from smartmeter.tms.model import SYSTEM

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
#: A person ended it; the cause says who, and what had gone out by then.
CANCELLED = "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
MAX_ATTEMPTS = 3
RETRY_PAUSE_US = 2_000_000
#: Jobs that wait for one SmartMeter.
MAX_QUEUE = 16
#: How often in a row a job waits for a SmartMeter that is heard and answers nothing all the same.
MAX_ASIDE = 8


@dataclass
class Job:
    """One piece of work; ``id`` is its row in the store.

    Each message is tried up to ``max_attempts`` times, and the script is begun as often.  ``tries``
    counts those of the message under way, ``attempts`` those of all, ``polls`` the messages that
    went out, ``rings`` how often the SmartMeter was woken for it.
    """

    id: int
    esn: str
    kind: str
    script: Callable[[], Exchange[Any]] = field(repr=False)
    requested_by: str = SYSTEM
    max_attempts: int = MAX_ATTEMPTS
    #: Without an answer no message is sent again, but the script begun anew, as what it knew at its
    #: beginning may have changed; and the next job waits until the owner says ``kept``.
    begins_anew: bool = False
    state: str = WAITING
    attempts: int = 0
    tries: int = 0
    rings: int = 0
    polls: int = 0
    cause: str = ""
    #: The last try ended with an answer that would not do, not for want of one.
    answered: bool = False
    #: A program before this one began it, and nobody knows what had gone out for it by then.
    is_taken_up: bool = False
    #: Until then it stands aside while the SmartMeter is not there, and has all its tries when that
    #: is heard; ``aside`` counts how often it has since an answer came.
    waits_until_us: int = 0
    aside: int = 0
    #: What the owner wants back when the job has ended.
    about: object = None


@dataclass(frozen=True)
class Send(Event):
    """Services to send to a SmartMeter now; answer with ``sent`` or ``failed``."""

    job: Job
    services: list[bytes]


@dataclass(frozen=True)
class JobChanged(Event):
    """A job began, tries again, or has ended; ``result`` is the script's when it is done."""

    job: Job
    result: Any = None


@dataclass
class _Line:
    """What one SmartMeter has to do."""

    esn: str
    waiting: deque[Job] = field(default_factory=deque)
    #: What waits until the SmartMeter is heard, and holds nothing up.
    aside: list[Job] = field(default_factory=list)
    running: Job | None = None
    script: Exchange[Any] | None = None
    #: The message under way.
    services: list[bytes] = field(default_factory=list)
    #: Messages of the script that were answered, and how often one that had answers began anew.
    answers: int = 0
    passes: int = 0
    transaction: int | None = None
    #: What the job before brought is not durable yet, and the next may build upon it.
    rests: bool = False
    retry_us: int | None = None

    def jobs(self) -> list[Job]:
        """Give all that have not ended."""
        return [*([self.running] if self.running else []), *self.aside, *self.waiting]

    def turn_to(self, came: list[Job]) -> None:
        """Have what stood aside wait for its turn again, before all that came after it."""
        self.aside = [job for job in self.aside if job not in came]
        self.waiting.extendleft(reversed(came))

    def dues_us(self) -> list[int]:
        """Give when something is to be tried again."""
        retry = [] if self.retry_us is None else [self.retry_us]
        return [*retry, *(job.waits_until_us for job in self.aside)]


class JobRunner:
    """All jobs that have not ended."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._by_transaction: dict[int, str] = {}
        self._events: list[Event] = []
        #: No retry is due before this, so that ``expire`` need not look at every job.
        self._retry_us: int | None = None

    def has(self, esn: str, kind: str) -> bool:
        """Tell whether a SmartMeter has such a job that has not ended."""
        line = self._lines.get(esn)
        if line is None:
            return False
        return any(job.kind == kind for job in line.jobs())

    def under_way(self) -> list[Job]:
        """Give all jobs that have not ended."""
        return [job for line in self._lines.values() for job in line.jobs()]

    def submit(self, job: Job, now_us: int) -> bool:
        """Queue a job; False when too many wait for this SmartMeter."""
        line = self._lines.setdefault(job.esn, _Line(job.esn))
        if len(line.waiting) + len(line.aside) >= MAX_QUEUE:
            return False
        line.waiting.append(job)
        self._next(line, now_us)
        return True

    def sent(self, job: Job, transaction: int) -> None:
        """The services of a job are on their way under a transaction."""
        job.polls += 1
        self._lines[job.esn].transaction = transaction
        self._by_transaction[transaction] = job.esn

    def answered(self, transaction: int, responses: list[bytes], now_us: int) -> None:
        """Give a job its answers."""
        line = self._take(transaction, now_us)
        if line is None:
            return
        line.turn_to(line.aside)  # it is there
        if len(responses) != len(line.services):
            fault = ExchangeFailed(f"{len(responses)} answers to {len(line.services)} services")
            self._step(line, fault, now_us)
        else:
            self._step(line, responses, now_us)

    def unanswered(self, transaction: int, cause: str, now_us: int, heard: bool = False) -> None:
        """Tell a job that no answer came, or (``heard``) none that can be used."""
        line = self._take(transaction, now_us)
        if line is not None:
            self._failed(line, cause, now_us, refused=heard)

    def failed(self, job: Job, cause: str, now_us: int, pause_us: int | None = None) -> None:
        """Tell a job that its services could not be sent, and how long to wait before a retry.

        It is shorter when the SmartMeter is ``reachable`` before.
        """
        self._failed(self._lines[job.esn], cause, now_us, pause_us)

    def absent(self, job: Job, cause: str, now_us: int) -> None:
        """Tell a job that no way leads to its SmartMeter."""
        line = self._lines[job.esn]
        if not self._stands_aside(line, cause, now_us):
            self._failed(line, cause, now_us)

    def disconnected(self, esn: str, now_us: int) -> None:
        """The connection that an answer would come over has gone."""
        line = self._lines.get(esn)
        if line is not None and line.transaction is not None:
            self.unanswered(line.transaction, "the connection was lost", now_us)

    def reachable(self, esn: str, now_us: int) -> None:
        """A SmartMeter has connected: what waits for a retry is tried now."""
        self.heard(esn, now_us)
        line = self._lines.get(esn)
        if line is not None and line.retry_us is not None:
            line.retry_us = None
            self._begin(line, now_us)

    def heard(self, esn: str, now_us: int) -> None:
        """A SmartMeter is there: what stood aside has its turn again."""
        line = self._lines.get(esn)
        if line is not None and line.aside:
            line.turn_to(line.aside)
            self._next(line, now_us)

    def cancel(self, job: Job, cause: str, now_us: int) -> int | None:
        """End a job that has not ended; give the transaction that it leaves under way.

        What waits goes on when that has ended: an answer that comes is nobody's.
        """
        line = self._lines[job.esn]
        if line.running is job:
            line.retry_us = None
            left = line.transaction
            self._end(line, CANCELLED, cause, None, now_us)
            return left
        waits_in = line.aside if job in line.aside else line.waiting
        waits_in.remove(job)
        job.state, job.cause = CANCELLED, cause
        self._events.append(JobChanged(job))
        self._next(line, now_us)
        return None

    def kept(self, esn: str, now_us: int) -> None:
        """What a job that ``begins_anew`` came to is durable, or cannot be made so."""
        line = self._lines.get(esn)
        if line is not None:
            line.rests = False
            self._next(line, now_us)

    def drop(self, esn: str) -> None:
        """Forget all that was to be done with a SmartMeter; answers that come are nobody's."""
        if self._lines.pop(esn, None) is not None:
            self._events = [one for one in self._events if not _is_about(one, esn)]

    def expire(self, now_us: int) -> None:
        """Try again what is due."""
        if self._retry_us is None or now_us < self._retry_us:
            return
        for line in list(self._lines.values()):
            if line.retry_us is not None and now_us >= line.retry_us:
                line.retry_us = None
                self._begin(line, now_us)
            if late := [job for job in line.aside if now_us >= job.waits_until_us]:
                line.turn_to(late)
                self._next(line, now_us)
        self._retry_us = self.deadline_us()

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return min((due for line in self._lines.values() for due in line.dues_us()), default=None)

    def events(self) -> list[Event]:
        """Give what is to be sent and what has changed."""
        events, self._events = self._events, []
        # Nothing for a job that was cancelled in the moment in which its turn came.
        return [e for e in events if not (isinstance(e, Send) and e.job.state == CANCELLED)]

    def _take(self, transaction: int, now_us: int) -> _Line | None:
        """Give the line whose job a transaction is of."""
        esn = self._by_transaction.pop(transaction, None)
        line = self._lines.get(esn) if esn is not None else None
        if line is None or line.transaction != transaction:
            return None
        line.transaction = None
        if line.running is None:  # it was cancelled
            self._next(line, now_us)
            return None
        return line

    def _next(self, line: _Line, now_us: int) -> None:
        """Begin the next job where nothing is under way; forget a line that has none."""
        if line.running is not None or line.transaction is not None or line.rests:
            return
        if not line.waiting:
            if not line.aside:
                del self._lines[line.esn]
            return
        line.running, line.passes = line.waiting.popleft(), 0
        self._begin(line, now_us)

    def _begin(self, line: _Line, now_us: int) -> None:
        """Begin the script, or send again what it said last."""
        job = line.running
        assert job is not None
        job.state, job.attempts, job.tries = RUNNING, job.attempts + 1, job.tries + 1
        self._events.append(JobChanged(job))
        if line.script is not None:
            self._events.append(Send(job, line.services))
            return
        try:
            line.script, line.answers = job.script(), 0
        except StorageError as error:  # it looks up what is known
            self._failed(line, str(error), now_us)
            return
        self._step(line, None, now_us)

    def _step(self, line: _Line, answer: list[bytes] | ExchangeFailed | None, now_us: int) -> None:
        job, script = line.running, line.script
        if job is None or script is None:
            return
        try:
            if isinstance(answer, ExchangeFailed):
                services = script.throw(answer)
            elif answer is None:
                services = next(script)
            else:
                services = script.send(answer)
        except StopIteration as stop:
            self._end(line, DONE, "", stop.value, now_us)
            return
        except ExchangeFailed as error:
            if isinstance(error, ExchangeRefused):
                job.answered = True
                self._end(line, FAILED, str(error), None, now_us)
            else:
                self._failed(line, str(error), now_us, refused=True)
            return
        if answer is not None:
            line.answers, job.tries, job.aside = line.answers + 1, 1, 0
        line.services = services
        self._events.append(Send(job, services))

    def _failed(
        self,
        line: _Line,
        cause: str,
        now_us: int,
        pause_us: int | None = None,
        refused: bool = False,
    ) -> None:
        """Wait for another try, or end."""
        job = line.running
        if job is None:
            return
        job.answered = refused
        anew = refused or job.begins_anew
        if anew and line.answers:
            line.passes += 1
        tried = max(job.tries, line.passes)
        if tried >= job.max_attempts:
            if refused or not self._stands_aside(line, cause, now_us):
                self._end(line, FAILED, cause, None, now_us)
            return
        if anew or not line.answers:
            line.script = None
            if line.answers:  # what counts from now on is how often it begins
                job.tries = 0
        if pause_us is None:
            pause_us = RETRY_PAUSE_US * tried
        job.state, job.cause, line.retry_us = WAITING, cause, now_us + pause_us
        self._retry_us = earliest(self._retry_us, line.retry_us)
        self._events.append(JobChanged(job))

    def _stands_aside(self, line: _Line, cause: str, now_us: int) -> bool:
        """Let other work pass until the SmartMeter is heard; False where the job waits no longer.

        It begins anew then, with all its tries.
        """
        job = line.running
        if job is None or now_us >= job.waits_until_us or job.aside >= MAX_ASIDE:
            return False
        job.state, job.cause = WAITING, f"{cause}; waits until the SmartMeter is heard"
        job.tries, job.aside = 0, job.aside + 1
        line.running = line.script = None
        line.aside.append(job)
        self._retry_us = earliest(self._retry_us, job.waits_until_us)
        self._events.append(JobChanged(job))
        self._next(line, now_us)
        return True

    def _end(self, line: _Line, state: str, cause: str, result: Any, now_us: int) -> None:
        job = line.running
        assert job is not None
        job.state, job.cause = state, cause
        line.running = line.script = None
        line.rests = job.begins_anew and state != CANCELLED
        self._events.append(JobChanged(job, result))
        self._next(line, now_us)


def _is_about(event: Event, esn: str) -> bool:
    return isinstance(event, Send | JobChanged) and event.job.esn == esn
