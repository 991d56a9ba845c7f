"""What holds a secret, and is printed by programs that do not ask ``repr``."""

from __future__ import annotations

from typing import Any


class ShownByRepr:
    """Shows Hypothesis what ``repr`` shows: of its own it prints all fields, passwords too."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print ``repr``; called by Hypothesis and notebooks."""
        printer.text(repr(self))
