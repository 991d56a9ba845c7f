"""A machine as a port: what is written to it goes straight into the machine.

The client then talks to a simulated meter in the same process, on the same
code that talks to a real one.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.machine import Machine


class MachinePort:
    """A port whose other end is a machine; time comes from ``now_us``."""

    def __init__(self, machine: Machine, now_us: Callable[[], int]) -> None:
        self._machine = machine
        self._now_us = now_us

    def read(self, timeout_s: float) -> bytes:
        """Give what the machine has to say now; it never needs waiting for."""
        now_us = self._now_us()
        due_us = self._machine.deadline_us()
        if due_us is not None and now_us >= due_us:
            self._machine.expire(now_us)
        data = self._machine.outgoing()
        if data:
            self._machine.sent(now_us)
        self._machine.events()
        return data

    def write(self, data: bytes) -> None:
        """Give the machine bytes."""
        self._machine.receive(data, self._now_us())

    def set_baud(self, baud: int) -> None:
        """Do nothing: memory has no speed."""

    def close(self) -> None:
        """Do nothing: the machine stays."""
