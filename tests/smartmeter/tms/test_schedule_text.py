"""Schedules in words, as pages and the API show them."""

from __future__ import annotations

from ansi_tables.ssi_tables import ScheduleKind as Kind
from smartmeter.base.tasks import Recurrence
from smartmeter.base.zone import Zone
from smartmeter.tms.wording import schedule_text

LOCAL = Zone(-18_000)


def test_each_kind_of_schedule_is_told_in_words_and_in_its_own_time() -> None:
    assert schedule_text(Recurrence(Kind.INTERVAL, 15)) == "every 15 minutes"
    assert schedule_text(Recurrence(Kind.HOURLY, at_minute=20)) == "every hour at minute 20"
    assert schedule_text(Recurrence(Kind.DAILY, at_minute=65)) == "daily at 01:05 UTC"
    local = Recurrence(Kind.WEEKLY, at_minute=0, day=1, zone=LOCAL)
    assert schedule_text(local) == "every Monday at 00:00 local time"
    last = Recurrence(Kind.MONTHLY, at_minute=0, day=255)
    assert schedule_text(last) == "every month, last day, at 00:00 UTC"
    assert schedule_text(Recurrence(Kind.ONCE, once_s=0x60000000)).startswith("once at 2021-")
