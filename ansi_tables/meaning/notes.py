"""What fields of one meter's tables mean there, by their path: for listings.

``TOT_DATA_BLOCK.SUMMATIONS.0`` is "active energy delivered: 19825 Wh", the 3 in
``SUMMATION_SELECT.0.SOURCE_INDEX`` is the name of source 3, a stored time its
instant.  Whatever cannot be told is left out; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ansi_tables.errors import TableError
from ansi_tables.meaning.clock import clock_rules
from ansi_tables.meaning.registers import Registers
from ansi_tables.meaning.scale import digits
from ansi_tables.meaning.sources import ENTRIES, source
from ansi_tables.procedures import decode_initiate, decode_response, procedure_name
from ansi_tables.rendering import value_text
from ansi_tables.values import Record

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

Notes: TypeAlias = Iterator[tuple[str, str]]

#: Members that select a source of ST-16.
SELECTORS = ("SOURCE_INDEX", "LP_SOURCE_SELECT", "END_BLK_RDG_SOURCE_SELECT")


_SOURCES = (11, 12, 13, 15, 16)
_TIMES = (51, 52, 53, 54)
#: Table -> what tells of its values, beside what its layout needs.
TOLD_BY: Mapping[int, tuple[int, ...]] = {
    **dict.fromkeys((12, 13, 14, 15, 16, 22, 27, 62), _SOURCES),
    **dict.fromkeys((23, 24, 25, 26), (21, *_SOURCES, 22, *_TIMES)),
    28: (21, *_SOURCES, 27),
    **dict.fromkeys((52, 55, 74, 76), _TIMES),
    **dict.fromkeys((64, 65, 66, 67), (61, 62, 63, *_SOURCES, *_TIMES)),
}


def notes_on(tables: Snapshot, number: int) -> Mapping[str, str]:
    """Give words for fields of a table, by path; empty where there is nothing to tell."""
    give = _BY_TABLE.get(number)
    try:
        return {} if give is None else dict(give(tables, number))
    except TableError:
        return {}


def _procedure(tables: Snapshot, number: int) -> Notes:
    image, context, what = tables.images[number], tables.context, tables[number].PROC
    yield "PROC", procedure_name(what.TBL_PROC_NBR, bool(what.STD_VS_MFG_FLAG))
    if number == 8:
        yield "RESP_DATA_RCD", _members(decode_response(image, context).result)
        return
    try:
        yield "PARM_RCD", _members(decode_initiate(image, context).parameters)
    except TableError as error:
        yield "PARM_RCD", str(error)  # why a meter refuses the call


def _members(value: Any) -> str:
    """Give parameters or results as names and values; empty for octets without a shape."""
    if not isinstance(value, Record):
        return ""
    return ", ".join(f"{name} {value_text(7, inner)}" for name, inner in value.items())


def _registers(tables: Snapshot, number: int) -> Notes:
    readers: Mapping[int, Callable[[], Iterable[Registers]]] = {
        23: lambda: [tables.registers()],
        24: lambda: [tables.previous_season()],
        25: lambda: [tables.previous_demand_reset()],
        26: tables.self_reads,
        28: lambda: [tables.present_values()],
    }
    for one in readers[number]():
        for register in one:
            yield register.path, register.text if register.value is None else str(register)


def _sources(tables: Snapshot, number: int) -> Notes:
    known = tables.sources()
    if number == 16:
        for one in known:
            yield f"SOURCES_LINK.{one.index}", f"source {one.index}: {one.name}"
        return
    links = tables.require(16).SOURCES_LINK
    for flag, (table, array) in ENTRIES.items():
        if table == number:
            chosen = [one for one, link in zip(known, links, strict=True) if link[flag]]
            for place, one in enumerate(chosen):
                yield f"{array}.{place}", f"source {one.index}: {one.name}"


def _log(tables: Snapshot, number: int) -> Notes:
    events, prefix = (tables.events(), "EVENT") if number == 76 else (tables.history(), "HISTORY")
    for event in events:
        entry = f"ENTRIES.{event.element}"
        yield f"{entry}.{prefix}_CODE", event.text
        if event.time is not None:
            yield f"{entry}.{prefix}_TIME", event.time.isoformat(" ")


def _clock(tables: Snapshot, number: int) -> Notes:
    rules, record = clock_rules(tables), tables[number]
    moment = rules.moment(record.CLOCK_CALENDAR, bool(record.TIME_DATE_QUAL.DST_FLAG))
    if moment is not None:
        yield "CLOCK_CALENDAR", moment.isoformat(" ") + (f"; {rules.note}" if rules.note else "")


def _calendar(tables: Snapshot, number: int) -> Notes:
    for one in tables.calendar().dates:
        array = one.path.partition(".")[0]
        yield f"{one.path}.{array.removesuffix('S')}", one.when
        yield f"{one.path}.CALENDAR_ACTION", one.action


def _profile(tables: Snapshot, number: int) -> Notes:
    profile = tables.load_profile(number - 63)
    status = tables[63][f"LP_STATUS_SET{number - 63}"].LP_SET_STATUS_FLAGS
    for block in profile.blocks:
        path = f"LP_DATA_SET{number - 63}.{block.element}"
        if block.end is not None:
            yield f"{path}.BLK_END_TIME", block.end.isoformat(" ")
        places = range(len(block.rows))
        for place, row in zip(
            reversed(places) if status.INTERVAL_ORDER else places, block.rows, strict=True
        ):
            for channel in profile.channels:
                value, code = channel.values[row], channel.statuses[row]
                if value is not None:
                    told = "" if not code else f" ({code.name.lower().replace('_', ' ')})"
                    where = f"{path}.LP_INT.{place}.INT_DATA.{channel.index}"
                    yield where, f"{digits(value)} {channel.source.measure}{told}"


def _selectors(tables: Snapshot, number: int) -> Notes:
    for path, value in _leaves(tables[number], ""):
        name = path.rpartition(".")[2]
        if name in SELECTORS and isinstance(value, int):
            yield path, source(tables, value).name


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Record):
        for name, member in value.items():
            yield from _leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}.{index}")
    else:
        yield path, value


_BY_TABLE: Mapping[int, Callable[[Snapshot, int], Notes]] = {
    **dict.fromkeys((7, 8), _procedure),
    **dict.fromkeys((12, 13, 14, 15, 16), _sources),
    **dict.fromkeys((22, 27, 62), _selectors),
    **dict.fromkeys((23, 24, 25, 26, 28), _registers),
    **dict.fromkeys((52, 55), _clock),
    54: _calendar,
    **dict.fromkeys((64, 65, 66, 67), _profile),
    **dict.fromkeys((74, 76), _log),
}
