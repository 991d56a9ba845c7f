"""Instants as people write them: ISO 8601, UTC where no zone is told."""

from __future__ import annotations

from datetime import UTC, datetime

from smartmeter.base.clock import MAX_CALENDAR_S
from smartmeter.base.errors import SettingsError


def utc_second(text: str, place: str) -> int:
    """Give the UTC second of "2026-12-01T02:00", "2026-12-01" or "2026-12-01T02:00+01:00".

    SettingsError names the place.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(place, f"{text!r:.40} is no time", "write 2026-12-01T02:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        second = int(moment.timestamp())
    except OverflowError:
        second = 0
    if not 0 < second < MAX_CALENDAR_S:
        raise SettingsError(place, f"{text!r:.40} is not 1970 to 2106", "give a nearer time")
    return second
