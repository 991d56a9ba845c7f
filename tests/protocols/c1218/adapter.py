"""A serial adapter without hardware."""

import time
from typing import Any

import serial


class Adapter(serial.Serial):
    """A serial adapter without hardware: notes what is set, and when something is written."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.url, self.settings = url, settings
        self.lines: dict[str, bool] = {}
        self.opened_s = time.monotonic()
        self.written: list[tuple[float, bytes]] = []
        self.speed = settings["baudrate"]

    rts = property(lambda self: self.lines["rts"], lambda self, on: self.lines.update(rts=on))
    dtr = property(lambda self: self.lines["dtr"], lambda self, on: self.lines.update(dtr=on))
    baudrate = property(lambda self: self.speed, lambda self, baud: setattr(self, "speed", baud))

    def write(self, data: bytes) -> int:
        self.written.append((time.monotonic(), data))
        return len(data)

    timeout = 0.0
    in_waiting = 0

    def read(self, size: int = 1) -> bytes:
        return b"\x06"

    def flush(self) -> None:
        """Return at once, as USB adapters do."""

    def close(self) -> None:
        """Have nothing to close."""

    def __del__(self) -> None:
        """Have nothing to close."""
