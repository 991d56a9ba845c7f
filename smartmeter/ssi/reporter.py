"""Makes reports and exceptions durable in the outbox: header, alarms, outages, hello."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

from ansi_tables.ssi_tables import AlarmSource, Cause, Disposition, ModuleAlarm, SsiTable
from protocols.errors import RemoteProtocolError
from smartmeter.base.clock import Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram
from smartmeter.ssi.alarms import NO_MONITOR, Alarms, counts
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.memory import MAX_OUTAGES, Memory
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.outbox import Entry, Outbox
from smartmeter.ssi.reports import (
    NO_SCHEDULE,
    PREVIOUS_RESET,
    IntervalPart,
    carries,
    carry_table,
    pack,
    told_by,
    version_value,
    write_own,
)
from smartmeter.ssi.states import Life, warning
from smartmeter.ssi.upgrade import Upgrade


class Reporter:
    """Holds what every report says of its sender: state, meter context, configuration version."""

    def __init__(
        self,
        esn: str,
        nvram: Nvram,
        memory: Memory,
        outbox: Outbox,
        calendar: Calendar,
        configuration: Configuration,
        life: Life,
        upgrade: Upgrade,
    ) -> None:
        self._esn, self._nvram = esn, nvram
        self._memory, self._outbox = memory, outbox
        self._calendar, self._configuration = calendar, configuration
        self.alarms = Alarms(memory)
        self.life, self.upgrade = life, upgrade
        self.meter: MeterContext | None = None
        #: When the clock of this run was believed; the first use was no later.
        self.believed_s: int | None = None
        #: Alarms that are to leave together.
        self._together: list[bytes] | None = None
        self._fault: StorageError | None = None
        #: What a demand reset has left (ST-25) gave way to exceptions, and is to be told again.
        self.reset_dropped = False

    def utc_s(self, now_us: int) -> int:
        """Give the module's UTC second, 0 while its clock is not set."""
        return self._calendar.utc_s(now_us) or 0

    def keep(self) -> None:
        """Make the module's memory durable as it stands."""
        self._nvram.commit(self._memory.pages())

    def keep_in_session(self) -> None:
        """Make the memory durable amid a job at the meter; RemoteProtocolError when it is not.

        In a session nobody takes a StorageError: who hears that the job failed calls
        ``raise_fault``.
        """
        try:
            self.keep()
        except StorageError as error:
            self._fault = error
            raise RemoteProtocolError("what is asked cannot be made durable") from error

    def raise_fault(self) -> None:
        """Raise the StorageError of a job at the meter, if there was one."""
        if self._fault is not None:
            raise self._fault

    def warning(self, now_us: int) -> int:
        """Give the warning for the time since the last acknowledgement, or since the first use."""
        first_s = self._outbox.epoch
        if self.believed_s is not None:  # an epoch of the future was begun by another clock
            first_s = min(first_s, self.believed_s)
        since_s = self._memory.acknowledged_s or first_s
        quiet_s = self.utc_s(now_us) - since_s if since_s else 0
        return warning(quiet_s, len(self._outbox))

    def header(
        self, cause: Cause, now_us: int, schedule_nbr: int = NO_SCHEDULE, due_s: int = 0
    ) -> dict[str, Any]:
        """Give REPORT_HEADER without what the outbox fills in."""
        return {
            "ESN": self._esn,
            "CAUSE": cause,
            "SCHEDULE_NBR": schedule_nbr,
            "TIME": self.utc_s(now_us),
            "DUE_TIME": due_s,
            "CONFIG_VERSION": self._configuration.version,
            "CONTEXT_ID": self.meter.id if self.meter else 0,
            "STATE": self.life.state,
            "WARNING": self.warning(now_us),
        }

    def report(
        self,
        header: dict[str, Any],
        services: Iterable[bytes | IntervalPart],
        now_us: int,
        urgent: bool = False,
    ) -> int:
        """Put a report into the outbox, with the cursors as they stand, in one commit.

        What gives way to it goes in that commit, and what that carried is remembered (``outbox``).
        Alarms that were kept with the commit (``keep_own``) are reported right after it, or when
        there is room.  Gives the report's number; the first one's, where the services take several.
        """
        drafts, memory = pack(header, services, urgent), self._memory
        victims = self._outbox.victims(len(drafts))
        carried = (astuple(one) for victim in victims for one in victim.intervals)
        given_up = sum(memory.lists.add_gap(one) for one in carried)
        memory.reports += len(drafts)
        memory.reports_dropped += len(victims)
        for victim in victims:
            if victim.urgent:
                self._count_again(victim)
            else:
                self._give_back(victim, now_us)
        if victims:
            self.keep_own(ModuleAlarm.OUTBOX_OVERFLOW, "reports were dropped", now_us, len(victims))
        if given_up:
            self.keep_own(ModuleAlarm.GAP, "there are too many gaps", now_us, given_up)
        number = self._outbox.add(drafts, memory.pages())[0]
        self.tell_kept(now_us)
        return number

    def _give_back(self, victim: Entry, now_us: int) -> None:
        """Let the advisories and outages of a report that gives way ride on the next.

        A hello comes again with the next registration, and what a demand reset has left as soon
        as there is room.
        """
        for service in victim.services:
            if told_by(service, SsiTable.MODULE_VERSION) is not None:
                self._memory.seen.context_sent = 0
            if carries(service, PREVIOUS_RESET):
                self._memory.resets.reset_told, self.reset_dropped = False, True
            alarm = told_by(service, SsiTable.ALARM)
            if alarm is not None:
                self.alarms.keep(alarm)
            outage = told_by(service, SsiTable.OUTAGE_RECORD)
            if outage is not None:
                known = [outage[name] for name in ("OUTAGE_NBR", "START_TIME", "END_TIME")]
                self._let_wait(known, now_us)

    def _count_again(self, victim: Entry) -> None:
        """Let what an exception that gives way has counted go on with the next that counts it."""
        for service in victim.services:
            alarm = told_by(service, SsiTable.ALARM)
            if alarm is not None and counts(alarm):
                self.alarms.keep(alarm)

    def _let_wait(self, outage: list[int], now_us: int) -> None:
        """Keep an outage (number, start, end) for the next report; the oldest give way, counted."""
        waiting = sorted([*self._memory.losses.outages_waiting, outage])
        self._memory.losses.outages_waiting = waiting[-MAX_OUTAGES:]
        if waiting[:-MAX_OUTAGES]:
            self.keep_own(ModuleAlarm.OUTBOX_OVERFLOW, "outages were dropped", now_us, 1)

    def tell_kept(self, now_us: int) -> None:
        """Report alarms that were kept with a commit.

        Where that takes the place of no other report, which would be an exception again.
        """
        if not self.alarms.alarm_waits or self._outbox.victims(1):
            return
        alarms = self.alarms.take(Disposition.ALARM)
        if alarms:
            told = [write_own(SsiTable.ALARM, value) for value in alarms]
            self.report(self.header(Cause.ALARM, now_us), told, now_us, urgent=True)

    def set_aside(self, number: int, cause: str, now_us: int) -> None:
        """Set a report aside that the TMS refuses; an alarm, in that commit, tells of the first."""
        if number not in self._outbox.numbers:  # it has given way meanwhile
            return
        if not self._outbox.set_aside:
            text = f"a report is refused: {cause}"
            self.keep_own(ModuleAlarm.REPORT_REFUSED, text, now_us, number)
        self._outbox.put_aside(number, self._memory.pages())
        self.tell_kept(now_us)

    def waiting_advisories(self) -> list[bytes]:
        """Give the services that carry the advisories which wait, and forget them."""
        advisories = self.alarms.take(Disposition.ADVISORY)
        outages, self._memory.losses.outages_waiting = self._memory.losses.outages_waiting, []
        return [write_own(SsiTable.ALARM, value) for value in advisories] + [
            self._outage_record(*outage) for outage in outages
        ]

    def raise_own(self, code: ModuleAlarm, text: str, now_us: int, value: int = 0) -> None:
        """Raise an exception of the module itself."""
        disposition = self.alarms.disposition(AlarmSource.MODULE, code)
        self.raise_(AlarmSource.MODULE, code, disposition, text, now_us, value=value)

    def keep_own(self, code: ModuleAlarm, text: str, now_us: int, value: int = 0) -> None:
        """Raise an exception that is to be durable with the report made next, not before."""
        disposition = self.alarms.disposition(AlarmSource.MODULE, code)
        if disposition is not Disposition.LOG:
            alarm = self.alarms.value(
                AlarmSource.MODULE, code, disposition, self.utc_s(now_us), text, value=value
            )
            self.alarms.keep(alarm)

    def raise_(
        self,
        source: AlarmSource,
        code: int,
        disposition: Disposition,
        text: str,
        now_us: int,
        *,
        monitor_nbr: int = NO_MONITOR,
        value: int = 0,
        time_s: int | None = None,
    ) -> None:
        """Act on an exception; the caller commits the memory, which holds an advisory."""
        if disposition is Disposition.LOG:
            return
        if time_s is None:
            time_s = self.utc_s(now_us)
        alarm = self.alarms.value(source, code, disposition, time_s, text, monitor_nbr, value)
        if disposition is Disposition.ADVISORY:
            self.alarms.keep(alarm)
            return
        service = write_own(SsiTable.ALARM, alarm)
        if self._together is None:
            self.report(self.header(Cause.ALARM, now_us), [service], now_us, urgent=True)
        else:
            self._together.append(service)

    @contextmanager
    def together(self, now_us: int) -> Iterator[None]:
        """Make all that is raised within durable in one commit, and the memory with it.

        What one look has found is kept with the state that says so: after a power cut between
        two commits the rest of it would count as told.
        """
        alarms: list[bytes] = []
        self._together = alarms
        yield
        self._together = None
        if alarms:
            self.report(self.header(Cause.ALARM, now_us), alarms, now_us, urgent=True)
        else:
            self.keep()

    def outage(self, number: int, start_s: int, end_s: int | None, now_us: int) -> int | None:
        """Act on a loss (``end_s`` None) or a restoration, times in UTC seconds.

        Gives the number of the report, when it is told at once.  As an advisory, an outage rides
        on the next report when it is over; the log of outages has each.
        """
        settings = self._configuration.value(SsiTable.OUTAGE)
        if settings["DISPOSITION"] != Disposition.ALARM:
            if settings["DISPOSITION"] == Disposition.ADVISORY and end_s is not None:
                self._let_wait([number, start_s, end_s], now_us)
            self.keep()
            return None
        service = self._outage_record(number, start_s, end_s)
        return self.report(self.header(Cause.OUTAGE, now_us), [service], now_us, urgent=True)

    def _outage_record(self, number: int, start_s: int, end_s: int | None) -> bytes:
        record = {
            "OUTAGE_NBR": number,
            "RESTORED": int(end_s is not None),
            "START_TIME": start_s,
            "END_TIME": end_s or 0,
            "DURATION_S": max(0, end_s - start_s) if end_s else 0,
            "NBR_MOMENTARIES": self._memory.losses.momentaries & 0xFFFF,
        }
        return write_own(SsiTable.OUTAGE_RECORD, record)

    def hello(self, status: dict[str, Any], now_us: int) -> bool:
        """Tell who the module is, how it does, and the meter's context.

        False where that would take the place of an exception: it waits, also for a restart.
        """
        assert self.meter is not None
        services = [write_own(SsiTable.MODULE_VERSION, version_value(self._esn, self.upgrade))]
        services.append(write_own(SsiTable.MODULE_STATUS, status))
        services.append(write_own(SsiTable.UPGRADE_STATUS, self.upgrade.status()))
        for number, image in sorted(self.meter.images.items()):
            services += carry_table(number, image)
        header = self.header(Cause.HELLO, now_us)
        victims = self._outbox.victims(len(pack(header, services)))
        if any(one.urgent and not one.set_aside for one in victims):
            if self._memory.seen.context_sent:
                self._memory.seen.context_sent = 0
                self.keep()
            return False
        self._memory.seen.context_sent = self.meter.id
        self.report(header, services, now_us)
        return True
