"""What people are told of a part that works or fails: once for each change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Takes the line that is told.
Tell = Callable[[str], None]


def tell_nobody(text: str) -> None:
    """Tell nobody."""


@dataclass
class Standing:
    """How a part does; ``name`` is what people call it, ``failing`` what is said when it fails.

    ``well`` is how it does now, None: not known; at first nobody is told of it.
    """

    name: str = ""
    tell: Tell = tell_nobody
    failing: str = "is away"
    well: bool | None = None

    def works(self) -> None:
        """It does what it is there for."""
        if self.well is not True:
            self.well = True
            self.tell(f"{self.name}: works")

    def fails(self, why: str) -> None:
        """It does not, until it works again."""
        if self.well is not False:
            self.well = False
            self.tell(f"{self.name}: {self.failing} ({why})")
