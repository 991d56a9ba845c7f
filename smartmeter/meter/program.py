"""The meter's program: what its configuration tables make it do, compiled and checked.

A table that is written becomes a new program, or is refused with the reason;
half a program does not exist.  Equal configurations share one program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ansi_tables import Context, Record, TableError, layout_for
from ansi_tables.decades.d06_load_profile import INTERVAL_FORMATS
from ansi_tables.meaning.quantities import POWERS_OF_TEN
from ansi_tables.meaning.sources import UNASSIGNED
from protocols.psem.codec import MAX_BLOCK_OCTETS
from smartmeter.meter.calendar_table import DayPlan, compile_calendar
from smartmeter.meter.loads import MINUTES_A_DAY
from smartmeter.meter.profile import ACTUAL, dial
from smartmeter.meter.quantities import (
    COUNTERS,
    DEMAND_BASES,
    ENERGY_BASES,
    INTEGRABLE,
    MEASURED,
    MILLI,
    Rate,
    Unit,
    rate_of,
)

US_PER_HOUR = 3_600_000_000
#: Tables that a program is made of.
PROGRAM_TABLES = (0, *ACTUAL, 12, 13, 14, 15, 16, 22, 27, 53, 54, 62, 73, 75)


class ConfigurationRefused(Exception):
    """A configuration that the meter cannot run; names the table and the reason."""

    def __init__(self, table: int, reason: str) -> None:
        super().__init__(f"ST-{table:02d}: {reason}")
        self.table = table


@dataclass(frozen=True)
class DemandControl:
    """How demand of a source is formed: whole minutes; ``sliding`` rolls over subintervals."""

    sub_min: int
    subintervals: int
    thermal: bool

    @property
    def length_min(self) -> int:
        """Give the length of the demand interval."""
        return self.sub_min * self.subintervals


@dataclass(frozen=True)
class Source:
    """One source: what it measures, and how much one count of its register is.

    ``weight`` is in thousandths of the base unit a count; the counts of an
    energy are hours of that.  ``control`` is there for a source with an ST-13 entry.
    """

    number: int
    unit: Unit
    weight: Fraction
    control: DemandControl | None
    rate: Rate | None

    @property
    def is_energy(self) -> bool:
        """Tell whether the source is a running sum."""
        return self.unit.time_base in ENERGY_BASES and self.unit.quantity in INTEGRABLE

    def count(self, total: int) -> int:
        """Give the whole counts in a total of thousandths times microseconds."""
        return total * self.weight.denominator // (self.weight.numerator * US_PER_HOUR)

    def shown(self, milli: int) -> int:
        """Give a rate as the register shows it."""
        return milli * self.weight.denominator // self.weight.numerator

    def average(self, total: int, span_us: int) -> int:
        """Give the mean of a total over a span, as the register shows it."""
        return total * self.weight.denominator // (self.weight.numerator * span_us)


@dataclass(frozen=True)
class Channel:
    """One channel of a load-profile set; ``scalar`` and ``divisor`` are applied to counts."""

    source: int
    end_reading: int | None
    scalar: int
    divisor: int


@dataclass(frozen=True)
class ProfileSet:
    """One load-profile set of ST-61 and ST-62."""

    number: int
    blocks: int
    intervals: int
    length_min: int
    channels: tuple[Channel, ...]
    format_code: int
    inhibit: bool


class Program:
    """What a configuration makes the meter do.  Raises ConfigurationRefused."""

    def __init__(self, images: Mapping[int, bytes]) -> None:
        self.images = {n: images[n] for n in PROGRAM_TABLES if n in images}
        try:
            self.context = Context.from_images(self.images)
            self.tables = {n: self._decoded(n) for n in self.images if n != 0 and n not in (81, 14)}
        except TableError as error:
            raise ConfigurationRefused(_number(error), str(error)) from error
        self.formats = self.context.fmt
        self.dial1, self.dial2 = dial(self.formats.ni_format1), dial(self.formats.ni_format2)
        self._check_sizes()
        self.sources = self._sources()
        self._registers()
        self._check_passwords()
        self.sets = tuple(self._set(n) for n in (1, 2, 3, 4) if self.context.uses(63 + n))
        time = self.tables.get(51)
        self.calendar: DayPlan | None = None
        if time is not None and 54 in self.tables:
            self.calendar = compile_calendar(time, self.tables[54])
            self._check_tiers(self.calendar)
        offset = self.table(53)
        self.zone_min: int = _plain(offset.get("TIME_ZONE_OFFSET", 0))
        self.dst_min: int = offset.get("DST_TIME_AMT", 0)
        self.measured = self._measured()

    def table(self, number: int) -> Record:
        """Give a table decoded; empty when the device does not have it."""
        return self.tables.get(number, _NONE)

    def _decoded(self, number: int) -> Record:
        return layout_for(number, self.context).decode(self.images[number])

    def _check_sizes(self) -> None:
        """Refuse a table that could not be read in one piece."""
        for number in sorted(self.formats.std_tbls_used):
            try:
                size = layout_for(number, self.context).size
            except TableError as error:
                raise ConfigurationRefused(number, str(error)) from error
            if size is not None and size > MAX_BLOCK_OCTETS:
                raise ConfigurationRefused(number, f"{size} octets, at most {MAX_BLOCK_OCTETS}")

    def _check_passwords(self) -> None:
        dims = self.table(41)
        if not dims.get("NBR_PASSWORDS", 1) or not dims.get("PASSWORD_LEN", 1):
            raise ConfigurationRefused(41, "without a password nobody could log in any more")

    # Sources.

    def _sources(self) -> tuple[Source, ...]:
        links = self.tables[16].SOURCES_LINK if 16 in self.tables else []
        entries: dict[str, int] = dict.fromkeys(_ENTRY_FLAGS, 0)
        found = []
        for number, link in enumerate(links):
            at = {}
            for flag in _ENTRY_FLAGS:
                at[flag] = entries[flag]
                entries[flag] += link[flag]
            found.append(self._source(number, link, at))
        return tuple(found)

    def _source(self, number: int, link: Record, at: Mapping[str, int]) -> Source:
        unit = self._unit(number, link, at["UOM_ENTRY_FLAG"])
        control = None
        if link.DEMAND_CTRL_FLAG:
            control = self._control(unit, at["DEMAND_CTRL_FLAG"])
        weight = Fraction(MILLI) * Fraction(10) ** POWERS_OF_TEN[unit.multiplier]
        if link.CONSTANTS_FLAG:
            weight *= self._constants(link, at["CONSTANTS_FLAG"])
        rate = None if unit.quantity in COUNTERS else rate_of(unit)
        return Source(number, unit, weight, control, rate)

    def _unit(self, number: int, link: Record, entry: int) -> Unit:
        units = self.tables[12].UOM_ENTRY if 12 in self.tables else []
        if not link.UOM_ENTRY_FLAG or entry >= len(units):
            raise ConfigurationRefused(16, f"source {number} has no unit of measure")
        found = units[entry]
        unit = Unit(
            found.ID_CODE,
            found.TIME_BASE,
            tuple(n for n in (1, 2, 3, 4) if found[f"Q{n}_ACCOUNTABILITY"]),
            found.MULTIPLIER,
            found.NET_FLOW_ACCOUNTABILITY,
            found.SEGMENTATION,
        )
        if unit.quantity not in MEASURED or found.NFS or found.HARMONIC:
            raise ConfigurationRefused(12, f"entry {entry}: this meter does not measure it")
        if unit.time_base in ENERGY_BASES and unit.quantity not in (*INTEGRABLE, *COUNTERS):
            raise ConfigurationRefused(12, f"entry {entry}: has no running sum")
        return unit

    def _control(self, unit: Unit, entry: int) -> DemandControl:
        intervals = self.tables[13].INTERVAL_VALUE if 13 in self.tables else []
        if entry >= len(intervals):
            raise ConfigurationRefused(13, f"has no entry {entry}")
        found = intervals[entry]
        if "SUB_INT" in found:
            sub, count = found.SUB_INT, found.INT_MULTIPLIER
        else:
            sub, count = found.INT_LENGTH, 1
        if not sub or not count or MINUTES_A_DAY % sub or sub * count > MINUTES_A_DAY:
            raise ConfigurationRefused(
                13, f"entry {entry}: a length that divides the day is needed"
            )
        if unit.time_base not in DEMAND_BASES:
            raise ConfigurationRefused(16, "demand control of a source that is no demand")
        thermal = unit.time_base == DEMAND_BASES[2]
        return DemandControl(sub, 1 if unit.time_base == DEMAND_BASES[0] else count, thermal)

    def _constants(self, link: Record, entry: int) -> Fraction:
        """Give what one count is worth beyond its unit: constants that the host applies."""
        selection = self.tables[15].SELECTION if 15 in self.tables else []
        if entry >= len(selection) or "ELECTRIC_CONSTANTS" not in selection[entry]:
            raise ConfigurationRefused(15, f"has no electric record {entry}")
        if not link.CONSTANT_TO_BE_APPLIED:
            return Fraction(1)  # nothing of the record is left to the host, its ratios neither
        found = selection[entry].ELECTRIC_CONSTANTS
        if _exact(found.OFFSET):
            raise ConfigurationRefused(15, f"entry {entry}: an OFFSET is not supported")
        factor = _exact(found.MULTIPLIER)
        for name in ("SET1_CONSTANTS", "SET2_CONSTANTS"):
            if name in found and not found[name].SET_FLAGS.SET_APPLIED_FLAG:
                factor *= _exact(found[name].RATIO_F1) * _exact(found[name].RATIO_P1)
        if factor <= 0:
            raise ConfigurationRefused(15, f"entry {entry}: constants must be above zero")
        return factor

    # Registers.

    def _registers(self) -> None:
        dims = self.table(21)
        selection = self.table(22)
        present = self.table(27)
        self.summations = self._chosen(selection, "SUMMATION_SELECT", 22)
        self.demands = self._chosen(selection, "DEMAND_SELECT", 22)
        self.maximum = selection.get("MIN_OR_MAX_FLAGS", frozenset())
        self.coincidents = self._chosen(selection, "COINCIDENT_SELECT", 22)
        self.associated = tuple(selection.get("COIN_DEMAND_ASSOC", ()))
        self.present_demands = self._chosen(present, "PRESENT_DEMAND_SELECT", 27)
        self.present_values = self._chosen(present, "PRESENT_VALUE_SELECT", 27)
        self.tiers: int = dims.get("NBR_TIERS", 0)
        self.occurrences: int = dims.get("NBR_OCCUR", 0)
        for number in self.summations:
            if number is not None and not self.sources[number].is_energy:
                raise ConfigurationRefused(22, f"source {number} is no running sum")
        for number in (*self.demands, *self.present_demands):
            if number is not None and self.sources[number].control is None:
                raise ConfigurationRefused(22, f"source {number} is no demand")
        if any(demand >= len(self.demands) for demand in self.associated):
            raise ConfigurationRefused(22, "a coincident value of a demand that is not there")

    def _chosen(self, table: Record, name: str, number: int) -> tuple[int | None, ...]:
        """Give the sources that a table selects; None for an element that is not assigned."""
        found: list[int | None] = []
        for element in table.get(name, ()):
            index = element.SOURCE_INDEX
            if index != UNASSIGNED and index >= len(self.sources):
                raise ConfigurationRefused(number, f"{name}: there is no source {index}")
            found.append(None if index == UNASSIGNED else index)
        return tuple(found)

    def _check_tiers(self, calendar: DayPlan) -> None:
        if self.tiers and calendar.highest_tier >= self.tiers:
            raise ConfigurationRefused(54, f"tier {calendar.highest_tier}, there are {self.tiers}")

    # Load profile.

    def _set(self, number: int) -> ProfileSet:
        dims, control = self.tables[61], self.tables[62]
        length: int = dims[f"MAX_INT_TIME_SET{number}"]
        if not length or MINUTES_A_DAY % length:
            raise ConfigurationRefused(61, f"set {number}: its length must divide the day")
        blocks, intervals = dims[f"NBR_BLKS_SET{number}"], dims[f"NBR_BLK_INTS_SET{number}"]
        if not blocks or not intervals:
            raise ConfigurationRefused(61, f"set {number}: at least one block and one interval")
        code: int = control[f"INT_FMT_CDE{number}"]
        if not dims.LP_FMATS[f"INV_{INTERVAL_FORMATS[code]}_FLAG"]:
            raise ConfigurationRefused(62, f"INT_FMT_CDE{number} {code} is not allowed by ST-61")
        channels = []
        for index, chosen in enumerate(control[f"LP_SEL_SET{number}"]):
            source = chosen.LP_SOURCE_SELECT
            ending = chosen.END_BLK_RDG_SOURCE_SELECT
            if source >= len(self.sources) or (
                ending != UNASSIGNED and ending >= len(self.sources)
            ):
                raise ConfigurationRefused(62, f"set {number} channel {index}: no such source")
            if self.sources[source].rate is None:
                raise ConfigurationRefused(62, f"source {source} is a count, not a flow")
            scalar = control.get(f"SCALARS_SET{number}", ())
            divisor = control.get(f"DIVISOR_SET{number}", ())
            factors = (scalar[index], divisor[index]) if scalar else (1, 1)
            if not all(factors):
                raise ConfigurationRefused(62, f"set {number} channel {index}: a factor of zero")
            reads = chosen.CHNL_FLAG.END_RDG_FLAG and ending != UNASSIGNED
            channels.append(Channel(source, ending if reads else None, *factors))
        inhibit = bool(dims.LP_FLAGS[f"LP_SET{number}_INHIBIT_OVF_FLAG"])
        return ProfileSet(number, blocks, intervals, length, tuple(channels), code, inhibit)

    def _measured(self) -> tuple[int, ...]:
        """Give the sources of which totals are kept: those that something sums up."""
        used = {n for n in (*self.summations, *self.demands, *self.coincidents) if n is not None}
        used |= {n for n in (*self.present_demands, *self.present_values) if n is not None}
        for profile_set in self.sets:
            for channel in profile_set.channels:
                used.add(channel.source)
                if channel.end_reading is not None:
                    used.add(channel.end_reading)
        return tuple(sorted(n for n in used if self.sources[n].rate is not None))


_NONE = Record()
#: Members of an ST-16 element that count entries of ST-12, 13 and 15.
_ENTRY_FLAGS = ("UOM_ENTRY_FLAG", "DEMAND_CTRL_FLAG", "CONSTANTS_FLAG")


def _plain(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _exact(value: Any) -> Fraction:
    """Give a number of a table exactly; octets that are no number are refused."""
    if isinstance(value, int | float | Decimal):
        return Fraction(value)
    raise ConfigurationRefused(15, "holds octets that are no number")


def _number(error: TableError) -> int:
    name = error.table.removeprefix("ST-")
    return int(name) if name.isdecimal() else 0


@lru_cache(maxsize=512)
def _cached(key: tuple[tuple[int, bytes], ...]) -> Program:
    return Program(dict(key))


def program_of(images: Mapping[int, bytes]) -> Program:
    """Give the program of a configuration, shared between equal ones."""
    return _cached(tuple((n, images[n]) for n in PROGRAM_TABLES if n in images))
