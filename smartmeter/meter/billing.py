"""Registers by time: tiers, demand reset, self-read and season, as ST-21 and ST-51 couple them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansi_tables import layout_for
from smartmeter.meter.clock import Clock
from smartmeter.meter.demand import Exclusion
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.lists import KeptList, ListPointers
from smartmeter.meter.profile import DeviceProfile, ListStyle
from smartmeter.meter.program import Program
from smartmeter.meter.quantities import RESET_COUNT
from smartmeter.meter.registers import Registers
from smartmeter.meter.time_of_use import Due, TimeOfUse

#: ST-21 SELF_READ_DEMAND_RESET, bit by bit (values from memory).
RESET_READS, READ_RESETS = 1, 2
SUNDAY = 0

#: Tells what happened: code, UTC seconds, argument.
Note = Callable[[EventCode, int, bytes], None]


class Billing:
    """The registers, what was kept of them, and when they are reset, read and changed.

    ``counts`` gives the counts of the summations' sources now.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        clock: Clock,
        note: Note,
        counters: dict[int, int],
        counts: Callable[[Program], list[int]],
    ) -> None:
        self._style = profile.lists.get("self_reads", ListStyle())
        self._clock, self._note = clock, note
        self._counters, self._counts = counters, counts
        self.exclusion = Exclusion()
        self.test_mode = False

    def begin(self, program: Program) -> None:
        """Begin with registers of zero, and nothing kept."""
        self.program = program
        self.registers = Registers(program)
        self.registers.credited_from(self._counts(program))
        self.previous_season: bytes | None = None
        self.previous_reset: bytes | None = None
        function = self._function()
        size = program.table(21).get("NBR_SELF_READS", 0)
        inhibit = bool(function.get("SELF_READ_INHIBIT_OVERFLOW_FLAG"))
        self._numbered = bool(function.get("SELF_READ_SEQ_NBR_FLAG"))
        blank = (layout_for(25, program.context).size or 0) if function else 0
        pointers = ListPointers(size, self._style, inhibit)
        self.self_reads = KeptList(pointers, bytes(blank + 2 * self._numbered))

    def use(self, program: Program) -> None:
        """Take a program with the same registers."""
        self.program = program
        self.registers.use(program)

    def _function(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.program.table(21).get("REG_FUNC2_FLAGS", {})
        return found

    def _time_flag(self, name: str) -> bool:
        return bool(self.program.table(51).get("TIME_FUNC_FLAG1", {}).get(name))

    # What the calendar asks for.

    def follow(self, due: Due, time: TimeOfUse, utc_s: int) -> None:
        """Do what a step of the calendar asks for."""
        begins = due.new_season if due.new_season != time.state.season else None
        if due.new_season is not None and self._time_flag("SEASON_CHNG_ARMED_FLAG"):
            time.state.armed_season, begins = begins, None
        if begins is not None and due.again:  # what ended with it the first time is kept
            self.credit(time.state.summation_tier)
            self._begin_season(begins, time, utc_s)
            begins = None
        self.act(time, utc_s, self._reads_itself(due, utc_s), due.demand_reset, begins)

    def _reads_itself(self, due: Due, utc_s: int) -> bool:
        function = self._function()
        sunday = self._clock.local(utc_s).isoweekday() % 7 == SUNDAY
        daily = bool(function.get("DAILY_SELF_READ_FLAG"))
        weekly = bool(function.get("WEEKLY_SELF_READ_FLAG")) and sunday
        by_calendar = due.self_read and self._time_flag("TOU_SELF_READ_FLAG")
        return by_calendar or (due.midnight and (daily or weekly))

    # Registers.

    def credit(self, tier: int) -> None:
        """Bring the registers up to what was measured; in test mode it is left out."""
        counts = self._counts(self.program)
        if self.test_mode:
            self.registers.credited_from(counts)
        else:
            self.registers.credit(counts, tier)

    def may_reset(self, utc_s: int) -> bool:
        """Tell whether ST-13 lets a demand reset happen now."""
        return utc_s >= self.exclusion.reset_until_s

    def act(
        self, time: TimeOfUse, utc_s: int, read: bool, reset: bool, season: int | None = None
    ) -> tuple[bool, bool]:
        """Read the registers, reset demand, let a season begin; give what was read and reset.

        ST-21 couples reading and resetting, ST-51 has a new season bring both, and a season
        that is armed comes with a reset: whatever asks for it, each is done once.  All that is
        kept is kept before the reset, so that ST-24 to ST-26 tell the same of this instant.
        """
        coupling = self._coupling()
        may_reset = self.may_reset(utc_s) and bool(self.program.table(21))
        reset = may_reset and (reset or self._with_season("SEASON_DEMAND_RESET_FLAG", season))
        season = time.state.armed_season if reset and season is None else season
        read = read or (reset and bool(coupling & RESET_READS))
        read = self._has_room(read or self._with_season("SEASON_SELF_READ_FLAG", season))
        if read and coupling & READ_RESETS and may_reset and not reset:
            reset, season = True, time.state.armed_season if season is None else season
        self.credit(time.state.summation_tier)
        if season is not None:
            self.previous_season = self._kept(24, "PREV_SEASON_REG_DATA", time, utc_s)
        if read:
            self._self_read(time, utc_s)
        if reset:
            self._demand_reset(time, utc_s)
        if season is not None:
            self._begin_season(season, time, utc_s)
        return read, reset

    def _begin_season(self, season: int, time: TimeOfUse, utc_s: int) -> None:
        time.change_season(season)
        self._note(EventCode.SEASON_CHANGED, utc_s, bytes([season]))

    def _coupling(self) -> int:
        return self._function().get("SELF_READ_DEMAND_RESET", 0)

    def _with_season(self, flag: str, season: int | None) -> bool:
        return season is not None and self._time_flag(flag)

    def _has_room(self, wanted: bool) -> bool:
        """Make room for a self-read that is wanted; False when none is, or there is no room."""
        pointers = self.self_reads.pointers
        return wanted and pointers.capacity > 0 and pointers.add()

    def _self_read(self, time: TimeOfUse, utc_s: int) -> None:
        """Keep the registers as an entry of ST-26."""
        order, added = self.program.formats.data_order, self.self_reads.pointers.added
        number = (added % 65536).to_bytes(2, order) if self._numbered else b""
        self.self_reads.add(number + self._kept(25, "PREV_DEMAND_RESET_DATA", time, utc_s))
        self._note(EventCode.SELF_READ, utc_s, b"")

    def _demand_reset(self, time: TimeOfUse, utc_s: int) -> None:
        self.previous_reset = self._kept(25, "PREV_DEMAND_RESET_DATA", time, utc_s)
        self.registers.reset_demand()
        self._counters[RESET_COUNT] += 1
        if self.program.table(21).REG_FUNC1_FLAGS.DEMAND_RESET_LOCK_FLAG:
            self.exclusion.after_reset(self.program.table(13), utc_s)
        self._note(EventCode.DEMAND_RESET, utc_s, b"")

    def _kept(self, number: int, name: str, time: TimeOfUse, utc_s: int) -> bytes:
        """Encode the registers now, with time and season, as ST-24 and ST-25 hold them."""
        moment = self._clock.moment(self._clock.stamp(utc_s))
        info = {"END_DATE_TIME": moment, "SEASON": time.state.season}
        value = {"REGISTER_INFO": info, name: self.registers.table(self._clock)}
        return layout_for(number, self.program.context).encode(value)

    def self_read_table(self) -> bytes:
        """Give ST-26: a head with counters of 8 bits, then all entries."""
        pointers, order = self.self_reads.pointers, self.program.formats.data_order
        head = bytes([pointers.flag_bits, pointers.valid, pointers.newest])
        head += (pointers.added % 65536).to_bytes(2, order) + bytes([pointers.unread])
        return head + self.self_reads.octets()

    def clear(self) -> None:
        """Forget registers and what was kept (procedure 3); numbers of self-reads go on."""
        added = self.self_reads.pointers.added
        self.begin(self.program)
        self.self_reads.pointers.added = added

    # Memory.

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        kept = (self.previous_season, self.previous_reset)
        return {
            "registers": self.registers.to_json(),
            "self_reads": self.self_reads.to_json(),
            "kept": [None if octets is None else octets.hex() for octets in kept],
            "exclusion": [self.exclusion.demand_until_s, self.exclusion.reset_until_s],
            "test_mode": self.test_mode,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state back."""
        self.registers.restore(state["registers"])
        self.self_reads.restore(state["self_reads"])
        kept = [None if octets is None else bytes.fromhex(octets) for octets in state["kept"]]
        self.previous_season, self.previous_reset = kept
        self.exclusion = Exclusion(*state["exclusion"])
        self.test_mode = state["test_mode"]
