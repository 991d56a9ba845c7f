"""How soon an exception is durable at the TMS, over a simulated 9600-baud optical port.

Virtual time, real octets: a watched element changes at a random instant; the
figure is the time until its alarm is committed in a real database (whose own
time is added).  Beside it, the share of the optical port's time that watching
takes.  ``python benchmarks/near_real_time.py [--changes N] [--seed N] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.meter.meter import MeterSettings
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.simulation.world import World
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import DEFAULT, make_template

BAUD = 9600
LIMIT_MEDIAN_S, LIMIT_DUTY = 2.0, 0.10
EPOCH_US = 1_767_225_600 * US_PER_S
WATCHED = {"MONITOR_NBR": 9, "TABLE": 23, "PATH": "NBR_DEMAND_RESETS"}


class Room:
    """One SmartMeter, its link and the head-end in virtual time; implements world.Actor."""

    def __init__(self, folder: Path, seed: int) -> None:
        calendar = Calendar(EPOCH_US)
        self.chance = Random(seed)
        factory = factory_of(1, seed, "tcp:127.0.0.1:1")
        self.device = SmartMeter(factory, MeterSettings(), calendar, 0, baud=BAUD)
        self.store = Store(folder / "tms.sqlite3")
        shipped = [Shipped(factory.esn, str(factory.title), factory.key, MODEL)]
        self.store.write_now(lambda c: import_shipment(c, shipped, 0))
        template = make_template({"monitors": [*DEFAULT["monitors"], WATCHED]})
        self._waiting: list[Callable[[], None]] = []
        self.head_end = HeadEnd(self.store, calendar, template, self._waiting.append)
        self.head_end.load(0)
        self.link = Link(LinkSettings(delay_us=40_000, jitter_us=40_000), self.chance)
        self.world = World()
        self.world.actors.append(self)
        self.device.bearer_up("link", 0)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self.device.expire(now_us)
        self.head_end.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted; the head-end looks around ten times a second."""
        tick_us = (self.world.now_us // 100_000 + 1) * 100_000
        dues = (self.device.deadline_us(), self.link.deadline_us(), tick_us)
        return min(due for due in dues if due is not None)

    def settle(self, now_us: int) -> bool:
        """Carry messages; wait for commits as the server would."""
        moved = False
        for _, octets in self.device.outgoing():
            self.link.put(octets, True, now_us)
        for _, octets in self.head_end.outgoing():
            self.link.put(octets, False, now_us)
        for outward, octets in self.link.arrived(now_us):
            moved = True
            if outward:
                self.head_end.receive("link", octets, now_us)
            else:
                self.device.receive("link", octets, now_us)
        self.store.write_now(lambda connection: None)  # all commits before this one are done
        while self._waiting:
            moved = True
            self._waiting.pop(0)()
        return moved

    def run(self, duration_us: int, until: Callable[[], bool] | None = None) -> bool:
        """Go on."""
        return self.world.run(self.world.now_us + duration_us, until)

    def alarms(self) -> int:
        """Give how many alarms of the watched element are durable."""
        return self.store.number("SELECT count(*) FROM alarms WHERE monitor_nbr=9")


def measure(changes: int, seed: int, folder: Path) -> dict[str, float | int]:
    """Change the watched element so often; give the figures."""
    room = Room(folder, seed)
    room.run(30 * US_PER_S)
    module = room.device.module
    watched_from_us, begun_us = module.parts.watching.line_us, room.world.now_us
    delays: list[float] = []
    for _ in range(changes):
        room.run(room.chance.randrange(3 * US_PER_S, 9 * US_PER_S))
        seen, changed_us = room.alarms(), room.world.now_us
        utc_s = (EPOCH_US + changed_us) // US_PER_S
        room.device.meter.metering.read_and_reset(utc_s, read=False, reset=True)
        if not room.run(60 * US_PER_S, lambda seen=seen: room.alarms() > seen):
            raise SystemExit("an alarm did not arrive within a minute")
        begin = time.perf_counter()
        room.store.write_now(lambda c: c.execute("INSERT OR REPLACE INTO settings VALUES('b','')"))
        delays.append((room.world.now_us - changed_us) / US_PER_S + time.perf_counter() - begin)
    duty = (module.parts.watching.line_us - watched_from_us) / (room.world.now_us - begun_us)
    room.store.close()
    median = statistics.median(delays)
    return {
        "changes": changes,
        "seed": seed,
        "baud": BAUD,
        "median_s": round(median, 3),
        "p99_s": round(sorted(delays)[int(0.99 * (len(delays) - 1))], 3),
        "duty": round(duty, 4),
        "median_to_limit": round(median / LIMIT_MEDIAN_S, 3),
        "duty_to_limit": round(duty / LIMIT_DUTY, 3),
    }


def main() -> None:
    """Print the figures; status 1 when a limit is not met."""
    parser = argparse.ArgumentParser(description="Exceptions in near real time.")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.changes, arguments.seed, Path(folder))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:16} {value}")
    if figures["median_to_limit"] > 1 or figures["duty_to_limit"] > 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
