"""From the meter's first answer to work: its clock is taken, believed, and the tables are applied.

Another meter at the probe, and another configuration, go the later part of the same way.
"""

from __future__ import annotations

from itertools import chain

from ansi_tables.meaning.clock import ClockRules
from ansi_tables.ssi_tables import ModuleAlarm, SsiTable, UpgradeResult
from protocols.c1218.client import Exchanged
from smartmeter.base.zone import Zone
from smartmeter.ssi import work
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.states import START_ALARMS, ErrorCode, State


class Starting:
    """Brings the parts of a module to work, each when what it needs to know is known."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: A configuration is to be taken over, and a hello to be sent, before anything else.
        self.reconfigure = self.hello = False
        #: The meter's rules of time by which schedules in its zone are due, and that zone.
        self._rules: ClockRules | None = None
        self._zone: Zone | None = None

    def begun(self, read: work.Beginning, last: Exchanged, now_us: int) -> None:
        """The meter was read, its clock at ``last``: the clock is set, and the module can speak."""
        parts = self._parts
        first = parts.reporter.meter is None
        parts.reporter.meter = read.meter
        parts.optical.guard.byte_order = read.meter.context.fmt.data_order
        parts.life.clear(ErrorCode.CONFIGURATION_FAILED)
        parts.link.read_done(now_us)
        parts.known.read(read.identity, read.lists, now_us)
        if not first:
            if self._take_over(now_us) and read.clock_s is not None:
                parts.tasks.clock.compare(read.clock_s, last, now_us)
            # What is reported from now on names a context that the TMS must have.
            self.hello = self.hello or parts.memory.seen.context_sent not in (0, read.meter.id)
            self.configure(now_us)
            return
        assert read.clock_s is not None
        clock_s = read.clock_s
        parts.tasks.clock.begin(clock_s, last)
        parts.outbox.begin(clock_s, parts.memory.pages())
        self.configure(now_us)
        parts.network.start(now_us)
        parts.life.set_state(State.REGISTERING)
        parts.tasks.clock.doubt(now_us)

    def doubts(self, now_us: int) -> bool:
        """Tell whether the TMS's word on the time is still awaited."""
        ends_us = self._parts.tasks.clock.doubt_ends_us()
        if ends_us is not None and now_us >= ends_us:
            self.trust_clock(now_us)
            return False
        return ends_us is not None

    def trust_clock(self, now_us: int) -> None:
        """The TMS has told its time, or nobody does: what needs to know the time begins."""
        parts = self._parts
        if not parts.tasks.clock.trust(now_us):
            return
        memory, now_s = parts.memory, parts.reporter.utc_s(now_us)
        parts.reporter.believed_s = now_s
        # One of the future was dated by another clock.
        memory.acknowledged_s = min(memory.acknowledged_s, now_s)
        if self._take_over(now_us):
            self.configure(now_us)
        for error, (code, text) in START_ALARMS.items():
            if parts.life.has(error):
                parts.reporter.raise_own(code, text, now_us)
        self.tell_upgrade(now_us)
        parts.link.answered(now_us)
        if not parts.memory.resets.reset_told:
            parts.tasks.report_reset(now_us)
        parts.tasks.go_on()
        if parts.outage.mains_on:
            # The meter may have been long in answering, and the TMS in telling its time.
            parts.power.back(now_us, parts.started_us)

    def _take_over(self, now_us: int) -> bool:
        """Begin with another meter, if that was read and the time is known; True when it was."""
        parts = self._parts
        if parts.tasks.clock.doubt_ends_us() is not None:
            return False
        changed = parts.known.take_over(now_us)
        parts.tasks.know_rings(now_us)
        if changed is None:
            return False
        parts.told.append(changed)
        if parts.optical.password_accepted is False:
            # That the one before refused it says nothing; what this one hides is read with it.
            parts.optical.password_accepted = None
            parts.link.read_soon(now_us)
        parts.tasks.resets.give_up()
        parts.tasks.give_up_orders()
        parts.tasks.scheduler.try_again(now_us)
        parts.watching.forget()
        self.hello = True
        return True

    def tell_upgrade(self, now_us: int) -> None:
        """Tell what became of an upgrade: the truth, from whichever version runs now.

        Once: that it is told is durable with the exception that tells it.
        """
        parts, upgrade = self._parts, self._parts.upgrade
        news = upgrade.news
        if news is None:
            return
        well = news is UpgradeResult.CONFIRMED
        code = ModuleAlarm.UPGRADED if well else ModuleAlarm.UPGRADE_FAILED
        text = f"{news.name.lower().replace('_', ' ')}: runs {upgrade.boot.version}"
        parts.reporter.keep_own(code, text, now_us, news)
        upgrade.news_told(parts.memory.pages())
        self.hello = True

    def see_saving(self) -> None:
        """Let schedules in the meter's zone go by what it says of daylight saving by now."""
        meter = self._parts.reporter.meter
        if meter is not None and meter.rules is not self._rules:
            self.reconfigure = True

    def _local(self, rules: ClockRules, utc_s: int) -> Zone:
        """Give the zone of schedules in local time.

        Where a meter tells only what is in force now, what was due up to this second was due by
        what it said before; after a start, what was due up to the last run before it.
        """
        memory, zone = self._parts.memory, self._parts.configuration.zone(rules, utc_s)
        before, until_s, keeps = self._zone, utc_s, rules.tells_only_now and not zone.transitions
        if before is None and memory.zone:
            offset_s, *change = memory.zone
            before = Zone(offset_s, tuple(zip(change[::2], change[1::2], strict=True)))
            until_s = min(utc_s, max(memory.marks.values(), default=utc_s))
        if before is not None and keeps:
            offset_s = before.offset_at(utc_s)
            changed = Zone(offset_s, ((until_s + 1, zone.offset_s),))
            zone = before if offset_s == zone.offset_s else changed
        self._zone = zone
        memory.zone = [zone.offset_s, *chain(*zone.transitions)] if keeps else []
        return zone

    def configure(self, now_us: int) -> None:
        """Give every part its active table."""
        parts = self._parts
        meter, configuration = parts.reporter.meter, parts.configuration
        assert meter is not None
        self.reconfigure, self._rules = False, meter.rules
        utc_s = parts.calendar.utc_s(now_us)
        assert utc_s is not None
        value, general = configuration.value, configuration.value(SsiTable.GENERAL)
        outage = value(SsiTable.OUTAGE)
        schedules = value(SsiTable.SCHEDULES)["SCHEDULES"]
        parts.tasks.configure(schedules, self._local(meter.rules, utc_s), utc_s)
        parts.tasks.clock.configure(general)
        parts.outage.configure(outage)
        parts.reporter.alarms.configure(value(SsiTable.DISPOSITION))
        monitors, version = value(SsiTable.MONITORS)["MONITORS"], configuration.version
        parts.watching.configure(monitors, outage, general, version, now_us)
        parts.network.configure(general)
        if parts.network.registration.holds and configuration.version:
            parts.life.set_state(State.PROVISIONED)
        parts.reporter.keep()
