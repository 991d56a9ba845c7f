"""The zone of a meter as its ST-53 and ST-54 tell it, for schedules in local time."""

from __future__ import annotations

from datetime import UTC, timedelta

from ansi_tables.meaning.clock import ClockRules
from smartmeter.base.clock import MINUTE_S, utc_moment
from smartmeter.base.zone import Zone

#: Years before and after now for which the changes of daylight saving are listed.
YEARS_BEFORE, YEARS_AFTER = 1, 10


def meter_zone(rules: ClockRules, utc_s: int) -> Zone:
    """Give a meter's zone for the years around an instant.

    Without dates of daylight saving, what is in force now is taken for all
    times.  Every calendar of dates is right for some years, so a module that
    runs for long makes this anew when its meter's context is read.
    """
    standard_s = rules.zone_min * MINUTE_S
    shift_s = rules.dst_min * MINUTE_S
    year = utc_moment(utc_s).year
    changes = []
    for wall, on in rules.dates.changes(year - YEARS_BEFORE, year + YEARS_AFTER):
        # A change comes in the wall time that ends there.
        instant = wall.replace(tzinfo=UTC) - timedelta(seconds=standard_s + (0 if on else shift_s))
        changes.append((int(instant.timestamp()), standard_s + (shift_s if on else 0)))
    changes.sort()
    if not changes:
        return Zone(standard_s + (shift_s if rules.dst_now else 0))
    # Before the first change that is known, it was the other way round.
    began_with_saving = changes[0][1] == standard_s
    return Zone(standard_s + (shift_s if began_with_saving else 0), tuple(dict(changes).items()))
