"""What carries APDUs in the simulated network, and what can be put around it."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Carrier(Protocol):
    """What takes APDUs and gives them again: a wire, or a wrapper around a carrier."""

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Take an APDU; outward is from the SmartMeter to the network."""

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through: direction and octets, in the order of arrival."""

    def deadline_us(self) -> int | None:
        """Give when the next APDU moves on."""


class Wire:
    """The innermost carrier: what was put on it is through at once."""

    def __init__(self) -> None:
        self._through: deque[tuple[int, bool, bytes]] = deque()

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Take an APDU."""
        self._through.append((now_us, outward, octets))

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what was put up to now."""
        through = []
        while self._through and self._through[0][0] <= now_us:
            _, outward, octets = self._through.popleft()
            through.append((outward, octets))
        return through

    def deadline_us(self) -> int | None:
        """Give the instant of what waits to be fetched."""
        return self._through[0][0] if self._through else None


class Wrapper:
    """Something around a carrier; by itself it passes everything on.

    ``lost`` counts what it did not pass.
    """

    def __init__(self) -> None:
        self.inner: Carrier = Wire()
        self.lost = 0

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Take an APDU."""
        self.inner.put(octets, outward, now_us)

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through."""
        return self.inner.arrived(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next APDU moves on."""
        return self.inner.deadline_us()

    def let_go(self, now_us: int) -> None:
        """It is taken off: pass on whatever is held."""
