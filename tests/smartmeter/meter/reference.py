"""A slow and simple meter, written from the standard's words, to compare the real one with.

It goes through every minute, keeps what it saw, and works everything out again:
sums from the start, demands from sums at minute boundaries, tiers and seasons by
looking the dates up (``reference_calendar``), lists as lists.  It shares with the
meter the world (``flow_at``), the decoded tables, and what a dial holds.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, getcontext
from typing import Any

from ansi_tables import Snapshot
from smartmeter.meter.loads import Flow
from smartmeter.meter.profile import dial
from tests.smartmeter.meter.reference_calendar import ReferenceCalendar
from tests.smartmeter.meter.reference_lists import ReferenceList, ReferenceLogs
from tests.smartmeter.meter.reference_profile import FORWARD, POWER, SKIPPED, STOPPED, World
from tests.smartmeter.meter.reference_world import COUNTERS, THERMAL, Sources, rate

getcontext().prec = 40
DAY_S = 86_400
Registers = dict[str, Any]
#: The argument of an overload's event.
OVERLOAD = 14


class Reference:
    """The meter of some tables in a world; times are UTC seconds of its own clock."""

    def __init__(
        self,
        tables: Snapshot,
        flow: Callable[[int], Flow],
        utc_s: int,
        applied: frozenset[str],
        limit_w: int,
    ) -> None:
        self.flow, self.now, self.limit_w = flow, utc_s, limit_w
        self.calendar = ReferenceCalendar(tables, applied)
        self.calendar.begin(utc_s)
        self.calendar.in_force = self.calendar.tiers(utc_s)
        self.logs = ReferenceLogs(tables, self.calendar.shown)
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.exclude_until = self.reset_until = self.resets = 0
        self.test = False
        self.world = World([], self.count, self.calendar.shown, lambda: self.calendar.dst)
        self.reprogram(tables, set(range(100)))
        self.logs.begin(tables)

    # Programs.

    def reprogram(self, tables: Snapshot, changed: set[int]) -> None:
        """Take tables of which some have changed; what that makes meaningless is forgotten."""
        self.tables = tables
        self.sources = Sources(tables)
        self.units = self.sources.units
        formats = tables[0].FORMAT_CONTROL_3
        self.dial1, self.dial2 = dial(formats.NI_FORMAT1), dial(formats.NI_FORMAT2)
        offset = (tables.get(53) or {}).get("TIME_ZONE_OFFSET", 0)
        moved = 60 * (offset if isinstance(offset, int) else 0) - self.calendar.zone
        if not changed & {11, 12, 15, 16, 61, 62}:
            for one in self.profiles:
                one.move(self.world, moved)
        self.calendar.use(tables)
        if changed & {11, 12, 15, 16}:
            self.world.energy = [0] * len(self.units)
        self._tell()
        if changed & {11, 12, 15, 16, 21, 22}:
            self._forget_registers()
        if changed & {11, 12, 13, 15, 16, 21, 22, 27}:
            self._forget_demands()
        else:
            self._gap([n for n, (step, _) in self.sources.intervals.items() if moved % step])
        if changed & {11, 12, 15, 16, 61, 62}:
            self.profiles = self.world.sets(self.sources, tables)
        elif changed and tables[0].STD_VERSION_NO > 1:
            for one in self.profiles:
                one.changed = True
        if changed & {51, 53, 54}:
            self.calendar.begin(self.now)
            self.calendar.in_force = self.calendar.tiers(self.now)
        if changed & {71}:
            self.logs.begin(tables)
        self.logs.use(tables)
        self.used = self._used()

    def _tell(self) -> None:
        self.world.now, self.world.zone, self.world.test = self.now, self.calendar.zone, self.test

    def _forget_registers(self) -> None:
        dims = self.tables[21]
        self.tiers: int = dims.NBR_TIERS
        self.selected = [x.SOURCE_INDEX for x in self.tables[22].SUMMATION_SELECT]
        self.demand_sources = [x.SOURCE_INDEX for x in self.tables[22].DEMAND_SELECT]
        self.coincidents = [x.SOURCE_INDEX for x in self.tables[22].get("COINCIDENT_SELECT", [])]
        self.credited = [[0] * (1 + self.tiers) for _ in self.selected]
        self.counted = [0 if s == 255 else self.count(s) for s in self.selected]
        #: Demands since the last reset: (demand, value, time, tier, coincident values).
        self.ended: list[tuple[int, int, datetime, int, list[int]]] = []
        self.cumulative: dict[tuple[int, int | None], int] = {}
        self.resets = 0
        self.kept_season: Any = None
        self.kept_reset: Any = None
        inhibit = bool(dims.REG_FUNC2_FLAGS.SELF_READ_INHIBIT_OVERFLOW_FLAG)
        self.self_reads = ReferenceList(dims.NBR_SELF_READS, inhibit)

    def _used(self) -> set[int]:
        """Give the sources that some table selects: no others are watched."""
        present = self.tables.get(27) or {}
        chosen = [*self.tables[22].get("COINCIDENT_SELECT", []), *self.tables[22].DEMAND_SELECT]
        chosen += [
            *present.get("PRESENT_DEMAND_SELECT", []),
            *present.get("PRESENT_VALUE_SELECT", []),
        ]
        return {one.SOURCE_INDEX for one in chosen} | {
            source for one in self.profiles for source in one.channels
        }

    def _forget_demands(self) -> None:
        self.thermal = dict.fromkeys(self.sources.intervals, Decimal(0))
        self.last = dict.fromkeys(self.sources.intervals, 0)
        self.over: set[int] = set()
        self.since: dict[int, int] = {}
        self.at_minute: dict[int, list[int]] = {}
        self._gap(self.sources.intervals)

    def _gap(self, sources: Iterable[int]) -> None:
        """Demands of some sources are measured whole from here on only."""
        self.since |= dict.fromkeys(sources, self.now)
        self.at_minute[self.now] = list(self.world.energy)

    # Sources.

    def count(self, source: int) -> int:
        if self.units[source].ID_CODE in COUNTERS:
            return self.counters[self.units[source].ID_CODE]
        return self.sources.count(source, self.world.energy[source])

    def value(self, source: int) -> int:
        """Give a source as a register shows it: a demand, a count, or what it is now."""
        if source in self.sources.intervals:
            return self.last[source]
        if self.sources.is_energy(source) or self.units[source].ID_CODE in COUNTERS:
            return self.count(source)
        milli = rate(self.units[source], self.flow(self.now // 60))
        return self.sources.mean(source, milli, 1)

    def present(self, source: int) -> int:
        """Give a source as ST-28 shows it: a count turns over, all else is held."""
        value = self.value(source)
        if self.sources.is_energy(source):
            return _wrapped(value, self.dial1)
        return _held(value, self.dial1)

    def building_up(self, source: int) -> int:
        """Give a demand before its interval ends: what flowed so far, over the whole length."""
        if self.units[source].TIME_BASE == THERMAL:
            return self.sources.mean(source, int(self.thermal[source]), 1)
        step, length = self.sources.intervals[source]
        zone = self.calendar.zone
        running = self.now - (self.now + zone) % step
        since = self.since[source]
        whole = since + -(since + zone) % step  # the first boundary since a gap
        begin = max(running - (length - step), whole) if whole <= running else since
        energy = self.world.energy[source] - self.at_minute[begin][source]
        return self.sources.mean(source, energy, length)

    def seconds_left(self, source: int) -> int:
        """Give the seconds until a demand can be new."""
        step = self.sources.intervals[source][0]
        return step - (self.now + self.calendar.zone) % step

    # Running.

    def run(self, seconds: int) -> None:
        """Let so many seconds go by with power."""
        until = self.now + seconds
        while self.now < until:
            minute_end = (self.now // 60 + 1) * 60
            end = min(until, minute_end)
            flow = self.flow(self.now // 60)
            for source, unit in enumerate(self.units):
                self.world.energy[source] += rate(unit, flow) * (end - self.now)
            self.world.seconds += end - self.now
            summation, demand = self.calendar.in_force
            self.now = end
            self._tell()
            self._credit(summation)
            if end == minute_end:
                self.at_minute[end] = list(self.world.energy)
                self.at_minute.pop(end - DAY_S - 3600, None)
                self._end_demands(demand)
                self._end_intervals()
                self._calendar()

    def _credit(self, tier: int) -> None:
        for at, source in enumerate(self.selected):
            new = 0 if source == 255 else self.count(source) - self.counted[at]
            self.counted[at] += new
            for kept in [0] if tier >= self.tiers else [0, 1 + tier]:
                self.credited[at][kept] += 0 if self.test else new

    def _end_demands(self, tier: int) -> None:
        ended = {}
        for source, (step, length) in self.sources.intervals.items():
            begin = self.now - (step if self.units[source].TIME_BASE == THERMAL else length)
            if (self.now + self.calendar.zone) % step or begin < self.since[source]:
                continue
            energy = self.world.energy[source] - self.at_minute[begin][source]
            if self.units[source].TIME_BASE == THERMAL:
                # A thermal meter: nine tenths of a step in the length of its interval.
                share = 1 - Decimal(10) ** (Decimal(-60) / length)
                self.thermal[source] += (Decimal(energy) / 60 - self.thermal[source]) * share
                self.last[source] = self.sources.mean(source, int(self.thermal[source]), 1)
            else:
                self.last[source] = self.sources.mean(source, energy, length)
            if self.now - length >= self.exclude_until:
                ended[source] = self.last[source]
        if not self.test:
            self._overload(ended)
        captured = [0 if s == 255 else self.value(s) for s in self.coincidents] if ended else []
        for index, source in enumerate(self.demand_sources):
            if source in ended and not self.test:
                at = self.calendar.shown(self.now)
                self.ended.append((index, ended[source], at, tier, captured))

    def _overload(self, ended: dict[int, int]) -> None:
        """Note that a demand went over what the service is built for."""
        over = {
            source
            for source, value in ended.items()
            if source in self.used
            and self.units[source].ID_CODE in (0, 1, 2, 3)
            and value * self.sources.weights[source] > self.limit_w > 0
        }
        if over - self.over:
            self.logs.note(46, self.now, bytes([OVERLOAD]))
        self.over = self.over - set(ended) | over

    def best(self, index: int, tier: int | None) -> list[tuple[int, datetime, list[int]]]:
        """Give the occurrences of a demand register: best first, the earlier of equal ones."""
        seen = [
            (value, at, captured)
            for number, value, at, in_tier, captured in self.ended
            if number == index and tier in (None, in_tier)
        ]
        maximum = index in self.tables[22].MIN_OR_MAX_FLAGS
        seen.sort(key=lambda one: -one[0] if maximum else one[0])
        return seen[: self.tables[21].NBR_OCCUR]

    def registers(self) -> list[Registers]:
        """Give the blocks of ST-23: of all tiers together, and of each."""
        blocks = []
        most = self.tables[21].NBR_OCCUR
        for tier in (None, *range(self.tiers)):
            demands, found = [], []
            for index in range(len(self.demand_sources)):
                best = self.best(index, tier)
                found.append(best)
                cumulated = self.cumulative.get((index, tier), 0)
                maximum = index in self.tables[22].MIN_OR_MAX_FLAGS
                running = best[0][0] if best and maximum else 0
                demands.append(
                    {
                        "TIMES": [at for _, at, _ in best],
                        "CUM_DEMAND": _wrapped(cumulated, self.dial1),
                        "CONT_CUM_DEMAND": _wrapped(cumulated + running, self.dial1),
                        "DEMAND": _filled([self.held(v) for v, _, _ in best], most),
                    }
                )
            sums = [one[0 if tier is None else 1 + tier] for one in self.credited]
            coincidents = [
                _filled([self.held(captured[at]) for _, _, captured in found[demand]], most)
                for at, demand in enumerate(self.tables[22].get("COIN_DEMAND_ASSOC", []))
            ]
            blocks.append(
                {
                    "SUMMATIONS": [_wrapped(total, self.dial1) for total in sums],
                    "DEMANDS": demands,
                    "COINCIDENTS": coincidents,
                }
            )
        return blocks

    def held(self, value: int) -> int:
        return _held(value, self.dial2)

    # Reset, self-read, season.

    def _kept(self) -> tuple[datetime, int, int, list[Registers]]:
        at = self.calendar.shown(self.now)
        return at, self.calendar.season, self.resets % 256, self.registers()

    def act(self, read: bool = False, reset: bool = False, season: int | None = None) -> None:
        """Do what is asked for at one instant and what that brings, each once."""
        flags, coupling = self.calendar.flags1, self.tables[21].REG_FUNC2_FLAGS
        free, kept = self.now >= self.reset_until, self.self_reads
        room = kept.capacity > 0 and not (kept.inhibit and kept.unread >= kept.capacity)
        for _ in range(3):
            season = self.calendar.armed if reset and free and season is None else season
            begins = season is not None
            read |= begins and bool(flags["SEASON_SELF_READ_FLAG"])
            read |= reset and free and coupling.SELF_READ_DEMAND_RESET in (1, 3)
            reset |= begins and bool(flags["SEASON_DEMAND_RESET_FLAG"])
            reset |= read and room and coupling.SELF_READ_DEMAND_RESET in (2, 3)
        if not read and not reset and season is None:
            return
        now = self._kept()
        if season is not None:
            self.kept_season = now
        if read and kept.add(now):
            self.logs.note(21, self.now)
        if reset and free:
            self.kept_reset = now
            self._reset_demand()
        if season is not None:
            self._begin_season(season)

    def _begin_season(self, season: int) -> None:
        self.calendar.season, self.calendar.armed = season, None
        self.logs.note(24, self.now, bytes([season]))

    def _reset_demand(self) -> None:
        for index in self.tables[22].MIN_OR_MAX_FLAGS:
            for tier in (None, *range(self.tiers)):
                best = self.best(index, tier) if index < len(self.demand_sources) else []
                if best:
                    self.cumulative[index, tier] = (
                        self.cumulative.get((index, tier), 0) + (best[0][0])
                    )
        self.ended = []
        self.resets += 1
        self.counters[51] += 1
        if self.tables[21].REG_FUNC1_FLAGS.DEMAND_RESET_LOCK_FLAG:
            self.reset_until = self.now + 60 * self.tables[13].get("RESET_EXCLUSION", 0)
        self.logs.note(20, self.now)

    def move_tier(self) -> None:
        """Put the tiers of now in force."""
        tiers = self.calendar.tiers(self.now)
        if tiers != self.calendar.in_force:
            self.calendar.in_force = tiers
            self.logs.note(27, self.now, bytes(tiers))

    def _calendar(self) -> None:
        asked = self.calendar.step(self.now)
        if asked.dst is not None:
            self.logs.note(22 if asked.dst else 23, self.now)
        if asked.special is not None:
            self.logs.note(26, self.now, bytes([asked.special]))
        function = self.tables[21].REG_FUNC2_FLAGS
        sunday = self.calendar.local(self.now).weekday() == 6
        regular = function.DAILY_SELF_READ_FLAG or (function.WEEKLY_SELF_READ_FLAG and sunday)
        season = asked.season if asked.season != self.calendar.season else None
        if asked.season is not None and self.calendar.flags1["SEASON_CHNG_ARMED_FLAG"]:
            self.calendar.armed, season = season, None
        if season is not None and asked.again:
            self._begin_season(season)
            season = None
        self.act(asked.read or bool(asked.midnight and regular), asked.reset, season)
        self.move_tier()

    # Load profile.

    def _end_intervals(self) -> None:
        for one in self.profiles:
            if (self.now + self.calendar.zone) % one.length:
                continue
            if self.world.recording:
                one.close(self.world, self.now)
            else:
                one.mark(self.world.energy, self.world.seconds)
                one.common, one.short, one.long, one.changed = 0, False, False, False

    def record(self, on: bool) -> None:
        """Start or stop recording."""
        if on == self.world.recording:
            return
        self.world.recording = on
        code = STOPPED if self.tables[0].STD_VERSION_NO > 1 else SKIPPED
        for one in self.profiles:
            if on:
                one.fill(self.world, code)
            one.mark(self.world.energy, self.world.seconds)
            one.short = one.inside(self.now + self.calendar.zone)

    # Outage, clock, mode, data.

    def outage(self, seconds: int) -> None:
        """Let so many seconds go by without power."""
        self.logs.note(1, self.now)
        old, self.now = self.now, self.now + seconds
        self._tell()
        self.counters[50] += 1
        self.counters[42] += 1
        for one in self.profiles:
            one.pass_over(self.world, old, POWER)
        self._gap(self.sources.intervals)
        self._cool(seconds)
        control = self.tables.get(13) or {}
        recognised = max(
            control.get("P_FAIL_RECOGNTN_TM", 0), 60 * control.get("COLD_LOAD_PICKUP", 0)
        )
        if control.get("P_FAIL_EXCLUSION", 0) and seconds >= recognised:
            self.exclude_until = self.now + 60 * control["P_FAIL_EXCLUSION"]
        self._calendar()
        self.logs.note(2, self.now)

    def _cool(self, seconds: int) -> None:
        """Let thermal demands follow a load of nothing."""
        for source, (_, length) in self.sources.intervals.items():
            if self.units[source].TIME_BASE == THERMAL:
                self.thermal[source] *= Decimal(10) ** (Decimal(-seconds) / length)
                self.last[source] = self.sources.mean(source, int(self.thermal[source]), 1)

    def set_clock(self, seconds: int) -> None:
        """Set the clock forward, or back within the running intervals and further."""
        self.logs.note(3, self.now)
        old, self.now = self.now, self.now + seconds
        self._tell()
        for one in self.profiles:
            if seconds >= 0:
                one.pass_over(self.world, old, FORWARD)
            else:
                one.set_back(self.world, old)
        self._gap(self.sources.intervals)
        self.exclude_until += seconds if self.exclude_until else 0
        self.reset_until += seconds if self.reset_until else 0
        season, armed = self.calendar.season, self.calendar.armed
        of_old = self.calendar.by_dates(self.calendar.done)
        self.calendar.begin(self.now)
        if of_old == self.calendar.season:
            self.calendar.season, self.calendar.armed = season, armed
        self.calendar.in_force = self.calendar.tiers(self.now)
        if self.calendar.season != season:
            self.logs.note(24, self.now, bytes([self.calendar.season]))
        self.logs.note(4, self.now)

    def test_mode(self, on: bool) -> None:
        """Leave what flows out of the registers, or no more."""
        if on == self.test:
            return
        self.test = on
        self._tell()
        self._gap(self.sources.intervals)
        for code in (31, 32) if on else (33, 30):
            self.logs.note(code, self.now)

    def clear_data(self) -> None:
        """Forget what was collected."""
        self.world.energy = [0] * len(self.units)
        number = self.self_reads.number
        self._forget_registers()
        self.self_reads.number = number
        self._forget_demands()
        for one in self.profiles:
            one.blocks.clear()
            one.used = 0
            one.pulses = [0] * len(one.pulses)
            one.mark(self.world.energy, self.world.seconds)
            one.common, one.long, one.changed = 0, False, False
            one.short = one.inside(self.now + self.calendar.zone)
        if 76 in self.logs.logs:
            self.logs.logs[76].clear()
            self.logs.note(18, self.now)


def _filled(values: list[int], most: int) -> list[int]:
    return values + [0] * (most - len(values))


def _held(value: int, dial: int) -> int:
    return max(1 - dial, min(value, dial - 1))


def _wrapped(count: int, dial: int) -> int:
    return count % dial if count >= 0 else -(-count % dial)


#: Begin of the histories: before DST begins and ends, before the summer season, and in winter.
STARTS = tuple(
    int(datetime(2026, month, day, 7, 13, 20, tzinfo=UTC).timestamp())
    for month, day in ((3, 6), (5, 29), (9, 29), (10, 30), (12, 23), (2, 27), (3, 8), (11, 1))
)
