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
    CommitResult,
    Disposition,
    SsiTable,
)
from smartmeter.base.meter_zone import meter_zone
from smartmeter.base.nvram import Nvram
from smartmeter.base.provisioning import fault, zone
from smartmeter.base.zone import UTC_ZONE, Zone

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
        if image != self.staging[table]:  # a TMS may offer what is refused with each report
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
        if any(self._nvram.get(page) != image for page, image in changes.items()):
            self._nvram.commit(changes)
        self.version, self.last_result = version, result
        if result is CommitResult.ACTIVATED:
            self.active, self._values, self.damaged = dict(self.staging), {}, False
        return result
