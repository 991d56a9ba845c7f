"""Instants as exports write them: UTC, and the meter's own civil time with its offset."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.meaning.clock import MAX_ZONE_MIN, ClockRules, clock_rules
from ansi_tables.meaning.daylight import NO_CHANGES
from smartmeter.base.clock import utc_moment

QUARTER_S = 900


@lru_cache(maxsize=4096)
def utc_text(utc_s: int) -> str:
    """Give an instant as "2026-11-26T12:00:00Z"; empty where there is none."""
    return f"{utc_moment(utc_s).replace(tzinfo=None).isoformat()}Z" if utc_s else ""


class LocalTime:
    """The civil time of one meter, by ST-53 and ST-54 of a context.

    Empty where these do not tell it for all times: no zone, or daylight saving
    without its dates.
    """

    def __init__(self, context: Mapping[int, bytes]) -> None:
        self._rules = _rules(context)
        #: An offset changes at the quarter of an hour only, and there are few quarters to a meter.
        self._zones: dict[int, datetime] = {}

    def text(self, utc_s: int) -> str:
        """Give an instant as "2026-11-26T07:00:00-05:00"."""
        if self._rules is None or not utc_s:
            return ""
        quarter = utc_s // QUARTER_S
        if quarter not in self._zones:
            if len(self._zones) > 100_000:
                self._zones.clear()
            begin = utc_moment(quarter * QUARTER_S)
            self._zones[quarter] = self._rules.local(begin)
        return utc_moment(utc_s).astimezone(self._zones[quarter].tzinfo).isoformat()


def _rules(context: Mapping[int, bytes]) -> ClockRules | None:
    tables = Snapshot(dict(context))
    try:
        offsets = tables.get(53)
        rules = clock_rules(tables)
    except TableError:
        return None
    zone_min = None if offsets is None else offsets.get("TIME_ZONE_OFFSET")
    if not isinstance(zone_min, int) or abs(zone_min) > MAX_ZONE_MIN:
        return None
    return None if rules.dst_min and rules.dates == NO_CHANGES else rules
