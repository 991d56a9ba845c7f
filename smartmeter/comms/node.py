"""The communication device: runs a message machine on its bearers, in an asyncio loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from smartmeter.base.clock import US_PER_S, monotonic_us
from smartmeter.comms.bearer import Bearer, Connection
from smartmeter.comms.failover import Failover

#: The longest sleep; a deadline on a scaled calendar moves under it.
MAX_SLEEP_S = 1.0
MIN_SLEEP_S = 0.0005


class SmartNode(Protocol):
    """What is run: an SSI module, or a whole simulated SmartMeter."""

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""

    def bearer_up(self, path: Hashable, now_us: int) -> None:
        """A bearer can carry APDUs now."""

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""

    def expire(self, now_us: int) -> None:
        """Do what is due."""

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""


class Medium(Protocol):
    """What lies between node and bearer in a simulation: delay, loss, faults."""

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Give it an APDU."""

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through."""

    def deadline_us(self) -> int | None:
        """Give when the next is through."""


class NodeHost:
    """Keeps one node connected, on time and heard.  ``after`` is called after each step."""

    def __init__(
        self,
        node: SmartNode,
        bearers: Sequence[Bearer],
        medium: Medium | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._node = node
        self._bearers = {bearer.settings.name: bearer for bearer in bearers}
        self._failover = Failover([bearer.settings for bearer in bearers])
        self._medium = medium
        self._after = after or (lambda: None)
        self._connections: dict[str, Connection] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    async def run(self) -> None:
        """Work until cancelled; connects again whenever the connection ends."""
        self.step()
        try:
            while True:
                name = self._failover.choose(monotonic_us())
                if name is None:
                    await asyncio.sleep(self._failover.wait_us(monotonic_us()) / US_PER_S)
                else:
                    await self._use(name)
        finally:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
            for connection in self._connections.values():
                connection.close()

    async def _use(self, name: str) -> None:
        try:
            connection = await self._bearers[name].connect()
        except OSError:
            self._failover.failed(name, monotonic_us())
            return
        self._connections[name] = connection
        self._node.bearer_up(name, monotonic_us())
        self.step()
        try:
            await connection.receive(lambda octets: self._take(name, octets))
        finally:
            connection.close()
            self._connections.pop(name, None)
            self._failover.ended(name, monotonic_us())
            if not self._stopped:
                self._node.bearer_down(name, monotonic_us())
                self.step()

    def _take(self, name: str, octets: bytes) -> None:
        now_us = monotonic_us()
        if self._medium is not None:
            self._medium.put(octets, False, now_us)
        else:
            self._node.receive(name, octets, now_us)
        self.step()

    def step(self) -> None:
        """Send what the node has to say, and set the alarm clock for its next deadline."""
        if self._stopped:
            return
        now_us = monotonic_us()
        moved = True
        while moved:
            moved = False
            for path, octets in self._node.outgoing():
                if self._medium is not None:
                    self._medium.put(octets, True, now_us)
                else:
                    self._send(path, octets)
            for outward, octets in self._medium.arrived(now_us) if self._medium else ():
                moved = True
                name = next(iter(self._connections), None)
                if name is None:
                    continue
                if outward:
                    self._send(name, octets)
                else:
                    self._node.receive(name, octets, now_us)
        self._after()
        self._set_timer()

    def _send(self, path: Hashable, octets: bytes) -> None:
        connection = self._connections.get(str(path))
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(octets)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        dues = [self._node.deadline_us(), self._medium.deadline_us() if self._medium else None]
        due_us = min((due for due in dues if due is not None), default=None)
        wait_s = MAX_SLEEP_S
        if due_us is not None:
            wait_s = min(max(MIN_SLEEP_S, (due_us - monotonic_us()) / US_PER_S), MAX_SLEEP_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        now_us = monotonic_us()
        due_us = self._node.deadline_us()
        if due_us is not None and due_us <= now_us:
            self._node.expire(now_us)
        self.step()
