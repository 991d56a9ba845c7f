"""Tables that move while they are read: what moved meanwhile is read again.

A load profile takes minutes on a slow line, in which its meter goes on
recording, and a log grows by what others do.  Their pointers are looked at
before and after: an element that another block or entry has taken, or that
grew, is read once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansi_tables import Layout, Snapshot
from ansi_tables.errors import TableError
from ansi_tables.profile_blocks import shape_of
from protocols.c1218.transfer import Progress
from protocols.errors import ServiceRefused
from smartmeter.cli.meter_line import RemoteMeter

PROFILE_STATUS, HISTORY_LOG, EVENT_LOG = 63, 74, 76
PROFILES = (64, 65, 66, 67)
#: Looks after which it is given up: the list moves faster than it is read.
LOOKS = 4


@dataclass(frozen=True)
class _List:
    """Where the elements of a list lie in its table, and where its pointers are.

    ``paths`` are flags, count of valid elements, the newest one, its sequence number and, of
    a load profile, how many intervals the newest block has.
    """

    begin: int
    octets: int
    elements: int
    pointer_table: int
    pointer_layout: Layout
    paths: tuple[str, ...]

    def pointers(self, meter: RemoteMeter) -> bytes:
        """Read the pointers: ST-63, or the head of a log."""
        if self.pointer_table == PROFILE_STATUS:
            return meter.read(PROFILE_STATUS)
        return meter.read_part(self.pointer_table, 0, self.begin)

    def moved(self, before: bytes, after: bytes) -> list[int]:
        """Give the elements to read again, by the pointers of before and after a reading.

        With the one before each: some meters point one past the newest.
        """
        was, found = self._occupants(before)[0], set[int]()
        now, older = self._occupants(after)
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
    """Give the list that a table is; None for a table that is none, or that cannot be decoded."""
    layout = tables.layout(number)
    if number in PROFILES:
        shape = shape_of(layout, number - PROFILE_STATUS)
        if shape is None or PROFILE_STATUS not in tables[0].STD_TBLS_USED:
            return None
        names = ("NBR_VALID_BLOCKS", "LAST_BLOCK_ELEMENT", "LAST_BLOCK_SEQ_NBR", "NBR_VALID_INT")
        place = (0, shape.block_octets, shape.blocks)
        status = f"LP_STATUS_SET{number - PROFILE_STATUS}."
        paths = tuple(status + name for name in ("LP_SET_STATUS_FLAGS", *names))
        return _List(*place, PROFILE_STATUS, tables.layout(PROFILE_STATUS), paths)
    if number not in (HISTORY_LOG, EVENT_LOG) or not layout.has("ENTRIES.0"):
        return None
    flags = "EVENT_FLAGS" if number == EVENT_LOG else "HIST_FLAGS"
    paths = (flags, "NBR_VALID_ENTRIES", "LAST_ENTRY_ELEMENT", "LAST_ENTRY_SEQ_NBR")
    place = (*layout.field("ENTRIES.0"), layout.count("ENTRIES"))
    return _List(*place, number, layout, paths)


def read_steady(
    meter: RemoteMeter, tables: Snapshot, number: int, progress: Progress | None = None
) -> tuple[bytes, bool]:
    """Read a whole table; False beside it when it moved each time that it was looked at.

    ``tables`` holds what the table needs to be understood; ST-63 is left in it as it was last.
    """
    moving = None
    try:
        moving = _list_of(tables, number)
        pointers = b"" if moving is None else moving.pointers(meter)
    except (TableError, ServiceRefused):
        moving = None  # nobody can tell whether it moves
    image = bytearray(meter.read(number, progress))
    if moving is None:
        return bytes(image), True
    moved: list[int] = []
    for _ in range(LOOKS):
        before, pointers = pointers, moving.pointers(meter)
        moved = moving.moved(before, pointers)
        if not moved:
            break
        for element in moved:
            at = moving.begin + element * moving.octets
            piece = meter.read_part(number, at, moving.octets)
            image[at : at + len(piece)] = piece
    if moving.pointer_table == PROFILE_STATUS:
        tables.images[PROFILE_STATUS] = pointers
    else:
        image[: moving.begin] = pointers
    return bytes(image), not moved
