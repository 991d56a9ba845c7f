"""What holds on a line: C12.18's times at an optical port, C12.21's in a telephone call."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.psem.codes import BAUD_CODES


@dataclass(frozen=True)
class LineRules:
    """What a device is granted, and what it says of itself.

    ``standard`` and ``baud_code`` are what the answers to Identify and Negotiate carry.
    """

    standard: int
    baud_code: int
    response_us: int
    answer_us: int
    traffic_us: int
    inter_character_us: int

    @property
    def is_call(self) -> bool:
        """Tell whether the speed is the modems', and three more services may be there."""
        return self.standard == 2

    @property
    def piece_quiet_us(self) -> int:
        """Give after how much silence a piece of a packet is complete, or wrong."""
        return self.inter_character_us + 100_000


OPTICAL = LineRules(0, BAUD_CODES[9600], 2_000_000, 6_000_000, 6_000_000, 500_000)
CALL = LineRules(2, 0, 4_000_000, 30_000_000, 30_000_000, 1_000_000)
