"""The service manager's socket (systemd, ``sd_notify``): ready, alive, stopping."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from smartmeter.base.clock import US_PER_S


class ServiceManager:
    """Tells systemd how the service does; without ``NOTIFY_SOCKET`` it tells nobody."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watchdog = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        #: How often ``alive`` is wanted, in seconds; None for never.
        self.period_s = int(watchdog) / US_PER_S / 2 if watchdog.isdecimal() and mine else None

    def ready(self, status: str) -> None:
        """The service works from now on."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """The loop still turns: feeds the watchdog."""
        self._tell(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The service ends because it was told to."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # A leading @ names a socket without a file.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.setblocking(False)
                notify.sendto(text.encode(), address)
        except OSError:
            return  # nobody listens; the service itself is not worse for it
