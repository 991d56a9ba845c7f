"""What is to be written: nothing leaves before the turn-around after the last packet is over."""

from __future__ import annotations


class Outgoing:
    """Octets that may leave, and behind them those that are held; nothing overtakes these."""

    # A street has one for each of very many meters.
    __slots__ = ("_held", "_held_until_us", "_ready")

    def __init__(self) -> None:
        self._ready = bytearray()
        self._held = bytearray()
        self._held_until_us = 0

    def __len__(self) -> int:
        """Give how many octets have not left."""
        return len(self._ready) + len(self._held)

    @property
    def holds(self) -> bool:
        """Tell whether something must wait."""
        return bool(self._held)

    def hold_until(self, until_us: int) -> None:
        """Hold what is put from now on until an instant, if not longer already."""
        self._held_until_us = max(self._held_until_us, until_us)

    def put(self, octets: bytes, now_us: int) -> None:
        """Take octets to write."""
        waits = self._held or now_us < self._held_until_us
        (self._held if waits else self._ready).extend(octets)

    def put_ahead(self, octet: int) -> None:
        """Take an octet that goes before what is held."""
        self._ready.append(octet)

    def withdraw(self, octets: bytes) -> None:
        """Take back octets that have not left."""
        for queue in (self._held, self._ready):
            at = queue.rfind(octets)
            if at >= 0:
                del queue[at : at + len(octets)]

    def deadline_us(self) -> int | None:
        """Give when ``expire`` lets go of what is held."""
        return self._held_until_us if self._held else None

    def expire(self, now_us: int) -> None:
        """Let go of what was held long enough."""
        if self._held and now_us >= self._held_until_us:
            self._ready += self._held
            self._held.clear()

    def take(self) -> bytes:
        """Give what may leave, and forget it."""
        data = bytes(self._ready)
        self._ready.clear()
        return data
