"""``gateway run``: SSI modules on a Linux board, with real ports, files and sinks.

The same ``smartmeter.ssi.module.Module`` as in the simulation, one a meter.
Non-volatile memory is a file that survives kill -9 and power loss
(``flash_file``), a module's calendar is set from its meter, and towards the
meter it is read-only but for what a local file allows (``permissions``).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.base.file import file_number, leads_to
from smartmeter.comms.bearer import Bearer
from smartmeter.comms.bearers import make_bearers
from smartmeter.comms.event_loop import ended
from smartmeter.gateway.database import GONE, database_files
from smartmeter.gateway.journal import Journal
from smartmeter.gateway.mains import MainsSense, MeterAlone, make_sense
from smartmeter.gateway.outlets import Outlets
from smartmeter.gateway.readings import KEEP_DAYS, Readings
from smartmeter.gateway.seat import STORAGE_REST_S, Seat
from smartmeter.gateway.service_manager import ServiceManager
from smartmeter.gateway.set_aside import has_room, no_room, set_aside
from smartmeter.gateway.settings import GatewaySettings, SeatSettings
from smartmeter.gateway.status import GatewayStatus
from smartmeter.gateway.status_socket import StatusSocket
from smartmeter.version import VERSION

if TYPE_CHECKING:
    from smartmeter.gateway.local_tms import LocalTms

MAINS_POLL_S = 0.2
STATUS_S = 10.0
#: How often it is looked whether the databases are still there.
FILES_S = 2.0


@dataclass(frozen=True)
class Meter:
    """What the sinks tell of a meter."""

    esn: str
    model: str
    fresh: bool


class Gateway:
    """Everything that runs on one board."""

    def __init__(
        self,
        settings: GatewaySettings,
        rate: Fraction,
        note: Callable[[str], None],
        page: tuple[str, int] | None,
    ) -> None:
        self._settings, self._note, self._page = settings, note, page
        self._journal = Journal(note, monotonic_us)
        self._manager = ServiceManager(os.environ)
        self._sense = make_sense(settings.mains)
        self._readings = self._open_readings()
        self.local: LocalTms | None = None
        if settings.runs_tms(page is not None):
            # A gateway with a TMS elsewhere does not load one.
            from smartmeter.gateway.local_tms import LocalTms

            self.local = LocalTms(
                settings.local_tms, settings.seats, self._journal.say, settings.keep_days
            )
        self._seats = [
            Seat(
                one,
                self._bearers(one),
                settings.permission,
                self._readings,
                self._journal,
                rate,
                settings.upgrade,
                self._begin_again,
            )
            for one in settings.seats
        ]
        self._outlets = Outlets(
            settings.sinks, self._readings, self._journal, self._meters, self._utc_s
        )
        #: Set to end the run; ``again``: to begin anew, perhaps with another version.
        self.stop = asyncio.Event()
        self.again = False

    def _open_readings(self) -> Readings:
        settings = self._settings
        try:
            return Readings(settings.readings, settings.keep_days or KEEP_DAYS)
        except DamagedError as error:
            self._journal.say(str(error))
            self._set_aside(settings.readings, settings.sinks.csv)
            return Readings(settings.readings, settings.keep_days or KEEP_DAYS)

    def _damaged(self) -> Iterator[tuple[Path, Path | None]]:
        """Give the damaged databases, each with the file that was made of it.

        The CSV file cannot go on where what is in it is no longer known.
        """
        if self._readings.damaged:
            yield self._settings.readings, self._settings.sinks.csv
        if self.local is not None and self.local.damaged:
            yield self.local.database, None

    def _set_aside(self, database: Path, follower: Path | None) -> None:
        self._note(f"kept as {set_aside(database, follower)}")

    def _set_damaged_aside(self) -> None:
        """At the end, when nothing is open any more: let new ones begin."""
        for database, follower in self._damaged():
            try:
                self._set_aside(database, follower)
            except StorageError as error:
                self._note(str(error))

    def _begin_again(self) -> None:
        self.again = True
        self.stop.set()

    def _bearers(self, seat: SeatSettings) -> Sequence[Bearer]:
        """Give a meter's own bearers: at a broker each has its name."""
        if self.local is not None:
            return [self.local.bearer()]
        return make_bearers(self._settings.bearers, seat.factory.esn, self._journal.say)

    async def run(self) -> None:
        """Work until told to stop."""
        settings = self._settings
        if self._page is not None:
            # Only who wants a page loads the web framework, and misses it before anything begins.
            from smartmeter.gateway.local_page import show_page
        socket = StatusSocket(settings.socket, self.status)
        await socket.start()
        metrics = None
        if settings.metrics is not None:
            from smartmeter.comms.metrics import MetricsServer
            from smartmeter.gateway.metrics import meter_families

            metrics = MetricsServer(lambda: meter_families(self.status()))
            await metrics.start(*settings.metrics)
        work = [seat.run() for seat in self._seats]
        work += [*self._outlets.runners(), self._feel_mains(self._sense), self._tell_manager()]
        work.append(self._watch_files())
        if self.local is not None:
            work.append(self._begin_local(self.local))
            if self._page is not None:
                work.append(show_page(self.local, *self._page, self._note))
        tasks = [asyncio.create_task(one) for one in work]
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await _first_end(stopping, tasks)
        finally:
            if not self.again:
                # The service goes on where another version takes over: systemd would end it.
                self._manager.stopping()
            await ended(*tasks, stopping)
            if self.local is not None:
                await self.local.stop()
            self._outlets.finish()
            socket.stop()
            if metrics is not None:
                metrics.stop()
            self._sense.close()
            self._readings.close()
            self._set_damaged_aside()

    async def _begin_local(self, local: LocalTms) -> None:
        clocks = [asyncio.create_task(seat.clock_known.wait()) for seat in self._seats]
        try:
            await asyncio.wait(clocks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for clock in clocks:
                clock.cancel()
        seat = next(seat for seat in self._seats if seat.clock_known.is_set())
        while True:
            try:
                await local.start(seat.calendar)
                self._journal.state("local TMS", "works")
                return
            except StorageError as error:
                # A full disk may have room again; the modules keep what they have.
                self._journal.state("local TMS", str(error))
                await asyncio.sleep(STORAGE_REST_S)

    async def _feel_mains(self, sense: MainsSense) -> None:
        while not isinstance(sense, MeterAlone):
            felt = sense.read()
            if felt is not None:
                for seat in self._seats:
                    seat.mains(felt)
            await asyncio.sleep(MAINS_POLL_S)

    async def _tell_manager(self) -> None:
        self._manager.ready(self._sentence())
        while True:
            await asyncio.sleep(self._manager.period_s or STATUS_S)
            self._manager.alive(self._sentence())

    async def _watch_files(self) -> None:
        """Begin anew when a database was removed, has another in its place or is damaged.

        What is written to it is lost.
        """
        seen: dict[Path, tuple[int, int]] = {}
        while True:
            databases = [self._settings.readings]
            if self.local is not None and self.local.server is not None:
                # Before it works, a log comes and goes with whoever looks into its database.
                databases.append(self.local.database)
            # Of a log that was removed, all is in the database when this has been closed.
            paths = [file for path in databases for file in database_files(path)]
            if gone := [path for path in paths if path in seen and not leads_to(path, seen[path])]:
                self._journal.say(f"{gone[0]}: {GONE}; the gateway begins anew")
                self._begin_again()
                return
            for database, follower in self._damaged():
                if has_room(database, follower):
                    self._journal.say("a database is damaged; the gateway begins anew without it")
                    self._begin_again()
                    return
                # It would be there again, and what does without it goes on.
                self._journal.state(database.name, str(no_room(database)))
            found = {path: file_number(path) for path in paths if path not in seen}
            seen |= {path: number for path, number in found.items() if number is not None}
            await asyncio.sleep(FILES_S)

    def _sentence(self) -> str:
        fresh = sum(seat.fresh for seat in self._seats)
        return f"{fresh} of {len(self._seats)} meters have fresh values"

    def _meters(self) -> Iterator[Meter]:
        for seat in self._seats:
            yield Meter(seat.esn, seat.settings.model, seat.fresh)

    def _utc_s(self) -> int | None:
        known = (seat.calendar.utc_s(monotonic_us()) for seat in self._seats)
        return next((utc_s for utc_s in known if utc_s is not None), None)

    def status(self) -> GatewayStatus:
        """Give how everything does, for ``gateway status`` and the metrics."""
        return {
            "version": VERSION,
            "permission": str(self._settings.permission),
            "tms": [one.address for one in self._settings.bearers] if not self.local else "local",
            "meters": [seat.status() for seat in self._seats],
        }


async def _first_end(stopping: asyncio.Task[Any], tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the order to stop, or for an error; a task that ends well is no reason."""
    waiting = {stopping, *tasks}
    while not stopping.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def run_gateway(
    settings: GatewaySettings,
    rate: Fraction,
    note: Callable[[str], None],
    ready: Callable[[], None],
    signals: Sequence[signal.Signals],
    page: tuple[str, int] | None,
) -> bool:
    """Run until one of these signals; True when it is to begin again, with what is to run then.

    ``note`` takes one line for each thing that happens; ``ready`` is called when it
    can be told to stop, before anything else; ``page`` is where a TMS in this process
    shows its page, None for no page.
    """
    gateway = Gateway(settings, rate, note, page)
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, gateway.stop.set)
    ready()
    await gateway.run()
    return gateway.again
