"""One thing that ``smartmeter doctor`` has looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Is it well, and if not, what to do."""

    subject: str
    well: bool
    text: str
    remedy: str = ""
