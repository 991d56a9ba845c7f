"""Instants, schedules and codes in words, as pages and API show them."""

from __future__ import annotations

from enum import IntEnum

from ansi_tables.events import MANUFACTURER_EVENT, event_text
from ansi_tables.ssi_tables import AlarmSource, ScheduleKind
from smartmeter.base.clock import utc_moment
from smartmeter.base.tasks import Recurrence
from smartmeter.base.zone import UTC_ZONE


def iso(utc_s: int | None) -> str:
    """Give UTC seconds as text for people and programs; empty when not set."""
    if not utc_s:
        return ""
    try:
        return utc_moment(utc_s).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return str(utc_s)


def schedule_text(recurrence: Recurrence) -> str:
    """Give a recurrence in words."""
    zone = "UTC" if recurrence.zone == UTC_ZONE else "local time"
    at = f"{recurrence.at_minute // 60:02d}:{recurrence.at_minute % 60:02d} {zone}"
    match recurrence.kind:
        case ScheduleKind.INTERVAL:
            return f"every {recurrence.period_min} minutes"
        case ScheduleKind.HOURLY:
            return f"every hour at minute {recurrence.at_minute}"
        case ScheduleKind.DAILY:
            return f"daily at {at}"
        case ScheduleKind.WEEKLY:
            days = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
            return f"every {days[recurrence.day]} at {at}"
        case ScheduleKind.MONTHLY:
            day = "last day" if recurrence.day == 255 else f"day {recurrence.day}"
            return f"every month, {day}, at {at}"
    return f"once at {iso(recurrence.once_s)}"


def code_name(kind: type[IntEnum], value: int) -> str:
    """Give the name of a code, or its number where it has none."""
    try:
        return str(kind(value).name)
    except ValueError:
        return str(value)


def code_words(kind: type[IntEnum], value: int) -> str:
    """Give the name of a code as words, or its number where it has none."""
    return code_name(kind, value).lower().replace("_", " ")


def alarm_text(source: int, code: int, text: str) -> str:
    """Give an alarm in the words of who saw it: the module's own ``text``, or the event's."""
    if source == AlarmSource.METER_STANDARD:
        return event_text(code)
    if source == AlarmSource.METER_MANUFACTURER:
        return event_text(code | MANUFACTURER_EVENT)
    return text
