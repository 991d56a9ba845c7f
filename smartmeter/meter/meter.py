"""The solid-state meter: measures, keeps time, and serves C12.19 tables at its optical port.

A machine: bytes and instants in, bytes out.  It works only when something is
due (an interval ends, a tier changes) or is asked for; the load between two
instants is a function of the calendar, so nothing is lost by waiting.

At each end of an interval, event, write and power failure one commit makes all
that has changed durable: registers, load profile, logs, written tables, lock-out.
What flowed between the last commit and a kill is measured again from the calendar:
a real meter has a hold-up capacitor, and would have kept it.  A meter that was
gone for more than forty days was without power.  Each commit holds all that the
one before did, so registers never go back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansi_tables import layout_for
from ansi_tables.ids import NAME_MASK
from ansi_tables.layout import Layout
from ansi_tables.procedures import INITIATE, procedure_asked
from protocols.c1218.server import Refused, Server, ServerOptions
from protocols.datalink.timing import DEFAULT_TIMING, Timing
from protocols.machine import Event, earliest
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import Nvram
from smartmeter.meter import memory, tables
from smartmeter.meter.access import Access
from smartmeter.meter.clock import Clock
from smartmeter.meter.configuration import fits, with_tables
from smartmeter.meter.event_log import EventCode, Logs
from smartmeter.meter.kept_tables import KeptTables
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.loads import SERVICES, Flow, flow_at
from smartmeter.meter.metering import Metering
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.pending import (
    DEMAND_RESET_BIT,
    EVENT_OCTETS,
    SELF_READ_BIT,
    PendingTables,
    Waiting,
    pending_of,
)
from smartmeter.meter.procedures import run_procedure
from smartmeter.meter.profile import DeviceProfile, with_interval
from smartmeter.meter.profiles import RESIDENTIAL
from smartmeter.meter.program import ConfigurationRefused, Program, program_of
from smartmeter.meter.quantities import PROGRAMMED_COUNT, SAGS, SWELLS
from smartmeter.meter.service_switch import Answer, Position, ServiceSwitch
from smartmeter.meter.trouble import Condition, Conditions, Trouble, flag_bit

STATE_PAGE = "meter"
#: A processor that was gone measures what flowed meanwhile; for longer than this, nothing did.
MAX_UNSEEN_US = 40 * 86_400 * US_PER_S


@dataclass(frozen=True)
class MeterSettings:
    """What distinguishes one meter from the next.

    ``interval_min`` is the length of load-profile and demand intervals where it
    shall not be the profile's own; ``load_step_min`` for how many minutes what
    flows stays the same, so that a month of a fleet costs less; ``timing`` is that
    of the optical port.
    """

    serial: str = "SM000001"
    seed: int = 1
    interval_min: int | None = None
    load_step_min: int = 1
    reader_password: bytes = b"reader"
    master_password: bytes = b"master"
    profile: DeviceProfile = field(default=RESIDENTIAL, repr=False)
    timing: Timing = DEFAULT_TIMING


class Meter:
    """A meter with its optical port as the machine's port.

    ``on_interval`` is called with each finished interval of load-profile set 1:
    the book that a simulation keeps outside the system.
    """

    def __init__(
        self,
        settings: MeterSettings,
        nvram: Nvram,
        calendar: Calendar,
        now_us: int,
        on_interval: Callable[[Interval], None] | None = None,
    ) -> None:
        self.settings = settings
        self._nvram = nvram
        self._on_interval = on_interval or (lambda interval: None)
        self.profile = settings.profile
        if settings.interval_min is not None:
            self.profile = with_interval(self.profile, settings.interval_min)
        self.mains_on = True
        self.access = Access(settings.reader_password, settings.master_password)
        self.response: bytes = bytes(4)
        self.conditions = Conditions(self._load)
        self.switch = ServiceSwitch() if self.profile.has_switch else None
        kept = memory.kept(nvram.get(STATE_PAGE), settings)
        self._tables = KeptTables(self.profile, settings.serial, self.access.factory, nvram)
        self.program: Program = memory.program_kept(self.images)
        self.access.use(self.images, self.program.context)
        self.clock = Clock(calendar, self.program, frozenset(self.profile.clock))
        self._build()
        self.off_since_us = 0
        self._restore(kept, now_us)
        self._server = self._port()
        #: What the port of before an outage had to say when the mains returned.
        self._untold: Sequence[Event] = ()

    def _port(self) -> Server:
        """Give the optical port as it is after power-up."""
        return Server(OpticalPort(self), ServerOptions(timing=self.settings.timing))

    @property
    def calendar(self) -> Calendar:
        """Give the calendar that the clock runs on."""
        return self.clock.calendar

    @property
    def images(self) -> Mapping[int, bytes]:
        """Give the tables whose octets are kept, by number."""
        return self._tables.images

    def _build(self) -> None:
        """Make the parts of a meter that has measured nothing."""
        self.pending = PendingTables(self.program.formats.nbr_pending, self.clock)
        self.logs: Logs = Logs(self.program, self.profile.lists)
        self.metering: Metering = Metering(
            self.profile,
            self.program,
            self.clock,
            self._flow,
            self._happened,
            self._on_interval,
            self.settings.load_step_min,
        )
        self.programmed = False

    # The machine at the optical port.

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes at the optical port; without mains nobody is there."""
        if self.mains_on:
            self.advance(now_us)
            self._server.receive(data, now_us)

    def expire(self, now_us: int) -> None:
        """End intervals and time-outs that are due."""
        if self.mains_on:
            self.advance(now_us)
            self._server.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next interval ends, or a time-out of the port."""
        if not self.mains_on:
            return None
        due_us = self.metering.next_us()
        waits_s = self.pending.due_utc_s()
        if waits_s is not None:
            due_us = min(due_us, waits_s * US_PER_S)
        if self.switch is not None and self.switch.until_s:
            due_us = min(due_us, self.switch.until_s * US_PER_S)
        return earliest(self.calendar.deadline_us(due_us), self._server.deadline_us())

    def outgoing(self) -> bytes:
        """Give bytes to write to the optical port."""
        return self._server.outgoing() if self.mains_on else b""

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self._server.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give changes of speed."""
        untold, self._untold = self._untold, ()
        return (*untold, *self._server.events())

    # Measuring.

    def advance(self, now_us: int) -> None:
        """Measure up to now; what ends on the way is recorded and made durable.

        Without mains nothing flows, whoever looks: the outage is measured when they return.
        """
        if not self.mains_on:
            return
        utc_us = self.clock.utc_us(now_us)
        kept = self._activate_due(utc_us)
        kept = self.metering.advance(utc_us) or kept
        if self.switch is not None and self.switch.expire(utc_us // US_PER_S):
            self._switch_moved(EventCode.CONTROL_POINT_CHANGED_CONDITION, now_us)
        if kept:
            self._save()

    def _activate_due(self, utc_us: int) -> bool:
        """Put pending tables in force, each measured up to its time; True when one came due.

        Also true when something ended on the way.  Measured step by step, as a change of daylight
        saving moves what waits for a time of the clock.
        """
        kept = False
        while (due_s := self.pending.due_utc_s()) is not None:
            due_us = max(due_s * US_PER_S, self.metering.measured_us)
            step_us = min(due_us, self.metering.next_us())
            if step_us > utc_us:
                break
            kept = self.metering.advance(step_us) or kept
            if step_us == due_us:
                kept = True
                for group in self.pending.due(due_s):
                    self._come_due(group)
        return kept

    def _come_due(self, group: Sequence[Waiting]) -> None:
        """Put pending tables in force at their time, or give them up; it is nobody's session."""
        of_session, self.programmed = self.programmed, False
        now_s = self.metering.measured_us // US_PER_S
        if not self.activate(group):
            self.discard(group)
            self.conditions.set_flag("CONFIGURATION_ERROR_FLAG")
            self._log(EventCode.CONFIGURATION_ERROR, now_s)
        self._tell_programmed(now_s, user_id=0)
        self.programmed = of_session

    def _load(self, minute: int) -> Flow:
        return flow_at(self.settings.seed, minute, self.profile.load, self.profile.service)

    def _flow(self, minute: int) -> Flow:
        flow = self.conditions.flow(minute)
        if self.switch is None or self.switch.connected:
            return flow
        none = (0,) * len(flow.power_w)
        return replace(flow, power_w=none, reactive_var=none)

    # Power and trouble.

    def mains(self, on: bool, now_us: int) -> None:
        """Switch the mains.  The hold-up energy lasts to save; nothing flows without mains."""
        if on == self.mains_on:
            return
        if not on:
            self.advance(now_us)
            self._server.line_lost(now_us)
            self._lose_power(self.clock.utc_us(now_us))
            self.mains_on = False
            self._save()
            return
        self.mains_on = True
        self._untold = self.events()
        self._server = self._port()
        self.access.end()
        self._return(now_us)

    def _lose_power(self, utc_us: int) -> None:
        """Note that an outage has begun."""
        self.conditions.set_flag("POWER_FAILURE_FLAG")
        self._log(EventCode.PRIMARY_POWER_DOWN, utc_us // US_PER_S)
        self.off_since_us = utc_us

    def _return(self, now_us: int) -> None:
        """Come back after an outage; with an empty battery the clock stood still."""
        if Trouble.LOW_BATTERY in self.conditions.present:
            self.calendar.set(self.off_since_us, now_us)
            self.conditions.set_flag("CLOCK_ERROR_FLAG")
            self._log(EventCode.CLOCK_ERROR, self.off_since_us // US_PER_S)
        utc_us = self.clock.utc_us(now_us)
        self.metering.power_returned(utc_us, self.off_since_us)
        self._log(EventCode.PRIMARY_POWER_UP, utc_us // US_PER_S)
        self.off_since_us = 0
        self._save()

    def inject(
        self, kind: str, now_us: int, phase: int | None = None, percent: int | None = None
    ) -> None:
        """Let a trouble begin; SettingsError when it is not known (see ``trouble.Trouble``)."""
        phases = SERVICES[self.profile.service].phases
        condition = Condition.of(kind, phase, percent, phases)
        self.advance(now_us)
        effect = self.conditions.begin(condition)
        if condition.kind is Trouble.SAG or condition.kind is Trouble.PHASE_LOSS:
            self.metering.counters[SAGS] += 1
        elif condition.kind is Trouble.SWELL:
            self.metering.counters[SWELLS] += 1
        self._troubled(condition.kind, effect.begins, now_us)

    def relieve(self, kind: str, now_us: int) -> None:
        """Let a trouble end; its flag in ST-03 stays until procedure 7."""
        trouble = Condition.of(kind).kind
        self.advance(now_us)
        self._troubled(trouble, self.conditions.end(trouble).ends, now_us)

    def _troubled(self, kind: Trouble, code: EventCode | None, now_us: int) -> None:
        self.metering.flow_changed()
        if self.switch is not None:
            self.switch.load_side_voltage = Trouble.BACKFEED in self.conditions.present
        if code is not None:
            self._log(code, self.clock.utc_s(now_us), kind.argument)
        self._save()

    def operate_switch(self, close: bool, duration_s: int, utc_s: int, now_us: int) -> Answer:
        """Open or arm the service switch by command."""
        assert self.switch is not None
        before = self.switch.position
        answer = self.switch.operate("arm" if close else "open", utc_s, duration_s)
        if self.switch.position is not before:
            self._switch_moved(EventCode.CONTROL_POINT_CHANGED_COMMAND, now_us)
        return answer

    def press_button(self, now_us: int) -> bool:
        """Press the button at the meter: an armed switch closes; True when it did."""
        self.advance(now_us)
        if self.switch is None or self.switch.position is not Position.ARMED:
            return False
        if self.switch.operate("press", self.clock.utc_s(now_us)) is not Answer.DONE:
            return False
        self._switch_moved(EventCode.CONTROL_POINT_CHANGED_CONDITION, now_us)
        return True

    def _switch_moved(self, code: EventCode, now_us: int) -> None:
        assert self.switch is not None
        self.metering.flow_changed()
        state = list(Position).index(self.switch.position)
        self._log(code, self.clock.utc_s(now_us), bytes([state]))
        self._save()

    @property
    def standard_status(self) -> int:
        """Give ST-03.ED_STD_STATUS1: wrong passwords since the last right one are tampering."""
        status = self.conditions.standard_status
        return status | flag_bit("TAMPER_DETECT_FLAG") if self.access.failures else status

    @property
    def manufacturer_status(self) -> frozenset[int]:
        """Give ST-03.ED_MFG_STATUS, as far as its octets go.

        0 the service switch is not closed, 1 it is armed, 2 there was a swell,
        3 voltage on the load side, 4 a magnetic field.
        """
        bits = set(self.conditions.mfg_status)
        if self.switch is not None and not self.switch.connected:
            bits |= {0, 1} if self.switch.position is Position.ARMED else {0}
        return frozenset(bit for bit in bits if bit < 8 * self.program.formats.dim_mfg_status_used)

    # Tables.

    def table(self, number: int, now_us: int) -> bytes:
        """Give the image of a table as it is now; KeyError for one that is not kept here."""
        self.advance(now_us)
        waits = pending_of(number)
        if waits is not None:
            image = self.pending.image(waits)
            if image is None:
                raise KeyError(number)
            return image
        value = tables.current(self, number, now_us)
        if value is None:
            return self.images[number]
        return value if isinstance(value, bytes) else self.encode(number, value)

    def has(self, number: int) -> bool:
        """Tell whether the meter has a table, or a pending copy of it now."""
        waits = pending_of(number)
        if waits is not None:
            return waits in self.pending.waiting
        return number in self.program.formats.std_tbls_used

    def shown_by(self, number: int) -> tuple[int, ...]:
        """Give the tables that a table shows: itself, and the fragments of a user-defined one."""
        fragments = self.profile.user_tables.get(number, ())
        return (number, *(fragment.table for fragment in fragments))

    def writable(self, number: int) -> bool:
        """Tell whether the meter takes writes of a table, or of its pending copy."""
        waits = pending_of(number)
        if waits is not None:
            number = waits if self.program.formats.nbr_pending and waits != INITIATE else -1
        return number in self.program.formats.std_tbls_write

    def procedure_of(self, initiate: bytes) -> int:
        """Give the procedure that an image of ST-07 asks for, with bit 11 a manufacturer's."""
        return procedure_asked(initiate, self.program.formats.data_order)

    @property
    def access_method(self) -> int:
        """Give ST-00.DATA_ACCESS_METHOD: bit 0 by offset, bit 1 by index."""
        return self.program.formats.data_access_method

    def layout(self, number: int) -> Layout:
        """Give the layout of a table in this meter; of a pending copy, its event first."""
        return layout_for(number, self.program.context)

    def encode(self, number: int, value: Any) -> bytes:
        """Encode a table in this meter's formats."""
        return self.layout(number).encode(value)

    def write_table(self, number: int, data: bytes, now_us: int) -> None:
        """Take a written table; ST-07 runs its procedure.  Refused changes nothing."""
        self.advance(now_us)
        if number == INITIATE:
            response = run_procedure(self, data, now_us)
            self.response = self.response if response is None else response
            self._save()
            return
        waits = pending_of(number)
        if waits is not None:
            self._let_wait(waits, data, now_us)
        else:
            try:
                self._put_in_force(*with_tables(self.images, {number: data}))
            except ConfigurationRefused as error:
                raise Refused(ResponseCode.onp) from error
        subject = number.to_bytes(2, self.program.formats.data_order)
        self.note(EventCode.TABLE_WRITTEN, now_us, subject, number & NAME_MASK)

    def _let_wait(self, number: int, data: bytes, now_us: int) -> None:
        """Take a table that is to wait; Refused for an event that is not known, or a wrong size."""
        waiting = {one.number: one.image for one in self.pending.waiting.values()}
        waiting[number] = data[EVENT_OCTETS:]
        context, utc_s = self.program.context, self.clock.utc_s(now_us)
        if not fits(self.images, waiting, number) or not self.pending.write(
            number, data, context, utc_s
        ):
            raise Refused(ResponseCode.onp)

    def _put_in_force(self, images: dict[int, bytes], program: Program) -> None:
        """Go on with other images, and the program that they make."""
        self._tables.put(images)
        self.access.use(images, program.context)
        old, self.program = self.program, program
        if program.images != old.images:
            self.metering.reprogram(program)
            if old.images[0] == program.images[0] and old.images.get(71) == program.images.get(71):
                self.logs.use(program)
            else:
                self.logs.begin(program)
            self.programmed = True

    def activate(self, waiting: Sequence[Waiting]) -> bool:
        """Put pending tables in force together; False, and no change, when they make no meter."""
        utc_s = self.metering.measured_us // US_PER_S
        try:
            images, program = with_tables(self.images, {w.number: w.image for w in waiting})
        except ConfigurationRefused:
            return False
        # By the tables of before: the new ones may clear the registers.
        read = any(one.event[0] & SELF_READ_BIT for one in waiting)
        reset = any(one.event[0] & DEMAND_RESET_BIT for one in waiting)
        if read or reset:
            self.metering.read_and_reset(utc_s, read, reset)
        self._put_in_force(images, program)
        if waiting:
            self.pending.last_activation = self.clock.stamp(utc_s)
        self._end_waiting(waiting, EventCode.PENDING_TABLE_ACTIVATED, utc_s)
        return True

    def discard(self, waiting: Sequence[Waiting]) -> None:
        """Forget pending tables."""
        utc_s = self.metering.measured_us // US_PER_S
        self._end_waiting(waiting, EventCode.PENDING_TABLE_CLEARED, utc_s)

    def _end_waiting(self, waiting: Sequence[Waiting], code: EventCode, utc_s: int) -> None:
        self.pending.remove(list(waiting))
        for one in waiting:
            self._log(code, utc_s, one.number.to_bytes(2, self.program.formats.data_order))

    # Events.

    def note(self, code: EventCode, now_us: int, argument: bytes = b"", subject: int = 0) -> None:
        """Log an event of the session's user, durably."""
        self._log(code, self.clock.utc_s(now_us), argument, self.access.user_id, subject)
        self._save()

    def _happened(self, code: EventCode, utc_s: int, argument: bytes) -> None:
        """Log what metering saw; a demand over the limit is a trouble, too."""
        if code is EventCode.DEMAND_OVERLOAD:
            self.conditions.set_flag("DEMAND_OVERLOAD_FLAG")
            argument = Trouble.OVERLOAD.argument
        self._log(code, utc_s, argument)

    def _log(
        self,
        code: EventCode,
        utc_s: int,
        argument: bytes = b"",
        user_id: int = 0,
        subject: int = 0,
    ) -> bool:
        """Put an event into the logs that want it; True when one does."""
        moment = self.clock.moment(self.clock.stamp(utc_s))
        return self.logs.note(code, moment, user_id, argument, subject)

    def note_refusal(self, now_us: int) -> None:
        """Log a refusal, with the count of wrong passwords; durable with it."""
        failures = min(self.access.failures, 255)
        self.note(EventCode.TAMPER_ATTEMPT, now_us, bytes([failures]))

    def accessed(self, code: EventCode, now_us: int) -> None:
        """Log that a session reads, writes or has ended, durably where a log wants that."""
        if self._log(code, self.clock.utc_s(now_us), user_id=self.access.user_id):
            self._save()

    def ended(self, now_us: int) -> None:
        """Note that a session programmed the meter."""
        if self._tell_programmed(self.clock.utc_s(now_us), self.access.user_id):
            self._save()

    def _tell_programmed(self, utc_s: int, user_id: int) -> bool:
        """Count and log that the meter was programmed, if it was."""
        told, self.programmed = self.programmed, False
        if told:
            self.metering.counters[PROGRAMMED_COUNT] += 1
            self._log(EventCode.ED_PROGRAMMED, utc_s, user_id=user_id)
        return told

    # What procedures do.

    def set_clock(self, utc_us: int, now_us: int) -> None:
        """Set the clock; what the change does to intervals, demand and calendar is metering's.

        Without mains the beginning of the outage moves with it: that lasts as long as before.
        """
        self.advance(now_us)
        moved_us = utc_us - self.clock.utc_us(now_us)
        self.calendar.set(utc_us, now_us)
        if not self.mains_on:
            self.off_since_us += moved_us
        self.metering.clock_set(utc_us if self.mains_on else self.off_since_us)
        moved_s = moved_us // US_PER_S
        self.pending.shift(moved_s)
        if self.switch is not None:
            self.switch.shift(moved_s)
        self._save()

    def restore_factory_tables(self) -> None:
        """Put the factory's tables in force, but for the names that the owner gave."""
        self._tables.reset(but=(5, 6))
        self.program = program_of(self.images)
        self.access.use(self.images, self.program.context)
        self.metering.reprogram(self.program)
        self.logs.begin(self.program)

    # Memory.

    def keep_access(self) -> None:
        """Make the count of wrong passwords durable."""
        self._save()

    def _save(self) -> None:
        """Make all that has changed durable, in one commit."""
        pages: dict[str, bytes | None] = {STATE_PAGE: memory.state_of(self)}
        pages |= self._tables.changed_pages()
        for recorder in self.metering.recorders:
            pages |= recorder.changed_pages()
        self._nvram.commit(pages)
        self._tables.saved()

    def _restore(self, state: dict[str, Any] | None, now_us: int) -> None:
        """Go on as a meter of this state; a new one begins, and is made durable."""
        if state is None:
            self.metering.begin(self.clock.utc_us(now_us))
            self._save()
            return
        memory.restore(self, state, self._nvram.get, now_us)
        self.access.lock(now_us)
        # A session that programmed has ended with the processor.
        if self._tell_programmed(self.metering.measured_us // US_PER_S, user_id=0):
            self._save()
        utc_us = self.clock.utc_us(now_us)
        if utc_us < self.metering.measured_us:
            # The host's clock has gone back: ours was restored as it was set.
            self.metering.clock_set(utc_us)
        elif utc_us - self.metering.measured_us > MAX_UNSEEN_US and not self.off_since_us:
            self._lose_power(self.metering.measured_us)
        if self.off_since_us:
            self._return(now_us)
