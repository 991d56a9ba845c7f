"""Registers, demands, coincident and present values as engineering values.

ST-23 to ST-26 and ST-28 hold the numbers; ST-22 and ST-27 say which source
each of them is, and :mod:`~ansi_tables.meaning.sources` what that source
measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, overload

from ansi_tables.errors import TableError
from ansi_tables.ids import name_of
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.meaning.rings import newest_first
from ansi_tables.meaning.scale import Exact, Raw, digits
from ansi_tables.meaning.sources import UNASSIGNED, Direction, Source, source
from ansi_tables.values import Record

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot


class Kind(StrEnum):
    """What kind of register a value comes from."""

    SUMMATION = "summation"
    DEMAND = "demand"
    CUMULATIVE = "cumulative demand"
    CONTINUOUS_CUMULATIVE = "continuous cumulative demand"
    COINCIDENT = "coincident"
    PRESENT_DEMAND = "present demand"
    PRESENT_VALUE = "present value"


@dataclass(frozen=True)
class Register:
    """One register: an exact ``value`` in ``unit``, and what it measures.

    ``tier`` is None for the total of all tiers, else 0 and up; ``season`` is None
    where the meter does not tell it.  ``time`` is when a demand occurred (aware,
    in the meter's own zone), ``occurrence`` 0 the highest.  ``extreme`` is
    "maximum" or "minimum" for a demand.  ``value`` is None, and ``unit`` empty,
    where ``source.note`` says why; ``raw`` is always what the table holds.
    ``path`` names the field in table ``table``.
    """

    kind: Kind
    index: int
    value: Exact | None
    raw: Raw
    source: Source = field(repr=False)
    tier: int | None = None
    season: int | None = None
    occurrence: int = 0
    time: datetime | None = None
    extreme: str = ""
    table: int = 23
    path: str = ""

    @property
    def quantity(self) -> str:
        """Give the quantity in words: "active energy"; empty when not known."""
        return self.source.quantity

    @property
    def unit(self) -> str:
        """Give the unit: "Wh"; empty when not known."""
        return self.source.unit

    @property
    def direction(self) -> Direction:
        """Give the direction, for powers and energies."""
        return self.source.direction

    @property
    def phase(self) -> str:
        """Give the phase, empty for all."""
        return self.source.phase

    @property
    def name(self) -> str:
        """Give what it is, for a person: "active energy delivered, tier 2"."""
        parts = [self.source.name]
        if self.kind in (Kind.CUMULATIVE, Kind.CONTINUOUS_CUMULATIVE, Kind.COINCIDENT):
            parts.append(self.kind.value)
        if self.extreme:
            parts.append(self.extreme)
        if self.occurrence:
            parts.append(f"occurrence {self.occurrence}")
        if self.tier is not None:
            parts.append(f"tier {self.tier}")
        return ", ".join(parts)

    @property
    def number(self) -> str:
        """Give the value without its unit, in digits; the raw number where it is not known."""
        return str(self.raw) if self.value is None else digits(self.value)

    @property
    def text(self) -> str:
        """Give value and unit, or the raw number and that its unit is not known."""
        if self.value is None:
            return f"{self.raw} (raw: {self.source.note or 'no number'})"
        return self.number if self.unit in ("", "1") else f"{self.number} {self.unit}"

    def __str__(self) -> str:
        """Give name, value and time in one line."""
        when = f" at {self.time.isoformat(' ', 'minutes')}" if self.time else ""
        return f"{self.name}: {self.text}{when}"


@dataclass(frozen=True)
class Registers(Sequence[Register]):
    """The registers of one table, or of one self-read, in the order of the table.

    ``taken`` is when they were closed (None for the present ones), ``season``
    and ``demand_resets`` None where the meter does not tell them, ``sequence``
    the number of a self-read.
    """

    table: int
    items: tuple[Register, ...] = field(repr=False)
    taken: datetime | None = None
    season: int | None = None
    demand_resets: int | None = None
    sequence: int | None = None

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Register]:
        """Go through them in the order of the table."""
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Register: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Register, ...]: ...
    def __getitem__(self, index: int | slice) -> Register | tuple[Register, ...]:
        """Give one by its place, or several."""
        return self.items[index]

    def where(self, **wanted: object) -> tuple[Register, ...]:
        """Give those whose attributes equal what is asked.

        ``registers.where(quantity="active energy", direction="delivered", tier=2)``;
        TypeError for a name that registers do not have.
        """
        for name in wanted:
            if not hasattr(Register, name) and name not in Register.__dataclass_fields__:
                raise TypeError(f"registers have no {name!r}")
        return tuple(
            one for one in self.items if all(getattr(one, n) == v for n, v in wanted.items())
        )

    def one(self, **wanted: object) -> Register:
        """Give the only one that :meth:`where` finds; LookupError tells how many there are."""
        found = self.where(**wanted)
        if len(found) != 1:
            names = "; ".join(one.name for one in found or self.items)
            raise LookupError(f"{len(found)} registers match {wanted}: {names:.400}")
        return found[0]


_CUMULATIVES = (
    (Kind.CUMULATIVE, "CUM_DEMAND"),
    (Kind.CONTINUOUS_CUMULATIVE, "CONT_CUM_DEMAND"),
)


@dataclass(frozen=True)
class _Place:
    """A data block: which table, where in it, of which tier and season."""

    table: int
    path: str
    tier: int | None
    season: int | None

    def register(self, kind: Kind, index: int, raw: Raw, chosen: Source, path: str) -> Register:
        """Give one register of the block."""
        return Register(
            kind,
            index,
            chosen.value(raw),
            raw,
            chosen,
            self.tier,
            self.season,
            table=self.table,
            path=f"{self.path}.{path}",
        )


class _Reader:
    """Reads register records of one meter: what is looked up once for all of them."""

    def __init__(self, tables: Snapshot) -> None:
        self._tables = tables
        self.clock: ClockRules = clock_rules(tables)
        self._selection = tables.get(22)
        self._known: dict[int, Source] = {}

    def source(self, index: int | None, selection: int) -> Source:
        """Give a source by its selector; None when the selection table was not read."""
        if index is None:
            return Source(None, note=f"{name_of(selection)} was not read")
        if index not in self._known:
            self._known[index] = source(self._tables, index)
        return self._known[index]

    def _selected(self, name: str, index: int) -> Source:
        chosen = self._selection[name] if self._selection is not None else []
        return self.source(chosen[index].SOURCE_INDEX if index < len(chosen) else None, 22)

    def data(self, table: int, record: Record, path: str, season: int | None) -> Iterator[Register]:
        """Give the registers of a REGISTER_DATA_RCD: the totals, then tier by tier."""
        place = _Place(table, f"{path}TOT_DATA_BLOCK", None, season)
        yield from self._block(place, record.TOT_DATA_BLOCK)
        for tier, block in enumerate(record.TIER_DATA_BLOCK):
            place = _Place(table, f"{path}TIER_DATA_BLOCK.{tier}", tier, season)
            yield from self._block(place, block)

    def _block(self, place: _Place, block: Record) -> Iterator[Register]:
        for index, raw in enumerate(block.SUMMATIONS):
            chosen = self._selected("SUMMATION_SELECT", index)
            yield place.register(Kind.SUMMATION, index, raw, chosen, f"SUMMATIONS.{index}")
        times = []
        for index, demand in enumerate(block.DEMANDS):
            times.append([self.clock.moment(time) for time in demand.get("EVENT_TIME", ())])
            yield from self._demand(place, index, demand, times[index])
        for index, coincident in enumerate(block.COINCIDENTS):
            chosen, with_demand = self._selected("COINCIDENT_SELECT", index), self._with(index)
            when = times[with_demand] if with_demand < len(times) else []
            for k, raw in enumerate(coincident.COINCIDENT_VALUES):
                path = f"COINCIDENTS.{index}.COINCIDENT_VALUES.{k}"
                one = place.register(Kind.COINCIDENT, index, raw, chosen, path)
                yield replace(one, occurrence=k, time=when[k] if when else None)

    def _demand(
        self, place: _Place, index: int, demand: Record, when: list[datetime | None]
    ) -> Iterator[Register]:
        chosen, path = self._selected("DEMAND_SELECT", index), f"DEMANDS.{index}"
        for kind, name in _CUMULATIVES:
            if name in demand:
                yield place.register(kind, index, demand[name], chosen, f"{path}.{name}")
        extreme = self._extreme(index)
        for k, raw in enumerate(demand.DEMAND):
            one = place.register(Kind.DEMAND, index, raw, chosen, f"{path}.DEMAND.{k}")
            time = when[k] if when else None
            yield replace(one, occurrence=k, time=time, extreme=extreme)

    def _extreme(self, index: int) -> str:
        if self._selection is None:
            return ""
        return "maximum" if index in self._selection.MIN_OR_MAX_FLAGS else "minimum"

    def _with(self, index: int) -> int:
        """Give the demand that a coincident value is captured with, or one that no meter has."""
        chosen = self._selection.COIN_DEMAND_ASSOC if self._selection is not None else []
        return int(chosen[index]) if index < len(chosen) else UNASSIGNED


def current(tables: Snapshot) -> Registers:
    """Give the registers of ST-23; MissingContextError when it was not read."""
    record = tables.require(23)
    season = _season_now(tables)
    items = tuple(_Reader(tables).data(23, record, "", season))
    return Registers(23, items, season=season, demand_resets=record.get("NBR_DEMAND_RESETS"))


def _season_now(tables: Snapshot) -> int | None:
    """Give the season in force by ST-55; None for a meter without seasons."""
    state, dims = tables.get(55), tables.get(51)
    if state is None or dims is None or not dims.CALENDAR_FUNC.NBR_SEASONS:
        return None
    return int(state.STATUS.SEASON)


#: Table -> the member that holds its registers.
_CLOSED = {24: "PREV_SEASON_REG_DATA", 25: "PREV_DEMAND_RESET_DATA"}


def closed(tables: Snapshot, number: int) -> Registers:
    """Give the registers of ST-24 (previous season) or ST-25 (last demand reset)."""
    return _closed(_Reader(tables), number, tables.require(number), _CLOSED[number], "", None)


def _closed(
    reader: _Reader, table: int, record: Record, member: str, path: str, sequence: int | None
) -> Registers:
    info = record.REGISTER_INFO
    data = record[member]
    season = info.get("SEASON")
    return Registers(
        table,
        tuple(reader.data(table, data, f"{path}{member}.", season)),
        taken=reader.clock.moment(info.get("END_DATE_TIME")),
        season=season,
        demand_resets=data.get("NBR_DEMAND_RESETS"),
        sequence=sequence,
    )


def self_reads(tables: Snapshot) -> tuple[Registers, ...]:
    """Give the valid self-reads of ST-26, oldest first, whichever way the ring runs."""
    log, reader = tables.require(26), _Reader(tables)
    found = []
    for age, element in enumerate(
        newest_first(
            len(log.SELF_READS_ENTRIES),
            log.NBR_VALID_ENTRIES,
            log.LAST_ENTRY_ELEMENT,
            log.LIST_STATUS.ORDER,
        )
    ):
        record = log.SELF_READS_ENTRIES[element]
        sequence = record.get("SELF_READ_SEQ_NBR", (log.LAST_ENTRY_SEQ_NBR - age) % 65536)
        path = f"SELF_READS_ENTRIES.{element}."
        found.append(_closed(reader, 26, record, "SELF_READ_REGISTER_DATA", path, sequence))
    return tuple(reversed(found))


def present(tables: Snapshot) -> Registers:
    """Give the running demands and momentary values of ST-28."""
    record, reader, selection = tables.require(28), _Reader(tables), tables.get(27)
    items: list[Register] = []

    def add(kind: Kind, raws: Iterable[Raw], select: str, path: str) -> None:
        chosen = selection[select] if selection is not None else []
        for index, raw in enumerate(raws):
            number = chosen[index].SOURCE_INDEX if index < len(chosen) else None
            what = reader.source(number, 27)
            where = path.format(index)
            items.append(Register(kind, index, what.value(raw), raw, what, table=28, path=where))

    demands = [demand.DEMAND_VALUE for demand in record.PRESENT_DEMAND]
    add(Kind.PRESENT_DEMAND, demands, "PRESENT_DEMAND_SELECT", "PRESENT_DEMAND.{}.DEMAND_VALUE")
    add(Kind.PRESENT_VALUE, record.PRESENT_VALUE, "PRESENT_VALUE_SELECT", "PRESENT_VALUE.{}")
    return Registers(28, tuple(items))


def readings(tables: Snapshot) -> tuple[Register, ...]:
    """Give registers and present values, as far as they were read: for a screen or a page."""
    found: tuple[Register, ...] = ()
    for give in (current, present):
        try:
            found += tuple(give(tables))
        except TableError:
            continue
    return found
