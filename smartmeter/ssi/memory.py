"""What the module must know again after a power cut: one page, committed with each change.

Cursors into the meter's lists are the module's own (the meter's unread
pointers belong to the utility).  They move in the same commit that puts what
was read into the outbox: nothing is skipped and nothing is read into two
reports.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram

MEMORY_PAGE = "module"
MAX_OUTAGES = 16


@dataclass
class Memory:
    """The module's own state.  Times are UTC seconds; None is never."""

    ring_epoch: int = 1
    profile_next: int | None = None
    events_reported: int | None = None
    events_judged: int | None = None
    #: Last due time that was run, by schedule number.
    marks: dict[str, int] = field(default_factory=dict)
    #: Raised or not, and the octets last seen, by monitor number.
    watch: dict[str, list[Any]] = field(default_factory=dict)
    context_sent: int = 0
    next_alarm: int = 1
    advisories: list[str] = field(default_factory=list)
    outage_start_s: int | None = None
    outage_reported: bool = False
    next_outage: int = 1
    momentaries: int = 0
    outages: list[list[int]] = field(default_factory=list)
    acknowledged_s: int = 0

    def page(self) -> bytes:
        """Give the page to commit."""
        return json.dumps(asdict(self)).encode()

    def pages(self) -> dict[str, bytes | None]:
        """Give the change that makes this state durable."""
        return {MEMORY_PAGE: self.page()}


def load_memory(nvram: Nvram) -> Memory:
    """Read the module's state; a new one when there is none; StorageError when it is damaged."""
    page = nvram.get(MEMORY_PAGE)
    if page is None:
        return Memory()
    try:
        value = json.loads(page)
        known = {one.name for one in fields(Memory)}
        return Memory(**{name: item for name, item in value.items() if name in known})
    except (ValueError, TypeError) as error:
        raise StorageError(
            "the module's memory", f"cannot be read: {error!r}", "start with an empty file"
        ) from error
