"""The configuration tables as images: written whole or not at all, within the dimension tables.

A written actual (x1) table gives every table of its decade its new size; what
still has a place keeps it.  The dimension (x0) tables are the limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansi_tables import Context, TableError, layout_for
from smartmeter.meter.profile import ACTUAL, SIZES
from smartmeter.meter.program import ConfigurationRefused, Program, program_of
from smartmeter.meter.table_values import refitted

#: Members of actual tables that are no amount: they must be as the dimension table says.
_CODES = ("CONSTANTS_SELECTOR",)
#: The tables of display lists, and how their members' names begin.
_DISPLAY_LISTS = {33: "PRI", 34: "SEC"}


def with_tables(
    images: Mapping[int, bytes], written: Mapping[int, bytes]
) -> tuple[dict[int, bytes], Program]:
    """Give the images after some were written together, and the program they make.

    ConfigurationRefused says which table cannot be, and nothing is changed.
    """
    before = Context.from_images(images)
    new = dict(images)
    try:
        for number in _in_order(written):
            new[number] = written[number]
            if number in ACTUAL or number == 62:
                context = Context.from_images(_fitting(new, before, number))
                if number in ACTUAL:
                    _check_limits(number, new, context)
                new = _refit(new, before, context)
                before = context
        context = Context.from_images(new)
        for number, image in written.items():
            layout = layout_for(number, context)
            if layout.size is not None and layout.size != len(image):
                raise ConfigurationRefused(number, f"{len(image)} octets, must be {layout.size}")
            _check_display(number, layout.decode(image), context)
            _check_octets(number, new, context)
        if {11, 16} & set(written):
            _check_data_sources(context, new)
    except TableError as error:
        raise ConfigurationRefused(next(iter(written)), str(error)) from error
    return new, program_of(new)


def fits(images: Mapping[int, bytes], waiting: Mapping[int, bytes], number: int) -> bool:
    """Tell whether a table of ``waiting`` has the size it will need.

    That is its size under the tables in force, or under those that wait with it: what
    else they would make of the meter is judged when they become active together.
    """
    for tables in (images, {**images, **waiting}):
        try:
            layout = layout_for(number, Context.from_images(tables))
            layout.decode(waiting[number])
        except TableError:
            continue
        if layout.size in (None, len(waiting[number])):
            return True
    return False


def _in_order(numbers: Iterable[int]) -> list[int]:
    """Give actual tables first, so that the others are judged by their new sizes."""
    return sorted(numbers, key=lambda number: (number not in ACTUAL, number != 62, number))


def _fitting(images: Mapping[int, bytes], before: Context, number: int) -> dict[int, bytes]:
    """Give the images with ST-62 fitted to a new ST-61, without which no context can be made."""
    new = dict(images)
    if number == 61 and 62 in new:
        without = Context.from_images({n: i for n, i in new.items() if n != 62})
        new[62] = refitted(62, new[62], before, without)
    return new


def _refit(images: Mapping[int, bytes], before: Context, after: Context) -> dict[int, bytes]:
    return {
        n: image if n in ACTUAL or n == 0 else refitted(n, image, before, after)
        for n, image in images.items()
    }


def _check_limits(number: int, images: Mapping[int, bytes], context: Context) -> None:
    """Hold an actual table against its dimension table; without one it is fixed."""
    limit = images.get(number - 1)
    if limit is None:
        raise ConfigurationRefused(number, "has no dimension table, so it is fixed")
    wanted = layout_for(number, context).decode(images[number])
    allowed = layout_for(number - 1, context).decode(limit)
    for path, value, most in _pairs(wanted, allowed, ""):
        name = path.rpartition(".")[2]
        over = value != most if name in _CODES else value > most
        if over:
            raise ConfigurationRefused(number, f"{path} {value}, the device can {most}")


def _check_display(number: int, table: Mapping[str, Any], context: Context) -> None:
    """Hold the lists of ST-33 and ST-34 against the items that there are."""
    kind = _DISPLAY_LISTS.get(number)
    if kind is None:
        return
    sources = table[f"{kind}_DISP_SOURCES"]
    listed = sum(one.NBR_LIST_ITEMS for one in table[f"{kind}_DISP_LIST"])
    if listed > len(sources):
        raise ConfigurationRefused(number, f"lists of {listed} items, there are {len(sources)}")
    most = context.table(31).NBR_DISP_SOURCES
    for index in sources[:listed]:
        if index >= most:
            raise ConfigurationRefused(number, f"item {index}, ST-32 has {most}")


def _check_octets(number: int, images: Mapping[int, bytes], context: Context) -> None:
    """Hold the octets that an actual table tells against the tables that must have room in them.

    Interval formats are chosen in ST-62.  A table that tells as many octets as the device has
    is taken, although some formats need more.
    """
    actual = 61 if number == 62 else number
    name, sized = SIZES.get(actual, ("", ()))
    if not name:
        return
    octets = sum(layout_for(n, context).size or 0 for n in sized if context.uses(n))
    told = context.table(actual)[name]
    most = layout_for(actual - 1, context).decode(images[actual - 1])[name]
    if octets > told and told < most:
        raise ConfigurationRefused(number, f"{name} {told}, the tables take {octets}")


def _check_data_sources(context: Context, images: Mapping[int, bytes]) -> None:
    """Hold the sources of ST-16 that have an entry of ST-14 against how many ST-11 says."""
    if 16 not in images:
        return
    links = layout_for(16, context).decode(images[16]).SOURCES_LINK
    flagged = sum(link.DATA_CTRL_FLAG for link in links)
    there = context.table(11).NBR_DATA_CTRL_ENTRIES
    if flagged > there:
        raise ConfigurationRefused(16, f"{flagged} sources with data control, there are {there}")


def _pairs(
    wanted: Mapping[str, Any], allowed: Mapping[str, Any], path: str
) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for name, value in wanted.items():
        most = allowed.get(name, 0)
        if isinstance(value, Mapping):
            found += _pairs(value, most if isinstance(most, Mapping) else {}, f"{path}{name}.")
        elif isinstance(value, int):
            found.append((f"{path}{name}", value, most))
    return found
