"""A slow and simple meter, written from the standard's words, to compare the real one with.

It goes through every minute, keeps what it saw in lists, and works everything
out from them again: sums from the start, demands from cumulated energies at
minute boundaries, tiers by looking at the calendar of the day before and today.
It shares with the meter only the world (``flow_at``) and the decoded tables.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from ansi_tables import Snapshot
from smartmeter.meter.loads import Flow

EPOCH = datetime(1970, 1, 1)
DAY_S = 86_400
OK, PARTIAL, LONG, SKIPPED = 0, 2, 3, 4
POWER, FORWARD, BACKWARD = 2, 4, 8
POWERS = (0, 2, 3, 6, 9, -2, -3, -6)


def rate(unit: Any, flow: Flow) -> Fraction:
    """Give a quantity in its base unit, as the standard defines it by quadrants."""
    segment = unit.SEGMENTATION - 5
    phases = range(len(flow.power_w)) if segment < 0 else [segment]
    phases = [k for k in phases if k < len(flow.power_w)]
    watts = sum(flow.power_w[k] for k in phases)
    var = sum(flow.reactive_var[k] for k in phases)
    quadrant = {(1, 1): 1, (0, 1): 2, (0, 0): 3, (1, 0): 4}[watts >= 0, var >= 0]
    volts = [flow.millivolts[k] for k in range(len(flow.millivolts))]
    amps = [
        math.isqrt(flow.power_w[k] ** 2 + flow.reactive_var[k] ** 2) * 10**6 // volts[k]
        for k in range(len(volts))
    ]
    if unit.ID_CODE in (10, 14):
        mean = sum(volts) // len(volts) if unit.ID_CODE == 10 else sum(amps) // len(amps)
        mean = sum(volts) if unit.ID_CODE == 10 and len(volts) == 2 else mean
        return Fraction(mean * mean // 1000, 1000)
    if not phases or not unit[f"Q{quadrant}_ACCOUNTABILITY"]:
        return Fraction(0)
    size = {
        0: Fraction(abs(watts)),
        1: Fraction(abs(var)),
        2: Fraction(
            sum(
                math.isqrt((flow.power_w[k] ** 2 + flow.reactive_var[k] ** 2) * 10**6)
                for k in phases
            ),
            1000,
        ),
        3: Fraction(math.isqrt((watts**2 + var**2) * 10**6), 1000),
        4: Fraction(abs(watts * 1000 + var * 1732) // 2, 1000),
    }[unit.ID_CODE]
    negative = unit.NET_FLOW_ACCOUNTABILITY and (var if unit.ID_CODE == 1 else watts) < 0
    return -size if negative else size


@dataclass
class Profile:
    """One load-profile set: its intervals as (end, values, common flags, code)."""

    number: int
    length_s: int
    sources: list[int]
    factors: list[tuple[int, int]]
    most: int | None  # intervals until the list stops, where it may not overflow
    intervals: list[tuple[int, tuple[int, ...], int, int]] = field(default_factory=list)
    start: dict[int, Fraction] = field(default_factory=dict)
    rest: list[int] = field(default_factory=list)
    common: int = 0
    short: bool = False
    long: bool = False

    def add(self, end: int, values: tuple[int, ...], common: int, code: int) -> None:
        if self.most is None or len(self.intervals) < self.most:
            self.intervals.append((end, values, common, code))


class Reference:
    """The meter of some tables in a world; times are UTC seconds of its own clock."""

    def __init__(self, tables: Snapshot, flow: Callable[[int], Flow], utc_s: int) -> None:
        self.tables, self.flow, self.now = tables, flow, utc_s
        self.units = tables[12].UOM_ENTRY
        self.zone = 60 * (tables[53].get("TIME_ZONE_OFFSET", 0) if 53 in tables else 0)
        self.dst_s = 60 * tables[53].DST_TIME_AMT if 53 in tables else 0
        self.energy = [Fraction(0) for _ in self.units]
        self.since = utc_s  # measured without a gap from here on
        self.at_minute: dict[int, list[Fraction]] = {utc_s: list(self.energy)}
        self.exclude_until = 0
        self.reset_until = 0
        self.tiers: int = tables[21].NBR_TIERS
        self.credited = [[0] * (1 + self.tiers) for _ in tables[22].SUMMATION_SELECT]
        self.counted = [0 for _ in tables[22].SUMMATION_SELECT]
        self.resets = 0
        self.periods: list[list[tuple[int, int, int, int]]] = [[]]  # (demand, value, time, tier)
        self.cumulative: dict[tuple[int, int], int] = {}
        self.dst = self.season = 0
        self.special = 15
        self.done_day = 0
        self.self_reads: list[int] = []
        self._begin_calendar()
        self.profiles = [self._profile(n) for n in (1, 2, 3, 4) if 63 + n in tables.images]
        for one in self.profiles:
            self._mark(one)
            one.short = (utc_s + self.zone) % one.length_s != 0

    # Sources.

    def weight(self, source: int) -> Fraction:
        return Fraction(10) ** POWERS[self.units[source].MULTIPLIER]

    def count(self, source: int) -> int:
        return math.floor(self.energy[source] / self.weight(source))

    # Calendar.

    def local(self, utc_s: int) -> datetime:
        return EPOCH + timedelta(seconds=utc_s + self.zone + self.dst_s * self.dst)

    def actions(self, day: datetime) -> list[Any]:
        found = []
        if 54 not in self.tables:
            return []
        weekday = day.isoweekday() % 7
        for entry in self.tables[54].NON_RECURR_DATES:
            if entry.CALENDAR_ACTION.CALENDAR_CTRL == 31:
                break
            if entry.NON_RECURR_DATE.value == day.date():
                found.append(entry.CALENDAR_ACTION)
        for entry in self.tables[54].RECURR_DATES:
            if entry.CALENDAR_ACTION.CALENDAR_CTRL == 31:
                break
            rule = entry.RECURR_DATE
            if rule["MONTH"] in (day.month, 13) and rule["DAY"] == day.day:
                found.append(entry.CALENDAR_ACTION)
        if self.tables[51].TIME_FUNC_FLAG2.CAP_DST_AUTO_FLAG and weekday == 0:
            for month, first, control in ((3, 8, 1), (11, 1, 2)):
                if day.month == month and first <= day.day < first + 7:
                    flags = {"CALENDAR_CTRL": control, "DEMAND_RESET_FLAG": 0, "SELF_READ_FLAG": 0}
                    found.append(type(self.units[0])(flags))
        return found

    def _begin_calendar(self) -> None:
        """Season and daylight saving as the last entries before now have them."""
        self.dst = self.season = 0
        self.armed: int | None = None
        self.special = 15
        day = self.local(self.now)
        season = dst = None
        for back in range(366):
            for action in reversed(self.actions(day - timedelta(days=back))):
                control = action["CALENDAR_CTRL"]
                if back == 0 and control in (1, 2):
                    raise AssertionError("begin the reference on a day without a DST change")
                if back == 0 and 19 <= control <= 30:
                    self.special = control - 19
                season = control - 3 if season is None and 3 <= control <= 18 else season
                dst = control if dst is None and control in (1, 2) else dst
        self.season, self.dst = season or 0, int(dst == 1)
        self.done_day = self.local(self.now).toordinal()

    def schedule(self, day: datetime) -> list[tuple[int, Any]]:
        table = self.tables[54]
        row = table.DAILY_SCHEDULE_ID_MATRIX[self.season]
        names = ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"]
        name = names[day.isoweekday() % 7]
        chosen = row.get(f"{name}_SCHEDULE", row.get("WEEKDAY_SCHEDULE"))
        if self.special < len(row.SPECIAL_SCHEDULE):
            chosen = row.SPECIAL_SCHEDULE[self.special]
        return sorted(
            (
                (s.TIER_SWITCH.SWITCH_HOUR * 60 + s.TIER_SWITCH.SWITCH_MIN, s.TIER_SWITCH)
                for s in table.TIER_SWITCHES
                if chosen == s.DAY_SCH_NUM and s.TIER_SWITCH.SWITCH_HOUR < 24
            ),
            key=lambda pair: pair[0],
        )

    def tier(self, flag: str) -> int:
        """Give the tier now; the calendars compared here switch at 00:00."""
        if 54 not in self.tables or not self.tables[54].DAILY_SCHEDULE_ID_MATRIX:
            return 0
        now = self.local(self.now)
        separate = self.tables[51].TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG
        found = 0
        for minute, switch in self.schedule(now):
            if minute <= now.hour * 60 + now.minute and (not separate or switch[flag]):
                found = switch.NEW_TIER
        return found

    def _calendar(self) -> None:
        today = self.local(self.now)
        reset = read = False
        if today.toordinal() > self.done_day:
            function = self.tables[21].REG_FUNC2_FLAGS
            read = bool(function.DAILY_SELF_READ_FLAG)
            read = read or bool(function.WEEKLY_SELF_READ_FLAG and today.isoweekday() == 7)
        new_season = self.season
        while self.done_day < today.toordinal():
            self.done_day += 1
            day = datetime.fromordinal(self.done_day)
            self.special = 15
            for action in self.actions(day):
                control = action["CALENDAR_CTRL"]
                new_season = control - 3 if 3 <= control <= 18 else new_season
                self.special = control - 19 if 19 <= control <= 30 else self.special
                reset = reset or bool(action["DEMAND_RESET_FLAG"])
                read = read or bool(action["SELF_READ_FLAG"])
                if control in (1, 2) and self.done_day < today.toordinal():
                    self.dst = int(control == 1)
        effective = self.tables[53].DST_TIME_EFF.value if 53 in self.tables else None
        for action in self.actions(today):
            control = action["CALENDAR_CTRL"]
            if control in (1, 2) and self.dst != (control == 1) and today.time() >= effective:
                self.dst = int(control == 1)
        if read:
            self.self_read()
        flags = self.tables[51].TIME_FUNC_FLAG1
        if new_season != self.season and flags.SEASON_CHNG_ARMED_FLAG:
            self.armed = new_season
        elif new_season != self.season:
            if flags.SEASON_SELF_READ_FLAG:
                self.self_read()
            self.season = new_season
            if flags.SEASON_DEMAND_RESET_FLAG:
                self.demand_reset()
        if reset:
            self.demand_reset()

    # Running.

    def run(self, seconds: int) -> None:
        """Let so many seconds go by with power."""
        until = self.now + seconds
        while self.now < until:
            minute_end = (self.now // 60 + 1) * 60
            end = min(until, minute_end)
            flow = self.flow(self.now // 60)
            for source, unit in enumerate(self.units):
                if unit.ID_CODE in (0, 1, 2, 3, 4, 10, 14):
                    self.energy[source] += rate(unit, flow) * Fraction(end - self.now, 3600)
            tier = self.tier("SUMMATION_SWITCH_FLAG")
            demand_tier = self.tier("DEMANDS_SWITCH_FLAG")
            self.now = end
            self._credit(tier)
            if end == minute_end:
                self.at_minute[end] = list(self.energy)
                self._end_demands(demand_tier)
                self._end_intervals()
                self._calendar()

    def _credit(self, tier: int) -> None:
        for at, chosen in enumerate(self.tables[22].SUMMATION_SELECT):
            new = self.count(chosen.SOURCE_INDEX) - self.counted[at]
            self.counted[at] += new
            self.credited[at][0] += new
            if tier < self.tiers:
                self.credited[at][1 + tier] += new

    def _interval(self, source: int) -> tuple[int, int]:
        """Give step and length in seconds of a demand source, from ST-16 and ST-13."""
        links = self.tables[16].SOURCES_LINK
        entry = self.tables[13].INTERVAL_VALUE[sum(x.DEMAND_CTRL_FLAG for x in links[:source])]
        if "SUB_INT" in entry:
            step, length = 60 * entry.SUB_INT, 60 * entry.SUB_INT * entry.INT_MULTIPLIER
        else:
            step = length = 60 * entry.INT_LENGTH
        return (step, step) if self.units[source].TIME_BASE == 3 else (step, length)

    def demand(self, source: int) -> int | None:
        """Give the demand that ends now, or None: none ends, or it was not seen whole."""
        step, length = self._interval(source)
        begin = self.now - length
        if (self.now + self.zone) % step or begin < max(self.since, self.exclude_until):
            return None
        energy = self.energy[source] - self.at_minute[begin][source]
        return math.floor(energy * Fraction(3600, length) / self.weight(source))

    def _end_demands(self, tier: int) -> None:
        for index, chosen in enumerate(self.tables[22].DEMAND_SELECT):
            if self.units[chosen.SOURCE_INDEX].TIME_BASE == 6:
                continue  # thermal: compared elsewhere
            value = self.demand(chosen.SOURCE_INDEX)
            if value is not None:
                self.periods[-1].append((index, value, self.now, tier))

    def best(self, index: int, tier: int | None, period: int = -1) -> list[tuple[int, int]]:
        """Give the occurrences of a demand register: best first, the earlier of equal ones."""
        seen = [
            (value, at)
            for number, value, at, in_tier in self.periods[period]
            if number == index and tier in (None, in_tier)
        ]
        maximum = index in self.tables[22].MIN_OR_MAX_FLAGS
        ordered = sorted(seen, key=lambda pair: (-pair[0] if maximum else pair[0], pair[1]))
        return ordered[: self.tables[21].NBR_OCCUR]

    def demand_reset(self) -> bool:
        """Reset demand, unless excluded."""
        if self.now < self.reset_until:
            return False
        coupling = self.tables[21].REG_FUNC2_FLAGS.SELF_READ_DEMAND_RESET
        if coupling & 1:
            self.self_reads.append(self.now)
        for index in range(len(self.tables[22].DEMAND_SELECT)):
            for tier in (None, *range(self.tiers)):
                best = self.best(index, tier)
                if best and index in self.tables[22].MIN_OR_MAX_FLAGS:
                    key = (index, -1 if tier is None else tier)
                    self.cumulative[key] = self.cumulative.get(key, 0) + best[0][0]
        self.periods.append([])
        self.resets += 1
        self.reset_until = self.now + 60 * self.tables[13].get("RESET_EXCLUSION", 0)
        if self.armed is not None:
            self.season, self.armed = self.armed, None
            if self.tables[51].TIME_FUNC_FLAG1.SEASON_SELF_READ_FLAG:
                self.self_read()
        return True

    def self_read(self) -> None:
        """Read the registers into the list; may reset demand."""
        self.self_reads.append(self.now)
        if self.tables[21].REG_FUNC2_FLAGS.SELF_READ_DEMAND_RESET & 2 and self.now >= (
            self.reset_until
        ):
            before = list(self.self_reads)
            self.demand_reset()
            self.self_reads = before

    # Load profile.

    def _profile(self, number: int) -> Profile:
        dims, control = self.tables[61], self.tables[62]
        selected = control[f"LP_SEL_SET{number}"]
        scalars = control.get(f"SCALARS_SET{number}", [1] * len(selected))
        divisors = control.get(f"DIVISOR_SET{number}", [1] * len(selected))
        sources = [one.LP_SOURCE_SELECT for one in selected]
        factors = list(zip(scalars, divisors, strict=True))
        length_s = 60 * dims[f"MAX_INT_TIME_SET{number}"]
        inhibit = dims.LP_FLAGS[f"LP_SET{number}_INHIBIT_OVF_FLAG"]
        most = dims[f"NBR_BLKS_SET{number}"] * dims[f"NBR_BLK_INTS_SET{number}"]
        rest = [0] * len(sources)
        return Profile(number, length_s, sources, factors, most if inhibit else None, rest=rest)

    def _mark(self, one: Profile) -> None:
        one.start = {s: Fraction(self.count(s)) for s in one.sources}
        one.common, one.short, one.long = 0, False, False

    def _end_intervals(self) -> None:
        for one in self.profiles:
            if (self.now + self.zone) % one.length_s == 0:
                self._close(one, self.now)

    def _close(self, one: Profile, end: int) -> None:
        code = LONG if one.long else PARTIAL if one.short else OK
        values = []
        for at, source in enumerate(one.sources):
            scalar, divisor = one.factors[at]
            new = (self.count(source) - int(one.start[source])) * scalar + one.rest[at]
            values.append(new // divisor)
            one.rest[at] = new % divisor
        one.add(end, tuple(values), one.common, code)
        self._mark(one)

    def _skip(self, one: Profile, old: int, flag: int) -> None:
        one.common |= flag
        one.short = True
        end = old - (old + self.zone) % one.length_s + one.length_s
        if self.now < end:
            return
        self._close(one, end)
        while end + one.length_s <= self.now:
            end += one.length_s
            one.add(end, (0,) * len(one.sources), flag, SKIPPED)
        if (self.now + self.zone) % one.length_s:
            one.common, one.short = flag, True

    def outage(self, seconds: int) -> None:
        """Let so many seconds go by without power."""
        old, self.now = self.now, self.now + seconds
        for one in self.profiles:
            self._skip(one, old, POWER)
        self._gap()
        control = self.tables[13]
        recognised = max(
            control.get("P_FAIL_RECOGNTN_TM", 0), 60 * control.get("COLD_LOAD_PICKUP", 0)
        )
        if control.get("P_FAIL_EXCLUSION", 0) and seconds >= recognised:
            self.exclude_until = self.now + 60 * control.P_FAIL_EXCLUSION
        self._calendar()

    def _gap(self) -> None:
        self.since = self.now
        self.at_minute[self.now] = list(self.energy)

    def set_clock(self, seconds: int) -> None:
        """Set the clock forward, or back within the running intervals and further."""
        old, self.now = self.now, self.now + seconds
        for one in self.profiles:
            if seconds >= 0:
                self._skip(one, old, FORWARD)
                continue
            one.common |= BACKWARD
            start = old - (old + self.zone) % one.length_s
            if self.now >= start:
                one.long = True
                continue
            one.short = True
            self._close(one, start + one.length_s)
            self._fill(one)
            if (self.now + self.zone) % one.length_s:
                one.common, one.short = BACKWARD, True
        self._gap()
        self.exclude_until += seconds if self.exclude_until else 0
        self.reset_until += seconds if self.reset_until else 0
        self._begin_calendar()

    def _fill(self, one: Profile) -> None:
        """Fill the block with skipped intervals, the first with the flag of the clock."""
        size = self.tables[61][f"NBR_BLK_INTS_SET{one.number}"]
        common = BACKWARD
        while len(one.intervals) % size:
            end = one.intervals[-1][0] + one.length_s
            one.add(end, (0,) * len(one.sources), common, SKIPPED)
