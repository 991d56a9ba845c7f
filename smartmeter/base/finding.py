"""What ``gateway check`` and ``doctor`` say of one thing that they looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing looked at; what is ``wrong`` would fail."""

    subject: str
    wrong: bool
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"\n      -> {self.remedy}" if self.remedy else ""
        return f"{'WRONG' if self.wrong else 'ok   '} {self.subject}: {self.text}{remedy}"

    def value(self) -> dict[str, Any]:
        """Give it for ``--json``."""
        return dict(vars(self))


def well(subject: str, text: str, remedy: str = "") -> Finding:
    """Find that something works, though a remedy may better it."""
    return Finding(subject, False, text, remedy)


def wrong(subject: str, text: str, remedy: str = "") -> Finding:
    """Find that something would fail."""
    return Finding(subject, True, text, remedy)


def without_port(port: str, text: str) -> str:
    """Give what an error says, without the port's name where that is told before it."""
    return text.removeprefix(f"{port}: ").removeprefix(f"{port.removeprefix('tcp:')}: ")
