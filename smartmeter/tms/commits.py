"""Changes of the store whose end is acted upon: a SmartMeter is told only what is durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from smartmeter.base.errors import StorageError
from smartmeter.tms.store.sqlite import Store

T = TypeVar("T")


class Commits:
    """Writes in the store's thread; what follows a commit is done in that of ``call_soon``."""

    def __init__(
        self,
        store: Store,
        call_soon: Callable[[Callable[[], None]], None],
        settle: Callable[[], None],
    ) -> None:
        self._store, self._call_soon, self._settle = store, call_soon, settle

    def try_write(
        self, change: Callable[[sqlite3.Connection], None], told: Callable[[bool], None]
    ) -> None:
        """Let a change be made; ``told`` whether it is durable, also where none is taken now."""
        try:
            self.write(change, lambda done: told(done.exception() is None))
        except StorageError:
            told(False)
            raise

    def write(
        self, change: Callable[[sqlite3.Connection], T], after: Callable[[Future[T]], None]
    ) -> None:
        """Let a change be made; ``after`` is given its future when it is durable, or has failed."""

        def carry_on(done: Future[Any]) -> None:
            after(done)
            self._settle()

        # Nothing here holds the future, which holds this: a circle would keep whole groups of
        # reports until Python looks for circles.
        future = self._store.write(change)
        future.add_done_callback(lambda done: self._call_soon(partial(carry_on, done)))
