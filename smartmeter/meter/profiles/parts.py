"""What device profiles are put together from: sources, selections, displays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smartmeter.meter.display_codes import Item, Kind, State, code, numbered
from smartmeter.meter.event_log import MFG_EVENTS, EventCode
from smartmeter.meter.profile import SourceProfile, Values, octets_for
from smartmeter.meter.quantities import BLOCK, DIAL, INSTANTANEOUS, NET_DIAL, Unit

DELIVERED, RECEIVED = (1, 4), (2, 3)
VAR_DELIVERED, VAR_RECEIVED = (1, 2), (3, 4)
ALL = (1, 2, 3, 4)
#: MULTIPLIER of ST-12: thousands, hundredths, thousandths.
KILO, CENTI, MILLI = 2, 5, 6

#: Events that every device knows, and those that need a part of it.
PLAIN_EVENTS = (*(int(code) for code in EventCode if code < EventCode.DST_ON), 30, 31, 32, 33)
TROUBLE_EVENTS = (*range(36, 49), 56, 57)
CALENDAR_EVENTS = (22, 23, 24, 26, 27)
PENDING_EVENTS = (28, 29)
SWITCH_EVENTS = (49, 51)

#: What each session causes: for a history log, and too much for an event log.
SESSION_EVENTS = frozenset((7, 8, 12))

#: Configuration tables that a master may write, where a device has them.
CONFIGURABLE = (
    *(5, 6, 7, *range(11, 17), 21, 22, 27, *range(31, 35), 41),
    *(51, 53, 54, 61, 62, 71, 73, 75),
)


def events(*groups: Iterable[int]) -> tuple[int, ...]:
    """Give the events that a device can see: the plain ones, and those of its parts."""
    return tuple(sorted({*PLAIN_EVENTS, *(code for group in groups for code in group)}))


def energy(
    quantity: int, quadrants: tuple[int, ...], multiplier: int = 0, **more: Any
) -> SourceProfile:
    """Give a running sum of a power in some quadrants."""
    return SourceProfile(Unit(quantity, DIAL, quadrants, multiplier), **more)


def net_energy(quantity: int, multiplier: int = 0) -> SourceProfile:
    """Give the sum of delivered less received."""
    return SourceProfile(Unit(quantity, NET_DIAL, ALL, multiplier, net=1))


def demand(
    quantity: int,
    quadrants: tuple[int, ...],
    interval: tuple[int, int],
    multiplier: int = 0,
    base: int = BLOCK,
    **more: Any,
) -> SourceProfile:
    """Give the demand of a power; ``interval`` is minutes of a subinterval, and how many."""
    return SourceProfile(Unit(quantity, base, quadrants, multiplier), demand=interval, **more)


def momentary(quantity: int, multiplier: int = 0, segment: int = 0) -> SourceProfile:
    """Give a quantity as it is now."""
    unit = Unit(quantity, INSTANTANEOUS, ALL, multiplier, segmentation=segment)
    return SourceProfile(unit)


def select(*numbers: int) -> list[Values]:
    """Give selectors of sources."""
    return [{"SOURCE_INDEX": number} for number in numbers]


def channels(*numbers: int, end_readings: bool = False) -> list[Values]:
    """Give the channels of a set, perhaps with the reading of their source at a block's end."""
    return [
        {
            "CHNL_FLAG": {"END_RDG_FLAG": int(end_readings)},
            "LP_SOURCE_SELECT": number,
            "END_BLK_RDG_SOURCE_SELECT": number if end_readings else 255,
        }
        for number in numbers
    ]


def monitored(events: Iterable[int], tables: Iterable[int], procedures: Iterable[int]) -> Values:
    """Give a log's control table: events, tables and procedures that go into it."""
    return {
        "STD_EVENTS_MONITORED_FLAGS": frozenset(events),
        "MFG_EVENTS_MONITORED_FLAGS": MFG_EVENTS,
        "STD_TBLS_MONITORED_FLAGS": frozenset(tables),
        "STD_PROC_MONITORED_FLAGS": frozenset(procedures),
    }


def supported(events: Iterable[int]) -> Values:
    """Give ST-72: the events that a device can see, and our own."""
    return {"STD_EVENTS_SUPPORTED": frozenset(events), "MFG_EVENTS_SUPPORTED": MFG_EVENTS}


def log_dimensions(
    events: int, history: int, flags: Sequence[str] = (), octets: int = 10, argument: int = 4
) -> Values:
    """Give ST-71: entries of both logs, and octets of the events' set."""
    return {
        "LOG_FLAGS": tuple(flags),
        "NBR_STD_EVENTS": octets,
        "NBR_MFG_EVENTS": octets_for(MFG_EVENTS),
        "HIST_DATA_LENGTH": argument if history else 0,
        "EVENT_DATA_LENGTH": argument,
        "NBR_HISTORY_ENTRIES": history,
        "NBR_EVENT_ENTRIES": events,
    }


def states(*wanted: State) -> list[Item]:
    """Give display items of the meter's state."""
    return [Item(Kind.STATE, state) for state in wanted]


def items(kind: Kind, *indexes: int) -> list[Item]:
    """Give display items of registers of the total block."""
    return [Item(kind, index) for index in indexes]


def display(normal: Sequence[Item], alternate: Sequence[Item]) -> dict[int, Values]:
    """Give ST-31 to ST-34: what the display can show, the list it scrolls, and another one."""
    shown = list(dict.fromkeys((*normal, *alternate)))
    width = len(code(shown[0]))
    dims = {
        "DISPLAY_CTRL": ("ON_TIME_FLAG", "OFF_TIME_FLAG", "HOLD_TIME_FLAG"),
        "NBR_DISP_SOURCES": len(shown),
        "WIDTH_DISP_SOURCES": width,
        "NBR_PRI_DISP_LIST_ITEMS": len(normal),
        "NBR_PRI_DISP_LISTS": 1,
        "NBR_SEC_DISP_LIST_ITEMS": len(alternate),
        "NBR_SEC_DISP_LISTS": 1,
    }

    def one(chosen: Sequence[Item], use: int) -> Values:
        return {
            "DISP_SCROLL1": {"ON_TIME": 6, "OFF_TIME": 1},
            "DISP_SCROLL2": {"HOLD_TIME": 2, "DEFAULT_LIST": use},
            "NBR_LIST_ITEMS": len(chosen),
        }

    return {
        31: dims,
        32: {"DISP_SOURCES": [{"DISP_SOURCE": code(item)} for item in numbered(shown)]},
        33: {
            "PRI_DISP_LIST": [one(normal, 0)],
            "PRI_DISP_SOURCES": [shown.index(item) for item in normal],
        },
        34: {
            "SEC_DISP_LIST": [one(alternate, 1)],
            "SEC_DISP_SOURCES": [shown.index(item) for item in alternate],
        },
    }
