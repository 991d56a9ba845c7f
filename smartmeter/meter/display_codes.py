"""The codes of ST-32.DISP_SOURCE on this meter: what an item of the display is.

The standard leaves the code to the manufacturer.  Ours has two octets: kind and
block in the first (block 0 is the total, then the tiers), an index in the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

CODE_OCTETS = 2


class Kind(IntEnum):
    """What an item shows."""

    SEGMENTS = 0
    SUMMATION = 1
    DEMAND = 2
    CUMULATIVE = 3
    PRESENT_DEMAND = 4
    PRESENT_VALUE = 5
    STATE = 6
    LAST_RESET_DEMAND = 7
    LAST_SEASON = 8


class State(IntEnum):
    """What an item of kind STATE shows."""

    DATE = 0
    TIME = 1
    SERIAL = 2
    RESETS = 3
    SEASON = 4
    TIER = 5
    STATUS = 6


@dataclass(frozen=True)
class Item:
    """One item: kind, index of the register (or State), block 0 total or 1 … tier."""

    kind: Kind
    index: int = 0
    block: int = 0


def code(item: Item) -> bytes:
    """Give the octets of ST-32 for an item."""
    return bytes([item.kind << 4 | item.block, item.index])


def item(octets: bytes) -> Item | None:
    """Give the item of some octets of ST-32, None for a code that this meter does not have."""
    if len(octets) < CODE_OCTETS or octets[0] >> 4 > max(Kind):
        return None
    return Item(Kind(octets[0] >> 4), octets[1], octets[0] & 15)
