"""Pending tables: written now, in force when their event comes (ST-04, C12.19 pending tables).

A write to a table's id with bit 12 set carries six octets that say when, then
the image.  Tables that wait for the same event become active together or, if
they make no configuration, not at all.  A table that waits for a time of the clock
waits for what ST-52 will show then, whatever daylight saving does meanwhile.  The
layout of the event is from one source, the meaning of its codes from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ansi_tables import Context
from ansi_tables.ids import PENDING_BIT
from ansi_tables.pending_tables import ABSOLUTE, NOT_BY_TIME, RELATIVE, UNUSED
from ansi_tables.times import SIZES, decode_time
from smartmeter.meter.clock import Clock, stamp_of

EVENT_OCTETS = 6
SELF_READ_BIT, DEMAND_RESET_BIT = 1 << 4, 1 << 5
#: Bits of the event's first octet that say something: the two above it are filler.
_SELECTOR_BITS = 0x3F
#: Seconds of weeks, days, hours, minutes and seconds of a relative event.
_RELATIVE_S = (604_800, 86_400, 3600, 60, 1)


@dataclass(frozen=True)
class Waiting:
    """One table that waits: its number, event and image.

    ``at`` is when: a stamp of the clock for an absolute time, UTC seconds for a
    relative one, None for a trigger.
    """

    number: int
    event: bytes
    image: bytes
    at: int | None


class PendingTables:
    """The tables that wait, at most as many as ST-00 says."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most, self._clock = most, clock
        self.waiting: dict[int, Waiting] = {}
        self.last_activation = 0  # a stamp of the clock

    def write(self, number: int, data: bytes, context: Context, utc_s: int) -> bool:
        """Take a pending write, over an earlier one for the same table.

        False when there is no room, or for an event that is not known.  A time that has
        passed is due at once.
        """
        is_full = len(self.waiting) >= self._most
        if len(data) <= EVENT_OCTETS or (number not in self.waiting and is_full):
            return False
        event, image = data[:EVENT_OCTETS], data[EVENT_OCTETS:]
        code = event[0] & 15
        at: int | None = None
        if code == ABSOLUTE:
            fmt = context.fmt
            octets = event[1 : 1 + (SIZES["STIME_DATE"][fmt.tm_format] or 0)]
            moment = decode_time("STIME_DATE", octets, fmt.tm_format, fmt.data_order).value
            if not isinstance(moment, datetime):
                return False
            at = stamp_of(moment)
        elif code == RELATIVE:
            at = utc_s + sum(n * s for n, s in zip(event[1:], _RELATIVE_S, strict=True))
        elif code != NOT_BY_TIME:
            return False
        self.waiting[number] = Waiting(number, event, image, at)
        return True

    def due_utc_s(self) -> int | None:
        """Give when the next table becomes active by time."""
        dues = map(self._due_utc_s, self.waiting.values())
        return min((due for due in dues if due is not None), default=None)

    def _due_utc_s(self, waiting: Waiting) -> int | None:
        """Give when a table becomes active, by what the clock applies now."""
        if waiting.at is None or waiting.event[0] & 15 != ABSOLUTE:
            return waiting.at
        return self._clock.instant_of(waiting.at)

    def due(self, utc_s: int) -> list[list[Waiting]]:
        """Give the tables whose time has come, those of one event together, in order of time."""
        groups: dict[tuple[int, bytes], list[Waiting]] = {}
        for waiting in self.waiting.values():
            due = self._due_utc_s(waiting)
            if due is not None and due <= utc_s:
                groups.setdefault((due, waiting.event), []).append(waiting)
        return [groups[key] for key in sorted(groups)]

    def of_event(self, event: bytes | None) -> list[Waiting]:
        """Give the tables that wait for an event, filler aside, or all of them for None."""
        wanted = event and (event[0] & _SELECTOR_BITS, event[1:])
        return [
            waiting
            for waiting in self.waiting.values()
            if wanted in (None, (waiting.event[0] & _SELECTOR_BITS, waiting.event[1:]))
        ]

    def remove(self, tables: list[Waiting]) -> None:
        """Forget tables that are active now, or discarded."""
        for waiting in tables:
            del self.waiting[waiting.number]

    def shift(self, seconds: int) -> None:
        """Keep relative events where they are in running time, after the clock was set."""
        for number, waiting in self.waiting.items():
            if waiting.event[0] & 15 == RELATIVE and waiting.at is not None:
                self.waiting[number] = replace(waiting, at=waiting.at + seconds)

    def table(self, can_wait: frozenset[int]) -> Mapping[str, Any]:
        """Give ST-04; entries without a table have EVENT_CODE 15."""
        entries = [
            {
                "EVENT": _event(waiting.event),
                "TABLE_SELECTOR": _selector(waiting.number),
            }
            for waiting in sorted(self.waiting.values(), key=lambda w: w.number)
        ]
        unused = {"EVENT": _event(bytes([UNUSED, 0, 0, 0, 0, 0])), "TABLE_SELECTOR": _selector(0)}
        entries += [unused] * (self._most - len(entries))
        return {
            "STANDARD_PENDING": can_wait,
            "MANUFACT_PENDING": frozenset(),
            "LAST_ACTIVATION_DATE_TIME": self._clock.moment(self.last_activation),
            "NBR_PENDING_ACTIVATION": len(self.waiting),
            "PENDING_TABLES": entries,
        }

    def image(self, number: int) -> bytes | None:
        """Give a waiting table as it was written, event first."""
        found = self.waiting.get(number)
        return None if found is None else found.event + found.image

    def to_json(self) -> list[Any]:
        """Give what waits for non-volatile memory."""
        entries = [[w.number, w.event.hex(), w.image.hex(), w.at] for w in self.waiting.values()]
        return [self.last_activation, entries]

    def restore(self, state: list[Any]) -> None:
        """Take it back."""
        self.last_activation, entries = state
        self.waiting = {
            number: Waiting(number, bytes.fromhex(event), bytes.fromhex(image), at)
            for number, event, image, at in entries
        }


def _event(octets: bytes) -> dict[str, Any]:
    selector = {
        "EVENT_CODE": octets[0] & 15,
        "SELF_READ_FLAG": octets[0] >> 4 & 1,
        "DEMAND_RESET_FLAG": octets[0] >> 5 & 1,
    }
    return {"EVENT_SELECTOR": selector, "EVENT_STORAGE": octets[1:]}


def _selector(number: int) -> dict[str, int]:
    names = ("STD_VS_MFG_FLAG", "FLAG1", "FLAG2", "FLAG3")
    waits = {"TBL_PROC_NBR": number, "PENDING_FLAG": int(number != 0)}
    return {**dict.fromkeys(names, 0), **waits}


def pending_of(number: int) -> int | None:
    """Give the standard table of which an id is the pending copy, or None."""
    bare = number & ~PENDING_BIT
    return bare if number & PENDING_BIT and bare < 1 << 11 else None
