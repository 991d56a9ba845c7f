"""The TMS as an asyncio host: TCP connections in, the head-end between, one clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.c1222.security import KEY_OCTETS
from smartmeter.base.address import shown
from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.base.errors import SettingsError, SmartMeterError, StorageError
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import Path as ApduPath
from smartmeter.comms.paths import UdpPath, native_address_of
from smartmeter.comms.standing import Standing, Tell, tell_nobody
from smartmeter.comms.way_finder import WayFinder
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.polled_list import PolledMeter, import_polled, read_polled, remove_polled
from smartmeter.tms.poller import Poller
from smartmeter.tms.retention import PAUSE_FACTOR, PAUSE_S, ROUND_S, steps
from smartmeter.tms.shell import Shell
from smartmeter.tms.shipment import Shipped, import_shipment, read_shipment
from smartmeter.tms.store.sqlite import CACHE_KIB, FILE_NAME, SERVER_LOCK_TIMEOUT_S, Store
from smartmeter.tms.template import Template, make_template

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

TICK_S = 0.1
#: What nobody foresaw may come with each look: it is looked into, and logged, no more often.
EXPLAIN_AGAIN_US = 60_000_000
#: SmartMeters whose keys are loaded at once while others report.
LOADED_AT_ONCE = 5000
#: As many plain meters: of each it is looked up which polls it missed.
PLANNED_AT_ONCE = 500
_LOG = logging.getLogger(__name__)


class TmsServer:
    """One TMS on a data folder, listening for SmartMeters; implements the listener's Handler."""

    def __init__(
        self,
        data: Path,
        calendar: Calendar,
        template: Template | None = None,
        segment_octets: int | None = None,
        cache_kib: int = CACHE_KIB,
        tell: Tell = tell_nobody,
    ) -> None:
        self.store = Store(data / FILE_NAME, cache_kib, SERVER_LOCK_TIMEOUT_S)
        self._storing = Standing("database", tell, "takes nothing", True)
        self.calendar = calendar
        self._template = template or make_template()
        self._joins_segments = segment_octets is not None
        self.listener = Listener(self, MAX_APDU_OCTETS, segment_octets=segment_octets)
        self._finder: WayFinder | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._stopping = False
        self._committed: deque[Callable[[], None]] = deque()
        self._woken = False
        self._explain_us = 0
        self._loop: asyncio.AbstractEventLoop
        self.head_end: HeadEnd
        self._poller: Poller

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen on TCP and UDP, with ``tls`` on TCP alone; SettingsError when it cannot be."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._start(host, port, tls)
        except SmartMeterError:
            raise
        except Exception as error:
            raise self.explained(error) from error

    async def _start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        shell = Shell(
            address_of=_address_of,
            is_slow=lambda path: cast(ApduPath, path).is_slow,
            is_lossy=lambda path: isinstance(path, UdpPath),
        )
        self.head_end = HeadEnd(
            self.store,
            self.calendar,
            self._template,
            self._call_soon,
            lambda: secrets.token_bytes(KEY_OCTETS),
            shell,
        )
        collector = self.head_end.collector
        collector.node.joins_segments = self._joins_segments
        if tls is None:  # what is said inside TLS here goes nowhere without
            self._finder = WayFinder(collector.native_address, self.listener, self, None)
            shell.seek = self._finder.seek
        self.head_end.load(monotonic_us())
        self._poller = Poller(self.head_end.polled, self._polled)
        await self.listener.listen(host, port, tls)
        self._ticker = asyncio.create_task(self._tick())

    @property
    def address(self) -> tuple[str, int]:
        """Give the host and port that are listened on."""
        return self.listener.tcp_address

    @property
    def utc_s(self) -> int:
        """Give the calendar's second now; 0 while it is not set."""
        return self.calendar.utc_s(monotonic_us()) or 0

    @property
    def connections(self) -> int:
        """Give how many connections are open."""
        return len(self.listener.paths)

    @property
    def counts(self) -> dict[str, int]:
        """Give what passed and what was refused, by reason, since the start."""
        collector = self.head_end.collector
        return {**self.listener.counts, **collector.node.counts, **collector.relay.counts}

    def explained(self, error: Exception) -> SmartMeterError:
        """Give what is told of an error that nobody foresaw: that the database is damaged, if so.

        What is the program's own fault is logged with its traceback.  Any thread; it may be slow.
        """
        if (damage := self.store.damage()) is not None:
            return damage
        text = f"{type(error).__name__}: {error}".split("\n")[0]
        _LOG.error("not foreseen", exc_info=error)
        return SmartMeterError("this program", f"did not foresee {text:.200}", "see its log")

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Keep what one message or one look meets from the others: each is for itself."""
        try:
            yield
        except StorageError:
            # The disk may have room again; what is due then is done then.
            self.listener.counts["store takes nothing"] += 1
        except Exception as error:
            self.listener.counts["not foreseen"] += 1
            if (now_us := monotonic_us()) >= self._explain_us:
                self._explain_us = now_us + EXPLAIN_AGAIN_US
                self._loop.run_in_executor(None, self.explained, error)

    def import_shipment(self, shipped: list[Shipped]) -> int:
        """Enter SmartMeters; gives how many were new."""
        new = self._store_shipped(shipped)
        self.head_end.load_keys()
        return new

    async def enter_shipment(self, text: str) -> tuple[int, int]:
        """Read a shipment file and enter its SmartMeters, both in a thread.

        Gives how many were read and how many of them are new.
        """

        def enter() -> tuple[list[str], int]:
            shipped = read_shipment(text)
            return [one.esn for one in shipped], self._store_shipped(shipped)

        esns, new = await asyncio.to_thread(enter)
        await _in_parts(esns, LOADED_AT_ONCE, self.head_end.load_keys)  # the keys are the loop's
        return len(esns), new

    def _store_shipped(self, shipped: list[Shipped]) -> int:
        utc_s = self.utc_s
        return self._enter("shipment file", lambda c: import_shipment(c, shipped, utc_s))

    def import_polled(self, meters: list[PolledMeter]) -> int:
        """Enter plain meters to be polled; gives how many were new."""
        new = self._store_polled(meters)
        self.head_end.polled.load(self.utc_s)
        return new

    def replaced(self, meters: list[PolledMeter]) -> list[str]:
        """Name those of a list that were removed, and in whose place another meter is.

        To enter them again ends that place, which is for a person to say, and no list of long ago.
        """
        sql = "SELECT old_esn FROM replacements WHERE old_esn NOT IN (SELECT esn FROM meters)"
        gone = {row["old_esn"] for row in self.store.read(sql)}
        return [one.esn for one in meters if one.esn in gone]

    async def enter_polled(self, text: str) -> tuple[int, int]:
        """Read a list of plain meters and enter them, both in a thread.

        Gives how many were read and how many of them are new.
        """

        def enter() -> tuple[list[str], int]:
            meters = read_polled(text)
            return [one.esn for one in meters], self._store_polled(meters)

        esns, new = await asyncio.to_thread(enter)
        load = partial(self.head_end.polled.load, self.utc_s)  # the plan of polls is the loop's
        await _in_parts(esns, PLANNED_AT_ONCE, load)
        return len(esns), new

    def _store_polled(self, meters: list[PolledMeter]) -> int:
        utc_s = self.utc_s
        return self._enter("list of polled meters", lambda c: import_polled(c, meters, utc_s))

    def _enter(self, what: str, change: Callable[[sqlite3.Connection], int]) -> int:
        """Store the lines of a file; SettingsError when one contradicts what is stored."""
        try:
            return self.store.write_now(change)
        except sqlite3.IntegrityError as error:
            fault = f"contradicts what is stored: {error}"
            raise SettingsError(what, fault, "mend the line") from error

    def remove_polled(self, esn: str) -> None:
        """Forget a plain meter that is polled; what it told stays."""
        utc_s = self.utc_s
        self.store.write_now(lambda c: remove_polled(c, esn, utc_s))
        self.head_end.polled.remove(esn)
        self.head_end.retirement.load()

    async def stop(self) -> None:
        """End: close all connections, commit what waits."""
        self._stopping = True
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            await self._poller.stop()
        if self._finder is not None:
            await self._finder.stop()
        await self.listener.close()
        self.store.close()

    def flush(self) -> None:
        """Write what the head-end has to send."""
        for path, octets in self.head_end.outgoing():
            cast(ApduPath, path).send(octets)
        self._poller.begin()

    def _polled(self) -> None:
        """A plain meter has answered, or has not."""
        if not self._stopping:
            with self._going_on():
                self.head_end.plain_answered(monotonic_us())
            self.flush()

    def _call_soon(self, function: Callable[[], None]) -> None:
        """Bring the end of a commit to the loop; all of one group wake it once.  Any thread."""
        self._committed.append(function)
        if not self._woken and not self._stopping:
            self._woken = True
            self._loop.call_soon_threadsafe(self._run_committed)

    def _run_committed(self) -> None:
        self._woken = False
        while self._committed and not self._stopping:
            with self._going_on():
                self._committed.popleft()()
        if not self._stopping:
            self.flush()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            with self._going_on():
                self.head_end.expire(monotonic_us())
            if self.store.fault is None:
                self._storing.works()
            else:
                self._storing.fails(f"{self.store.fault}; until then no report is acknowledged")
            self.flush()

    async def keep_for(self, days: int, a_day_at_most: bool = False) -> None:
        """Drop what is older than so many days, a little at a time, until cancelled.

        ``a_day_at_most`` a round is for a calendar that may be wrong by years for a while.
        """
        while True:
            try:
                await self._prune(days, a_day_at_most)
            except StorageError:
                self.listener.counts["store takes nothing"] += 1
            await asyncio.sleep(ROUND_S)

    async def _prune(self, days: int, a_day_at_most: bool) -> None:
        script = steps(self.store, days, self.utc_s, a_day_at_most)
        step = next(script, None)
        while step is not None:
            begun_us = monotonic_us()
            told = await asyncio.wrap_future(self.store.write(step))
            took_s = (monotonic_us() - begun_us) / 1_000_000
            await asyncio.sleep(max(PAUSE_S, PAUSE_FACTOR * took_s))
            try:
                step = script.send(told)
            except StopIteration:
                return

    # What the finder tells.

    def way_found(self, title: ApTitle, path: Hashable) -> None:
        """A node that was called is reached by ``path``."""
        if not self._stopping:
            self.head_end.way_found(title, path, monotonic_us())
            self.flush()

    def way_lost(self, title: ApTitle) -> None:
        """A node that was called cannot be reached."""
        if not self._stopping:
            self.head_end.way_lost(title)
            self.flush()

    # What the listener tells.

    def receive(self, path: Hashable, octets: bytes) -> None:
        """Take one APDU; what a full disk keeps from being begun costs no connection."""
        if self._stopping:
            return
        with self._going_on():
            self.head_end.receive(path, octets, monotonic_us())

    def received(self) -> None:
        """Send what there is to send."""
        if not self._stopping:
            self.flush()

    def closed(self, path: Hashable) -> None:
        """A connection has gone."""
        if not self._stopping:
            self.head_end.disconnected(path)

    def refused(self, path: Hashable, reason: str) -> None:
        """A connection carried what is no message, or nothing."""
        if not self._stopping:
            self.head_end.refused(f"stream: {reason}", monotonic_us())


async def _in_parts(esns: list[str], most: int, load: Callable[[list[str]], None]) -> None:
    """Load a long list in parts, between which the loop serves others."""
    for begin in range(0, len(esns), most):
        load(esns[begin : begin + most])
        await asyncio.sleep(0)


def _address_of(path: Hashable, own: bool) -> bytes:
    return native_address_of(cast(ApduPath, path), own)


def far_end(path: Hashable) -> str:
    """Give a path's far end for a person."""
    host, port = cast(ApduPath, path).remote
    if not port:
        return host  # a telephone has none
    return shown(host, port)
