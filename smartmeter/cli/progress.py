"""How far long work is: one line on the terminal, after two seconds, gone when it ends."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.status import Status

from ansi_tables import name_of
from protocols.c1218.transfer import Progress

#: Work below this needs no line.
SHOW_AFTER_S = 2.0


class WorkProgress:
    """A line that tells how far some work is."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, text: str) -> None:
        """Say how far it is."""
        late = time.monotonic() - self._begun_s > SHOW_AFTER_S
        if not (late and sys.stderr.isatty()):
            return
        if self._status is None:
            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)


class ReadingProgress(WorkProgress):
    """A line that tells which table is being read, and how many octets have come."""

    def of(self, table: int) -> Progress:
        """Give what to call as the octets of a table come."""
        return lambda done, whole: self.tell(f"{name_of(table)}: {done} octets")
