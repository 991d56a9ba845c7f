"""Reports are stored in groups: what comes while one is written makes up the next.

Each is acknowledged, or refused, for itself, and only when its group is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from smartmeter.base.errors import StorageError
from smartmeter.tms.arrivals import ReportArrived
from smartmeter.tms.commits import Commits
from smartmeter.tms.store import records

#: Reports that are stored in one change.
MAX_GROUP = 500


class ReportGroups:
    """Tells ``stored`` of each report that is durable, and whether it is new; else ``failed``."""

    def __init__(
        self,
        commits: Commits,
        call_soon: Callable[[Callable[[], None]], None],
        utc_s: Callable[[], int],
        stored: Callable[[ReportArrived, bool], None],
        failed: Callable[[ReportArrived], None],
    ) -> None:
        self._commits, self._call_soon, self._utc_s = commits, call_soon, utc_s
        self._stored, self._failed = stored, failed
        self._waiting: list[ReportArrived] = []
        self._writing = False

    def add(self, report: ReportArrived) -> None:
        """Let a report wait for those that come with it, and for the group before them."""
        self._waiting.append(report)
        if not self._writing:
            self._writing = True
            self._call_soon(self._write_waiting)

    def _write_waiting(self) -> None:
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        self._writing = bool(group)
        if group:
            self._write(group, self._write_waiting)

    def _write(self, group: list[ReportArrived], then: Callable[[], None]) -> None:
        """Store reports in one change; if that fails, one by one, so that a bad one fails alone."""
        utc_s = self._utc_s()

        def after(future: Future[list[bool]]) -> None:
            try:
                if future.exception() is None:
                    for report, new in zip(group, future.result(), strict=True):
                        self._stored(report, new)
                elif len(group) == 1:
                    self._failed(group[0])
                else:
                    self._write_each(group)
            finally:  # what follows from a report may find a full disk: the next are stored even so
                then()

        try:
            self._commits.write(lambda c: records.store_reports(c, group, utc_s), after)
        except StorageError:  # no change has a place to wait, and each would be tried for long
            refused, self._waiting = [*group, *self._waiting], []
            for report in refused:
                self._failed(report)
            then()
            raise

    def _write_each(self, group: list[ReportArrived]) -> None:
        for number, report in enumerate(group, 1):
            try:
                self._write([report], lambda: None)
            except StorageError:  # there is no place for those after it either
                for other in group[number:]:
                    self._failed(other)
                raise
