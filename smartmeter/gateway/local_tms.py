"""A TMS in the gateway's own process, for who has none: it provisions, acknowledges and shows.

The modules reach it over loopback TCP with real C12.22 messages, as they reach
any other; it begins when the first meter's clock is known, and keeps that
meter's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from smartmeter.base.clock import Calendar
from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.event_loop import ended
from smartmeter.comms.standing import Tell
from smartmeter.comms.tcp import TcpBearer
from smartmeter.gateway.settings import LOCAL, SeatSettings
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store.sqlite import FILE_NAME
from smartmeter.tms.template import DEFAULT, Template, make_template

LOOPBACK = "127.0.0.1"
#: Years of one meter must not fill a small board's memory.
CACHE_KIB = 1024


def local_template() -> Template:
    """Give what a home wants: registers with every load-profile report, at the interval's end."""
    schedules = [dict(one) for one in DEFAULT["schedules"]]
    schedules[0] |= {"JITTER_S": 0, "TABLES": [23]}
    return make_template({"schedules": schedules})


class LocalTms:
    """The server, and the bearer that leads to it.  ``keep_days`` None: it keeps everything."""

    def __init__(
        self, folder: Path, seats: Sequence[SeatSettings], tell: Tell, keep_days: int | None
    ) -> None:
        self._folder, self._seats, self._tell, self._keep_days = folder, seats, tell, keep_days
        self._keeping: asyncio.Task[None] | None = None
        self.server: TmsServer | None = None
        self._damaged = False
        self._ready = asyncio.Event()

    @property
    def database(self) -> Path:
        """Give the file of what it has collected."""
        return self._folder / FILE_NAME

    @property
    def damaged(self) -> bool:
        """Tell whether a part of its database was found that cannot be read any more."""
        return self._damaged or (self.server is not None and self.server.store.damaged)

    async def start(self, calendar: Calendar) -> None:
        """Listen on loopback, and know the gateway's modules; StorageError for a full disk."""
        try:
            await self._start(calendar)
        except DamagedError:
            self._damaged = True
            raise

    async def _start(self, calendar: Calendar) -> None:
        server = TmsServer(
            self._folder,
            calendar,
            local_template(),
            cache_kib=CACHE_KIB,
            tell=lambda text: self._tell(f"local TMS: {text}"),
        )
        shipped = [
            Shipped(one.factory.esn, str(one.factory.title), one.factory.key, one.model)
            for one in self._seats
        ]
        try:
            await server.start(LOOPBACK, 0)
            server.import_shipment(shipped)
        except StorageError:
            await server.stop()
            raise
        self.server = server
        if self._keep_days is not None:
            # The clock is the meter's: one that is a century ahead must not cost all of it.
            keeping = server.keep_for(self._keep_days, a_day_at_most=True)
            self._keeping = asyncio.create_task(keeping)
        self._ready.set()

    async def stop(self) -> None:
        """End it, when it was started."""
        if self._keeping is not None:
            await ended(self._keeping)
        if self.server is not None:
            await self.server.stop()

    def bearer(self) -> LocalBearer:
        """Give a bearer that connects when the server is there."""
        return LocalBearer(self)

    async def address(self) -> tuple[str, int]:
        """Give host and port, once there are any."""
        await self._ready.wait()
        assert self.server is not None
        return self.server.address


class LocalBearer:
    """Implements ``smartmeter.comms.bearer.Bearer``."""

    stands_by = False

    def __init__(self, tms: LocalTms) -> None:
        self._tms = tms
        self.settings = BearerSettings(LOCAL, LOCAL)

    async def connect(self) -> Connection:
        """Wait for the server, then open a connection to it."""
        host, port = await self._tms.address()
        return await TcpBearer(BearerSettings(LOCAL, f"tcp:{host}:{port}")).connect()
