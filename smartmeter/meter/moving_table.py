"""Tables that move while they are read: what moved meanwhile is read again.

A load profile takes minutes on a slow line, in which its meter goes on
recording, and a log grows by what others do.  Their pointers are looked at
before and after: an element that another block or entry has taken, or that
grew, is read once more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ansi_tables import Layout, Snapshot
from ansi_tables.errors import TableError
from ansi_tables.profile_blocks import shape_of
from protocols.c1218.transfer import Progress
from protocols.errors import ServiceRefused

PROFILE_STATUS, HISTORY_LOG, EVENT_LOG = 63, 74, 76
PROFILES = (64, 65, 66, 67)
MOVING = (*PROFILES, HISTORY_LOG, EVENT_LOG)
#: Looks after which it is given up: the list moves faster than it is read.
LOOKS = 4


class Source(Protocol):
    """A meter whose tables can be read, as ``protocols.transports.pump.MeterPort``."""

    def read(self, table: int, progress: Progress | None = None) -> bytes:
        """Give a whole table; ServiceRefused when the meter will not."""

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table."""


class Part(NamedTuple):
    """Octets of a table that are to be read; without ``octets`` all of it."""

    table: int
    offset: int = 0
    octets: int | None = None


_STATUS = (
    *("LP_SET_STATUS_FLAGS", "NBR_VALID_BLOCKS", "LAST_BLOCK_ELEMENT", "LAST_BLOCK_SEQ_NBR"),
    "NBR_VALID_INT",
)


@dataclass(frozen=True)
class _List:
    """Where the elements of a list lie in its table, and where its pointers are.

    ``paths`` are flags, count of valid elements, the newest one, its sequence number and, of
    a load profile, how many intervals the newest block has.
    """

    begin: int
    octets: int
    elements: int
    pointers: Part
    pointer_layout: Layout
    paths: tuple[str, ...]

    def element(self, table: int, number: int) -> Part:
        """Give where an element lies."""
        return Part(table, self.begin + number * self.octets, self.octets)

    def moved(self, before: bytes, after: bytes) -> list[int]:
        """Give the elements to read again, by the pointers of before and after a reading.

        With the one before each: some meters point one past the newest.  None where the pointers
        cannot be understood.
        """
        found = set[int]()
        try:
            was, (now, older) = self._occupants(before)[0], self._occupants(after)
        except TableError:
            return []
        for element, what in now.items():
            if was.get(element) != what:
                found |= {element, (element + older) % self.elements}
        return sorted(found)

    def _occupants(self, pointers: bytes) -> tuple[dict[int, tuple[int, int]], int]:
        """Give what is in each element, the number of its block or entry and how full that is.

        And the step from an element to the one with what is older.
        """
        read = [self.pointer_layout.value(path, pointers) for path in self.paths]
        flags, held, newest, sequence, used = (*read, 0)[:5]
        older = 1 if flags["ORDER"] else -1
        return {
            (newest + age * older) % self.elements: (sequence - age, 0 if age else used)
            for age in range(min(held, self.elements))
        }, older


def _list_of(tables: Snapshot, number: int) -> _List | None:
    """Give the list that a table is; None for another table, or one that cannot be decoded."""
    try:
        layout = tables.layout(number)
        if number in PROFILES:
            shape = shape_of(layout, number - PROFILE_STATUS)
            if shape is None or PROFILE_STATUS not in tables[0].STD_TBLS_USED:
                return None
            status = f"LP_STATUS_SET{number - PROFILE_STATUS}."
            paths = tuple(status + name for name in _STATUS)
            place = (0, shape.block_octets, shape.blocks)
            return _List(*place, Part(PROFILE_STATUS), tables.layout(PROFILE_STATUS), paths)
        if number not in (HISTORY_LOG, EVENT_LOG) or not layout.has("ENTRIES.0"):
            return None
        flags = "EVENT_FLAGS" if number == EVENT_LOG else "HIST_FLAGS"
        paths = (flags, "NBR_VALID_ENTRIES", "LAST_ENTRY_ELEMENT", "LAST_ENTRY_SEQ_NBR")
        begin, octets = layout.field("ENTRIES.0")
        head = Part(number, 0, begin)
        return _List(begin, octets, layout.count("ENTRIES"), head, layout, paths)
    except TableError:
        return None


def settled(tables: Snapshot, numbers: Iterable[int]) -> Generator[Part, bytes, frozenset[int]]:
    """Read again what moved of tables that were read; give those that moved at each look.

    ``tables`` has them, with what they need to be understood and the pointers as they were
    before; it is brought up to date.  Each part that is wanted is yielded, and its octets sent.
    """
    lists = {n: one for n in numbers if n in tables.images and (one := _list_of(tables, n))}
    places = {one.pointers for one in lists.values()}
    before = {place: _cut(tables, place) for place in places if place.table in tables.images}
    moving = frozenset[int]()
    for _ in range(LOOKS):
        after: dict[Part, bytes] = {}
        for place in before:
            after[place] = yield place
        moving = frozenset[int]()
        for number, one in lists.items():
            place = one.pointers
            moved = one.moved(before[place], after[place]) if place in before else []
            for element in moved:
                piece = one.element(number, element)
                _put(tables, piece, (yield piece))
            moving |= {number} if moved else set()
        for place, octets in after.items():
            _put(tables, place, octets)
        if not moving:
            break
        before = after
    return moving


def _cut(tables: Snapshot, place: Part) -> bytes:
    image = tables.images[place.table]
    return image if place.octets is None else image[place.offset :][: place.octets]


def _put(tables: Snapshot, place: Part, octets: bytes) -> None:
    image = bytearray(tables.images[place.table])
    image[place.offset : place.offset + len(octets)] = octets
    tables.images[place.table] = bytes(image)


def read_steady(
    meter: Source, tables: Snapshot, number: int, progress: Progress | None = None
) -> tuple[bytes, bool]:
    """Read a whole table; False beside it when it moved each time that it was looked at.

    ``tables`` holds what the table needs to be understood.  It is put there, and so is ST-63,
    as it was last, with a load profile.
    """
    can_tell = True
    try:
        if number in PROFILES and _list_of(tables, number) is not None:
            tables.images[PROFILE_STATUS] = meter.read(PROFILE_STATUS)
    except ServiceRefused:
        can_tell = False  # whether it moves, nobody knows
    tables.images[number] = meter.read(number, progress)
    parts = settled(tables, (number,) if can_tell else ())
    try:
        part = next(parts)
        while True:
            part = parts.send(_read(meter, part))
    except StopIteration as stop:
        return tables.images[number], number not in stop.value


def _read(meter: Source, part: Part) -> bytes:
    if part.octets is None:
        return meter.read(part.table)
    return meter.read_part(part.table, part.offset, part.octets)
