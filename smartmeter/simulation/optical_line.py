"""An optical line in memory: bytes take their time at a speed, or none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from protocols.machine import Machine
from smartmeter.base.clock import US_PER_S

BITS_A_BYTE = 10
#: A packet comes in pieces: at 300 baud it takes longer than a receiver waits for an answer.
PIECES_A_SECOND = 4


@dataclass
class _Piece:
    due_us: int
    sender: Machine
    receiver: Machine
    data: bytes
    is_last: bool


class OpticalLine:
    """Carries bytes between two machines; ``baud`` None is a line without delay."""

    def __init__(self, baud: int | None) -> None:
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
            if piece.is_last:
                piece.sender.sent(now_us)
            piece.receiver.receive(piece.data, now_us)
            moved = True
        return moved

    def _put(self, sender: Machine, receiver: Machine, data: bytes, now_us: int) -> None:
        # Half duplex in time: what is sent next waits for what is on its way.
        self._free_us = max(self._free_us, now_us)
        bytes_a_second = (self._baud or 0) // BITS_A_BYTE
        octets = bytes_a_second // PIECES_A_SECOND or len(data)
        for at in range(0, len(data), octets):
            piece = data[at : at + octets]
            if bytes_a_second:
                self._free_us += len(piece) * US_PER_S // bytes_a_second
            is_last = at + octets >= len(data)
            self._pieces.append(_Piece(self._free_us, sender, receiver, piece, is_last))

    def deadline_us(self) -> int | None:
        """Give when the next bytes arrive."""
        return self._pieces[0].due_us if self._pieces else None

    def clear(self) -> None:
        """Lose what is on its way."""
        self._pieces.clear()
