"""The module's configuration: active tables, staging copies, and the commit between them.

A factory module has no schedule and no threshold.  The TMS writes staging
tables; a commit with the right digest makes all of them active in one commit
of the non-volatile memory, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.meaning.clock import ClockRules
from ansi_tables.ssi_tables import (
    CONFIG_TABLES,
    STAGING_OFFSET,
    CatchUp,
    CommitResult,
    Condition,
    Disposition,
    SsiTable,
    Task,
)
from smartmeter.base.meter_zone import meter_zone
from smartmeter.base.nvram import Nvram
from smartmeter.base.tasks import Kind, Recurrence
from smartmeter.base.zone import UTC_ZONE, Zone, make_zone

MIN_WATCH_PERIOD_MS = 100
MAX_OUTAGE_THRESHOLD_S = 300
MIN_REGISTRATION_PERIOD_S = 10
#: Bits of the longest element that a monitor watches by octets.
MAX_BITS = 8 * 255
#: Numbers from here on are the module's own monitors (sags, swells, status); 255 is none.
FIRST_OWN_MONITOR = 224

_FACTORY_VALUES: Mapping[SsiTable, Mapping[str, Any]] = {
    SsiTable.SCHEDULES: {"SCHEDULES": []},
    SsiTable.MONITORS: {"MONITORS": []},
    SsiTable.OUTAGE: {
        "ENABLED": 0,
        "THRESHOLD_S": 0,
        "LAST_GASP_COUNT": 0,
        "LAST_GASP_SPREAD_MS": 0,
        "HOLD_UP_MS": 0,
        "DISPOSITION": Disposition.LOG,
        "SAG_PERMILLE": 0,
        "SWELL_PERMILLE": 0,
        "NOMINAL_V": 0,
        "VOLTAGE_PERIOD_MS": 10_000,
    },
    SsiTable.DISPOSITION: {"DEFAULT": Disposition.LOG, "ENTRIES": []},
    SsiTable.GENERAL: {
        "REPORT_GRACE_S": 300,
        "DUTY_PERMILLE": 100,
        "CLOCK_SILENT_S": 5,
        "CLOCK_REFUSE_S": 600,
        "ACK_TIMEOUT_MS": 15_000,
        "REGISTRATION_PERIOD_S": 3600,
        "STATUS_PERIOD_MS": 0,
    },
    SsiTable.ZONE: {"OFFSET_S": 0, "TRANSITIONS": []},
}


class Configuration:
    """Images of the active and the staging tables; durable.

    ``damaged`` tells that what was kept could not be read: the module then has
    the configuration of a factory module, and version 0 tells the TMS so.
    """

    def __init__(self, nvram: Nvram) -> None:
        self._nvram = nvram
        factory = {table: ssi_tables.encode(table, v) for table, v in _FACTORY_VALUES.items()}
        self.active = {t: nvram.get(f"active.{t}") or factory[t] for t in CONFIG_TABLES}
        status = nvram.get("config")
        self.version = int.from_bytes(status[:4], "big") if status else 0
        self.last_result = CommitResult.NONE
        self.damaged = not self._sound(status)
        if self.damaged:
            self.active, self.version = factory, 0
        elif status:
            self.last_result = CommitResult(status[4])
        self._values: dict[SsiTable, dict[str, Any]] = {}
        self.staging = {t: nvram.get(f"staging.{t}") or self.active[t] for t in CONFIG_TABLES}

    def _sound(self, status: bytes | None) -> bool:
        """Tell whether what was kept is what was committed: its digest stands beside it."""
        if status is None:
            return True
        try:
            for table, image in self.active.items():
                ssi_tables.decode(table, image)
        except TableError:
            return False
        digest = ssi_tables.config_digest(self.active)
        return len(status) == 37 and status[5:] == digest and status[4] in set(CommitResult)

    def value(self, table: SsiTable) -> dict[str, Any]:
        """Give an active table decoded."""
        found = self._values.get(table)
        if found is None:
            found = self._values[table] = ssi_tables.decode(table, self.active[table])
        return found

    def zone(self, rules: ClockRules, utc_s: int) -> Zone:
        """Give the zone of schedules in local time: the ZONE table's, or else the meter's own.

        A ZONE table that says UTC tells none: a schedule that is meant in UTC says so itself.
        """
        told = zone(self.value(SsiTable.ZONE))
        return meter_zone(rules, utc_s) if told == UTC_ZONE else told

    @property
    def status(self) -> dict[str, Any]:
        """Give CONFIG_STATUS."""
        return {
            "ACTIVE_VERSION": self.version,
            "ACTIVE_DIGEST": ssi_tables.config_digest(self.active),
            "STAGING_DIGEST": ssi_tables.config_digest(self.staging),
            "LAST_RESULT": self.last_result,
        }

    def stage(self, staging_table: SsiTable, image: bytes) -> bool:
        """Keep a staging table; False when it is not one."""
        table = SsiTable(staging_table - STAGING_OFFSET)
        try:
            ssi_tables.decode(table, image)
        except TableError:
            return False
        self._nvram.commit({f"staging.{table}": image})
        self.staging[table] = image
        return True

    def commit(self, version: int, digest: bytes) -> CommitResult:
        """Make the staging tables active if the digest is theirs and the content possible."""
        if digest != ssi_tables.config_digest(self.staging) or version == 0:
            result = CommitResult.DIGEST_DIFFERS
        elif fault(self.staging):
            result = CommitResult.CONTENT_REFUSED
        else:
            result = CommitResult.ACTIVATED
        changes: dict[str, bytes | None] = {}
        if result is CommitResult.ACTIVATED:
            changes = {f"active.{table}": image for table, image in self.staging.items()}
        else:
            version = self.version
        digest = ssi_tables.config_digest(self.staging if changes else self.active)
        changes["config"] = version.to_bytes(4, "big") + bytes([result]) + digest
        self._nvram.commit(changes)
        self.version, self.last_result = version, result
        if result is CommitResult.ACTIVATED:
            self.active, self._values, self.damaged = dict(self.staging), {}, False
        return result


def recurrence(schedule: Mapping[str, Any], zone: Zone) -> Recurrence:
    """Give when a schedule is due; ValueError for a kind that does not exist."""
    return Recurrence(
        Kind(schedule["KIND"]),
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
    try:
        Task(schedule["TASK"])
        CatchUp(schedule["CATCH_UP"])
        impossible = recurrence(schedule, local).fault()
    except ValueError as error:
        impossible = str(error)
    return f"schedule {schedule['SCHEDULE_NBR']}: {impossible}" if impossible else None


def _monitor_fault(monitor: Mapping[str, Any]) -> str | None:
    fault = ""
    if monitor["PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
        fault = f"PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
    elif monitor["CONDITION"] not in set(Condition):
        fault = "unknown CONDITION"
    elif not monitor["PATH"] and not monitor["WIDTH"]:
        fault = "neither PATH nor WIDTH"
    elif monitor["CONDITION"] in (Condition.RATE, Condition.SILENT) and not monitor["WINDOW_S"]:
        fault = "WINDOW_S is missing"
    elif not -18 <= monitor["POWER"] <= 18:
        fault = "POWER is not -18..18"
    elif monitor["SCALED"] and not monitor["PATH"]:
        fault = "SCALED without PATH"
    elif monitor["CONDITION"] in (Condition.BIT_SET, Condition.BIT_CLEAR) and not (
        0 <= monitor["THRESHOLD"] < MAX_BITS
    ):
        fault = f"THRESHOLD is no bit, 0..{MAX_BITS - 1}"
    elif monitor["HYSTERESIS"] < 0:
        fault = "HYSTERESIS below 0"
    elif monitor["DISPOSITION"] not in set(Disposition):
        fault = "unknown DISPOSITION"
    return f"monitor {monitor['MONITOR_NBR']}: {fault}" if fault else None


def _disposition_fault(table: Mapping[str, Any]) -> str | None:
    given = {table["DEFAULT"], *(entry["DISPOSITION"] for entry in table["ENTRIES"])}
    unknown = given - set(Disposition)
    return f"DISPOSITION: {min(unknown)} is none" if unknown else None


def _general_fault(outage: Mapping[str, Any], general: Mapping[str, Any]) -> str | None:
    if outage["DISPOSITION"] not in set(Disposition):
        return "OUTAGE: unknown DISPOSITION"
    if outage["THRESHOLD_S"] > MAX_OUTAGE_THRESHOLD_S:
        return f"THRESHOLD_S above {MAX_OUTAGE_THRESHOLD_S}"
    if outage["VOLTAGE_PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
        return f"VOLTAGE_PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
    if not 1 <= general["DUTY_PERMILLE"] <= 1000 or general["ACK_TIMEOUT_MS"] < 100:
        return "DUTY_PERMILLE is not 1..1000, or ACK_TIMEOUT_MS below 100"
    if general["REGISTRATION_PERIOD_S"] < MIN_REGISTRATION_PERIOD_S:
        return f"REGISTRATION_PERIOD_S below {MIN_REGISTRATION_PERIOD_S}"
    if 0 < general["STATUS_PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
        return f"STATUS_PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
    return None
