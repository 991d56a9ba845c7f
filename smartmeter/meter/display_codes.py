"""The codes of ST-32.DISP_SOURCE on this meter: what an item of the display is.

The standard leaves the code to the manufacturer.  Ours has three octets: kind and
block in the first (block 0 is the total, then the tiers), an index in the second,
and in the third the two digits that the LCD shows beside the value, by which people
know an item.  Under a narrower ST-31 an item has no digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

CODE_OCTETS = 2
#: What is in the place of the two digits of an item without any, and the digits of a segment test.
NO_DIGITS, ALL_LIT = 255, 88
MAX_DIGITS = 99


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
    """One item: kind, index of the register (or State), block 0 total or 1 … tier.

    ``digits`` are shown beside its value, 0 to 99; None shows nothing there.
    """

    kind: Kind
    index: int = 0
    block: int = 0
    digits: int | None = None


def code(item: Item) -> bytes:
    """Give the octets of ST-32 for an item."""
    digits = NO_DIGITS if item.digits is None else item.digits
    return bytes([item.kind << 4 | item.block, item.index, digits])


def item(octets: bytes) -> Item | None:
    """Give the item of some octets of ST-32, None for a code that this meter does not have."""
    if len(octets) < CODE_OCTETS or octets[0] >> 4 > max(Kind):
        return None
    digits = octets[CODE_OCTETS] if len(octets) > CODE_OCTETS else NO_DIGITS
    shown = digits if digits <= MAX_DIGITS else None
    return Item(Kind(octets[0] >> 4), octets[1], octets[0] & 15, shown)


def numbered(items: Iterable[Item]) -> list[Item]:
    """Give items the digits that people know them by: 01, 02 … in order, 88 a segment test."""
    digits = (n for n in range(1, MAX_DIGITS + 1) if n != ALL_LIT)
    return [
        replace(one, digits=ALL_LIT if one.kind is Kind.SEGMENTS else next(digits, None))
        for one in items
    ]
