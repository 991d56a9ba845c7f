"""An optical line in memory: bytes take their time at a speed, or none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from protocols.machine import Machine

BITS_A_BYTE = 10
US_PER_S = 1_000_000


@dataclass
class _Piece:
    due_us: int
    sender: Machine
    receiver: Machine
    data: bytes


class OpticalLine:
    """Carries bytes between two machines; ``baud`` None is a line without delay."""

    def __init__(self, baud: int | None = None) -> None:
        self._baud = baud
        self._pieces: deque[_Piece] = deque()
        self._free_us = 0

    def carry(self, one: Machine, other: Machine, now_us: int) -> bool:
        """Take what the machines send and deliver what has arrived; True when anything moved."""
        moved = False
        for sender, receiver in ((one, other), (other, one)):
            sender.events()
            data = sender.outgoing()
            if data:
                moved = True
                self._put(sender, receiver, data, now_us)
        while self._pieces and self._pieces[0].due_us <= now_us:
            piece = self._pieces.popleft()
            piece.sender.sent(now_us)
            piece.receiver.receive(piece.data, now_us)
            moved = True
        return moved

    def _put(self, sender: Machine, receiver: Machine, data: bytes, now_us: int) -> None:
        # Half duplex in time: what is sent next waits for what is on its way.
        self._free_us = max(self._free_us, now_us)
        if self._baud is not None:
            self._free_us += len(data) * BITS_A_BYTE * US_PER_S // self._baud
        self._pieces.append(_Piece(self._free_us, sender, receiver, data))

    def deadline_us(self) -> int | None:
        """Give when the next bytes arrive."""
        return self._pieces[0].due_us if self._pieces else None

    def clear(self) -> None:
        """Lose what is on its way."""
        self._pieces.clear()
