"""A command that runs until it is told to stop: Ctrl-C, or SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


def on_stop(stop: Callable[[], object]) -> None:
    """Let SIGINT and SIGTERM call ``stop`` in the running loop.

    Elsewhere than on Unix Ctrl-C raises KeyboardInterrupt by itself.
    """
    if os.name == "posix":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
