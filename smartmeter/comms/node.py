"""The communication device: runs a message machine on its bearers, in an asyncio loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, runtime_checkable

from protocols.transports.port import system_words
from smartmeter.base.clock import US_PER_S, monotonic_us
from smartmeter.comms.bearer import Bearer, Connection
from smartmeter.comms.bearer_health import Lengths
from smartmeter.comms.event_loop import ended
from smartmeter.comms.failover import Failover
from smartmeter.comms.way import PLAIN_WAY, Need, Way

#: The longest sleep; a deadline on a scaled calendar moves under it.
MAX_SLEEP_S = 1.0
MIN_SLEEP_S = 0.0005
#: Calls of the TMS in a shorter time are one call.
MIN_WAKE_US = 10 * US_PER_S


class SmartNode(Protocol):
    """What is run: an SSI module, or a whole simulated SmartMeter."""

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer."""

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits ``most_octets``.

        0 when there is none.
        """

    def doubted(self) -> list[Hashable]:
        """Give the bearers over which several requests in a row were not answered."""

    def expire(self, now_us: int) -> None:
        """Do what is due."""

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""


@runtime_checkable
class Wakeable(Protocol):
    """A bearer by which the TMS can ask the node to call it: ``woken`` is called then."""

    woken: Callable[[], None]


@runtime_checkable
class Counting(Protocol):
    """A bearer that strangers can come to: ``counts`` who came and was refused, by reason."""

    counts: Counter[str]


class NodeHost:
    """Keeps one node connected, on time and heard.  ``after`` is called after each step."""

    def __init__(
        self,
        node: SmartNode,
        bearers: Sequence[Bearer],
        after: Callable[[], None] | None = None,
    ) -> None:
        self._node = node
        self._bearers = {bearer.settings.name: bearer for bearer in bearers}
        standing_by = [name for name, bearer in self._bearers.items() if bearer.stands_by]
        self._failover = Failover([bearer.settings for bearer in bearers], standing_by)
        self._after = after or (lambda: None)
        self._connections: dict[str, Connection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._need, self._lengths = Need.NOTHING, Lengths()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._woken_us = -MIN_WAKE_US
        for bearer in bearers:
            if isinstance(bearer, Wakeable):
                bearer.woken = self.wake

    async def run(self) -> None:
        """Work until cancelled; opens bearers as the fail-over plans it."""
        self.step()
        try:
            while True:
                self._changed.clear()
                now_us = monotonic_us()
                plan = self._failover.plan(self._need, now_us, self._lengths)
                for name in plan.open:
                    self._tasks[name] = asyncio.create_task(self._use(name))
                for name in plan.close:
                    self._tasks[name].cancel()
                await self._change(plan.again_us)
                for name in [name for name, task in self._tasks.items() if task.done()]:
                    task = self._tasks.pop(name)
                    if not task.cancelled():
                        task.result()
        finally:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
            await ended(*self._tasks.values())

    def wake(self) -> None:
        """The TMS has asked, by a bearer that can do no more, that the node calls it."""
        now_us = monotonic_us()
        if now_us >= self._woken_us + MIN_WAKE_US:
            self._woken_us = now_us
            self._failover.called(now_us)
            self._changed.set()

    def bearers(self) -> list[dict[str, Any]]:
        """Give how each bearer does, the cheapest first."""
        return self._failover.status(monotonic_us())

    def counts(self) -> Counter[str]:
        """Give who came to the bearers and was refused, by reason, since they were made."""
        counting = (one.counts for one in self._bearers.values() if isinstance(one, Counting))
        return sum(counting, Counter[str]())

    async def _change(self, again_us: int | None) -> None:
        """Wait until something happened to a bearer, to what waits, or until the plan ends."""
        with contextlib.suppress(TimeoutError):
            wait_s = None if again_us is None else (again_us - monotonic_us()) / US_PER_S
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

    async def _use(self, name: str) -> None:
        """Open a bearer and stay with it until it ends."""
        try:
            await self._open(name)
        except asyncio.CancelledError:
            self._failover.closed(name)
            raise
        except OSError as error:
            self._failover.failed(name, system_words(error), monotonic_us())
        finally:
            self._changed.set()

    async def _open(self, name: str) -> None:
        bearer = self._bearers[name]
        connection = await bearer.connect()
        self._connections[name] = connection
        self._failover.up(name)
        try:
            self._node.bearer_up(name, monotonic_us(), bearer.settings.way)
            self.step()
            fault = ""
            try:
                await connection.receive(lambda octets: self._take(name, octets))
            except OSError as error:
                fault = system_words(error)
            self._failover.ended(name, monotonic_us(), fault)
        finally:
            connection.close()
            self._connections.pop(name, None)
            if not self._stopped:
                self._node.bearer_down(name, monotonic_us())
                self.step()

    def _take(self, name: str, octets: bytes) -> None:
        if self._failover.heard(name):
            self._changed.set()
        self._node.receive(name, octets, monotonic_us())
        self.step()

    def step(self) -> None:
        """Send what the node has to say, and set the alarm clock for its next deadline."""
        if self._stopped:
            return
        for path, octets in self._node.outgoing():
            self._send(path, octets)
        self._heed(monotonic_us())
        self._after()
        self._set_timer()

    def _heed(self, now_us: int) -> None:
        """Take note of what the node needs, and of bearers that it has come to doubt."""
        need, lengths = self._node.need(now_us), self._failover.lengths(self._node.longest)
        if need is not self._need or lengths != self._lengths:
            self._need, self._lengths = need, lengths
            self._changed.set()
        for path in self._node.doubted():
            connection = self._connections.get(str(path))
            if connection is not None:
                self._failover.doubted(str(path), now_us)
                connection.close()

    def _send(self, path: Hashable, octets: bytes) -> None:
        connection = self._connections.get(str(path))
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(octets)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_us = self._node.deadline_us()
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
