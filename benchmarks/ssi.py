"""The SSI module's figures: how small load profile travels, how long the port is taken, how fast.

``python benchmarks/ssi.py [--meters N] [--days N] [--modules N] [--seed N] [--json]``

* ``profile_compression_vs_raw``: octets of the meters' own blocks (ST-64) to octets of the compact
  form, parts of up to a thousand intervals as a module sends them when it catches up.
* ``profile_compression_vs_entropy``: those octets to the order-0 entropy of the differences, each
  meter and channel by its own distribution over the whole time; ``daily_parts_vs_entropy`` is the
  same with a part a day.
* ``line_seconds_per_day``: for how long the default provisioning takes the optical port at 9600
  baud, from two hours in virtual time (the first has the daily reports).
* ``module_days_per_second``: modules with the default provisioning, straight on a store of recorded
  tables, every report sent, secured and acknowledged; by the modules' processor time, on all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import Any

from ansi_tables import layout_for
from ansi_tables.compact_profile import CompactInterval, encode
from protocols.c1218.device import Refused
from protocols.c1218.scripts import LogonSettings
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node, RequestArrived
from protocols.c1222.registration import Register, Registered
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import decode_service
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.simulation.direct_door import DirectDoor
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import factory_of
from smartmeter.ssi.factory import FACTORY_PAGE, Factory
from smartmeter.ssi.module import Module
from smartmeter.ssi.parts import Parts
from smartmeter.tms.template import Template, make_template

EPOCH_US = 1_767_225_600 * US_PER_S
DAY_US, HOUR_US = 86_400 * US_PER_S, 3600 * US_PER_S
BAUD = 9600
PART, DAY_INTERVALS, LENGTH_S = 1000, 96, 900
STATUS = b"\x01\x00\x00"


def journal_of(seed: int, days: int) -> tuple[list[Interval], float]:
    """Let a meter measure; give its intervals, and the octets of its blocks for each of them."""
    found: list[Interval] = []
    calendar = Calendar(EPOCH_US)
    meter = Meter(MeterSettings(seed=seed), MemoryNvram(), calendar, 0, found.append)
    meter.advance(days * DAY_US)
    context = meter.program.context
    _, octets = layout_for(64, context).field("LP_DATA_SET1.0")
    return found, octets / context.table(61).NBR_BLK_INTS_SET1


def entropy_bits(numbers: list[int]) -> float:
    """Give the order-0 entropy of a list of numbers, in bits in all."""
    counts = Counter(numbers)
    return sum(-count * log2(count / len(numbers)) for count in counts.values())


def compact_octets(intervals: list[Interval], part: int) -> int:
    """Give the octets of the compact form, cut into parts."""
    total = 0
    for at in range(0, len(intervals), part):
        piece = [
            CompactInterval(one.end_utc_s, STATUS, one.values) for one in intervals[at:][:part]
        ]
        total += len(encode(piece, piece[0].end_s, LENGTH_S))
    return total


def compression(meters: int, days: int, seed: int) -> dict[str, float]:
    """Compare octets of blocks, of the compact form, and the entropy."""
    raw = compact = daily = entropy = 0.0
    for number in range(meters):
        intervals, octets = journal_of(seed * 1000 + number, days)
        raw += octets * len(intervals)
        compact += compact_octets(intervals, PART)
        daily += compact_octets(intervals, DAY_INTERVALS)
        for channel in zip(*(one.values for one in intervals), strict=True):
            steps = [b - a for a, b in pairwise(channel)]
            entropy += entropy_bits(steps) / 8
    return {
        "profile_compression_vs_raw": round(raw / compact, 3),
        "profile_compression_vs_entropy": round(compact / entropy, 3),
        "daily_parts_vs_raw": round(raw / daily, 3),
        "daily_parts_vs_entropy": round(daily / entropy, 3),
    }


class Host:
    """A TMS that provisions a module and says ok to everything."""

    def __init__(self, factory: Factory) -> None:
        self._cipher = EaxPrime(factory.key)
        self.node = Node(ApTitle.parse(".1"), self, Calendar(EPOCH_US))
        self.reports = 0

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the module's key."""
        return self._cipher if key_id == 0 else None

    def take(self, octets: bytes, now_us: int) -> list[bytes]:
        """Take an APDU; give the answers."""
        self.node.receive("link", octets, now_us)
        for event in self.node.events():
            if isinstance(event, RequestArrived):
                first = decode_service(event.services[0])
                answers = [b"\0"] * len(event.services)
                if isinstance(first, Register) and first.title is not None:
                    answers = [Registered(first.title, 0, 86_400).encode()]
                else:
                    self.reports += 1
                self.node.answer(event.token, answers, now_us)
        return [octets for _, octets in self.node.outgoing()]


def provision(module: Module, template: Template) -> None:
    """Activate a template without a network, which is not what is measured."""
    for table, image in template.images.items():
        module.parts.configuration.stage(type(table)(table + 8), image)
    module.parts.configuration.commit(template.version, template.digest)
    module._starting.reconfigure = True


def line_seconds(template: Template, seed: int) -> float:
    """Give for how long the port is taken in a day, from its first two hours."""
    factory = factory_of(1, seed, "tcp:127.0.0.1:1")
    device = SmartMeter(factory, MeterSettings(seed=seed), Calendar(EPOCH_US), 0, baud=BAUD)
    host = Host(factory)
    taken = [0, 0]
    device.bearer_up("link", 0)
    run_until(device, host, 30 * US_PER_S, lambda: None)
    provision(device.module, template)
    ended = device.module.parts.optical.ended

    def counted() -> list[Any]:
        events = ended()
        taken[1] += sum(getattr(event, "line_us", 0) for event in events)
        return events

    device.module.parts.optical.ended = counted  # type: ignore[method-assign]
    now_us = run_until(device, host, HOUR_US, lambda: None)
    taken[0], taken[1] = taken[1], 0
    run_until(device, host, now_us + HOUR_US, lambda: None)
    return (taken[0] + 23 * taken[1]) / US_PER_S


def run_until(device: Any, host: Host, until_us: int, tick: Callable[[], None]) -> int:
    """Run a device and its host in virtual time; give the last instant."""
    now_us = 0
    while True:
        for _, octets in device.outgoing():
            for answer in host.take(octets, now_us):
                device.receive("link", answer, now_us)
        due_us = device.deadline_us()
        if due_us is None or due_us > until_us:
            return until_us
        now_us = max(now_us, due_us)
        tick()
        device.expire(now_us)


class RecordedStore:
    """A day of a meter's tables, recorded once at each interval's end; implements Device."""

    def __init__(self, seed: int) -> None:
        calendar = Calendar(EPOCH_US)
        meter = Meter(MeterSettings(seed=seed), MemoryNvram(), calendar, 0)
        self._fixed = {number: meter.table(number, 0) for number in meter.images if number != 7}
        self._moments = []
        for quarter in range(DAY_INTERVALS + 1):
            now_us = quarter * LENGTH_S * US_PER_S
            self._moments.append({n: meter.table(n, now_us) for n in (3, 23, 25, 52, 63, 64, 76)})

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Let anybody in."""
        return ResponseCode.ok

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Take any password."""
        return ResponseCode.ok

    def read(self, table: int, now_us: int) -> bytes:
        """Give a table as it was at the last interval's end."""
        moment = self._moments[min(DAY_INTERVALS, now_us // (LENGTH_S * US_PER_S))]
        image = moment.get(table) or self._fixed.get(table)
        if image is None:
            raise Refused(ResponseCode.iar)
        return image

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Refuse: nothing is written in the default provisioning's day."""
        raise Refused(ResponseCode.iar)

    def session_ended(self, normally: bool, now_us: int) -> None:
        """Forget nothing."""


class Timed:
    """A module whose processor time is counted."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.module, name)

        def timed(*values: Any) -> Any:
            begin = time.process_time()
            result = method(*values)
            self.seconds += time.process_time() - begin
            return result

        return timed


def module_days(modules: int, template: Template, seed: int) -> tuple[float, int]:
    """Give module-days a second on all cores, and how many reports there were."""
    store = RecordedStore(seed)
    seconds, reports = 0.0, 0
    for number in range(modules):
        factory = factory_of(number + 1, seed, "tcp:127.0.0.1:1")
        logon = LogonSettings(2, b"SSI", b"master")
        nvram = MemoryNvram({FACTORY_PAGE: factory.page()})
        door = DirectDoor(lambda: store, logon)
        timed = Timed(Module(Parts(nvram, Calendar(None), 0, door=door)))
        host = Host(factory)
        timed.bearer_up("link", 0)
        run_until(timed, host, 10 * US_PER_S, lambda: None)
        provision(timed.module, template)
        timed.seconds = 0.0
        run_until(timed, host, DAY_US, lambda: None)
        seconds += timed.seconds
        reports += host.reports
    return modules / seconds * (os.cpu_count() or 1), reports


def measure(meters: int, days: int, modules: int, seed: int) -> dict[str, float | int]:
    """Give all figures."""
    template = make_template()
    rate, reports = module_days(modules, template, seed)
    taken_s = line_seconds(template, seed)
    return {
        **compression(meters, days, seed),
        "line_seconds_per_day": round(taken_s, 1),
        "line_share": round(taken_s / 86_400, 4),
        "module_days_per_second": round(rate, 2),
        "reports_per_module_day": round(reports / modules, 1),
        "meters": meters,
        "days": days,
        "modules": modules,
        "seed": seed,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="The SSI module's figures.")
    parser.add_argument("--meters", type=int, default=6)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--modules", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.meters, arguments.days, arguments.modules, arguments.seed)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
