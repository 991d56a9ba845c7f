"""When a schedule is due: arithmetic in UTC seconds that module and TMS share.

The TMS configured the schedules, so it computes the same due times as the
module that runs them.  Nothing here reads a clock.

In a zone with summer time, what is due at a time of the day is due once a day:
at the first of two equal times, and at the change itself when the time is left
out.  What is due every so many minutes, up to an hour, goes on through both
hours of the autumn night.
"""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansi_tables.ssi_tables import ScheduleKind
from smartmeter.base.clock import DAY_S, HOUR_S, MINUTE_S, utc_moment
from smartmeter.base.zone import UTC_ZONE, Zone

LAST_DAY = 255
#: Months that are searched for the next due day; every day number comes within so many.
_MONTHS_AHEAD = 13


@dataclass(frozen=True)
class Recurrence:
    """When something is due, in the wall clock of ``zone``.

    INTERVAL: every ``period_min`` minutes since 1970, ``at_minute`` later.
    HOURLY: at minute ``at_minute`` of the hour.  DAILY, WEEKLY, MONTHLY: at
    minute ``at_minute`` of the day; ``day`` is the weekday (0 Sunday) or the
    day of the month (255 the last; a day that a month does not have is its
    last).  ONCE: at ``once_s``, always UTC.
    """

    kind: ScheduleKind
    period_min: int = 15
    at_minute: int = 0
    day: int = 0
    once_s: int = 0
    zone: Zone = UTC_ZONE

    def fault(self) -> str | None:
        """Tell what makes this impossible, or None."""
        if self.kind is ScheduleKind.INTERVAL and not 1 <= self.period_min <= 7 * 1440:
            return f"a period of {self.period_min} minutes; 1 to 10080 are possible"
        if self.kind is ScheduleKind.HOURLY and not 0 <= self.at_minute < 60:
            return f"minute {self.at_minute} of the hour; 0 to 59 are possible"
        if not 0 <= self.at_minute < 1440:
            return f"minute {self.at_minute} of the day; 0 to 1439 are possible"
        if self.kind is ScheduleKind.WEEKLY and not 0 <= self.day <= 6:
            return f"weekday {self.day}; 0 (Sunday) to 6 are possible"
        if self.kind is ScheduleKind.MONTHLY and not (1 <= self.day <= 31 or self.day == LAST_DAY):
            return f"day {self.day} of the month; 1 to 31, or 255 for the last"
        return None

    def following(self, after_s: int) -> int | None:
        """Give the first due second after ``after_s``, or None when none comes."""
        if self.kind is ScheduleKind.ONCE:
            return self.once_s if self.once_s > after_s else None
        if self._by_the_minute:
            return self._following_minute(after_s)
        local_s: int | None = after_s + self.zone.offset_at(after_s) - DAY_S
        while local_s is not None:
            local_s = self._following_local(local_s)
            if local_s is not None and self.zone.utc_of(local_s) > after_s:
                return self.zone.utc_of(local_s)
        return None

    def latest(self, until_s: int) -> int | None:
        """Give the last due second at or before ``until_s``, or None when there was none."""
        if self.kind is ScheduleKind.ONCE:
            return self.once_s if self.once_s <= until_s else None
        if self._by_the_minute:
            return self._latest_minute(until_s)
        local_s: int | None = until_s + self.zone.offset_at(until_s) + DAY_S
        while local_s is not None:
            local_s = self._latest_local(local_s)
            if local_s is not None:
                if self.zone.utc_of(local_s) <= until_s:
                    return self.zone.utc_of(local_s)
                local_s -= 1
        return None

    @property
    def _by_the_minute(self) -> bool:
        """Tell whether equal times of the wall clock are all meant."""
        return self.kind is ScheduleKind.HOURLY or (
            self.kind is ScheduleKind.INTERVAL and self.period_min <= 60
        )

    def _following_minute(self, after_s: int) -> int:
        step_s, base_s = self._grid()
        begin_s = after_s
        while True:
            offset_s = self.zone.offset_at(begin_s)
            due_s = base_s - offset_s + ((after_s + offset_s - base_s) // step_s + 1) * step_s
            change_s = self.zone.since(due_s)
            if change_s is None or change_s <= begin_s:
                return due_s
            # The clock is set before that: look on from there, the change itself included.
            begin_s, after_s = change_s, change_s - 1

    def _latest_minute(self, until_s: int) -> int:
        step_s, base_s = self._grid()
        while True:
            offset_s, since_s = self.zone.offset_at(until_s), self.zone.since(until_s)
            due_s = base_s - offset_s + (until_s + offset_s - base_s) // step_s * step_s
            if since_s is None or due_s >= since_s:
                return due_s
            until_s = since_s - 1

    def _following_local(self, after_s: int) -> int | None:
        if self.kind is ScheduleKind.MONTHLY:
            return self._following_month(after_s)
        step_s, base_s = self._grid()
        return base_s + ((after_s - base_s) // step_s + 1) * step_s

    def _latest_local(self, until_s: int) -> int | None:
        if self.kind is ScheduleKind.MONTHLY:
            return self._latest_month(until_s)
        step_s, base_s = self._grid()
        return base_s + (until_s - base_s) // step_s * step_s

    def between(self, after_s: int, until_s: int, limit: int) -> list[int]:
        """Give the due seconds in (after, until]; of more than ``limit`` the latest ones."""
        found: list[int] = []
        until: int | None = until_s
        while until is not None and len(found) < limit:
            due = self.latest(until)
            if due is None or due <= after_s:
                break
            found.append(due)
            until = due - 1
        return found[::-1]

    def _grid(self) -> tuple[int, int]:
        at_s = self.at_minute * MINUTE_S
        if self.kind is ScheduleKind.INTERVAL:
            return self.period_min * MINUTE_S, at_s
        if self.kind is ScheduleKind.HOURLY:
            return HOUR_S, at_s
        if self.kind is ScheduleKind.DAILY:
            return DAY_S, at_s
        # 1970-01-04 was a Sunday.
        return 7 * DAY_S, (3 + self.day) * DAY_S + at_s

    def _due_in_month(self, first: datetime) -> int:
        days = calendar.monthrange(first.year, first.month)[1]
        moment = first.replace(day=min(self.day, days)) + timedelta(minutes=self.at_minute)
        return int(moment.timestamp())

    def _months(self, second: int, step: int) -> Iterator[datetime]:
        moment = utc_moment(second)
        months = moment.year * 12 + moment.month - 1
        for offset in range(_MONTHS_AHEAD):
            year, month = divmod(months + step * offset, 12)
            if 1970 <= year <= 9999:
                yield datetime(year, month + 1, 1, tzinfo=UTC)

    def _following_month(self, after_s: int) -> int | None:
        dues = (self._due_in_month(first) for first in self._months(after_s, 1))
        return next((due for due in dues if due > after_s), None)

    def _latest_month(self, until_s: int) -> int | None:
        dues = (self._due_in_month(first) for first in self._months(until_s, -1))
        return next((due for due in dues if due <= until_s), None)


def jitter_s(identity: str, schedule_nbr: int, window_s: int) -> int:
    """Give the fixed delay of a meter inside a schedule's window: 0 up to ``window_s`` - 1.

    A hash of identity and schedule, so that many meters do not speak at once
    and the TMS knows what each will do.
    """
    if window_s <= 0:
        return 0
    digest = hashlib.sha256(f"{identity}/{schedule_nbr}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % window_s
