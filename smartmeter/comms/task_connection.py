"""A connection that a task of its own keeps: it says when the way is open, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from smartmeter.comms.inbox import Inbox


class TaskConnection:
    """What connections have in common whose carrier is a library or a machine in a loop.

    ``work`` sets ``ready`` when APDUs can pass, puts what comes into ``inbox``,
    and raises OSError when the carrier fails.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ready = asyncio.Event()
        self._inbox = Inbox()
        self._work: asyncio.Task[None]

    async def _opened(self, work: Coroutine[Any, Any, None], timeout_s: float) -> None:
        """Begin the work and wait until the way is open; OSError when it does not come about."""
        self._work = asyncio.create_task(work)
        opening = asyncio.create_task(self._ready.wait())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wait((opening, self._work), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            self.close()
            raise OSError(f"{self._name}: no answer in time") from error
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            opening.cancel()
        if not self._ready.is_set():
            self._work.result()
            raise OSError(f"{self._name}: nobody listens there")

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives until the way ends; OSError when its carrier fails."""
        self._inbox.open(take)
        await asyncio.wait((self._work,))
        if not self._work.cancelled():
            self._work.result()

    def close(self) -> None:
        """End it."""
        self._work.cancel()
