"""Waiting for what another task, thread or process does, which sets no event here."""

import asyncio
import time
from collections.abc import Callable

#: Long enough on a machine that has much else to do.
PATIENCE_S = 240
LOOK_S = 0.02


async def until(holds: Callable[[], object], awaited: str = "") -> None:
    """Let other tasks run until something holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s, awaited
        await asyncio.sleep(LOOK_S)


def wait_until(holds: Callable[[], object], log: Callable[[], object] = str) -> None:
    """Wait until something holds; ``log`` gives what to tell where it never does."""
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s, log()
        time.sleep(LOOK_S)
