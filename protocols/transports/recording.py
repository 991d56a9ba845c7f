"""Record what goes through a port, and play it back without the meter.

A recording is JSON lines: ``{"us": …, "to": "meter" | "client", "hex": …}``.
A session that was recorded once on hardware replays from its file ever after.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO

from protocols.errors import PortError
from protocols.transports.port import Port

#: The longest line and the most lines of a recording that is played back.
MAX_LINE = 100_000
MAX_LINES = 1_000_000


class RecordingPort:
    """A port that writes down all that passes, and is one itself."""

    def __init__(self, inner: Port, out: TextIO, now_us: Callable[[], int]) -> None:
        self._inner = inner
        self._out = out
        self._now_us = now_us

    def _note(self, receiver: str, data: bytes) -> None:
        line = {"us": self._now_us(), "to": receiver, "hex": data.hex()}
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()

    def read(self, timeout_s: float) -> bytes:
        """Read, and note what came."""
        data = self._inner.read(timeout_s)
        if data:
            self._note("client", data)
        return data

    def write(self, data: bytes) -> None:
        """Note, and write."""
        self._note("meter", data)
        self._inner.write(data)

    def set_baud(self, baud: int) -> None:
        """Change the speed of the port inside."""
        self._inner.set_baud(baud)

    def close(self) -> None:
        """Let the port inside go; the file stays open for its owner."""
        self._inner.close()


class ReplayPort:
    """A port that answers as the recording tells; PortError when the client says otherwise."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._steps: deque[tuple[str, bytes]] = deque()
        for number, line in enumerate(lines, 1):
            if number > MAX_LINES or len(line) > MAX_LINE:
                raise PortError(f"recording, line {number}: too long")
            try:
                step = json.loads(line)
                receiver, data = step["to"], bytes.fromhex(step["hex"])
            except (ValueError, KeyError, TypeError) as error:
                raise PortError(f"recording, line {number}: {error!r}") from error
            if self._steps and self._steps[-1][0] == receiver:
                data = self._steps.pop()[1] + data
            self._steps.append((receiver, data))
        self._expected = b""

    def read(self, timeout_s: float) -> bytes:
        """Give what the meter said next."""
        if not self._expected and self._steps and self._steps[0][0] == "client":
            return self._steps.popleft()[1]
        return b""

    def write(self, data: bytes) -> None:
        """Compare with what the client said when it was recorded."""
        if not self._expected and self._steps and self._steps[0][0] == "meter":
            self._expected = self._steps.popleft()[1]
        if not self._expected.startswith(data):
            raise PortError(f"the recording expects {self._expected.hex()}, not {data.hex()}")
        self._expected = self._expected[len(data) :]

    def set_baud(self, baud: int) -> None:
        """Do nothing: a recording has no speed."""

    def close(self) -> None:
        """Do nothing."""
