"""What a port is to the shells: bytes in, bytes out, a speed, and an end."""

from __future__ import annotations

import errno
import os
import re
import time
from typing import Protocol

#: What is raised without a word, by asyncio above all, is told as the system would.
_UNSAID: dict[type[Exception], int] = {
    TimeoutError: errno.ETIMEDOUT,
    ConnectionResetError: errno.ECONNRESET,
    ConnectionAbortedError: errno.ECONNABORTED,
}
#: Numbers and places in C that wrap the words.
_WRAPPING = re.compile(r"\[Errno -?\d+\] |^_ssl\.c:\d+: ")

#: How the name of a port begins behind which a number is dialled.
MODEM = "modem:"


class Port(Protocol):
    """A serial line, a socket or an end of a pipe.  PortError when it has gone."""

    def read(self, timeout_s: float) -> bytes:
        """Give what has arrived, waiting at most so long; empty when nothing came."""

    def write(self, data: bytes) -> None:
        """Write, and return when the bytes have left as far as the port can tell."""

    def set_baud(self, baud: int) -> None:
        """Change the speed; a port without one does nothing."""

    def close(self) -> None:
        """Let the port go."""


def monotonic_us() -> int:
    """Give the computer's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


#: Reads that may find something of an earlier session.
MAX_LEFTOVERS = 16


def drop_leftovers(port: Port) -> None:
    """Throw away what an earlier session left in a port."""
    for _ in range(MAX_LEFTOVERS):
        if not port.read(0.0):
            break


def system_words(error: Exception) -> str:
    """Give what the system says of a failure, in its words alone.

    pyserial, asyncio and others wrap them, with the number and the name, once or twice.  What TLS
    says of itself has numbers that are not the system's.
    """
    if isinstance(distrust := getattr(error, "verify_message", None), str):
        return f"its certificate is not trusted: {distrust.rstrip('.')}"
    if getattr(error, "library", None) and isinstance(
        reason := getattr(error, "reason", None), str
    ):
        return f"TLS: {reason.lower().replace('_', ' ')}"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    words = _WRAPPING.sub("", str(getattr(error, "strerror", None) or error))
    unsaid = _UNSAID.get(type(error))
    return os.strerror(unsaid) if unsaid and not words else words
