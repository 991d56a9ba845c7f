"""The event log (ST-76) and the history log (ST-74) as values, oldest first.

Entries are ordered by the ring and their sequence numbers, never by their
times: a clock can be set back, and one real meter stamps an outage later than
the restoration after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import starmap
from typing import TYPE_CHECKING

from ansi_tables.event_arguments import decode_argument
from ansi_tables.events import MANUFACTURER_EVENT, event_name, event_text
from ansi_tables.ids import MANUFACTURER_BIT, name_of
from ansi_tables.meaning.clock import clock_rules
from ansi_tables.meaning.rings import newest_first, unwrapped
from ansi_tables.procedures import procedure_name
from ansi_tables.values import Record, TableTime

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot


@dataclass(frozen=True)
class Event:
    """One entry of a log.

    ``code`` has bit 11 set for a manufacturer's event; ``name`` is the
    standard's.  ``time`` is aware, in the meter's own zone, None when not set
    or not logged; ``sequence`` the whole 32-bit number of the entry; ``number``
    the one that both logs share; ``user`` 0 the meter itself, 1 by hand, else
    who was logged on; ``argument`` the octets that the code gives a meaning,
    and ``details`` the same as a record where that meaning is known.
    """

    code: int
    time: datetime | None
    sequence: int | None
    user: int
    argument: bytes
    number: int | None = None
    table: int = 76
    element: int = field(default=0, repr=False)
    details: Record | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Give the standard's name: "PRIMARY_POWER_DOWN"."""
        return event_name(self.code)

    @property
    def text(self) -> str:
        """Give the name in words: "primary power down"."""
        return event_text(self.code)

    @property
    def is_manufacturer(self) -> bool:
        """Tell whether only the maker of the meter can say what the code means."""
        return bool(self.code & MANUFACTURER_EVENT)

    def __str__(self) -> str:
        """Give the entry in one line."""
        when = self.time.isoformat(" ", "seconds") if self.time else "at an unknown time"
        more = f" ({self.argument.hex()})" if any(self.argument) else ""
        if self.details is not None:
            more = f" ({', '.join(starmap(_detail, self.details.items()))})"
        return f"{'-' if self.sequence is None else self.sequence} {when} {self.text}{more}"


def _detail(name: str, value: object) -> str:
    """Give one member of an argument in words: "season 2", "table ST-52"."""
    if isinstance(value, TableTime):
        value = value.value or "not set"
    elif isinstance(value, Record):
        number = value.TBL_PROC_NBR
        if name == "PROCEDURE":
            value = procedure_name(number, bool(value.STD_VS_MFG_FLAG))
        else:
            value = name_of(number | value.STD_VS_MFG_FLAG * MANUFACTURER_BIT)
    return f"{name.lower().replace('_', ' ')} {value}"


def event_log(tables: Snapshot) -> tuple[Event, ...]:
    """Give the valid entries of ST-76, oldest first; MissingContextError when it was not read."""
    return _entries(tables, 76, "EVENT")


def history_log(tables: Snapshot) -> tuple[Event, ...]:
    """Give the valid entries of ST-74, oldest first."""
    return _entries(tables, 74, "HISTORY")


def _entries(tables: Snapshot, table: int, prefix: str) -> tuple[Event, ...]:
    log, rules = tables.require(table), clock_rules(tables)
    flags = log["EVENT_FLAGS" if prefix == "EVENT" else "HIST_FLAGS"]
    entries = log.ENTRIES
    last, sequence = _newest(entries, log, flags.ORDER, f"{prefix}_TIME")
    found = []
    for element in newest_first(len(entries), log.NBR_VALID_ENTRIES, last, flags.ORDER):
        entry = entries[element]
        if f"{prefix}_SEQ_NBR" in entry:
            sequence = unwrapped(sequence, entry[f"{prefix}_SEQ_NBR"])
        bits = entry[f"{prefix}_CODE"]
        code = bits.TBL_PROC_NBR | bits.STD_VS_MFG_FLAG * MANUFACTURER_EVENT
        argument = entry[f"{prefix}_ARGUMENT"]
        found.append(
            Event(
                code,
                rules.moment(entry.get(f"{prefix}_TIME")),
                sequence,
                entry.USER_ID,
                argument,
                entry.get("EVENT_NUMBER"),
                table,
                element,
                decode_argument(code, argument, tables.context),
            )
        )
        sequence = max(0, sequence - 1)
    return tuple(reversed(found))


def _newest(entries: list[Record], log: Record, order: int, time: str) -> tuple[int, int]:
    """Give element and sequence number of the newest entry.

    A real meter reports both one past the newest: where the entry at the
    pointer was never written (all ones or zero), one step back is meant.
    """
    last, sequence = log.LAST_ENTRY_ELEMENT, log.LAST_ENTRY_SEQ_NBR
    step = 1 if order else -1
    stepped = last + step
    beyond = last == len(entries) or (last < len(entries) and is_unwritten(entries[last], time))
    if beyond and 0 <= stepped < len(entries) and not is_unwritten(entries[stepped], time):
        return stepped, max(0, sequence - 1)
    return last, sequence


def is_unwritten(entry: Record, time: str) -> bool:
    """Tell whether an entry is all ones, or has neither time nor code.

    A meter that has lost its clock logs what happens without a time.
    """
    stamp = entry.get(time)
    if isinstance(stamp, TableTime) and stamp.raw:
        has_code = entry[time.replace("TIME", "CODE")]["TBL_PROC_NBR"] != 0
        blank = ({0xFF},) if has_code else ({0x00}, {0xFF})
        return stamp.value is None and set(stamp.raw) in blank
    return bool(entry.USER_ID == 0xFFFF and set(entry[time.replace("TIME", "ARGUMENT")]) <= {0xFF})
