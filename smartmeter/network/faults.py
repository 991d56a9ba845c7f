"""What can stand in the way of APDUs; each is put on a link and taken off it."""

from __future__ import annotations

from random import Random

from protocols.c1222.builder import NOTIFICATION
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected


class Cut:
    """Nothing passes."""

    def passes(self, octets: bytes, outward: bool, now_us: int) -> bool:
        """Refuse everything."""
        return False


class Lossy:
    """Some of it is lost, by chance from a seed."""

    def __init__(self, percent: int, chance: Random) -> None:
        self._percent, self._chance = percent, chance

    def passes(self, octets: bytes, outward: bool, now_us: int) -> bool:
        """Lose so many of a hundred."""
        return self._chance.randrange(100) >= self._percent


class Muted:
    """A SmartMeter that no longer reports by itself, but answers when it is asked.

    Notifications are known by their AE-qualifier, which travels in clear.
    """

    def passes(self, octets: bytes, outward: bool, now_us: int) -> bool:
        """Refuse notifications on their way out."""
        if not outward:
            return True
        try:
            qualifier = decode_apdu(octets).ae_qualifier or 0
        except ApduRejected:
            return True
        return not qualifier & NOTIFICATION
