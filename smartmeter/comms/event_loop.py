"""The event loop of a server that serves many connections: uvloop where it is installed.

It is asyncio with its hot parts in C; a message through it costs a third.  It
comes with the ``tms`` extra, except on Windows, where it does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")

#: A task that has not ended so long after it was told is told again.
TELL_AGAIN_S = 2.0

#: When Python looks for cycles.  A message makes dozens of containers and no cycle; with the
#: usual thresholds a tenth of the time would go into looking at tens of thousands that stay.
GC_THRESHOLDS = (50_000, 20, 100)


def run_server(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end, as ``asyncio.run`` does."""
    allow_sockets()
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop as loop_factory
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*before)


def allow_sockets() -> None:
    """Take as many open files as the system grants: every connection is one."""
    try:
        import resource
    except ImportError:
        return  # a system without such a limit
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_granted(most: int) -> int:
    """Give how many connections leave a quarter of the open files to pages, database and log."""
    try:
        import resource
    except ImportError:
        return most
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, files * 3 // 4)


def told_to_end() -> bool:
    """Tell whether the current task was cancelled and is only saying farewell."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def ended(*tasks: asyncio.Task[T]) -> list[BaseException]:
    """Cancel tasks until all have ended; give the errors of those that failed, in order.

    Telling them once is not enough: before Python 3.12 ``asyncio.wait_for``, which
    libraries stand on, loses a cancellation that comes in the same turn of the loop
    as what it waits for.  If the caller is cancelled meanwhile, they are still seen to their end.
    """
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        try:
            await asyncio.wait(waiting, timeout=TELL_AGAIN_S)
        except asyncio.CancelledError as error:
            cancelled = error
    # Taken from each task: asyncio warns of those that nobody has asked for.
    errors = [task.exception() for task in tasks if not task.cancelled()]
    if cancelled is not None:
        raise cancelled
    return [error for error in errors if error is not None]
