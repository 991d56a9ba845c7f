"""``--profile random --seed N``: a legal device drawn from the whole space of ST-00 and x1 tables.

The same seed gives the same device.  Bounded so that each table can be read in
one piece; MODEL_SELECT stays 0 (the layouts of decade 10 are not public), and
text has one octet a character at least (CHAR_FORMAT 1 to 3).  A device without
a clock (TM_FORMAT 0) has no calendar and no load profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansi_tables.decades.d06_load_profile import INTERVAL_FORMATS
from smartmeter.meter.display_codes import Item, Kind, State
from smartmeter.meter.event_log import STANDARD_EVENTS
from smartmeter.meter.procedures import PRECISE, SUPPORTED
from smartmeter.meter.profile import (
    USER_TABLES,
    DeviceProfile,
    Formats,
    Fragment,
    ListStyle,
    SourceProfile,
    Values,
    dial,
)
from smartmeter.meter.profiles import parts
from smartmeter.meter.profiles.chance import Chance
from smartmeter.meter.profiles.drawn_calendar import calendar_data, calendar_tables
from smartmeter.meter.quantities import (
    AMPERES,
    AMPERES_SQUARED,
    BLOCK,
    CURRENT_ANGLE,
    EVENT_COUNT,
    HERTZ,
    OUTAGES,
    PF_APPARENT,
    Q60,
    RESET_COUNT,
    SUB_BLOCK,
    THERMAL,
    VA_PHASOR,
    VA_RMS,
    VAR,
    VOLTS,
    VOLTS_SQUARED,
    WATT,
    Unit,
)

#: Lengths of intervals in minutes that divide the day and fit one octet.
_LENGTHS = tuple(minutes for minutes in range(1, 256) if 1440 % minutes == 0)
_DEMAND_LENGTHS = (1, 2, 3, 5, 10, 15, 20, 30, 60)
_QUADRANTS = ((1, 4), (2, 3), (1, 2), (3, 4), (1,), (2,), (3,), (4,), (1, 2, 3, 4))
#: Quantities as they are now, with the multiplier of ST-12.
_MOMENTARY = (
    (VOLTS, parts.CENTI),
    (AMPERES, parts.CENTI),
    (PF_APPARENT, parts.MILLI),
    (HERTZ, parts.CENTI),
    (CURRENT_ANGLE, parts.CENTI),
    (WATT, parts.KILO),
)
#: Below these the largest customer would turn a register over within days.
_DIAL_FOR_WH, _DIAL_FOR_W = 10**9, 10**7
_MAX_SET_OCTETS = 12_000


@dataclass
class _Sources:
    """The sources drawn so far, by what they can be used for."""

    all: list[SourceProfile] = field(default_factory=list)
    energies: list[int] = field(default_factory=list)
    demands: list[int] = field(default_factory=list)
    momentary: list[int] = field(default_factory=list)
    counters: list[int] = field(default_factory=list)

    def add(self, source: SourceProfile, kind: list[int]) -> None:
        kind.append(len(self.all))
        self.all.append(source)


class _Draw:
    """One device being drawn."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(f"profile/{seed}")
        self.seed = seed
        self.tables: dict[int, Values] = {}
        self.data: list[int] = [23]
        self.lists: dict[str, ListStyle] = {}

    # ST-00.

    def formats(self) -> Formats:
        draw = self.chance
        return Formats(
            data_order=draw.randrange(2),
            char_format=draw.randint(1, 3),
            tm_format=draw.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 4)),
            id_form=draw.randrange(2),
            int_format=draw.randrange(3),
            ni_format1=draw.randrange(14),
            ni_format2=draw.randrange(14),
            std_version_no=draw.choice((0, 1, 1, 1, 2, 2, 2, 3)),
            data_access_method=draw.choice((0, 1, 1, 2, 3, 3)),
        )

    # Decade 1.

    def sources(self, formats: Formats) -> _Sources:
        found = _Sources()
        big = parts.KILO if dial(formats.ni_format1) < _DIAL_FOR_WH else 0
        demand_unit = parts.KILO if dial(formats.ni_format2) < _DIAL_FOR_W else 0
        flags = list(self.chance.some(("PF_EXCLUDE_FLAG", "RESET_EXCLUDE_FLAG")))
        flags += self.chance.some(("SET1_PRESENT_FLAG", "SET2_PRESENT_FLAG"), 30)
        sliding, thermal = self.chance.yes(40), self.chance.yes(30)
        flags += ["BLOCK_DEMAND_FLAG"] + ["SLIDING_DEMAND_FLAG"] * sliding
        flags += ["THERMAL_DEMAND_FLAG"] * thermal
        found.add(parts.energy(WATT, parts.DELIVERED, big), found.energies)
        for _ in range(self.chance.randint(0, 7)):
            found.add(self._energy(big), found.energies)
        for _ in range(self.chance.randint(1, 4)):
            found.add(self._demand(demand_unit, sliding, thermal), found.demands)
        for _ in range(self.chance.randint(1, 8)):
            found.add(self._momentary(), found.momentary)
        for quantity in self.chance.some((OUTAGES, RESET_COUNT), 40):
            found.add(SourceProfile(Unit(quantity, EVENT_COUNT)), found.counters)
        self.tables[11] = {"SOURCE_FLAGS": tuple(flags)}
        self.tables[13] = {
            "RESET_EXCLUSION": self.chance.randint(0, 120),
            "P_FAIL_RECOGNTN_TM": self.chance.randint(0, 60),
            "P_FAIL_EXCLUSION": self.chance.randint(0, 60),
            "COLD_LOAD_PICKUP": self.chance.randint(0, 30),
        }
        width = self.chance.randint(1, 4)
        if self.chance.yes(30):
            found.all = [
                replace(s, data_id=n.to_bytes(width, "big")) if self.chance.yes() else s
                for n, s in enumerate(found.all)
            ]
        return found

    def _energy(self, big: int) -> SourceProfile:
        quantity = self.chance.choice((WATT, VAR, VA_RMS, VA_PHASOR, Q60))
        if self.chance.yes(20):
            return parts.net_energy(self.chance.choice((WATT, VAR)), big)
        if self.chance.yes(15):
            square = self.chance.choice((VOLTS_SQUARED, AMPERES_SQUARED))
            return parts.energy(square, parts.ALL, parts.KILO)
        constants, applied = None, True
        if self.chance.yes(25):
            applied = self.chance.yes()
            constants = {
                "MULTIPLIER": self.chance.choice((1, 2, 10, 100)),
                "OFFSET": 0,
                **{name: self._ratios() for name in ("SET1_CONSTANTS", "SET2_CONSTANTS")},
            }
        unit = parts.energy(quantity, self.chance.choice(_QUADRANTS), big).unit
        return SourceProfile(unit, constants=constants, applied=applied)

    def _ratios(self) -> Values:
        return {
            "SET_FLAGS": {"SET_APPLIED_FLAG": int(self.chance.yes(70))},
            "RATIO_F1": self.chance.choice((1, 20, 120)),
            "RATIO_P1": self.chance.choice((1, 4)),
        }

    def _demand(self, multiplier: int, sliding: bool, thermal: bool) -> SourceProfile:
        quantity = self.chance.choice((WATT, VAR, VA_RMS))
        base = self.chance.choice((BLOCK, BLOCK, SUB_BLOCK, *[THERMAL] * thermal))
        count = self.chance.randint(1, 6) if sliding else 1
        interval = (self.chance.choice(_DEMAND_LENGTHS), count)
        quadrants = self.chance.choice(_QUADRANTS)
        return parts.demand(quantity, quadrants, interval, multiplier, base)

    def _momentary(self) -> SourceProfile:
        quantity, multiplier = self.chance.choice(_MOMENTARY)
        return parts.momentary(quantity, multiplier, segment=self.chance.choice((0, 5, 6, 7)))

    # Decade 2.

    def registers(self, sources: _Sources, tiers: int, has_time: bool) -> None:
        draw = self.chance
        summations = self.chance.pick(sources.energies, 8) or [0]
        demands = self.chance.pick(sources.demands, 4)
        coincidents = self.chance.pick([*sources.demands, *sources.momentary], 3) if demands else []
        present = self.chance.pick(
            [*sources.momentary, *sources.energies, *sources.counters, 255], 6
        )
        chosen = self.chance.pick([*sources.demands, 255], 3)
        reads = draw.randint(0, 6)
        self.tables[21] = {
            "REG_FUNC1_FLAGS": self.chance.some(
                (
                    "SEASON_INFO_FIELD_FLAG",
                    "DATE_TIME_FIELD_FLAG",
                    "DEMAND_RESET_CTR_FLAG",
                    "DEMAND_RESET_LOCK_FLAG",
                    "CUM_DEMAND_FLAG",
                    "CONT_CUM_DEMAND_FLAG",
                    "TIME_REMAINING_FLAG",
                )
            ),
            "REG_FUNC2_FLAGS": {
                "SELF_READ_INHIBIT_OVERFLOW_FLAG": draw.randrange(2),
                "SELF_READ_SEQ_NBR_FLAG": draw.randrange(2),
                "DAILY_SELF_READ_FLAG": int(has_time) * draw.randrange(2),
                "WEEKLY_SELF_READ_FLAG": int(has_time) * draw.randrange(2),
                "SELF_READ_DEMAND_RESET": draw.randrange(4),
            },
            "NBR_SELF_READS": reads,
            "NBR_SUMMATIONS": len(summations),
            "NBR_DEMANDS": len(demands),
            "NBR_COIN_VALUES": len(coincidents),
            "NBR_OCCUR": draw.randint(1, 4),
            "NBR_TIERS": tiers,
            "NBR_PRESENT_DEMANDS": len(chosen),
            "NBR_PRESENT_VALUES": len(present),
        }
        self.tables[22] = {
            "SUMMATION_SELECT": parts.select(*summations),
            "DEMAND_SELECT": parts.select(*demands),
            "MIN_OR_MAX_FLAGS": frozenset(self.chance.some(range(len(demands)), 80)),
            "COINCIDENT_SELECT": parts.select(*coincidents),
            "COIN_DEMAND_ASSOC": [draw.randrange(len(demands)) for _ in coincidents],
        }
        self.data += [25] * self.chance.yes(80) + [26] * (reads > 0)
        if self.chance.yes(80):
            self.tables[27] = {
                "PRESENT_DEMAND_SELECT": parts.select(*chosen),
                "PRESENT_VALUE_SELECT": parts.select(*present),
            }
            self.data.append(28)
        else:
            self.tables[21] = {
                **self.tables[21],
                "NBR_PRESENT_DEMANDS": 0,
                "NBR_PRESENT_VALUES": 0,
            }
        self.lists["self_reads"] = self._style()

    def _style(self) -> ListStyle:
        return ListStyle(descending=self.chance.yes(40), fifo=self.chance.yes(40))

    # Decade 3.

    def display(self) -> None:
        dims = self.tables[21]
        items = [Item(Kind.SUMMATION, n) for n in range(dims["NBR_SUMMATIONS"])]
        items += [Item(Kind.DEMAND, n) for n in range(dims["NBR_DEMANDS"])]
        items += [Item(Kind.PRESENT_VALUE, n) for n in range(dims["NBR_PRESENT_VALUES"])]
        items += parts.states(State.SERIAL, State.STATUS)
        alternate = [*self.chance.some(items), Item(Kind.SEGMENTS)]
        self.tables |= parts.display([*self.chance.some(items, 70), items[0]], alternate)

    # Decade 6.

    def profile_sets(self, sources: _Sources, version: int) -> None:
        numbers = [number for number in (1, 2, 3, 4) if self.chance.yes(45)] or [1]
        flags = [f"LP_SET{n}_INHIBIT_OVF_FLAG" for n in numbers if self.chance.yes(30)]
        flags += [f"SCALAR_DIVISOR_FLAG_SET{n}" for n in numbers if self.chance.yes(40)]
        flags += self.chance.some(("BLK_END_READ_FLAG", "BLK_END_PULSE_FLAG"))
        flags += self.chance.some(("EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG"), 60)
        if self.chance.yes(40):
            flags.append("CLOSURE_STATUS_FLAG" if version < 2 else "BLK_END_RD_INDICATOR_FLAG")
        dims: dict[str, Any] = {"LP_FLAGS": tuple(flags)}
        control: dict[str, Any] = {}
        usable = [*sources.energies, *sources.momentary, *sources.demands]
        formats = set()
        for number in numbers:
            chosen = self.chance.pick(usable, 5) or [0]
            code = self.chance.choice(tuple(INTERVAL_FORMATS))
            formats.add(f"INV_{INTERVAL_FORMATS[code]}_FLAG")
            intervals = self.chance.randint(1, 48)
            # At most 21 octets a value, a reading and a status.
            most = max(1, _MAX_SET_OCTETS // (25 * len(chosen) * (intervals + 2)))
            dims[f"NBR_BLKS_SET{number}"] = self.chance.randint(1, min(9, most))
            dims[f"NBR_BLK_INTS_SET{number}"] = intervals
            dims[f"NBR_CHNS_SET{number}"] = len(chosen)
            dims[f"MAX_INT_TIME_SET{number}"] = self.chance.choice(_LENGTHS)
            control[f"LP_SEL_SET{number}"] = [
                parts.channels(
                    source, end_readings=self.chance.yes() and source in sources.energies
                )[0]
                for source in chosen
            ]
            control[f"INT_FMT_CDE{number}"] = code
            control[f"SCALARS_SET{number}"] = [self.chance.choice((1, 2, 10)) for _ in chosen]
            control[f"DIVISOR_SET{number}"] = [self.chance.choice((1, 3, 1000)) for _ in chosen]
            self.lists[f"profile{number}"] = self._style()
            self.lists[f"intervals{number}"] = ListStyle(descending=self.chance.yes(30))
        dims["LP_FMATS"] = tuple(sorted(formats))
        self.tables |= {61: dims, 62: control}
        self.data += [63, *(63 + number for number in numbers)]

    # Decade 7.

    def logs(self, procedures: Sequence[int]) -> None:
        events, history = self.chance.randint(1, 40), self.chance.choice((0, 0, 5, 25))
        flags: tuple[str, ...] = ("EVENT_NUMBER_FLAG", "HIST_DATE_TIME_FLAG", "HIST_SEQ_NBR_FLAG")
        flags += ("HIST_INHIBIT_OVF_FLAG", "EVENT_INHIBIT_OVF_FLAG")
        octets, length = self.chance.randint(8, 10), self.chance.randint(0, 6)
        self.tables[71] = parts.log_dimensions(
            events, history, self.chance.some(flags), octets, length
        )
        known = list(STANDARD_EVENTS)
        self.tables[72] = parts.supported(known)
        for number, wanted in ((73, history), (75, events)):
            if wanted:
                tables = self.chance.some(parts.CONFIGURABLE)
                chosen = set(self.chance.some(known, 80))
                chosen -= parts.SESSION_EVENTS if number == 75 else set()
                self.tables[number] = parts.monitored(chosen, tables, self.chance.some(procedures))
                self.data.append(number + 1)
        self.lists |= {"event": self._style(), "history": self._style()}

    # Decade 8.

    def user_tables(self) -> dict[int, tuple[Fragment, ...]]:
        fragments = [
            Fragment(1),
            Fragment(5),
            Fragment(21),
            Fragment(23),
            Fragment(23, "TOT_DATA_BLOCK"),
            Fragment(23, "TOT_DATA_BLOCK.SUMMATIONS.0"),
        ]
        return {
            number: tuple(self.chance.sample(fragments, self.chance.randint(1, 3)))
            for number in USER_TABLES
            if self.chance.yes(10)
        }


def draw_profile(seed: int) -> DeviceProfile:
    """Give the device of a seed."""
    draw = _Draw(seed)
    formats = draw.formats()
    has_time = formats.tm_format != 0
    sources = draw.sources(formats)
    has_calendar = has_time and draw.chance.yes(70)
    tiers = draw.chance.randint(1, 5) if has_calendar and draw.chance.yes(85) else 0
    draw.registers(sources, tiers, has_time)
    if draw.chance.yes(60):
        draw.display()
    if has_time:
        draw.tables[51] = {}
        draw.data.append(52)
        if has_calendar:
            draw.tables |= calendar_tables(draw.chance, tiers)
            draw.data += calendar_data(draw.chance)
    if has_time and draw.chance.yes(85):
        draw.profile_sets(sources, formats.std_version_no)
    pending = draw.chance.choice((0, 0, 3, 12))
    has_precise_time = formats.tm_format in (1, 2) and formats.std_version_no > 1
    has_switch = draw.chance.yes(30)
    needs = (
        (pending > 0, (12, 13, 14, 15)),
        (has_time, (10,)),
        (has_precise_time, PRECISE),
        (has_switch, (21,)),
    )
    unfit = {number for there, numbers in needs if not there for number in numbers}
    usable = [number for number in SUPPORTED if number not in unfit]
    procedures = tuple(sorted({4, 5, 9, *draw.chance.some(usable, 75)} - unfit))
    if draw.chance.yes(85):
        draw.logs(procedures)
    draw.tables[41] = {"NBR_PASSWORDS": 2, "PASSWORD_LEN": 20}
    draw.data += [42] + [4] * (pending > 0) + [57] * (has_precise_time and draw.chance.yes())
    is_local = formats.tm_format in (1, 2) and draw.chance.yes()
    applied = ("TM_ZN_APPLIED_FLAG", "DST_APPLIED_FLAG") if is_local else ("GMT_FLAG",)
    return DeviceProfile(
        name="random",
        title=f"the device drawn from seed {seed}",
        model=f"RND{seed % 100_000:05d}",
        formats=formats,
        sources=tuple(sources.all),
        tables=draw.tables,
        data=tuple(draw.data),
        procedures=procedures,
        writable=(5, 6, 7, *draw.chance.some(parts.CONFIGURABLE, 70)),
        events=STANDARD_EVENTS,
        lists=draw.lists,
        clock=applied,
        service=draw.chance.choice(("2W1P", "3W1P", "4WY", "3WD")),
        load=draw.chance.choice(("house", "shop", "factory")),
        device_class=bytes(draw.chance.randrange(65, 91) for _ in range(4)),
        nbr_pending=pending,
        mfg_status_octets=draw.chance.randint(0, 3),
        has_switch=has_switch,
        overload_w=draw.chance.choice((0, 5_000, 100_000)),
        without_limits=draw.chance.some((11, 21, 31, 41, 51, 61, 71), 20),
        spare_octets=draw.chance.choice((0, 0, 1, 3)),
        mfg_octets=draw.chance.choice((0, 0, 1, 2)),
        user_tables=draw.user_tables(),
    )
