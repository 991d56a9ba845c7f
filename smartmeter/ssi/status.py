"""How the module does, as its tables MODULE_STATUS and MODULE_HEALTH show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartmeter.base.clock import US_PER_S

if TYPE_CHECKING:
    from smartmeter.ssi.module import Module

#: As far as CLOCK_OFFSET_S reaches; clocks can be twice as far apart.
MAX_OFFSET_S = (1 << 31) - 1


class Status:
    """Looks at a module as of the last instant that it was told."""

    def __init__(self, module: Module, now_us: int) -> None:
        self._module, self._begun_us = module, now_us

    def both(self) -> dict[str, Any]:
        """Give the members of both tables."""
        return {**self.status(), **self.health()}

    def status(self) -> dict[str, Any]:
        """Give MODULE_STATUS."""
        module, memory = self._module, self._module.memory
        return {
            "STATE": module.state,
            "ERROR": module.error,
            "WARNING": module.reporter.warning(module.latest_us),
            "MAINS_FLAG": int(module.outage.mains_on),
            "METER_LINK_FLAG": int(module.link.answers),
            "UPTIME_S": (module.latest_us - self._begun_us) // US_PER_S,
            "OUTBOX_COUNT": len(module.outbox),
            "OUTBOX_EPOCH": module.outbox.epoch,
            "NEXT_REPORT_NBR": module.outbox.next_number,
            "LAST_ACKNOWLEDGED_TIME": memory.acknowledged_s,
            "CONFIG_VERSION": module.configuration.version,
            "CONTEXT_ID": module.meter.id if module.meter else 0,
            "NBR_MOMENTARIES": memory.momentaries & 0xFFFF,
            "NBR_OUTAGES": (memory.next_outage - 1) & 0xFFFF,
            "CLOCK_OFFSET_S": max(-MAX_OFFSET_S, min(module.tasks.clock.offset_s, MAX_OFFSET_S)),
            "WATCH_LINE_US": module.watch_line_us,
            "TIME": module.utc_s or 0,
        }

    def health(self) -> dict[str, Any]:
        """Give MODULE_HEALTH."""
        module, memory = self._module, self._module.memory
        up_us = max(1, module.latest_us - self._begun_us)
        return {
            "NBR_RESTARTS": memory.restarts,
            "NBR_WATCHDOG_RESETS": memory.watchdog_resets,
            "NBR_METER_FAILURES": module.link.failures,
            "NBR_REPORTS": memory.reports,
            "NBR_REPORTS_DROPPED": memory.reports_dropped,
            "NBR_GAPS": len(memory.profile_gaps),
            "NBR_EVENTS_MISSED": memory.events_missed,
            "NBR_MONITORS_IMPOSSIBLE": min(255, len(module.watching.faults)),
            "WATCH_DUTY_PERMILLE": min(1000, module.watch_line_us * 1000 // up_us),
            "LAST_DEMAND_RESET_TIME": memory.reset_s,
            "SEASON": 255 if memory.season is None else memory.season,
        }
