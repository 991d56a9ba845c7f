"""Raw values with their units: ST-22, 27 and 62 name sources, ST-12 and ST-16 tell what they are.

Exact: a value stays an integer with a power of ten.  Where a meter does not
say what a source is, the value stays raw and its unit empty; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.snapshot import Snapshot
from ansi_tables.values import Record

#: ST-12 ID_CODE to its unit, as a rate and as an energy (TIME_BASE 0 or 5).
_UNITS: Mapping[int, tuple[str, str]] = {
    0: ("W", "Wh"),
    1: ("var", "varh"),
    2: ("VA", "VAh"),
    3: ("VA", "VAh"),
    8: ("V", "Vh"),
    12: ("A", "Ah"),
}
_ENERGY_BASES = (0, 5)
_REACTIVE = 1
#: ST-12 MULTIPLIER to a power of ten.
_POWERS = (0, 2, 3, 6, 9, -2, -3, -6)


@dataclass(frozen=True)
class Unit:
    """What a source counts: ``name`` "Wh", ``direction`` "delivered", "received" or empty."""

    name: str
    direction: str
    power_of_ten: int

    def scaled(self, raw: int) -> Decimal:
        """Give a raw value in this unit."""
        return Decimal(raw).scaleb(self.power_of_ten)


@dataclass(frozen=True)
class Reading:
    """One register: ``kind`` "register", "demand" or "present"; ``unit`` None is a raw value."""

    kind: str
    index: int
    raw: Any
    unit: Unit | None

    @property
    def text(self) -> str:
        """Give value, unit and direction for a person."""
        if self.unit is None or not isinstance(self.raw, int):
            return f"{self.raw} (raw: its unit is not known)"
        number = format(self.unit.scaled(self.raw), "f")
        return f"{number} {self.unit.name} {self.unit.direction}".rstrip()


def decoded(tables: Snapshot, number: int) -> Record | None:
    """Give a table decoded, or None when it is missing or does not decode."""
    try:
        return tables[number]
    except (KeyError, TableError):
        return None


def unit_of(tables: Snapshot, source: int | None) -> Unit | None:
    """Give the unit of a source of ST-16; None where the meter does not tell it plainly.

    Entries of ST-12 are counted by the flags of ST-16.  Constants of ST-15 are
    not applied here: a source that needs them has no unit.
    """
    links, units = decoded(tables, 16), decoded(tables, 12)
    if source is None or links is None or units is None or source >= len(links.SOURCES_LINK):
        return None
    link = links.SOURCES_LINK[source]
    entry = sum(other.UOM_ENTRY_FLAG for other in links.SOURCES_LINK[:source])
    if not link.UOM_ENTRY_FLAG or entry >= len(units.UOM_ENTRY):
        return None
    if link.CONSTANTS_FLAG and link.CONSTANT_TO_BE_APPLIED:
        return None
    unit = units.UOM_ENTRY[entry]
    names = _UNITS.get(unit.ID_CODE, (f"unit {unit.ID_CODE}",) * 2)
    quadrants = [k for k in (1, 2, 3, 4) if unit[f"Q{k}_ACCOUNTABILITY"]]
    delivered, received = ([1, 2], [3, 4]) if unit.ID_CODE == _REACTIVE else ([1, 4], [2, 3])
    direction = {str(delivered): "delivered", str(received): "received"}.get(str(quadrants), "")
    name = names[unit.TIME_BASE in _ENERGY_BASES]
    return Unit(name, direction, _POWERS[unit.MULTIPLIER])


def registers(tables: Snapshot) -> list[Reading]:
    """Give summations and demands of ST-23, and present values of ST-28, where they were read."""
    found: list[Reading] = []
    current, selection = decoded(tables, 23), decoded(tables, 22)
    if current is not None:
        block = current.TOT_DATA_BLOCK
        demands = [demand.DEMAND[0] for demand in block.DEMANDS if demand.DEMAND]
        found += _readings(tables, "register", block.SUMMATIONS, selection, "SUMMATION_SELECT")
        found += _readings(tables, "demand", demands, selection, "DEMAND_SELECT")
    present, chosen = decoded(tables, 28), decoded(tables, 27)
    if present is not None:
        values = present.PRESENT_VALUE
        found += _readings(tables, "present", values, chosen, "PRESENT_VALUE_SELECT")
    return found


def _readings(
    tables: Snapshot, kind: str, values: list[Any], selection: Record | None, name: str
) -> list[Reading]:
    chosen = selection[name] if selection is not None else []
    readings = []
    for index, value in enumerate(values):
        source = chosen[index].SOURCE_INDEX if index < len(chosen) else None
        readings.append(Reading(kind, index, value, unit_of(tables, source)))
    return readings


def profile_units(tables: Snapshot) -> list[Unit | None]:
    """Give the unit of each channel of load-profile set 1."""
    control = decoded(tables, 62)
    if control is None or "LP_SEL_SET1" not in control:
        return []
    return [unit_of(tables, channel.LP_SOURCE_SELECT) for channel in control.LP_SEL_SET1]
