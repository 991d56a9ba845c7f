"""What flows, and what becomes of it: totals, demand, registers, tiers, load profile.

Of each source one exact total is kept, in thousandths times microseconds, that
only ever grows by what flowed.  Registers, demands and intervals are
differences of these totals: nothing is rounded twice, and nothing is lost.

Order at one instant: demands end, intervals end, then the calendar acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any

from ansi_tables import layout_for
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.clock import Clock
from smartmeter.meter.demand import DemandMeter, Exclusion
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.lists import KeptList, ListPointers
from smartmeter.meter.load_profile import (
    CLOCK_BACKWARD,
    CLOCK_FORWARD,
    POWER_FAILED,
    STOPPED,
    Interval,
    Recorder,
)
from smartmeter.meter.loads import Flow
from smartmeter.meter.profile import DeviceProfile, ListStyle
from smartmeter.meter.program import Program
from smartmeter.meter.quantities import COUNTERS, OUTAGE_COUNT, OUTAGES, RESET_COUNT
from smartmeter.meter.registers import Registers
from smartmeter.meter.time_of_use import Due, TimeOfUse, state_from_json

MINUTE_US = 60 * US_PER_S
SUNDAY = 0
#: ST-21 SELF_READ_DEMAND_RESET, bit by bit (values from memory).
RESET_READS, READ_RESETS = 1, 2

#: Tells what happened: code, UTC seconds, argument.
Note = Callable[[EventCode, int, bytes], None]


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
    ) -> None:
        self._profile, self._clock = profile, clock
        self._flow, self._note, self._on_interval = flow, note, on_interval
        self.measured_us = 0
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.exclusion = Exclusion()
        self.recording, self.test_mode = True, False
        self.program = program
        self.time = TimeOfUse(program, clock, None)
        self.totals: dict[int, int] = dict.fromkeys(program.measured, 0)
        self._new_registers(program)
        self._new_recorders(program)
        self._use(program)

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
        old = self.program
        same = {
            name: all(old.images.get(n) == program.images.get(n) for n in numbers)
            for name, numbers in _DEPENDS.items()
        }
        if not same["formats"]:
            same = dict.fromkeys(same, False)
        if not same["sources"]:
            self.totals = {}
        self._use(program)
        if same["registers"]:
            self.registers.use(program)
        else:
            self._new_registers(program)
        if not same["demand"] or not same["registers"]:
            self._new_demands(program)
        if same["profile"]:
            for number, recorder in enumerate(self.recorders):
                recorder.set = program.sets[number]
        else:
            self._new_recorders(program)
        self._clock.use(program)
        self.time.use(program)
        self._use(program)
        if not same["calendar"]:
            self.time.begin(self.measured_us // US_PER_S)

    def _new_registers(self, program: Program) -> None:
        self.registers = Registers(program)
        self.registers.credited_from(self._counts(program))
        self.previous_season: bytes | None = None
        self.previous_reset: bytes | None = None
        dims = program.table(21)
        inhibit = bool(dims.get("REG_FUNC2_FLAGS", {}).get("SELF_READ_INHIBIT_OVERFLOW_FLAG"))
        size = dims.get("NBR_SELF_READS", 0)
        pointers = ListPointers(size, self._style("self_reads"), inhibit)
        blank = layout_for(25, program.context).size or 0 if dims else 0
        self._numbered = bool(dims.get("REG_FUNC2_FLAGS", {}).get("SELF_READ_SEQ_NBR_FLAG"))
        self.self_reads = KeptList(pointers, bytes(blank + 2 * self._numbered))
        self._new_demands(program)

    def _new_demands(self, program: Program) -> None:
        self.demands: dict[int, DemandMeter] = {}
        for number in program.measured:
            source = program.sources[number]
            if source.control is not None:
                self.demands[number] = DemandMeter(source, source.control)
                self.demands[number].interrupt(self.totals.get(number, 0))
        self._on_boundary(self.measured_us)

    def _new_recorders(self, program: Program) -> None:
        self.recorders = [
            Recorder(program, n, self._style(f"profile{s.number}"), self._newest_first(s.number))
            for n, s in enumerate(program.sets)
        ]
        for recorder in self.recorders:
            recorder.mark({**dict.fromkeys(program.measured, 0), **self.totals})
            recorder.short = self.measured_us % (recorder.length_s * US_PER_S) != 0
            recorder.changed = set(range(recorder.set.blocks))

    def _style(self, name: str) -> ListStyle:
        return self._profile.lists.get(name, ListStyle())

    def _newest_first(self, number: int) -> bool:
        return self._profile.lists.get(f"intervals{number}", ListStyle()).descending

    # Running.

    def begin(self, utc_us: int) -> None:
        """Start the clock of a new meter."""
        self.measured_us = utc_us
        self.time.begin(utc_us // US_PER_S)
        self._on_boundary(utc_us)
        for recorder in self.recorders:
            recorder.short = self._after_boundary_us(recorder.length_s, utc_us) != 0

    def _on_boundary(self, utc_us: int) -> None:
        """A demand that begins on its boundary is measured whole."""
        for meter in self.demands.values():
            step_s = meter.step_min * 60
            meter.state.broken = self._after_boundary_us(step_s, utc_us) != 0

    def _after_boundary_us(self, length_s: int, utc_us: int) -> int:
        """Give how long ago an interval of this length ended, in local standard time."""
        return (utc_us + self._clock.zone_s * US_PER_S) % (length_s * US_PER_S)

    def next_us(self) -> int:
        """Give the next instant (UTC) at which something ends or begins."""
        due = self.time.due_us(self.measured_us)
        if not self._step_min:
            return due
        step_us = self._step_min * MINUTE_US
        ends = self.measured_us + step_us
        return min(due, ends - self._after_boundary_us(self._step_min * 60, self.measured_us))

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
        span_us = until_us - self.measured_us
        while self.measured_us < until_us:
            minute = self.measured_us // MINUTE_US
            end_us = min(until_us, (minute + 1) * MINUTE_US)
            self._look(minute)
            part_us, totals = end_us - self.measured_us, self.totals
            for (number, _), rate in zip(self._rates, self._now_rates, strict=True):
                totals[number] += rate * part_us
            self.measured_us = end_us
        for recorder in self.recorders:
            recorder.measured_us += span_us

    def _look(self, minute: int) -> None:
        """Take the rates of a minute."""
        if minute != self._minute:
            flow = self._flow(minute)
            self._now_rates = [rate(flow) if rate else 0 for _, rate in self._rates]
            self._minute = minute

    def flow_changed(self) -> None:
        """Look at the flow anew: it has changed within the minute."""
        self._minute = -1

    def _happen(self, utc_us: int) -> None:
        utc_s = utc_us // US_PER_S
        local_minute = (utc_s + self._clock.zone_s) // 60
        if utc_us % MINUTE_US == 0:
            self._end_demands(local_minute, utc_s)
            for recorder in self.recorders:
                if local_minute % recorder.set.length_min == 0:
                    self._end_interval(recorder, utc_s)
        self._calendar(utc_s)

    # Demand.

    def _end_demands(self, local_minute: int, utc_s: int) -> None:
        ended: dict[int, int] = {}
        for number, meter in self.demands.items():
            if meter.ends_at(local_minute):
                value = meter.end(self.totals[number])
                length_s = meter.control.length_min * 60
                if value is not None and utc_s - length_s >= self.exclusion.demand_until_s:
                    ended[number] = value
        if not ended or self.test_mode:
            return
        stamp, tier = self._clock.stamp(utc_s), self.time.state.demand_tier
        coincident = self._coincident()
        for index, chosen in enumerate(self.program.demands):
            if chosen in ended:
                self.registers.demand_ended(index, ended[chosen], stamp, tier, coincident)

    def _coincident(self) -> list[int]:
        """Give the values of the coincident sources now: demand, count, or momentary."""
        return [0 if n is None else self.value_now(n) for n in self.program.coincidents]

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
        at = self.program.measured.index(number)
        return source.shown(self._now_rates[at])

    def _interrupt_demands(self) -> None:
        for number, meter in self.demands.items():
            meter.interrupt(self.totals[number])

    # Load profile.

    def _end_interval(self, recorder: Recorder, utc_s: int) -> None:
        if self.recording:
            self._tell(recorder.end(self._clock, utc_s, self.totals, self.test_mode))
        else:
            recorder.mark(self.totals)
            recorder.common, recorder.short, recorder.long = 0, False, False

    def _tell(self, *intervals: Interval | None) -> None:
        for interval in intervals:
            if interval is not None:
                self._on_interval(interval)

    def record_profile(self, on: bool) -> None:
        """Start or stop recording in all sets (procedures 16 and 17)."""
        if on == self.recording:
            return
        self.recording = on
        for recorder in self.recorders:
            if not on:
                recorder.mark(self.totals)
                continue
            code = STOPPED if self.program.formats.std_version_no > 1 else 4
            filled = recorder.fill_block(self._clock, self.totals, code)
            if recorder is self.recorders[0]:
                self._tell(*filled)
            recorder.mark(self.totals)
            after_us = self._after_boundary_us(recorder.length_s, self.measured_us)
            recorder.short = after_us != 0

    def _skip(self, recorder: Recorder, old_us: int, new_us: int, flag: int) -> None:
        """End the running interval, and record those up to ``new_us`` as skipped."""
        length_us = recorder.length_s * US_PER_S
        recorder.common |= flag
        recorder.short = True
        end_us = old_us + length_us - self._after_boundary_us(recorder.length_s, old_us)
        if new_us < end_us:
            return
        told: list[Interval | None] = []
        if self.recording:
            told.append(recorder.end(self._clock, end_us // US_PER_S, self.totals, self.test_mode))
            last_us = new_us - self._after_boundary_us(recorder.length_s, new_us)
            fits = recorder.set.blocks * recorder.set.intervals
            first_us = max(end_us + length_us, last_us - fits * length_us)
            for skipped_us in range(first_us, last_us + 1, length_us):
                recorder.common = flag
                told.append(recorder.skip(self._clock, skipped_us // US_PER_S, self.totals))
        inside = self._after_boundary_us(recorder.length_s, new_us) != 0
        recorder.common, recorder.short = (flag, True) if inside else (0, False)
        if recorder is self.recorders[0]:
            self._tell(*told)

    # Outage and clock.

    def power_returned(self, utc_us: int, off_since_us: int) -> None:
        """Go on after an outage: nothing flowed, and the calendar went on without us."""
        old_us, self.measured_us = self.measured_us, max(utc_us, self.measured_us)
        length_s = (self.measured_us - off_since_us) // US_PER_S
        self.counters[OUTAGE_COUNT] += 1
        self.counters[OUTAGES] += 1
        for recorder in self.recorders:
            self._skip(recorder, old_us, self.measured_us, POWER_FAILED)
        self._interrupt_demands()
        now_s = self.measured_us // US_PER_S
        self.exclusion.after_outage(self.program.table(13), length_s, now_s)
        self._on_boundary(self.measured_us)
        self._calendar(now_s)

    def clock_set(self, utc_us: int) -> None:
        """Go on at another time; measured up to the old one before."""
        old_us = self.measured_us
        self.credit()
        for recorder in self.recorders:
            if utc_us >= old_us:
                self._skip(recorder, old_us, utc_us, CLOCK_FORWARD)
            else:
                self._set_back(recorder, old_us, utc_us)
        self.measured_us = utc_us
        self._interrupt_demands()
        self._on_boundary(utc_us)
        self._minute = -1
        season = self.time.state.season
        self.time.begin(utc_us // US_PER_S)
        if self.time.state.season != season:
            self._note(
                EventCode.SEASON_CHANGED, utc_us // US_PER_S, bytes([self.time.state.season])
            )
        shift_s = (utc_us - old_us) // US_PER_S
        if self.exclusion.demand_until_s:
            self.exclusion.demand_until_s += shift_s
        if self.exclusion.reset_until_s:
            self.exclusion.reset_until_s += shift_s

    def _set_back(self, recorder: Recorder, old_us: int, new_us: int) -> None:
        recorder.common |= CLOCK_BACKWARD
        start_us = old_us - self._after_boundary_us(recorder.length_s, old_us)
        if new_us >= start_us:
            recorder.long = True
            return
        told: list[Interval | None] = []
        if self.recording:
            recorder.short = True
            end_s = start_us // US_PER_S + recorder.length_s
            told.append(recorder.end(self._clock, end_s, self.totals, self.test_mode))
            recorder.common = CLOCK_BACKWARD
            told += recorder.fill_block(self._clock, self.totals)
        inside = self._after_boundary_us(recorder.length_s, new_us) != 0
        recorder.common, recorder.short = CLOCK_BACKWARD if inside else 0, inside
        if recorder is self.recorders[0]:
            self._tell(*told)

    # Calendar.

    def _calendar(self, utc_s: int) -> None:
        self.credit()
        due = self.time.step(utc_s)
        if due.dst is not None:
            self._note(EventCode.DST_ON if due.dst else EventCode.DST_OFF, utc_s, b"")
        if due.special is not None:
            argument = bytes([due.special])
            self._note(EventCode.SPECIAL_SCHEDULE_ACTIVATED, utc_s, argument)
        if self._reads_itself(due, utc_s):
            self.self_read(utc_s)
        if due.new_season is not None and due.new_season != self.time.state.season:
            if self._time_flag("SEASON_CHNG_ARMED_FLAG"):
                self.time.state.armed_season = due.new_season
            else:
                self.change_season(due.new_season, utc_s)
        if due.demand_reset:
            self.demand_reset(utc_s)
        self.move_tier(utc_s)

    def move_tier(self, utc_s: int) -> None:
        """Put the tier of this instant in force."""
        self.credit()
        if self.time.move_tier(utc_s):
            state = self.time.state
            tiers = bytes([state.summation_tier, state.demand_tier])
            self._note(EventCode.TIER_SWITCH, utc_s, tiers)

    def _time_flag(self, name: str) -> bool:
        dims = self.program.table(51)
        return bool(dims and dims["TIME_FUNC_FLAG1"][name])

    def _reads_itself(self, due: Due, utc_s: int) -> bool:
        dims = self.program.table(21)
        if not dims:
            return False
        function = dims["REG_FUNC2_FLAGS"]
        sunday = self._clock.local(utc_s).isoweekday() % 7 == SUNDAY
        weekly = function["WEEKLY_SELF_READ_FLAG"] and due.midnight and sunday
        return due.self_read or (due.midnight and function["DAILY_SELF_READ_FLAG"]) or weekly

    # Registers by time.

    def _counts(self, program: Program) -> list[int]:
        return [
            0 if n is None else program.sources[n].count(self.totals.get(n, 0))
            for n in program.summations
        ]

    def credit(self) -> None:
        """Bring the registers up to what was measured."""
        counts = self._counts(self.program)
        if self.test_mode:
            self.registers.credited_from(counts)
        else:
            self.registers.credit(counts, self.time.state.summation_tier)

    def _coupling(self) -> int:
        dims = self.program.table(21)
        return int(dims["REG_FUNC2_FLAGS"]["SELF_READ_DEMAND_RESET"]) if dims else 0

    def may_reset(self, utc_s: int) -> bool:
        """Tell whether ST-13 lets a demand reset happen now."""
        return utc_s >= self.exclusion.reset_until_s

    def demand_reset(self, utc_s: int, coupled: bool = True) -> bool:
        """Reset demand, unless the last reset excludes it; a self-read may come with it."""
        if not self.may_reset(utc_s) or not self.program.table(21):
            return False
        self.credit()
        if coupled and self._coupling() & RESET_READS:
            self.self_read(utc_s, coupled=False)
        self.previous_reset = self._kept(25, "PREV_DEMAND_RESET_DATA", utc_s)
        self.registers.reset_demand()
        self.counters[RESET_COUNT] += 1
        self.exclusion.after_reset(self.program.table(13), utc_s)
        self._note(EventCode.DEMAND_RESET, utc_s, b"")
        armed = self.time.state.armed_season
        if armed is not None:
            self.change_season(armed, utc_s, resets=False)
        return True

    def self_read(self, utc_s: int, coupled: bool = True) -> bool:
        """Keep the registers as an entry of ST-26; a demand reset may come with it."""
        pointers = self.self_reads.pointers
        if not pointers.capacity or not pointers.add():
            return False
        self.credit()
        order = self.program.formats.data_order
        number = (pointers.added % 65536).to_bytes(2, order) if self._numbered else b""
        self.self_reads.add(number + self._kept(25, "PREV_DEMAND_RESET_DATA", utc_s))
        self._note(EventCode.SELF_READ, utc_s, b"")
        if coupled and self._coupling() & READ_RESETS:
            self.demand_reset(utc_s, coupled=False)
        return True

    def change_season(self, season: int, utc_s: int, resets: bool = True) -> None:
        """End the season: keep its registers for ST-24, read and reset as ST-51 says.

        A change that waited for a demand reset does not reset again.
        """
        self.credit()
        self.previous_season = self._kept(24, "PREV_SEASON_REG_DATA", utc_s)
        if self._time_flag("SEASON_SELF_READ_FLAG"):
            self.self_read(utc_s)
        self.time.change_season(season)
        if resets and self._time_flag("SEASON_DEMAND_RESET_FLAG"):
            self.demand_reset(utc_s)
        self._note(EventCode.SEASON_CHANGED, utc_s, bytes([season]))
        self.move_tier(utc_s)

    def _kept(self, number: int, name: str, utc_s: int) -> bytes:
        """Encode the registers now, with time and season, as ST-24 and ST-25 hold them."""
        info = {
            "END_DATE_TIME": self._clock.moment(self._clock.stamp(utc_s)),
            "SEASON": self.time.state.season,
        }
        value = {"REGISTER_INFO": info, name: self.registers.table(self._clock)}
        return layout_for(number, self.program.context).encode(value)

    def self_read_table(self) -> bytes:
        """Give ST-26: a head with counters of 8 bits, then all entries."""
        pointers, order = self.self_reads.pointers, self.program.formats.data_order
        flags = sum(bit << k for k, bit in enumerate(pointers.flags.values()))
        head = bytes([flags, pointers.valid, pointers.newest])
        head += (pointers.added % 65536).to_bytes(2, order) + bytes([pointers.unread])
        return head + self.self_reads.octets()

    def clear_data(self) -> None:
        """Forget collected data (procedure 3); the configuration stays."""
        self.credit()
        added = self.self_reads.pointers.added
        self._new_registers(self.program)
        self.self_reads.pointers.added = added
        for recorder in self.recorders:
            recorder.clear()
            recorder.mark(self.totals)
            recorder.short = True
        self._use(self.program)

    def set_test_mode(self, on: bool) -> None:
        """Enter or leave test mode: what flows in it is in no billing register."""
        self.credit()
        self.test_mode = on
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
            "registers": self.registers.to_json(),
            "self_reads": self.self_reads.to_json(),
            "kept": [None if k is None else k.hex() for k in self._snapshots()],
            "profile": [recorder.to_json() for recorder in self.recorders],
            "exclusion": [self.exclusion.demand_until_s, self.exclusion.reset_until_s],
            "time": self.time.to_json(),
            "recording": self.recording,
            "test_mode": self.test_mode,
        }

    def _snapshots(self) -> Sequence[bytes | None]:
        return (self.previous_season, self.previous_reset)

    def restore(self, state: Mapping[str, Any], page: Callable[[str], bytes | None]) -> None:
        """Take the state back; KeyError, ValueError or TypeError when it is none."""
        self.measured_us = state["measured_us"]
        self.totals = {int(n): total for n, total in state["totals"].items()}
        self.counters = {int(n): count for n, count in state["counters"].items()}
        for number, kept in state["demands"].items():
            self.demands[int(number)].restore(kept)
        self.registers.restore(state["registers"])
        self.self_reads.restore(state["self_reads"])
        kept = [None if k is None else bytes.fromhex(k) for k in state["kept"]]
        self.previous_season, self.previous_reset = kept
        for recorder, recorded in zip(self.recorders, state["profile"], strict=True):
            recorder.restore(recorded, page)
        self.exclusion = Exclusion(*state["exclusion"])
        self.time = TimeOfUse(self.program, self._clock, state_from_json(state["time"]))
        self.recording, self.test_mode = state["recording"], state["test_mode"]
        self._use(self.program)


#: Which tables a part of the data depends on: when one of them changes, that part is cleared.
_DEPENDS = {
    "formats": (0,),
    "sources": (11, 12, 15, 16),
    "registers": (11, 12, 15, 16, 21, 22),
    "demand": (11, 13, 16, 27),
    "profile": (11, 12, 15, 16, 61, 62),
    "calendar": (51, 53, 54),
}
