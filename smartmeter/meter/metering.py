"""What flows, and what becomes of it: totals, demand, registers, tiers, load profile.

Of each source one exact total is kept, in thousandths times microseconds, that
only ever grows by what flowed.  Registers, demands and intervals are
differences of these totals: nothing is rounded twice, and nothing is lost.

Order at one instant: demands end, intervals end, then the calendar acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import gcd
from typing import Any

from smartmeter.base.clock import US_PER_S
from smartmeter.meter.billing import Billing, Note
from smartmeter.meter.clock import Clock
from smartmeter.meter.demand import MINUTE_US, DemandMeter
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.loads import Flow
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.program import Program
from smartmeter.meter.quantities import COUNTERS, OUTAGE_COUNT, OUTAGES
from smartmeter.meter.recorders import Recorders
from smartmeter.meter.registers import Registers
from smartmeter.meter.time_of_use import TimeOfUse, state_from_json

#: Which tables a part of the data depends on: when one of them changes, that part is cleared.
_DEPENDS = {
    "formats": (0,),
    "sources": (11, 12, 15, 16),
    "registers": (11, 12, 15, 16, 21, 22),
    "demand": (11, 13, 16, 27),
    "profile": (11, 12, 15, 16, 61, 62),
    "calendar": (51, 53, 54),
}


class Metering:
    """The measuring half of a meter: it knows calendar time and flow, no port and no memory."""

    def __init__(
        self,
        profile: DeviceProfile,
        program: Program,
        clock: Clock,
        flow: Callable[[int], Flow],
        note: Note,
        on_interval: Callable[[Interval], None],
        load_step_min: int = 1,
    ) -> None:
        """``flow`` tells what flows in a minute; it is asked every ``load_step_min`` minutes."""
        self._clock, self._flow, self._note = clock, flow, note
        self._load_step_min = load_step_min
        self._limit_w = profile.overload_w
        self.measured_us = 0
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.time = TimeOfUse(program, clock, None)
        self.totals: dict[int, int] = dict.fromkeys(program.measured, 0)
        self.demands: dict[int, DemandMeter] = {}
        self.billing = Billing(profile, clock, note, self.counters, self._counts)
        self.billing.begin(program)
        self.recorders = Recorders(
            profile, clock, on_interval, lambda: (self.totals, self.test_mode)
        )
        self.recorders.begin(program, 0)
        self._new_demands(program)
        self._use(program)

    @property
    def registers(self) -> Registers:
        """Give the current registers."""
        return self.billing.registers

    @property
    def test_mode(self) -> bool:
        """Tell whether what flows is left out of the registers."""
        return self.billing.test_mode

    # Programs.

    def _use(self, program: Program) -> None:
        """Take a program; what is measured by it begins where nothing was measured before."""
        self.program = program
        self._rates = [(n, program.sources[n].rate) for n in program.measured]
        self.totals = {n: self.totals.get(n, 0) for n in program.measured}
        steps = [meter.step_min for meter in self.demands.values()]
        steps += [recorder.set.length_min for recorder in self.recorders]
        self._step_min = gcd(*steps) if steps else 0
        self._minute, self._now_rates = -1, [0] * len(self._rates)

    def reprogram(self, program: Program) -> None:
        """Take a changed program; what its change makes meaningless is cleared."""
        before, after = self.program.images, program.images
        same = {
            name: all(before.get(n) == after.get(n) for n in numbers)
            for name, numbers in _DEPENDS.items()
        }
        if not same["formats"]:
            same = dict.fromkeys(same, False)
        moved_s = program.zone_min * 60 - self._clock.zone_s
        if same["profile"]:
            self.recorders.zone_moved(moved_s, self.measured_us)
        self._clock.use(program)
        if not same["sources"]:
            self.totals = {}
        self._use(program)
        if same["registers"]:
            self.billing.use(program)
        else:
            self.billing.begin(program)
        if not (same["demand"] and same["registers"]):
            self._new_demands(program)
        if same["profile"]:
            self.recorders.use(program)
        else:
            self.recorders.begin(program, self.measured_us)
        self._interrupt_demands(moved_s)
        self.time.use(program)
        self._use(program)
        if not same["calendar"]:
            self.time.begin(self.measured_us // US_PER_S)

    def _new_demands(self, program: Program) -> None:
        self.demands = {}
        for number in program.measured:
            source = program.sources[number]
            if source.control is not None:
                self.demands[number] = DemandMeter(source, source.control)
                self.demands[number].interrupt(self.totals.get(number, 0))
        self._on_boundary(self.measured_us)

    # Running.

    def begin(self, utc_us: int) -> None:
        """Start the clock of a new meter."""
        self.measured_us = utc_us
        self.time.begin(utc_us // US_PER_S)
        self._on_boundary(utc_us)
        self.recorders.begin(self.program, utc_us)

    def _on_boundary(self, utc_us: int) -> None:
        """A demand that begins on its boundary is measured whole."""
        for meter in self.demands.values():
            meter.state.broken = self._inside(meter, utc_us)

    def _inside(self, meter: DemandMeter, utc_us: int) -> bool:
        return self._clock.after_boundary_us(meter.step_min * 60, utc_us) != 0

    def next_us(self) -> int:
        """Give the next instant (UTC) at which something ends or begins."""
        due = self.time.due_us(self.measured_us)
        if not self._step_min:
            return due
        after_us = self._clock.after_boundary_us(self._step_min * 60, self.measured_us)
        return min(due, self.measured_us + self._step_min * MINUTE_US - after_us)

    def advance(self, utc_us: int) -> bool:
        """Measure up to an instant; True when something ended that must be kept."""
        kept = False
        while self.measured_us < utc_us:
            next_us = self.next_us()
            until_us = min(utc_us, next_us)
            self._measure(until_us)
            if until_us == next_us:
                self._happen(until_us)
                kept = True
        return kept

    def _measure(self, until_us: int) -> None:
        self.recorders.measured(until_us - self.measured_us)
        totals = self.totals
        while self.measured_us < until_us:
            minute = self.measured_us // MINUTE_US
            end_us = min(until_us, (self._look(minute) + self._load_step_min) * MINUTE_US)
            part_us = end_us - self.measured_us
            for (number, _), rate in zip(self._rates, self._now_rates, strict=True):
                totals[number] += rate * part_us
            self.measured_us = end_us

    def _look(self, minute: int) -> int:
        """Take the rates of a minute; give the minute from which they hold."""
        minute -= minute % self._load_step_min
        if minute != self._minute:
            flow = self._flow(minute)
            self._now_rates = [rate(flow) if rate else 0 for _, rate in self._rates]
            self._minute = minute
        return minute

    def flow_changed(self) -> None:
        """Look at the flow anew: it has changed within the minute."""
        self._minute = -1

    def _happen(self, utc_us: int) -> None:
        utc_s = utc_us // US_PER_S
        if utc_us % MINUTE_US == 0:
            local_minute = (utc_s + self._clock.zone_s) // 60
            self._end_demands(local_minute, utc_s)
            self.recorders.minute_ended(local_minute, utc_s)
        self._calendar(utc_s)

    # Demand.

    def _end_demands(self, local_minute: int, utc_s: int) -> None:
        ended: dict[int, int] = {}
        excluded_until_s = self.billing.exclusion.demand_until_s
        for number, meter in self.demands.items():
            if meter.ends_at(local_minute):
                value = meter.end(self.totals[number])
                if value is not None and utc_s - meter.control.length_min * 60 >= excluded_until_s:
                    ended[number] = value
        if not ended or self.test_mode:
            return
        over = [n for n, value in ended.items() if self.demands[n].overloads(value, self._limit_w)]
        if over:
            self._note(EventCode.DEMAND_OVERLOAD, utc_s, b"")
        stamp, tier = self._clock.stamp(utc_s), self.time.state.demand_tier
        coincident = [0 if n is None else self.value_now(n) for n in self.program.coincidents]
        for index, chosen in enumerate(self.program.demands):
            if chosen in ended:
                self.registers.demand_ended(index, ended[chosen], stamp, tier, coincident)

    def value_now(self, number: int) -> int:
        """Give a source as a register shows it: its last demand, count, or momentary value."""
        source = self.program.sources[number]
        if source.rate is None:
            return source.shown(self.counters[source.unit.quantity] * 1000)
        if number in self.demands:
            return self.demands[number].state.last or 0
        if source.is_energy:
            return source.count(self.totals[number])
        self._look(self.measured_us // MINUTE_US)
        return source.shown(self._now_rates[self.program.measured.index(number)])

    def _interrupt_demands(self, moved_s: int | None = None) -> None:
        """Break all demands, or those of which the boundaries have moved by some seconds."""
        for number, meter in self.demands.items():
            if moved_s is None or moved_s % (meter.step_min * 60):
                meter.interrupt(self.totals[number])
                meter.state.broken = self._inside(meter, self.measured_us)

    # Outage and clock.

    def power_returned(self, utc_us: int, off_since_us: int) -> None:
        """Go on after an outage: nothing flowed, and the calendar went on without us.

        By a clock that has gone back before its beginning an outage lasted no time.
        """
        old_us, self.measured_us = self.measured_us, max(utc_us, self.measured_us)
        length_s = max(self.measured_us - off_since_us, 0) // US_PER_S
        self.counters[OUTAGE_COUNT] += 1
        self.counters[OUTAGES] += 1
        self.recorders.power_returned(old_us, self.measured_us)
        self._interrupt_demands()
        for meter in self.demands.values():
            meter.cool(length_s)
        now_s = self.measured_us // US_PER_S
        self.billing.exclusion.after_outage(self.program.table(13), length_s, now_s)
        self._calendar(now_s)

    def clock_set(self, utc_us: int) -> None:
        """Go on at another time; measured up to the old one before."""
        self.credit()
        old_us, self.measured_us = self.measured_us, utc_us
        self.recorders.clock_set(old_us, utc_us)
        self._interrupt_demands()
        self.flow_changed()
        season = self.time.state.season
        self.time.clock_set(utc_us // US_PER_S)
        if self.time.state.season != season:
            argument = bytes([self.time.state.season])
            self._note(EventCode.SEASON_CHANGED, utc_us // US_PER_S, argument)
        self.billing.exclusion.shift((utc_us - old_us) // US_PER_S)

    # Calendar.

    def _calendar(self, utc_s: int) -> None:
        self.credit()
        due = self.time.step(utc_s)
        if due.dst is not None:
            self._note(EventCode.DST_ON if due.dst else EventCode.DST_OFF, utc_s, b"")
        if due.special is not None:
            argument = bytes([due.special])
            self._note(EventCode.SPECIAL_SCHEDULE_ACTIVATED, utc_s, argument)
        self.billing.follow(due, self.time, utc_s)
        self._move_tier(utc_s)

    def _move_tier(self, utc_s: int) -> None:
        """Put the tier of this instant in force."""
        self.credit()
        if self.time.move_tier(utc_s):
            state = self.time.state
            tiers = bytes([state.summation_tier, state.demand_tier])
            self._note(EventCode.TIER_SWITCH, utc_s, tiers)

    # Commands.

    def _counts(self, program: Program) -> list[int]:
        return [
            0 if n is None else program.sources[n].count(self.totals.get(n, 0))
            for n in program.summations
        ]

    def credit(self) -> None:
        """Bring the registers up to what was measured."""
        self.billing.credit(self.time.state.summation_tier)

    def read_and_reset(
        self, utc_s: int, read: bool, reset: bool, season: int | None = None
    ) -> tuple[bool, bool]:
        """Read the registers, reset demand, begin a season; tell what was read and reset."""
        done = self.billing.act(self.time, utc_s, read, reset, season)
        self._move_tier(utc_s)
        return done

    def record_profile(self, on: bool) -> None:
        """Start or stop recording in all sets."""
        edition = self.program.formats.std_version_no
        self.recorders.record(on, self.measured_us, edition)

    def clear_data(self) -> None:
        """Forget collected data (procedure 3); the configuration stays.

        Counts begin anew wherever they are shown: in registers, present values, ends of blocks.
        """
        self.totals = dict.fromkeys(self.totals, 0)
        self.billing.clear()
        self._new_demands(self.program)
        self.recorders.clear(self.measured_us)

    def set_test_mode(self, on: bool) -> None:
        """Enter or leave test mode: what flows in it is in no billing register."""
        self.credit()
        self.billing.test_mode = on
        self.credit()
        self._interrupt_demands()

    # Memory.

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        self.credit()
        return {
            "measured_us": self.measured_us,
            "totals": {str(n): total for n, total in self.totals.items()},
            "counters": {str(n): count for n, count in self.counters.items()},
            "demands": {str(n): meter.to_json() for n, meter in self.demands.items()},
            "billing": self.billing.to_json(),
            "profile": self.recorders.to_json(),
            "time": self.time.to_json(),
        }

    def restore(self, state: Mapping[str, Any], page: Callable[[str], bytes | None]) -> None:
        """Take the state back; KeyError, ValueError or TypeError when it is none."""
        self.measured_us = state["measured_us"]
        self.totals = {int(n): total for n, total in state["totals"].items()}
        self.counters.update({int(n): count for n, count in state["counters"].items()})
        for number, kept in state["demands"].items():
            self.demands[int(number)].restore(kept)
        self.billing.restore(state["billing"])
        self.recorders.restore(state["profile"], page)
        self.time = TimeOfUse(self.program, self._clock, state_from_json(state["time"]))
        self._use(self.program)
