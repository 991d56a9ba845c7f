"""What the TMS provisions: a template of the SSI's configuration tables, and its version.

A template is JSON: any of ``schedules``, ``monitors``, ``outage``,
``disposition``, ``general``, with the element names of
``ansi_tables.ssi_tables``, and ``zone``, the name of a time zone
("America/New_York") for schedules with ``LOCAL``, without which each meter's
own zone is taken; what is left out is as in the default.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import cache, cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_layouts import DISPOSITION, GENERAL, MAX_TRANSITIONS, MONITOR, OUTAGE, SCHEDULE
from ansi_tables.ssi_tables import (
    BLANK_MONITOR,
    CONFIG_TABLES,
    AlarmSource,
    CatchUp,
    Content,
    Disposition,
    ScheduleKind,
    SsiTable,
    Task,
)
from smartmeter.base.clock import DAY_S, utc_moment
from smartmeter.base.errors import SettingsError
from smartmeter.base.provisioning import fault, recurrence, zone
from smartmeter.base.tasks import Recurrence
from smartmeter.base.zone import UTC_ZONE, Zone
from smartmeter.tms.template_form import entries, entry, read_object, refuse_unknown

MAX_TEMPLATE_OCTETS = 1 << 20
#: Days since 1970 that a zone is told for: 2016 to 2047, as many years as there is room for two
#: changes of each.  Those gone by are for simulated calendars.
ZONE_DAYS = (16_801, 28_489)
#: The tables that the daily report carries whole: status, registers, the last demand reset's.
DAILY_TABLES = [3, 23, 25]

_SCHEDULE = {
    "SCHEDULE_NBR": 0,
    "ENABLED": 1,
    "TASK": Task.REPORT,
    "KIND": ScheduleKind.INTERVAL,
    "LOCAL": 0,
    "PERIOD_MIN": 15,
    "AT_MINUTE": 0,
    "DAY": 0,
    "ONCE_TIME": 0,
    "PRIORITY": 1,
    "CATCH_UP": CatchUp.RUN_ONCE,
    "JITTER_S": 0,
    "CONTENT": 0,
    "TABLES": [],
    "PARTS": [],
}
_MONITOR = BLANK_MONITOR | {"PERIOD_MS": 2000, "DISPOSITION": Disposition.ALARM}
#: Standard events that are told at once: errors of the device, low battery, tamper, rotation;
_ALARM_EVENTS = tuple(range(37, 49))
#: and with the next report: clock changes, programming, cleared logs, resets, modes, seals, credit.
#: What the module itself caused is not told at all (``smartmeter.ssi.alarms.NUISANCES``).
_ADVISORY_EVENTS = (
    *(3, 4, 5, 6, 11, 14, 16, 18, 20, 24),
    *range(30, 37),
    *range(49, 53),
    *(56, 57, 60, 61, 62),
)
#: Bits of ST-03 that no standard event tells of: unprogrammed, and the reserved ones.
_ADVISORY_BITS = (0, 11, 14, 15)

DEFAULT: Mapping[str, Any] = {
    "schedules": [
        # The jitter keeps a street of meters from speaking in the same second.
        {"SCHEDULE_NBR": 1, "CONTENT": int(Content.LOAD_PROFILE), "JITTER_S": 120},
        {
            "SCHEDULE_NBR": 2,
            "KIND": int(ScheduleKind.DAILY),
            "AT_MINUTE": 5,
            "JITTER_S": 300,
            "CONTENT": Content.EVENT_LOG | Content.MODULE_STATUS,
            "TABLES": DAILY_TABLES,
            "PRIORITY": 2,
        },
        {
            "SCHEDULE_NBR": 3,
            "TASK": int(Task.CLOCK_CHECK),
            "KIND": int(ScheduleKind.DAILY),
            "AT_MINUTE": 35,
            "PRIORITY": 3,
        },
    ],
    "monitors": [],
    "outage": {
        "ENABLED": 1,
        "THRESHOLD_S": 30,
        "LAST_GASP_COUNT": 3,
        "LAST_GASP_SPREAD_MS": 400,
        "HOLD_UP_MS": 60_000,
        "DISPOSITION": int(Disposition.ALARM),
        "SAG_PERMILLE": 900,
        "SWELL_PERMILLE": 1100,
        "NOMINAL_V": 0,
        "VOLTAGE_PERIOD_MS": 300_000,
    },
    "disposition": {
        "DEFAULT": int(Disposition.LOG),
        "ENTRIES": [
            *({"SOURCE": 1, "CODE": code, "DISPOSITION": 2} for code in _ALARM_EVENTS),
            *({"SOURCE": 1, "CODE": code, "DISPOSITION": 1} for code in _ADVISORY_EVENTS),
            *({"SOURCE": 4, "CODE": bit, "DISPOSITION": 1} for bit in _ADVISORY_BITS),
            {"SOURCE": int(AlarmSource.MODULE), "CODE": 3, "DISPOSITION": 2},
        ],
    },
    "general": {
        "REPORT_GRACE_S": 300,
        "DUTY_PERMILLE": 100,
        "CLOCK_SILENT_S": 5,
        # Within what C12.22 lets stamps differ: who followed the meter further is not heard.
        "CLOCK_REFUSE_S": 600,
        "ACK_TIMEOUT_MS": 15_000,
        "REGISTRATION_PERIOD_S": 3600,
        "STATUS_PERIOD_MS": 2000,
    },
    "zone": "UTC",
}
_PARTS = tuple(DEFAULT)


@dataclass(frozen=True)
class DueSchedule:
    """A schedule as the TMS watches it."""

    number: int
    recurrence: Recurrence
    window_s: int


@dataclass(frozen=True)
class Template:
    """Images of all configuration tables, with their digest; ``version`` is never 0."""

    version: int
    images: Mapping[SsiTable, bytes]
    #: Of local schedules where the template names none: that of one meter.
    meters_zone: Zone | None = None

    @property
    def digest(self) -> bytes:
        """Give the digest that a commit must carry."""
        return ssi_tables.config_digest(self.images)

    @cached_property
    def grace_s(self) -> int:
        """Give how late a report may be, beside its schedule's jitter."""
        general = ssi_tables.decode(SsiTable.GENERAL, self.images[SsiTable.GENERAL])
        return int(general["REPORT_GRACE_S"])

    @cached_property
    def _zone(self) -> Zone:
        return zone(ssi_tables.decode(SsiTable.ZONE, self.images[SsiTable.ZONE]))

    @cached_property
    def goes_by_meters_zone(self) -> bool:
        """Tell whether it has local schedules and names no zone: each meter's own is meant."""
        value = ssi_tables.decode(SsiTable.SCHEDULES, self.images[SsiTable.SCHEDULES])
        return self._zone == UTC_ZONE and any(one["LOCAL"] for one in value["SCHEDULES"])

    def in_zone(self, zone: Zone) -> Template:
        """Give the template as a meter of this zone keeps to it."""
        return replace(self, meters_zone=zone)

    @cached_property
    def reports(self) -> tuple[DueSchedule, ...]:
        """Give the schedules on which reports are due."""
        value = ssi_tables.decode(SsiTable.SCHEDULES, self.images[SsiTable.SCHEDULES])
        local = self.meters_zone or self._zone
        return tuple(
            DueSchedule(one["SCHEDULE_NBR"], recurrence(one, local), one["JITTER_S"])
            for one in value["SCHEDULES"]
            if one["ENABLED"] and one["TASK"] in (Task.REPORT, Task.HEALTH)
        )


def make_template(changes: Mapping[str, Any] | None = None) -> Template:
    """Make a template from the default and changes; SettingsError names what cannot be."""
    changes = changes or {}
    refuse_unknown("part", changes, _PARTS)
    parts = {name: changes.get(name, DEFAULT[name]) for name in _PARTS}
    if not isinstance(parts["zone"], str):
        raise SettingsError("template", f"zone: {parts['zone']!r:.40} is no text", "name a zone")
    try:
        values = {
            SsiTable.SCHEDULES: {
                "SCHEDULES": entries("schedules", parts["schedules"], _SCHEDULE, SCHEDULE)
            },
            SsiTable.MONITORS: {
                "MONITORS": entries("monitors", parts["monitors"], _MONITOR, MONITOR)
            },
            SsiTable.OUTAGE: entry("outage", parts["outage"], DEFAULT["outage"], OUTAGE),
            SsiTable.DISPOSITION: entry(
                "disposition", parts["disposition"], DEFAULT["disposition"], DISPOSITION
            ),
            SsiTable.GENERAL: entry("general", parts["general"], DEFAULT["general"], GENERAL),
            SsiTable.ZONE: zone_table(parts["zone"]),
        }
        images = {table: ssi_tables.encode(table, values[table]) for table in CONFIG_TABLES}
        impossible = fault(images)
    except (TableError, TypeError, ValueError) as error:
        raise SettingsError(
            "template", str(error), "see the element names of the default"
        ) from error
    if impossible:
        raise SettingsError("template", f"{impossible}; no SmartMeter could do it", "mend it")
    return Template(_version(images), images)


@cache
def zone_table(name: str) -> dict[str, Any]:
    """Give the ZONE table of a named time zone; SettingsError when there is none of that name.

    UTC, which the default names, needs no database of time zones: small systems have none.
    """
    try:
        local: tzinfo = UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        remedy = 'use a name like "America/New_York"'
        if not available_timezones():
            remedy = "this system knows UTC only: install the package tzdata"
        raise SettingsError("template", f"no time zone {name!r:.60}", remedy) from error
    offsets = [_offset_s(local, day) for day in range(*ZONE_DAYS)]
    transitions = [
        {"TIME": _change(local, day), "OFFSET_S": after}
        for day, (before, after) in enumerate(pairwise(offsets), ZONE_DAYS[0])
        if before != after
    ]
    return {"OFFSET_S": offsets[0], "TRANSITIONS": transitions[:MAX_TRANSITIONS]}


def _offset_s(local: tzinfo, day: int, second: int = 0) -> int:
    offset = utc_moment(day * DAY_S + second).astimezone(local).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change(local: tzinfo, day: int) -> int:
    """Give the instant of the change that comes within the day."""
    before = _offset_s(local, day)
    return day * DAY_S + bisect_left(
        range(DAY_S), True, key=lambda second: _offset_s(local, day, second) != before
    )


def _version(images: Mapping[SsiTable, bytes]) -> int:
    """Give a version that is the same for the same content, so that nothing is sent twice."""
    return int.from_bytes(ssi_tables.config_digest(images)[:4], "big") or 1


def read_template(text: str, place: str = "template") -> Template:
    """Read a template file's text; SettingsError names the place and what is wrong."""
    if len(text) > MAX_TEMPLATE_OCTETS:
        raise SettingsError(place, "is larger than 1 MiB", "make it smaller")
    changes = read_object(text.removeprefix("\ufeff"), place)
    try:
        return make_template(changes)
    except SettingsError as error:
        raise SettingsError(place, error.fault, error.remedy) from error
