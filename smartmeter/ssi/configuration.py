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
from ansi_tables.ssi_tables import (
    CONFIG_TABLES,
    STAGING_OFFSET,
    CommitResult,
    Condition,
    Disposition,
    SsiTable,
    Task,
)
from smartmeter.base.nvram import Nvram
from smartmeter.base.tasks import Kind, Recurrence

MIN_WATCH_PERIOD_MS = 100
MAX_OUTAGE_THRESHOLD_S = 300

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
    },
    SsiTable.DISPOSITION: {"DEFAULT": Disposition.LOG, "ENTRIES": []},
    SsiTable.GENERAL: {
        "REPORT_GRACE_S": 300,
        "DUTY_PERMILLE": 100,
        "CLOCK_SILENT_S": 5,
        "CLOCK_REFUSE_S": 3600,
        "ACK_TIMEOUT_MS": 15_000,
        "REGISTRATION_PERIOD_S": 3600,
    },
}


class Configuration:
    """Images of the active and the staging tables; durable."""

    def __init__(self, nvram: Nvram) -> None:
        self._nvram = nvram
        factory = {table: ssi_tables.encode(table, v) for table, v in _FACTORY_VALUES.items()}
        self.active = {t: nvram.get(f"active.{t}") or factory[t] for t in CONFIG_TABLES}
        self.staging = {t: nvram.get(f"staging.{t}") or self.active[t] for t in CONFIG_TABLES}
        status = nvram.get("config")
        self.version = int.from_bytes(status[:4], "big") if status else 0
        self.last_result = CommitResult(status[4]) if status else CommitResult.NONE

    def value(self, table: SsiTable) -> dict[str, Any]:
        """Give an active table decoded."""
        return ssi_tables.decode(table, self.active[table])

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
        changes["config"] = version.to_bytes(4, "big") + bytes([result])
        self._nvram.commit(changes)
        self.version, self.last_result = version, result
        if result is CommitResult.ACTIVATED:
            self.active = dict(self.staging)
        return result


def recurrence(schedule: Mapping[str, Any]) -> Recurrence:
    """Give when a schedule is due; ValueError for a kind that does not exist."""
    return Recurrence(
        Kind(schedule["KIND"]),
        schedule["PERIOD_MIN"],
        schedule["AT_MINUTE"],
        schedule["DAY"],
        schedule["ONCE_TIME"],
    )


def fault(images: Mapping[SsiTable, bytes]) -> str | None:
    """Tell what no module can do in a configuration, or None."""
    schedules = ssi_tables.decode(SsiTable.SCHEDULES, images[SsiTable.SCHEDULES])["SCHEDULES"]
    monitors = ssi_tables.decode(SsiTable.MONITORS, images[SsiTable.MONITORS])["MONITORS"]
    outage = ssi_tables.decode(SsiTable.OUTAGE, images[SsiTable.OUTAGE])
    general = ssi_tables.decode(SsiTable.GENERAL, images[SsiTable.GENERAL])
    for numbers in (
        [schedule["SCHEDULE_NBR"] for schedule in schedules],
        [monitor["MONITOR_NBR"] for monitor in monitors],
    ):
        if len(set(numbers)) != len(numbers) or 255 in numbers:
            return f"numbers {numbers} are not unique and below 255"
    for schedule in schedules:
        try:
            Task(schedule["TASK"])
            impossible = recurrence(schedule).fault()
        except ValueError as error:
            impossible = str(error)
        if impossible:
            return f"schedule {schedule['SCHEDULE_NBR']}: {impossible}"
    for monitor in monitors:
        if monitor["PERIOD_MS"] < MIN_WATCH_PERIOD_MS:
            return f"monitor {monitor['MONITOR_NBR']}: PERIOD_MS below {MIN_WATCH_PERIOD_MS}"
        if monitor["CONDITION"] not in set(Condition):
            return f"monitor {monitor['MONITOR_NBR']}: unknown CONDITION"
        if not monitor["PATH"] and not monitor["WIDTH"]:
            return f"monitor {monitor['MONITOR_NBR']}: neither PATH nor WIDTH"
    if outage["THRESHOLD_S"] > MAX_OUTAGE_THRESHOLD_S:
        return f"THRESHOLD_S above {MAX_OUTAGE_THRESHOLD_S}"
    if not 1 <= general["DUTY_PERMILLE"] <= 1000 or general["ACK_TIMEOUT_MS"] < 100:
        return "DUTY_PERMILLE is not 1..1000, or ACK_TIMEOUT_MS below 100"
    return None
