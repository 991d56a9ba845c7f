"""Registers of ST-23 to ST-26 and ST-28, read with their sources.

ST-22 and ST-27 say which source each number is, and
:mod:`~ansi_tables.meaning.sources` what that source measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ansi_tables.errors import TableError
from ansi_tables.ids import name_of
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.meaning.registers import Kind, Register, Registers
from ansi_tables.meaning.rings import newest_first
from ansi_tables.meaning.scale import Raw
from ansi_tables.meaning.sources import UNASSIGNED, Source, source
from ansi_tables.values import Record

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

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
            self.tier,
            self.season,
            source=chosen,
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
            items.append(
                Register(kind, index, what.value(raw), raw, source=what, table=28, path=where)
            )

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
