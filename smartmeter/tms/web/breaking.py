"""What the demo lends to its pages: a way to break things and to mend them."""

from __future__ import annotations

from typing import Protocol


class Breaker(Protocol):
    """A simulated street, as the pages know it."""

    def mains(self, esn: str, on: bool) -> None:
        """Cut or return the mains of one house."""

    def network(self, esn: str, on: bool) -> None:
        """Cut or mend the network of one house."""

    def silence(self, esn: str, silent: bool) -> None:
        """Take a SmartMeter's own reports away, or let them through again."""

    def faults(self, esn: str) -> dict[str, bool]:
        """Tell which of "mains", "network" and "silence" are broken; nothing of whom it lacks."""
