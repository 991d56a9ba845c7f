"""The demo: a TMS and a street in one process, faults on a plan, and an honest count at the end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from protocols.c1222.ap_title import ApTitle
from smartmeter.base.clock import US_PER_S, Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.event_loop import ended
from smartmeter.comms.relay_host import RelayHost
from smartmeter.simulation.count import Count, Journal, count, settled
from smartmeter.simulation.street import MODEL, Street, factory_of
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.template import Template, make_template

LOOPBACK = "127.0.0.1"
#: Under which title the demo's relays have theirs.
RELAY_TITLES = ".90"
#: At the end, what is under way may take so long.
DRAIN_S = 30.0
POLL_S = 0.25
#: The plan of faults is made for a minute and repeats; a shorter demo squeezes it.
PLAN_S = 60.0
#: (from, until, what, which house counted from the first); where both are one it is an instant
PLAN = (
    (14.0, 22.0, "mains", 2),
    (16.0, 27.0, "silence", 4),
    (18.0, 29.0, "network", 6),
    (8.0, 8.0, "tamper", 1),
)
SHORTEST_PLAN_S = 45.0


@dataclass(frozen=True)
class DemoSettings:
    """What the command line sets."""

    meters: int = 20
    speed: int = 600
    seed: int = 1
    duration_s: float | None = None
    data: Path = Path("demo-data")
    #: Relays between the street and the TMS, one behind the other; none: the TMS is its own.
    relays: int = 0


def demo_template(speed: int) -> Template:
    """Give the default template with times that fit a fast calendar.

    Grace is a matter of the wall clock here: three seconds of it, whatever the
    speed.  The hold-up energy lasts two, so that a module really goes dark.
    """
    return make_template(
        {
            "general": {"REPORT_GRACE_S": min(65_000, max(300, 3 * speed)), "ACK_TIMEOUT_MS": 3000},
            "outage": {"HOLD_UP_MS": 2000, "LAST_GASP_SPREAD_MS": 300},
        }
    )


class Demo:
    """Starts everything, breaks and mends things, and counts."""

    def __init__(self, settings: DemoSettings) -> None:
        self.settings = settings
        now_us = monotonic_us()
        self.calendar = Calendar(wall_utc_us(), settings.speed, now_us)
        template = demo_template(settings.speed)
        self.server = TmsServer(settings.data, self.calendar, template)
        self.street: Street
        self._started_us = now_us
        self._tasks: list[asyncio.Task[None]] = []
        #: The relays, the one at the TMS first.
        self.relays: list[RelayHost] = []

    async def start(self) -> None:
        """Start the TMS, ship the street to it, and switch the street on."""
        settings = self.settings
        await self.server.start(LOOPBACK, 0)
        address = await self._way()
        factories = [factory_of(n, settings.seed, address) for n in range(1, settings.meters + 1)]
        shipped = [Shipped(one.esn, str(one.title), one.key, MODEL) for one in factories]
        self.server.import_shipment(shipped)
        self._started_us = monotonic_us()
        self.street = Street(settings.meters, settings.seed, self.calendar, address)
        self._tasks = [
            asyncio.create_task(self.street.run()),
            asyncio.create_task(self._break_things()),
        ]

    async def _way(self) -> str:
        """Give the address that the street connects to: the TMS, or the farthest relay from it."""
        host, port = self.server.address
        for number in range(self.settings.relays):
            title = ApTitle.parse(f"{RELAY_TITLES}.{number + 1}")
            relay = RelayHost(title, f"tcp:{host}:{port}")
            self.relays.append(relay)
            await relay.start(LOOPBACK, 0)
            host, port = relay.address
        return f"tcp:{host}:{port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Run for the duration, or until told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.duration_s):
                await stop.wait()

    async def finish(self) -> Count:
        """End faults and recording, let what is under way arrive, and count."""
        self._tasks[1].cancel()
        self.street.mend_all()
        self.street.stop_recording()
        end_us = monotonic_us() + int(DRAIN_S * US_PER_S)
        while monotonic_us() < end_us and not self._drained():  # noqa: ASYNC110 - state of many
            await asyncio.sleep(POLL_S)
        return self._count()

    async def stop(self) -> None:
        """End the street and the TMS; pages that read the store end before it."""
        await ended(*self._tasks)
        for relay in reversed(self.relays):
            await relay.stop()
        await self.server.stop()

    async def _break_things(self) -> None:
        """Follow the plan, minute by minute, each time with the next houses."""
        duration_s = self.settings.duration_s or PLAN_S
        squeeze = min(1.0, max(duration_s, 1.0) / SHORTEST_PLAN_S)
        esns = list(self.street.houses)
        steps = sorted(
            (moment * squeeze, starts, what, house)
            for begin, until, what, house in PLAN
            for moment, starts in ((begin, True), (until, False))
            if starts or until > begin
        )
        turn = 0
        while True:
            begun_us = monotonic_us()
            for moment_s, starts, what, house in steps:
                await asyncio.sleep(moment_s - (monotonic_us() - begun_us) / US_PER_S)
                esn = esns[(house + turn * len(PLAN)) % len(esns)]
                self.street.strike(esn, what, starts)
            await asyncio.sleep(max(0.0, PLAN_S - (monotonic_us() - begun_us) / US_PER_S))
            turn += 1

    @property
    def _journals(self) -> dict[str, Journal]:
        return {esn: house.journal for esn, house in self.street.houses.items()}

    def _drained(self) -> bool:
        return settled(self.server.store, self._journals)

    def _count(self) -> Count:
        polls = self.server.head_end.figures.polls
        seconds = (monotonic_us() - self._started_us) / US_PER_S
        return count(self.server.store, self._journals, polls, seconds)
