"""The meter's display: the items of ST-33 and ST-34, one after the other, as the LCD shows them.

A list is read from the tables alone, so it is the display of any meter that
uses our item codes, simulated or at the end of a line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ansi_tables import Snapshot, TableError
from ansi_tables.meaning.registers import Kind as RegisterKind
from ansi_tables.meaning.registers import Register, Registers
from ansi_tables.rendering import text_shown
from smartmeter.meter.display_codes import Item, Kind, State, item

#: Digits of the display; a longer number shows its last ones, as a dial does.
DIGITS = 9
#: What the segment test lights.
ALL_SEGMENTS = "8" * DIGITS
#: Tables that the display is made of, where the meter has them.
TABLES = (0, 1, 3, 11, 12, 13, 15, 16, 21, 22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 51, 52, 53, 55)
#: Tables whose lists there are, by the name a person gives.
LISTS = {"primary": (33, "PRI"), "secondary": (34, "SEC")}


@dataclass(frozen=True)
class Screen:
    """What the LCD shows at one time.

    ``number`` is the item's place in ST-32, ``code`` the two digits shown beside its
    ``text``, empty where it has none; ``label`` is for us, no LCD has room for it.
    """

    number: int
    code: str
    text: str
    unit: str = ""
    label: str = ""


def screens(tables: Snapshot, which: str = "primary") -> list[Screen]:
    """Give the screens of all lists of a kind, in order; empty without a display."""
    number, prefix = LISTS[which]
    table = tables.get(number)
    sources = tables.get(32)
    if table is None or sources is None:
        return []
    shown: list[Screen] = []
    at = 0
    for one in table[f"{prefix}_DISP_LIST"]:
        for index in table[f"{prefix}_DISP_SOURCES"][at : at + one.NBR_LIST_ITEMS]:
            known = index < len(sources.DISP_SOURCES)
            found = item(sources.DISP_SOURCES[index].DISP_SOURCE) if known else None
            text, unit, label = _content(tables, found) if found else ("-" * 6, "", "no such item")
            code = "" if found is None or found.digits is None else f"{found.digits:02d}"
            shown.append(Screen(index, code, text, unit, label))
        at += one.NBR_LIST_ITEMS
    return shown


#: Text, unit and label of an item.
Content = tuple[str, str, str]
_EMPTY: Content = ("-" * 6, "", "")


def _content(tables: Snapshot, wanted: Item) -> Content:
    if wanted.kind is Kind.SEGMENTS:
        return ALL_SEGMENTS, "", "segment test"
    if wanted.kind is Kind.STATE:
        show = _STATES.get(State(wanted.index)) if wanted.index in list(State) else None
        return show(tables) if show else _EMPTY
    find = _REGISTERS[wanted.kind]
    try:
        registers, kind = find(tables)
    except TableError:  # the table of this item was not to be had
        return _EMPTY
    tier = wanted.block - 1 if wanted.block else None
    chosen = registers.where(kind=kind, index=wanted.index, occurrence=0)
    # Present values belong to no tier.
    of_tier = [r for r in chosen if r.tier == tier]
    return _register(of_tier[0]) if of_tier else _EMPTY


def _register(register: Register) -> Content:
    if register.value is None:
        return str(register.raw)[-DIGITS:], "", "raw"
    return register.number[-DIGITS:], register.source.unit, register.name


def _now(kind: RegisterKind) -> Callable[[Snapshot], tuple[Registers, RegisterKind]]:
    return lambda tables: (tables.registers(), kind)


#: Where the registers of an item are, and what they are there.
_REGISTERS: Mapping[Kind, Callable[[Snapshot], tuple[Registers, RegisterKind]]] = {
    Kind.SUMMATION: _now(RegisterKind.SUMMATION),
    Kind.DEMAND: _now(RegisterKind.DEMAND),
    Kind.CUMULATIVE: _now(RegisterKind.CUMULATIVE),
    Kind.PRESENT_DEMAND: lambda tables: (tables.present_values(), RegisterKind.PRESENT_DEMAND),
    Kind.PRESENT_VALUE: lambda tables: (tables.present_values(), RegisterKind.PRESENT_VALUE),
    Kind.LAST_RESET_DEMAND: lambda tables: (
        tables.previous_demand_reset(),
        RegisterKind.DEMAND,
    ),
    Kind.LAST_SEASON: lambda tables: (tables.previous_season(), RegisterKind.SUMMATION),
}


def _moment(tables: Snapshot) -> datetime | None:
    """Give the time of the place, as people read a clock, whatever zone the tables count in."""
    return tables.clock().now if tables.get(52) is not None else None


def _date(tables: Snapshot) -> Content:
    moment = _moment(tables)
    return (f"{moment:%m.%d.%y}" if moment else _EMPTY[0]), "", "date"


def _time(tables: Snapshot) -> Content:
    moment = _moment(tables)
    return (f"{moment:%H:%M:%S}" if moment else _EMPTY[0]), "", "time"


def _serial(tables: Snapshot) -> Content:
    identity = tables.get(1)
    text = text_shown(identity.MFG_SERIAL_NUMBER) if identity is not None else ""
    return text[-DIGITS:] or _EMPTY[0], "", "serial number"


def _resets(tables: Snapshot) -> Content:
    registers = tables.get(23)
    count = registers.get("NBR_DEMAND_RESETS") if registers is not None else None
    return _EMPTY[0] if count is None else str(count), "", "demand resets"


def _season(tables: Snapshot) -> Content:
    state = tables.get(55)
    return (str(state.STATUS.SEASON) if state is not None else _EMPTY[0]), "", "season"


def _tier(tables: Snapshot) -> Content:
    state = tables.get(55)
    if state is None:
        return _EMPTY[0], "", "tier"
    tier = state.STATUS.get("CURR_TIER", state.STATUS.get("CURR_SUMM_TIER", 0))
    return f"tier {'ABCDEFGH'[tier]}", "", "tier"


def _status(tables: Snapshot) -> Content:
    status = tables.get(3)
    if status is None:
        return _EMPTY[0], "", "status"
    flags = [k for k, (name, bit) in enumerate(status.ED_STD_STATUS1.items()) if bit]
    return f"Er {sum(1 << k for k in flags):06X}" if flags else "good", "", "status"


_STATES: Mapping[State, Callable[[Snapshot], Content]] = {
    State.DATE: _date,
    State.TIME: _time,
    State.SERIAL: _serial,
    State.RESETS: _resets,
    State.SEASON: _season,
    State.TIER: _tier,
    State.STATUS: _status,
}
