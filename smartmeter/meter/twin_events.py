"""Events in a twin's log: entries are added to ST-76 as the ring of its image takes them."""

from __future__ import annotations

from typing import Any

from ansi_tables import Record, Snapshot

LOG, CLOCK = 76, 52


def with_events(tables: Snapshot, code: int, count: int) -> tuple[bytes, int]:
    """Give ST-76 with ``count`` more events of a standard code, and how many it took.

    They carry the time that ST-52 shows.  KeyError or TableError where there is no log.
    """
    log: Any = tables[LOG]
    moment = _shown_time(tables)
    taken = sum(_add(log, code, moment) for _ in range(count))
    return tables.layout(LOG).encode(log), taken


def _shown_time(tables: Snapshot) -> Any:
    """Give what the clock shows; a meter without one has no times in its log."""
    try:
        return tables[CLOCK].CLOCK_CALENDAR.value
    except (KeyError, AttributeError):
        return None


def _add(log: Any, code: int, moment: Any) -> bool:
    """Add an event; False where all are unread and the log may not overflow."""
    flags, entries = log.EVENT_FLAGS, log.ENTRIES
    if len(entries) <= log.NBR_UNREAD_ENTRIES:
        flags["OVERFLOW_FLAG"] = 1
        if flags.INHIBIT_OVERFLOW_FLAG or not entries:
            return False
    number = (log.LAST_ENTRY_SEQ_NBR + 1) % (1 << 32)
    entry = Record(entries[0])
    entry["EVENT_TIME"], entry["USER_ID"] = moment, 0
    entry["EVENT_CODE"] = Record(TBL_PROC_NBR=code, STD_VS_MFG_FLAG=0, SELECTOR=0)
    entry["EVENT_ARGUMENT"] = bytes(len(entry["EVENT_ARGUMENT"]))
    for name in ("EVENT_NUMBER", "EVENT_SEQ_NBR"):
        if name in entry:
            entry[name] = number % 65_536
    log["LAST_ENTRY_ELEMENT"] = _put(log, entry)
    log["LAST_ENTRY_SEQ_NBR"] = number
    for name in ("NBR_VALID_ENTRIES", "NBR_UNREAD_ENTRIES"):
        log[name] = min(log[name] + 1, len(entries))
    return True


def _put(log: Any, entry: Any) -> int:
    """Put an entry where the newest belongs: rings turn, other lists shift; give its element."""
    flags, entries = log.EVENT_FLAGS, log.ENTRIES
    if flags.LIST_TYPE:
        step, first = (-1, len(entries) - 1) if flags.ORDER else (1, 0)
        at = (log.LAST_ENTRY_ELEMENT + step) % len(entries) if log.NBR_VALID_ENTRIES else first
        entries[at] = entry
    elif flags.ORDER:
        at = 0
        entries.insert(0, entry)
        entries.pop()
    else:
        if len(entries) <= log.NBR_VALID_ENTRIES:
            entries.append(entries.pop(0))
        at = min(log.NBR_VALID_ENTRIES, len(entries) - 1)
        entries[at] = entry
    return at
