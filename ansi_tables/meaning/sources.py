"""Sources: ST-16 lists them, ST-12 to ST-15 say what each of them measures.

Entries of ST-12 to ST-15 are counted by the flags of ST-16: the k-th entry
belongs to the k-th source that has the flag (C12.19 decade 1).  The order of
operations is from memory of the standard: constants of ST-15, then the ratios
that the meter has not applied, both only where ST-16 leaves the constants to
the host, then the power of ten of ST-12.

Where a meter does not say plainly what a source is, :attr:`Source.unit` is
empty, there is no scale, and :attr:`Source.note` says why: nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from ansi_tables.errors import TableError
from ansi_tables.ids import name_of
from ansi_tables.meaning.quantities import (
    PHASES,
    POWERS,
    POWERS_OF_TEN,
    QUANTITIES,
    REACTIVE,
    TIME_BASES,
    TOTAL_TIME_BASES,
)
from ansi_tables.meaning.scale import Exact, Raw, Scale, as_fraction
from ansi_tables.values import Record

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

#: A selector that points nowhere.
UNASSIGNED = 255
#: The record of ST-15 for electricity; the gas corrections are no plain factors.
_ELECTRIC = "ELECTRIC_CONSTANTS"


class Direction(StrEnum):
    """Which way the energy flows: ``delivered`` is from the utility to the customer."""

    NONE = ""
    DELIVERED = "delivered"
    RECEIVED = "received"
    NET = "net"
    SUM = "sum"


_IN_WORDS = {Direction.SUM: "delivered and received"}


@dataclass(frozen=True)
class Source:
    """One measured quantity, as the meter describes it.

    ``index`` is the element of ST-16, ``quantity`` words ("active energy"),
    ``unit`` "Wh", ``phase`` "A", "A-B" or empty for all, ``quadrants`` those
    that count, ``time_base`` words ("block average"), ``demand_interval_min``
    from ST-13 (0 when not told), ``manufacturer_id`` from ST-14.
    """

    index: int | None
    quantity: str = ""
    unit: str = ""
    direction: Direction = Direction.NONE
    phase: str = ""
    quadrants: tuple[int, ...] = ()
    time_base: str = ""
    harmonic: bool = False
    scale: Scale | None = None
    demand_interval_min: int = 0
    manufacturer_id: bytes = b""
    note: str = ""

    @property
    def known(self) -> bool:
        """Tell whether quantity, unit and scale are known."""
        return self.scale is not None

    def value(self, raw: Raw) -> Exact | None:
        """Give a raw number in ``unit``, exactly; None where the meter does not say how."""
        return None if self.scale is None else self.scale.value(raw)

    def told(self, number: str) -> str:
        """Give a number with the unit behind it, if it has one."""
        return number if self.unit in ("", "1") else f"{number} {self.unit}"

    @property
    def measure(self) -> str:
        """Give unit and direction for a column's head: "Wh delivered"; empty when not known."""
        return f"{self.unit} {_IN_WORDS.get(self.direction, self.direction.value)}".strip()

    @property
    def name(self) -> str:
        """Give quantity, direction, phase and time base for a person."""
        if not self.known:
            return "unassigned" if self.index is None else f"source {self.index}"
        parts = [self.quantity, _IN_WORDS.get(self.direction, self.direction.value)]
        if self.direction and len(self.quadrants) % 2:
            parts.append("".join(f"Q{quadrant}" for quadrant in self.quadrants))
        if self.phase:
            parts.append(f"phase {self.phase}")
        if self.harmonic:
            parts.append("harmonic")
        text = " ".join(part for part in parts if part)
        averaged = self.time_base in ("sub-block average", "block average", "thermal")
        return f"{text}, {self.time_base}" if averaged else text


@dataclass(frozen=True, kw_only=True)
class OfSource:
    """What measures a ``source``, with the source's own attributes at hand."""

    source: Source = field(repr=False)

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


def sources(tables: Snapshot) -> tuple[Source, ...]:
    """Give all sources of ST-16; empty when it was not read."""
    links = tables.get(16)
    if links is None:
        return ()
    return tuple(source(tables, index) for index in range(len(links.SOURCES_LINK)))


def source(tables: Snapshot, index: int) -> Source:
    """Give one source by its element of ST-16; its ``note`` says what is not known of it."""
    if index == UNASSIGNED:
        return Source(None, note="the meter assigns no source")
    try:
        model = tables.context.fmt.model_select
    except TableError as error:
        return Source(index, note=str(error))
    if model:
        return Source(index, note=f"MODEL_SELECT {model}: its sources are not those of ST-16")
    links = tables.get(16)
    if links is None:
        return Source(index, note=_why_missing(tables, 16))
    if index >= len(links.SOURCES_LINK):
        return Source(index, note=f"ST-16 has {len(links.SOURCES_LINK)} sources, from 0 on")
    return _described(tables, links.SOURCES_LINK, index)


def _described(tables: Snapshot, links: list[Record], index: int) -> Source:
    own = _entry(tables, links, index, "DATA_CTRL_FLAG")
    plain = Source(
        index,
        demand_interval_min=_demand_interval(_entry(tables, links, index, "DEMAND_CTRL_FLAG")),
        manufacturer_id=b"" if own is None else bytes(own.SOURCE_ID),
    )
    if not links[index].UOM_ENTRY_FLAG:
        return replace(plain, note="ST-16 gives it no entry in ST-12")
    entry = _entry(tables, links, index, "UOM_ENTRY_FLAG")
    if entry is None:
        return replace(plain, note=_why_missing(tables, 12))
    quantity = QUANTITIES.get(entry.ID_CODE)
    if quantity is None or entry.NFS or _foreign_names(tables, entry):
        return replace(plain, note=f"ID_CODE {entry.ID_CODE} of ST-12 is the manufacturer's own")
    scale, note = _scale(tables, links, index, POWERS_OF_TEN[entry.MULTIPLIER])
    if scale is None:
        return replace(plain, note=note)
    total = entry.TIME_BASE in TOTAL_TIME_BASES
    name, unit = quantity.total() if total else (quantity.name, quantity.unit)
    quadrants = tuple(k for k in (1, 2, 3, 4) if entry[f"Q{k}_ACCOUNTABILITY"])
    return replace(
        plain,
        quantity=name,
        unit="pulse" if note else unit,
        direction=_direction(entry, quadrants),
        phase=PHASES[entry.SEGMENTATION],
        quadrants=quadrants,
        time_base=TIME_BASES[entry.TIME_BASE],
        harmonic=bool(entry.HARMONIC),
        scale=scale,
        note=note,
    )


def _foreign_names(tables: Snapshot, entry: Record) -> bool:
    """Tell whether ID_RESOURCE, from the 2008 edition on, names another list of ID_CODE."""
    return bool(tables.context.fmt.std_version_no >= 2 and entry.ID_RESOURCE)


def _direction(entry: Record, quadrants: tuple[int, ...]) -> Direction:
    """Give the direction of a power; the delivered quadrants of reactive power are 1 and 2."""
    if entry.ID_CODE not in POWERS or not quadrants:
        return Direction.NONE
    delivered = {1, 2} if entry.ID_CODE == REACTIVE else {1, 4}
    if set(quadrants) <= delivered:
        return Direction.DELIVERED
    if not set(quadrants) & delivered:
        return Direction.RECEIVED
    return Direction.NET if entry.NET_FLOW_ACCOUNTABILITY else Direction.SUM


#: Which table and array the entries that a flag of ST-16 counts are in.
ENTRIES = {
    "UOM_ENTRY_FLAG": (12, "UOM_ENTRY"),
    "DEMAND_CTRL_FLAG": (13, "INTERVAL_VALUE"),
    "DATA_CTRL_FLAG": (14, "SOURCES_ID"),
    "CONSTANTS_FLAG": (15, "SELECTION"),
}


def _entry(tables: Snapshot, links: list[Record], index: int, flag: str) -> Record | None:
    """Give the entry of a source: as many before it as sources before it have the flag."""
    number, array = ENTRIES[flag]
    table = tables.get(number) if links[index][flag] else None
    place = sum(link[flag] for link in links[:index])
    if table is None or place >= len(table[array]):
        return None
    entry = table[array][place]
    assert isinstance(entry, Record)
    return entry


def _demand_interval(entry: Record | None) -> int:
    if entry is None:
        return 0
    if "INT_LENGTH" in entry:
        return int(entry.INT_LENGTH)
    return int(entry.SUB_INT * entry.INT_MULTIPLIER)


def _scale(
    tables: Snapshot, links: list[Record], index: int, power: int
) -> tuple[Scale | None, str]:
    """Give the scale of a source, and a note: for pulses, or why there is no scale."""
    ten = Fraction(10) ** power
    link = links[index]
    if not link.CONSTANTS_FLAG or not link.CONSTANT_TO_BE_APPLIED:
        pulses = "" if link.PULSE_ENGR_FLAG else "counted in pulses that no constant converts"
        return Scale(ten), pulses
    entry = _entry(tables, links, index, "CONSTANTS_FLAG")
    if entry is None:
        return None, f"its constants must be applied, and {_why_missing(tables, 15)}"
    if _ELECTRIC not in entry:
        return None, "its gas constants are corrections that only the meter can apply"
    constants = entry[_ELECTRIC]
    not_applied: list[Raw] = []
    for name in ("SET1_CONSTANTS", "SET2_CONSTANTS"):
        ratios = constants.get(name)
        if ratios is not None and not ratios.SET_FLAGS.SET_APPLIED_FLAG:
            not_applied += (ratios.RATIO_F1, ratios.RATIO_P1)
    factor = _product(constants.MULTIPLIER, *not_applied)
    # Some meters leave OFFSET out; then there is none.
    offset = _product(constants.get("OFFSET", 0), *not_applied)
    if factor is None or offset is None:
        return None, "a constant of ST-15 is no number"
    return Scale(factor * ten, offset * ten), ""


def _product(*raws: Raw) -> Fraction | None:
    """Give the product of raw numbers, exactly; None when one of them is no number."""
    product = Fraction(1)
    for raw in raws:
        number = as_fraction(raw)
        if number is None:
            return None
        product *= number
    return product


def _why_missing(tables: Snapshot, number: int) -> str:
    """Say why a table is of no help: not read, does not decode, or has too few entries."""
    if number not in tables.images:
        return f"{name_of(number)} was not read"
    if tables.get(number) is None:
        return f"{name_of(number)} does not decode"
    return f"{name_of(number)} has too few entries"
