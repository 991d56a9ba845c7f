"""``smartmeter read PORT`` without tables: one screen for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ansi_tables import Record, Snapshot, TableError, name_of

#: What the screen is made of.
TABLES = (0, 1, 3, 5, 11, 12, 16, 21, 22, 23, 52)

#: ST-12 ID_CODE to its unit, as a rate and as an energy (TIME_BASE 0 or 5).
_UNITS = {
    0: ("W", "Wh"),
    1: ("var", "varh"),
    2: ("VA", "VAh"),
    3: ("VA", "VAh"),
    8: ("V", "Vh"),
    12: ("A", "Ah"),
}
#: ST-12 MULTIPLIER to a power of ten.
_POWERS = (0, 2, 3, 6, 9, -2, -3, -6)


def lines(tables: Snapshot, refused: dict[int, str], now: datetime) -> Iterator[str]:
    """Give the screen; what is missing or does not decode is said, never guessed."""
    identity = _decoded(tables, 1)
    if identity is not None:
        maker = f"{identity.MANUFACTURER.strip()} {identity.ED_MODEL.strip()}"
        firmware = f"{identity.FW_VERSION_NUMBER}.{identity.FW_REVISION_NUMBER}"
        yield f"meter     {maker}, serial {_text(identity.MFG_SERIAL_NUMBER)}, firmware {firmware}"
    owner = _decoded(tables, 5)
    if owner is not None:
        yield f"name      {_text(owner.IDENTIFICATION)}"
    status = _decoded(tables, 3)
    if status is not None:
        flags = [n for n, bit in status.ED_STD_STATUS1.items() if bit and n != "FILLER"]
        yield f"status    {', '.join(flags) or 'nothing to report'}"
    yield from _clock(_decoded(tables, 52), now)
    yield from _registers(tables)
    if refused:
        locked = ", ".join(f"{name_of(number)} ({why})" for number, why in sorted(refused.items()))
        yield f"locked    {locked}; a password may open it"


def _decoded(tables: Snapshot, number: int) -> Record | None:
    try:
        return tables[number]
    except (KeyError, TableError):
        return None


def _text(value: str) -> str:
    return value.strip(" \x00") or "-"


def _clock(clock: Record | None, now: datetime) -> Iterator[str]:
    if clock is None:
        return
    shown = clock.CLOCK_CALENDAR.value
    if not isinstance(shown, datetime):
        yield "clock     not set"
        return
    qualifier = clock.TIME_DATE_QUAL
    if shown.tzinfo is None and not qualifier.GMT_FLAG:
        yield f"clock     {shown}, local time: its offset needs ST-53"
        return
    moment = shown if shown.tzinfo else shown.replace(tzinfo=UTC)
    offset = round((moment - now).total_seconds())
    yield f"clock     {moment:%Y-%m-%d %H:%M:%S} UTC, {offset:+d} s to this computer"


def _registers(tables: Snapshot) -> Iterator[str]:
    registers, selection = _decoded(tables, 23), _decoded(tables, 22)
    if registers is None:
        return
    block = registers.TOT_DATA_BLOCK
    for kind, values, select in (
        ("register", block.SUMMATIONS, "SUMMATION_SELECT"),
        (
            "demand",
            [demand.DEMAND[0] for demand in block.DEMANDS if demand.DEMAND],
            "DEMAND_SELECT",
        ),
    ):
        for index, value in enumerate(values):
            chosen = selection[select] if selection is not None else []
            source = chosen[index].SOURCE_INDEX if index < len(chosen) else None
            yield f"{kind:9s} {index}  {_scaled(tables, source, value)}"


def _scaled(tables: Snapshot, source: int | None, value: Any) -> str:
    """Give a raw value with its unit; ST-12 entries are counted by the flags of ST-16."""
    links, units = _decoded(tables, 16), _decoded(tables, 12)
    if source is None or links is None or units is None or source >= len(links.SOURCES_LINK):
        return f"{value} (raw: its unit is not known)"
    link = links.SOURCES_LINK[source]
    entry = sum(other.UOM_ENTRY_FLAG for other in links.SOURCES_LINK[:source])
    if not link.UOM_ENTRY_FLAG or entry >= len(units.UOM_ENTRY) or not isinstance(value, int):
        return f"{value} (raw: its unit is not known)"
    if link.CONSTANTS_FLAG and link.CONSTANT_TO_BE_APPLIED:
        return f"{value} (raw: constants of ST-15 are to be applied)"
    unit = units.UOM_ENTRY[entry]
    names = _UNITS.get(unit.ID_CODE, (f"unit {unit.ID_CODE}",) * 2)
    name = names[unit.TIME_BASE in (0, 5)]
    quadrants = [k for k in (1, 2, 3, 4) if unit[f"Q{k}_ACCOUNTABILITY"]]
    delivered, received = ([1, 2], [3, 4]) if unit.ID_CODE == 1 else ([1, 4], [2, 3])
    direction = {str(delivered): "delivered", str(received): "received"}.get(str(quadrants), "")
    number = format(Decimal(value).scaleb(_POWERS[unit.MULTIPLIER]), "f")
    return f"{number} {name} {direction}".rstrip()
