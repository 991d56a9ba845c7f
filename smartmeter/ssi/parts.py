"""What a module consists of, and what it finds when it takes stock of what was kept."""

from __future__ import annotations

from ansi_tables.ssi_tables import SsiTable
from protocols.c1218.scripts import LogonSettings
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.machine import Event
from smartmeter.base.clock import Calendar
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
        #: The last instant that the module was told; since when there has been power, as far as it
        #: knows.
        self.latest_us = self.started_us = now_us
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
            self.esn, self.memory, self.reporter, self.outbox, calendar, self.known
        )
        self.gaps = GapFilling(self.memory, self.reporter, self.outbox, self.known)
        self.link = MeterLink(self.memory, self.reporter, self.tasks.scheduler, now_us)
        self.watching = Watching(self.memory, self.reporter, self.outage, self.known, now_us)
        self.log = LogJudge(self.memory, self.reporter, self.outage, self.factory.optical_user_id)
        #: What the host may log or act on, and has not been given yet.
        self.told: list[Event] = []
        #: A write that failed inside a session with the meter: it ends the module.
        self.fault: StorageError | None = None

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
