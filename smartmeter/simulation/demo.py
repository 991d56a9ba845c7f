"""The demo: a TMS and a street in one process, faults on a plan, and an honest count at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from smartmeter.base.clock import US_PER_S, Calendar, monotonic_us, wall_utc_us
from smartmeter.simulation.street import MODEL, Street, factory_of
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template, make_template

LOOPBACK = "127.0.0.1"
#: At the end, what is under way may take so long.
DRAIN_S = 30.0
POLL_S = 0.25
#: The plan of faults is made for a minute and repeats; a shorter demo squeezes it.
PLAN_S = 60.0
#: (from, until, what, which house counted from the first)
PLAN = (
    (14.0, 22.0, "mains", 2),
    (16.0, 27.0, "silence", 4),
    (18.0, 29.0, "network", 6),
    (8.0, 9.0, "tamper", 1),
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


@dataclass(frozen=True)
class Count:
    """What a run came to; ``seconds`` is wall time."""

    meters: int
    provisioned: int
    reports: int
    intervals_expected: int
    intervals_stored: int
    duplicates: int
    altered: int
    alarms: int
    outages: int
    restorations: int
    silences: int
    recovered: int
    polls: int
    seconds: float

    def json(self) -> str:
        """Give the object that ``--json`` prints."""
        return json.dumps(asdict(self))


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

    async def start(self) -> None:
        """Start the TMS, ship the street to it, and switch the street on."""
        settings = self.settings
        await self.server.start(LOOPBACK, 0)
        host, port = self.server.address
        address = f"tcp:{host}:{port}"
        factories = [factory_of(n, settings.seed, address) for n in range(1, settings.meters + 1)]
        shipped = [Shipped(one.esn, str(one.title), one.key, MODEL) for one in factories]
        self.server.import_shipment(shipped)
        self._started_us = monotonic_us()
        self.street = Street(settings.meters, settings.seed, self.calendar, address)
        self._tasks = [
            asyncio.create_task(self.street.run()),
            asyncio.create_task(self._break_things()),
        ]

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
        )
        turn = 0
        while True:
            begun_us = monotonic_us()
            for moment_s, starts, what, house in steps:
                await asyncio.sleep(moment_s - (monotonic_us() - begun_us) / US_PER_S)
                esn = esns[(house + turn * len(PLAN)) % len(esns)]
                self._fault(what, esn, starts)
            await asyncio.sleep(max(0.0, PLAN_S - (monotonic_us() - begun_us) / US_PER_S))
            turn += 1

    def _fault(self, what: str, esn: str, starts: bool) -> None:
        if what == "mains":
            self.street.mains(esn, not starts)
        elif what == "network":
            self.street.network(esn, not starts)
        elif what == "tamper":
            self.street.tamper(esn)
        else:
            self.street.silence(esn, starts)

    def _drained(self) -> bool:
        expected, stored, _ = self._compare()
        open_silences = self.server.store.number("SELECT count(*) FROM silences WHERE ended_s=0")
        open_outages = self.server.store.number("SELECT count(*) FROM outages WHERE end_s=0")
        return expected == stored and not open_silences and not open_outages

    def _compare(self) -> tuple[int, int, int]:
        """Give intervals expected, stored, and stored with another content."""
        rows: dict[str, dict[int, tuple[int, list[int]]]] = {}
        for row in self.server.store.read("SELECT esn, sequence, end_s, raw FROM intervals"):
            found = rows.setdefault(row["esn"], {})
            found[row["sequence"]] = (row["end_s"], json.loads(row["raw"]))
        expected = stored = altered = 0
        for esn, house in self.street.houses.items():
            expected += len(house.journal)
            for sequence, interval in house.journal.items():
                held = rows.get(esn, {}).get(sequence)
                if held is not None:
                    stored += 1
                    altered += held != (interval.end_utc_s, list(interval.values))
        return expected, stored, altered

    def _count(self) -> Count:
        store = self.server.store
        expected, stored, altered = self._compare()
        figures = self.server.head_end.figures
        return Count(
            meters=self.settings.meters,
            provisioned=store.number("SELECT count(*) FROM meters WHERE provisioned_s != 0"),
            reports=store.number("SELECT count(*) FROM reports"),
            intervals_expected=expected,
            intervals_stored=stored,
            duplicates=count_duplicates(store),
            altered=altered,
            alarms=store.number("SELECT count(*) FROM alarms"),
            outages=store.number("SELECT count(*) FROM outages"),
            restorations=store.number("SELECT count(*) FROM outages WHERE end_s != 0"),
            silences=store.number("SELECT count(*) FROM silences"),
            recovered=store.number("SELECT count(*) FROM silences WHERE ended_s != 0"),
            polls=figures.polls,
            seconds=round((monotonic_us() - self._started_us) / US_PER_S, 1),
        )


def count_duplicates(store: Store) -> int:
    """Count double rows of what is exported: the same interval, event or alarm twice."""
    queries = (
        "SELECT count(*) - count(DISTINCT esn || '/' || set_nbr || '/' || sequence) FROM intervals",
        "SELECT count(*) - count(DISTINCT esn || '/' || sequence) FROM events",
        "SELECT count(*) - count(DISTINCT esn || '/' || alarm_nbr) FROM alarms",
    )
    return sum(store.number(query) for query in queries)
