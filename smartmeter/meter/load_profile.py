"""The load-profile ring of set 1, held as the octets of ST-64.

Blocks follow each other by a sequence number that never goes back; an interval
is known by ``block sequence x intervals a block + index``, not by its time.
Intervals end on multiples of the interval length in UTC.  What an outage
skipped is recorded as skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from smartmeter.meter.profile import (
    BLOCK_INTERVALS,
    CHANNELS,
    NBR_BLOCKS,
    block_octets,
    interval_octets,
)

#: Common flags (high nibble of the first status octet) and channel codes of EXTENDED_INT_STATUS.
POWER_FAILED = 2
CLOCK_FORWARD = 4
CLOCK_BACKWARD = 8
OK, OVERFLOW, PARTIAL, SKIPPED = 0, 1, 2, 4
SIMPLE_OCTETS = BLOCK_INTERVALS // 8
HEADER_OCTETS = 5 + SIMPLE_OCTETS


@dataclass(frozen=True)
class Interval:
    """One finished interval: where it is, when it ended, and what flowed in Wh a channel."""

    sequence: int
    end_utc_s: int
    values: tuple[int, ...]
    common: int
    code: int


def stime_octets(utc_s: int) -> bytes:
    """Give STIME_DATE under TM_FORMAT 2; year with two digits."""
    moment = datetime.fromtimestamp(utc_s, UTC)
    return bytes((moment.year % 100, moment.month, moment.day, moment.hour, moment.minute))


class Ring:
    """The blocks, and where the newest is."""

    def __init__(self) -> None:
        self.blocks = [bytearray(block_octets()) for _ in range(NBR_BLOCKS)]
        self.sequence = 0
        self.valid_blocks = 0
        self.valid_intervals = 0
        self.unread_blocks = 0
        self.overflow = False
        self.changed: set[int] = set()

    @property
    def element(self) -> int:
        """Give the array element of the newest block."""
        return self.sequence % NBR_BLOCKS

    @property
    def next_sequence(self) -> int:
        """Give the sequence of the interval that is recorded next."""
        if self.valid_blocks and self.valid_intervals < BLOCK_INTERVALS:
            return self.sequence * BLOCK_INTERVALS + self.valid_intervals
        return (self.sequence + (self.valid_blocks > 0)) * BLOCK_INTERVALS

    def record(self, end_utc_s: int, values: tuple[int, ...], common: int, code: int) -> Interval:
        """Write one interval; begins a block when the last one is full."""
        if not self.valid_blocks or self.valid_intervals == BLOCK_INTERVALS:
            self._begin_block()
        sequence, index = self.next_sequence, self.valid_intervals
        if any(value > 0xFFFF for value in values):
            code = OVERFLOW
        stored = tuple(min(value, 0xFFFF) for value in values)
        block = self.blocks[self.element]
        block[0:5] = stime_octets(end_utc_s)
        if code != SKIPPED:
            block[5 + index // 8] |= 1 << index % 8
        at = HEADER_OCTETS + index * interval_octets()
        # Two channels: common flags and channel 0 in the first octet, channel 1 in the second.
        octets = bytes((common << 4 | code, code << 4))
        octets += b"".join(value.to_bytes(2, "little") for value in stored)
        block[at : at + interval_octets()] = octets
        self.valid_intervals = index + 1
        self.changed.add(self.element)
        return Interval(sequence, end_utc_s, stored, common, code)

    def _begin_block(self) -> None:
        if self.valid_blocks:
            self.sequence += 1
        self.valid_intervals = 0
        if self.unread_blocks == NBR_BLOCKS:
            self.overflow = True
        self.valid_blocks = min(self.valid_blocks + 1, NBR_BLOCKS)
        self.unread_blocks = min(self.unread_blocks + 1, NBR_BLOCKS)
        self.blocks[self.element] = bytearray(block_octets())

    def image(self) -> bytes:
        """Give ST-64."""
        return b"".join(self.blocks)

    def status(self) -> dict[str, Any]:
        """Give ST-63."""
        flags = {
            "ORDER": 0,
            "OVERFLOW_FLAG": int(self.overflow),
            "LIST_TYPE": 1,
            "BLOCK_INHIBIT_OVERFLOW_FLAG": 0,
            "INTERVAL_ORDER": 0,
            "ACTIVE_MODE_FLAG": 1,
            "TEST_MODE": 0,
        }
        return {
            "LP_STATUS_SET1": {
                "LP_SET_STATUS_FLAGS": flags,
                "NBR_VALID_BLOCKS": self.valid_blocks,
                "LAST_BLOCK_ELEMENT": self.element,
                "LAST_BLOCK_SEQ_NBR": self.sequence,
                "NBR_UNREAD_BLOCKS": self.unread_blocks,
                "NBR_VALID_INT": self.valid_intervals,
            }
        }

    def acknowledge(self, blocks: int) -> None:
        """Lower the unread counter (procedure 5)."""
        self.unread_blocks = max(0, self.unread_blocks - blocks)
        self.overflow = self.overflow and self.unread_blocks == NBR_BLOCKS

    def clear(self) -> None:
        """Empty the ring; the sequence goes on, so that no identity is given twice."""
        following = self.sequence + 1
        self.__init__()  # type: ignore[misc]
        self.sequence = following
        self.changed = set(range(NBR_BLOCKS))

    def to_json(self) -> dict[str, Any]:
        """Give the pointers for non-volatile memory; blocks are pages of their own."""
        names = ("sequence", "valid_blocks", "valid_intervals", "unread_blocks", "overflow")
        return {name: getattr(self, name) for name in names}

    def restore(self, pointers: dict[str, Any], blocks: dict[int, bytes]) -> None:
        """Take pointers and blocks back."""
        for name, value in pointers.items():
            setattr(self, name, value)
        for element, octets in blocks.items():
            self.blocks[element] = bytearray(octets)


#: The width of the values above, so that a change of the profile is seen here.
assert CHANNELS == 2
