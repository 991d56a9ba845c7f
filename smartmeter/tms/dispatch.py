"""How a job's services leave: by which path, under which key, and what is tried to find a path.

A node without a connection is called where it registered that it listens, or woken by a
short message; so is one whose own connection, however open it looks, brought no answer.
"""

from __future__ import annotations

from collections.abc import Hashable

from protocols.errors import LocalProtocolError
from smartmeter.tms.collector import Collector
from smartmeter.tms.jobs import Job, JobRunner, Send
from smartmeter.tms.meters import ROOT_KEY
from smartmeter.tms.model import US_PER_S, Figures, Kind
from smartmeter.tms.polled_source import PolledSource
from smartmeter.tms.source import Source
from smartmeter.tms.waking import COME_US, MAX_RINGS, Waking

#: How long the connection to a node that is called may take.
CALL_US = 12 * US_PER_S
#: What is asked because something is amiss, and not because it was due or a person wanted it.
POLLS = (Kind.RECOVER, Kind.CONTEXT, Kind.OUTAGES, Kind.EVENTS)


class Dispatch:
    """Sends for the jobs, and tells them what came of it."""

    def __init__(
        self,
        collector: Collector,
        polled: PolledSource,
        jobs: JobRunner,
        waking: Waking,
        figures: Figures,
    ) -> None:
        self._collector, self._polled = collector, polled
        self._jobs, self._waking, self._figures = jobs, waking, figures
        self._paths = collector.paths

    def send(self, event: Send, now_us: int) -> None:
        """Send what a job has to say, or begin to look for who is to hear it."""
        job = event.job
        if self._is_called(job):
            self._jobs.failed(job, "is being called", now_us, CALL_US)
            return
        path = None if self._paths.is_doubted(job.esn) else self._paths.of(job.esn)
        may_ring = job.rings < MAX_RINGS and job.tries < job.max_attempts
        # One that was woken and did not come is asked by its slow path, if it has one.
        if may_ring and (job.tries == 1 or path is None) and self._waking.ring(job.esn, path):
            job.rings += 1
            self._jobs.failed(job, "is being woken", now_us, COME_US)
            return
        source = self._source(job.esn)
        try:
            if job.kind == Kind.KEY and job.attempts % 2 == 0:
                # Every second try is under the root key: the module may have lost the other.
                transaction = self._collector.ask(job.esn, event.services, now_us, ROOT_KEY)
            else:
                transaction = source.ask(job.esn, event.services, now_us)
        except (LocalProtocolError, KeyError) as error:
            self._jobs.absent(job, str(error), now_us)
            return
        if job.kind in POLLS:
            self._figures.polls += 1
        self._jobs.sent(job, transaction)

    def abandon(self, esn: str, transaction: int, now_us: int) -> None:
        """Nobody wants the answer to a request any more."""
        self._source(esn).abandon(transaction, now_us)

    def _source(self, esn: str) -> Source:
        return self._polled if esn in self._polled.meters else self._collector

    def heard(self, esn: str, path: Hashable, now_us: int) -> None:
        """A SmartMeter was heard: what waits for it goes on, a retry if that is another path."""
        if self._paths.heard(esn, path):
            self._collector.asking.patience.forget(esn)
            self._jobs.reachable(esn, now_us)
        else:
            self._jobs.heard(esn, now_us)

    def doubted(self, esn: str) -> None:
        """Call a node whose path brought no answer where it listens, if there is such a place."""
        if not self._paths.has_other(esn):
            self._collector.call(esn)

    def way_found(self, esn: str, path: Hashable, now_us: int) -> None:
        """A node that was called is reached by a path: it is used, unless the node came itself."""
        if esn not in self._paths:
            self.heard(esn, path, now_us)
        elif self._paths.is_doubted(esn) and self._paths.found(esn, path):
            self._jobs.reachable(esn, now_us)

    def _is_called(self, job: Job) -> bool:
        """Tell whether a node that has no connection is called, in the first try of a job."""
        if job.tries != 1 or job.max_attempts == 1 or job.esn in self._paths:
            return False
        return self._collector.call(job.esn)
