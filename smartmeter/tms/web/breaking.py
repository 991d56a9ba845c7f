"""What the demo lends to its pages: a way to break things and to mend them."""

from __future__ import annotations

from typing import Protocol


class Breaker(Protocol):
    """A simulated street, as the pages know it."""

    def faults(self, esn: str) -> dict[str, bool]:
        """Tell which of "mains", "network" and "silence" are broken; nothing of whom it lacks."""

    def strike(self, esn: str, what: str, begins: bool) -> None:
        """Break one of these at a house, or mend it."""
