"""What a terminal shows beside the answer: how far long work is; and tables.

Alone here is *rich*, and it is loaded when there is something to show: a verb starts sooner
without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from ansi_tables import name_of
from protocols.c1218.transfer import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.status import Status

#: Work below this needs no line.
SHOW_AFTER_S = 2.0
TABLE_WIDTH = 80


class WorkProgress:
    """A line that tells how far some work is: after two seconds, gone when it ends."""

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
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)


class ReadingProgress(WorkProgress):
    """A line that tells which table is being read, and how many octets have come."""

    def of(self, table: int) -> Progress:
        """Give what to call as the octets of a table come."""
        return lambda done, whole: self.tell(f"{name_of(table)}: {done} octets")


class CountedProgress:
    """A bar that tells how many of a number of things are done, from the beginning on."""

    def __init__(self, things: str, total: int | None = None) -> None:
        self._things, self._total = things, total
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bars

            self._bars = Bars(console=Console(stderr=True))
            try:
                self._bars.start()
                self._task = self._bars.add_task(self._things, total=self._total)
            except BaseException:  # Ctrl-C: the cursor is hidden already
                self._bars.stop()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def reach(self, done: int, total: int | None = None) -> None:
        """Say how many are done, and of how many when that was not known."""
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total)


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table of figures as text, of 80 characters at the most.

    On a terminal that is not as wide its lines go on below: no figure is left out.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in headings:
        drawn.add_column(heading, justify="right")
    for row in rows:
        drawn.add_row(*row)
    console = Console(width=TABLE_WIDTH)
    with console.capture() as shown:
        console.print(drawn)
    return shown.get()
