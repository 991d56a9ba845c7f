"""How the module does, as its tables MODULE_STATUS and MODULE_HEALTH show it."""

from __future__ import annotations

from typing import Any

from smartmeter.base.clock import US_PER_S
from smartmeter.ssi.parts import Parts

#: As far as CLOCK_OFFSET_S reaches; clocks can be twice as far apart.
MAX_OFFSET_S = (1 << 31) - 1


class Status:
    """Looks at a module as of the last instant that it was told."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._begun_us = parts, parts.latest_us

    def both(self) -> dict[str, Any]:
        """Give the members of both tables."""
        return {**self.status(), **self.health()}

    def status(self) -> dict[str, Any]:
        """Give MODULE_STATUS."""
        parts, memory, meter = self._parts, self._parts.memory, self._parts.reporter.meter
        return {
            "STATE": parts.life.state,
            "ERROR": parts.life.error,
            "WARNING": parts.reporter.warning(parts.latest_us),
            "MAINS_FLAG": int(parts.outage.mains_on),
            "METER_LINK_FLAG": int(parts.link.answers),
            "UPTIME_S": (parts.latest_us - self._begun_us) // US_PER_S,
            "OUTBOX_COUNT": len(parts.outbox),
            "OUTBOX_EPOCH": parts.outbox.epoch,
            "NEXT_REPORT_NBR": parts.outbox.next_number,
            "LAST_ACKNOWLEDGED_TIME": memory.acknowledged_s,
            "CONFIG_VERSION": parts.configuration.version,
            "CONTEXT_ID": meter.id if meter else 0,
            "NBR_MOMENTARIES": memory.losses.momentaries & 0xFFFF,
            "NBR_OUTAGES": (memory.losses.next_outage - 1) & 0xFFFF,
            "CLOCK_OFFSET_S": max(-MAX_OFFSET_S, min(parts.tasks.clock.offset_s, MAX_OFFSET_S)),
            "WATCH_LINE_US": parts.watching.line_us,
            "TIME": parts.reporter.utc_s(parts.latest_us),
        }

    def health(self) -> dict[str, Any]:
        """Give MODULE_HEALTH."""
        parts, memory = self._parts, self._parts.memory
        up_us = max(1, parts.latest_us - self._begun_us)
        return {
            "NBR_RESTARTS": memory.restarts,
            "NBR_WATCHDOG_RESETS": memory.watchdog_resets,
            "NBR_METER_FAILURES": parts.link.failures,
            "NBR_REPORTS": memory.reports,
            "NBR_REPORTS_DROPPED": memory.reports_dropped,
            "NBR_GAPS": len(memory.lists.profile_gaps),
            "NBR_EVENTS_MISSED": memory.lists.events_missed,
            "NBR_MONITORS_IMPOSSIBLE": min(255, len(parts.watching.faults)),
            "WATCH_DUTY_PERMILLE": min(1000, parts.watching.line_us * 1000 // up_us),
            "LAST_DEMAND_RESET_TIME": memory.resets.reset_s,
            "SEASON": 255 if memory.seen.season is None else memory.seen.season,
        }
