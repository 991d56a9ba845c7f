"""What a module consists of, how it does, and what it finds of what was kept when it starts."""

from __future__ import annotations

from typing import Any

from ansi_tables.ssi_tables import SsiTable
from protocols.c1218.scripts import LogonSettings
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.machine import Event
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.factory import Factory, load_factory
from smartmeter.ssi.gap_filling import GapFilling
from smartmeter.ssi.guard import Permission
from smartmeter.ssi.keys import ModuleKeys
from smartmeter.ssi.known_meter import KnownMeter
from smartmeter.ssi.log_judging import LogJudge
from smartmeter.ssi.memory import load_memory
from smartmeter.ssi.meter_link import MeterLink
from smartmeter.ssi.meter_side import MeterDoor, MeterSide
from smartmeter.ssi.network_side import NetworkSide
from smartmeter.ssi.outage import OutageDetector
from smartmeter.ssi.outbox import Outbox
from smartmeter.ssi.power import Power
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.states import IMAGE_ERRORS, START_ERRORS, ErrorCode, Life, StartCause, State
from smartmeter.ssi.tasks import TaskRunner
from smartmeter.ssi.upgrade import Program, Upgrade
from smartmeter.ssi.watching import Watching

#: As far as CLOCK_OFFSET_S reaches; clocks can be twice as far apart.
MAX_OFFSET_S = (1 << 31) - 1
#: As far as NBR_EVENTS_MISSED reaches; the log of a broken meter may seem to jump again and again.
MAX_MISSED = (1 << 32) - 1


class Parts:
    """The parts of one module, each given those that it needs; none knows the module.

    ``calendar`` is its own, not set yet; it is set from the meter's.
    """

    def __init__(
        self,
        nvram: Nvram,
        calendar: Calendar,
        now_us: int,
        *,
        permission: Permission | None = None,
        door: MeterDoor | None = None,
        cause: StartCause = StartCause.POWER_UP,
        program: Program | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        #: When it began, the last instant that it was told, and since when there has been power, as
        #: far as it knows.
        self.begun_us = self.latest_us = self.started_us = now_us
        self.factory = load_factory(nvram)
        self.upgrade = Upgrade(nvram, self.factory.upgrade_key, program or Program(), now_us)
        self.esn = self.factory.esn
        self.calendar = calendar
        self.memory, memory_damaged = load_memory(nvram)
        self.configuration = Configuration(nvram)
        self.keys = ModuleKeys(nvram, self.factory.key)
        self.outbox = Outbox(nvram)
        self.life = Life(State(self.factory.quality), START_ERRORS.get(cause, ErrorCode.NONE))
        #: What was kept cannot be read.
        self.damaged = self._take_stock(cause, memory_damaged)
        self.optical = door or _optical_port(self.factory, permission, timing)
        self.reporter = Reporter(
            self.esn,
            nvram,
            self.memory,
            self.outbox,
            calendar,
            self.configuration,
            self.life,
            self.upgrade,
        )
        self.network = NetworkSide(self.factory, self.keys, calendar, nvram, self.outbox)
        self.known = KnownMeter(self.memory, self.reporter, self.optical)
        self.outage = OutageDetector(self.esn, self.memory.losses, calendar)
        # The energy without mains counts from the start, before the meter was read.
        self.outage.configure(self.configuration.value(SsiTable.OUTAGE))
        self.power = Power(self.outage, self.reporter, self.network)
        self.tasks = TaskRunner(
            self.esn, self.memory, self.reporter, self.outbox, calendar, self.known, self.status
        )
        self.gaps = GapFilling(self.memory.lists, self.reporter, self.outbox, self.known)
        self.link = MeterLink(self.memory, self.reporter, self.tasks.scheduler, now_us)
        self.watching = Watching(self.memory, self.reporter, self.outage, self.known, now_us)
        self.log = LogJudge(self.memory, self.reporter, self.outage, self.factory.optical_user_id)
        #: What the host may log or act on, and has not been given yet.
        self.told: list[Event] = []
        #: A write that failed inside a session with the meter: it ends the module.
        self.fault: StorageError | None = None

    def status(self) -> dict[str, Any]:
        """Give the members of MODULE_STATUS and MODULE_HEALTH as of the instant told last."""
        memory, meter = self.memory, self.reporter.meter
        up_us = self.latest_us - self.begun_us
        return {
            "STATE": self.life.state,
            "ERROR": self.life.error,
            "WARNING": self.reporter.warning(self.latest_us),
            "MAINS_FLAG": int(self.outage.mains_on),
            "METER_LINK_FLAG": int(self.link.answers),
            "UPTIME_S": up_us // US_PER_S,
            "OUTBOX_COUNT": len(self.outbox),
            "OUTBOX_EPOCH": self.outbox.epoch,
            "NEXT_REPORT_NBR": self.outbox.next_number,
            "LAST_ACKNOWLEDGED_TIME": memory.acknowledged_s,
            "CONFIG_VERSION": self.configuration.version,
            "CONTEXT_ID": meter.id if meter else 0,
            "NBR_MOMENTARIES": memory.losses.momentaries & 0xFFFF,
            "NBR_OUTAGES": (memory.losses.next_outage - 1) & 0xFFFF,
            "CLOCK_OFFSET_S": max(-MAX_OFFSET_S, min(self.tasks.clock.offset_s, MAX_OFFSET_S)),
            "WATCH_LINE_US": self.watching.line_us,
            "TIME": self.reporter.utc_s(self.latest_us),
            "NBR_RESTARTS": memory.restarts,
            "NBR_WATCHDOG_RESETS": memory.watchdog_resets,
            "NBR_METER_FAILURES": self.link.failures,
            "NBR_REPORTS": memory.reports,
            "NBR_REPORTS_DROPPED": memory.reports_dropped,
            "NBR_GAPS": len(memory.lists.profile_gaps),
            "NBR_EVENTS_MISSED": min(memory.lists.events_missed, MAX_MISSED),
            "NBR_MONITORS_IMPOSSIBLE": min(255, len(self.watching.faults)),
            "WATCH_DUTY_PERMILLE": min(1000, self.watching.line_us * 1000 // max(1, up_us)),
            "LAST_DEMAND_RESET_TIME": memory.resets.reset_s,
            "SEASON": 255 if memory.seen.season is None else memory.seen.season,
        }

    def fell_back(self) -> None:
        """The medium has lost what it had acknowledged last, as others know who were told of it.

        What it still has is whole, and older: what follows is numbered in another epoch.
        """
        self.outbox.renew()
        self.life.set_error(ErrorCode.APPLICATION_AREA)

    def _take_stock(self, cause: StartCause, memory_damaged: bool) -> bool:
        """Show what is wrong at the start; True when what was kept cannot be read."""
        self.memory.restarts += 1
        self.memory.watchdog_resets += cause is StartCause.WATCHDOG
        if memory_damaged:
            # Alarms are numbered anew: in an epoch of their own.
            self.outbox.renew()
        kept = (self.outbox, self.configuration, self.upgrade)
        if memory_damaged or any(one.damaged for one in kept):
            self.life.set_error(ErrorCode.APPLICATION_AREA)
        if self.keys.damaged:
            self.life.set_error(ErrorCode.COMMON_AREA)
        if self.life.has(ErrorCode.APPLICATION_AREA) or self.keys.damaged:
            return True
        if self.upgrade.news in IMAGE_ERRORS:
            self.life.set_error(IMAGE_ERRORS[self.upgrade.news])
        return False


def _optical_port(factory: Factory, permission: Permission | None, timing: Timing) -> MeterSide:
    password = factory.optical_password or None
    logon = LogonSettings(factory.optical_user_id, factory.optical_user.encode(), password)
    return MeterSide(logon, permission, timing)
