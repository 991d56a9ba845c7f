"""The optical probe of a gateway: a port in a thread of its own, a byte machine in the loop.

A port that vanishes is opened again until it is back; the machine sees
silence in between, and times out by itself.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from protocols.errors import ProtocolError
from protocols.machine import Machine, SetBaud
from protocols.transports.port import Port
from smartmeter.base.clock import monotonic_us

#: How long the port is listened to at a time: less than a turn-around while a session is under
#: way, longer when the line has been quiet for a while, so that an idle board sleeps.
BUSY_TIMEOUT_S, QUIET_TIMEOUT_S, QUIET_AFTER_S = 0.02, 0.1, 0.5
REOPEN_S = 2.0
#: A port that was open for less is not opened again at once.
STEADY_S = 10.0
MAX_WAITING = 1000
#: What a port is listened to at the most: a line is slower, and one that babbles without end
#: must leave time to the others.
MAX_OCTETS_S = 20_000


class Probe:
    """Carries bytes between a port and a machine.  ``after`` is called when bytes came."""

    def __init__(
        self,
        open_it: Callable[[], Port],
        machine: Machine,
        loop: asyncio.AbstractEventLoop,
        after: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._open_it, self._machine = open_it, machine
        self._loop, self._after, self._note = loop, after, note
        #: Whether the port is open now.
        self.is_open = False
        self._lost_told = False
        self._out: queue.Queue[bytes | int] = queue.Queue(MAX_WAITING)
        #: Set when the loop has dealt with what was read: no more is read before.
        self._taken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="probe", daemon=True)

    def start(self) -> None:
        """Open the port and carry bytes from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Let the port go."""
        self._stop.set()
        self._thread.join(5)

    def flush(self) -> None:
        """Write what the machine has to say, then change speed if it asks for it."""
        data = self._machine.outgoing()
        if data:
            self._put(data)
        for event in self._machine.events():
            if isinstance(event, SetBaud):
                self._put(event.baud)

    def _put(self, item: bytes | int) -> None:
        if not self.is_open:
            self._forget_waiting()
        try:
            self._out.put_nowait(item)
        except queue.Full:
            return  # nobody is there: the machine's own time-outs tell

    def _forget_waiting(self) -> None:
        """Nobody was there for it: a meter that comes back must not be told all of it at once."""
        with suppress(queue.Empty):
            while True:
                self._out.get_nowait()

    def _work(self) -> None:
        while not self._stop.is_set():
            opened_s = time.monotonic()
            try:
                self._open_and_carry()
            except ProtocolError as error:
                # How it went, not how each try to open it again failed.
                if not self._lost_told:
                    self._tell(f"is away: {error}")
                self._lost_told = True
            if time.monotonic() - opened_s < STEADY_S:
                self._stop.wait(REOPEN_S)

    def _open_and_carry(self) -> None:
        """Use the port until it goes; ProtocolError says how it went, or why it did not open."""
        port = self._open_it()
        try:
            self.is_open = True
            self._carry(port)
        finally:
            self.is_open = False
            port.close()

    def _carry(self, port: Port) -> None:
        told = False
        active_s = time.monotonic()
        while not self._stop.is_set():
            quiet = time.monotonic() - active_s > QUIET_AFTER_S
            data = port.read(QUIET_TIMEOUT_S if quiet else BUSY_TIMEOUT_S)
            if data or not self._out.empty():
                active_s = time.monotonic()
            if data:
                if not told:
                    # Not before: some ports open where nothing is behind them.
                    self._tell("works")
                told, self._lost_told = True, False
                self._hand_over(data)
            while not self._out.empty():
                item = self._out.get_nowait()
                if isinstance(item, int):
                    port.set_baud(item)
                else:
                    port.write(item)
                    self._loop.call_soon_threadsafe(self._sent)
            if data:
                self._stop.wait(len(data) / MAX_OCTETS_S)

    def _hand_over(self, data: bytes) -> None:
        """Give the loop what was read, and wait until it has taken it."""
        self._taken.clear()
        self._loop.call_soon_threadsafe(self._arrived, data)
        while not self._taken.wait(QUIET_TIMEOUT_S) and not self._stop.is_set():
            continue

    def _tell(self, text: str) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._note, text)

    def _arrived(self, data: bytes) -> None:
        try:
            self._machine.receive(data, monotonic_us())
            self._after()
        finally:
            self._taken.set()

    def _sent(self) -> None:
        self._machine.sent(monotonic_us())
        self._after()
