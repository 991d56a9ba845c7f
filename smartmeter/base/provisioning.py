"""What a configuration of the SSI means, and what no module can do: shared by module and TMS.

The TMS refuses a template that every module would refuse, where a person reads why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    CONFIG_TABLES,
    CatchUp,
    Condition,
    Disposition,
    ScheduleKind,
    SsiTable,
    Task,
)
from smartmeter.base.tasks import Recurrence
from smartmeter.base.zone import UTC_ZONE, Zone, make_zone

MIN_WATCH_PERIOD_MS = 100
MAX_OUTAGE_THRESHOLD_S = 300
MIN_REGISTRATION_PERIOD_S = 10
#: Bits of the longest element that a monitor watches.
MAX_BITS = 8 * 255
#: Numbers from here on are the module's own monitors (sags, swells, status); 255 is none.
FIRST_OWN_MONITOR = 224


def recurrence(schedule: Mapping[str, Any], zone: Zone) -> Recurrence:
    """Give when a schedule is due; ValueError for a kind that does not exist."""
    return Recurrence(
        ScheduleKind(schedule["KIND"]),
        schedule["PERIOD_MIN"],
        schedule["AT_MINUTE"],
        schedule["DAY"],
        schedule["ONCE_TIME"],
        zone if schedule["LOCAL"] else UTC_ZONE,
    )


def zone(table: Mapping[str, Any]) -> Zone:
    """Give the zone that a ZONE table tells; ValueError when there is no such zone."""
    transitions = ((entry["TIME"], entry["OFFSET_S"]) for entry in table["TRANSITIONS"])
    return make_zone(table["OFFSET_S"], transitions)


def fault(images: Mapping[SsiTable, bytes]) -> str | None:
    """Tell what no module can do in a configuration, or None."""
    values = {table: ssi_tables.decode(table, images[table]) for table in CONFIG_TABLES}
    schedules = values[SsiTable.SCHEDULES]["SCHEDULES"]
    monitors = values[SsiTable.MONITORS]["MONITORS"]
    for numbers, limit in (
        ([schedule["SCHEDULE_NBR"] for schedule in schedules], 255),
        ([monitor["MONITOR_NBR"] for monitor in monitors], FIRST_OWN_MONITOR),
    ):
        if len(set(numbers)) != len(numbers) or any(number >= limit for number in numbers):
            return f"numbers {numbers} are not unique and below {limit}"
    try:
        local = zone(values[SsiTable.ZONE])
    except ValueError as error:
        return f"ZONE: {error}"
    faults = [_schedule_fault(schedule, local) for schedule in schedules]
    faults += [_monitor_fault(monitor) for monitor in monitors]
    faults.append(_disposition_fault(values[SsiTable.DISPOSITION]))
    faults.append(_general_fault(values[SsiTable.OUTAGE], values[SsiTable.GENERAL]))
    return next((one for one in faults if one), None)


def _schedule_fault(schedule: Mapping[str, Any], local: Zone) -> str | None:
    for name, kinds in (("TASK", Task), ("KIND", ScheduleKind), ("CATCH_UP", CatchUp)):
        if schedule[name] not in set(kinds):
            return f"schedule {schedule['SCHEDULE_NBR']}: unknown {name}"
    try:
        impossible = recurrence(schedule, local).fault()
        if not all(part["COUNT"] for part in schedule["PARTS"]):
            impossible = impossible or "a part with COUNT 0"
    except ValueError as error:
        impossible = str(error)
    return f"schedule {schedule['SCHEDULE_NBR']}: {impossible}" if impossible else None


def _monitor_fault(monitor: Mapping[str, Any]) -> str | None:
    path, condition, threshold = monitor["PATH"], monitor["CONDITION"], monitor["THRESHOLD"]
    is_bit = condition in (Condition.BIT_SET, Condition.BIT_CLEAR)
    bits = MAX_BITS if path else 8 * monitor["WIDTH"]
    faults = {
        f"PERIOD_MS below {MIN_WATCH_PERIOD_MS}": monitor["PERIOD_MS"] < MIN_WATCH_PERIOD_MS,
        "unknown CONDITION": condition not in set(Condition),
        "neither PATH nor WIDTH": not path and not monitor["WIDTH"],
        "WINDOW_S is missing": condition in (Condition.RATE, Condition.SILENT)
        and not monitor["WINDOW_S"],
        "POWER is not -18..18": not -18 <= monitor["POWER"] <= 18,
        "SCALED without PATH": monitor["SCALED"] and not path,
        f"THRESHOLD is no bit, 0..{bits - 1}": is_bit and not 0 <= threshold < bits,
        "THRESHOLD above THRESHOLD_HIGH, so that everything is OUTSIDE": (
            condition == Condition.OUTSIDE and threshold > monitor["THRESHOLD_HIGH"]
        ),
        "THRESHOLD of a RATE below 0": condition == Condition.RATE and threshold < 0,
        "HYSTERESIS below 0": monitor["HYSTERESIS"] < 0,
        "unknown DISPOSITION": monitor["DISPOSITION"] not in set(Disposition),
    }
    fault = next((text for text, is_wrong in faults.items() if is_wrong), None)
    return f"monitor {monitor['MONITOR_NBR']}: {fault}" if fault else None


def _disposition_fault(table: Mapping[str, Any]) -> str | None:
    given = {table["DEFAULT"], *(entry["DISPOSITION"] for entry in table["ENTRIES"])}
    unknown = given - set(Disposition)
    if unknown:
        return f"DISPOSITION: {min(unknown)} is none"
    places = Counter((entry["SOURCE"], entry["CODE"]) for entry in table["ENTRIES"])
    twice = [place for place, times in places.items() if times > 1]
    return f"DISPOSITION: SOURCE {twice[0][0]}, CODE {twice[0][1]} comes twice" if twice else None


def _general_fault(outage: Mapping[str, Any], general: Mapping[str, Any]) -> str | None:
    if outage["DISPOSITION"] not in set(Disposition):
        return "OUTAGE: unknown DISPOSITION"
    if outage["THRESHOLD_S"] > MAX_OUTAGE_THRESHOLD_S:
        return f"THRESHOLD_S above {MAX_OUTAGE_THRESHOLD_S}"
    if 0 < outage["SWELL_PERMILLE"] <= outage["SAG_PERMILLE"]:
        return "SWELL_PERMILLE not above SAG_PERMILLE, so that every voltage is a sag or a swell"
    if outage["VOLTAGE_PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
        return f"VOLTAGE_PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
    if not 1 <= general["DUTY_PERMILLE"] <= 1000 or general["ACK_TIMEOUT_MS"] < 100:
        return "DUTY_PERMILLE is not 1..1000, or ACK_TIMEOUT_MS below 100"
    if general["REGISTRATION_PERIOD_S"] < MIN_REGISTRATION_PERIOD_S:
        return f"REGISTRATION_PERIOD_S below {MIN_REGISTRATION_PERIOD_S}"
    if 0 < general["STATUS_PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
        return f"STATUS_PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
    return None
