"""A street of SmartMeters in one asyncio loop, each with its own TCP connection to the TMS.

The street keeps a journal outside the system: every interval that a meter has
finished, as the meter measured it.  What the TMS holds is compared with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from random import Random

from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.tcp import TcpBearer
from smartmeter.meter.meter import MeterSettings
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.breakable_node import BreakableNode
from smartmeter.simulation.count import Journal
from smartmeter.simulation.house import House
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.swarm import Fault, Kind
from smartmeter.ssi.factory import Factory, TmsAddress

#: The optical user of the module, and the password that a meter of the street takes.
OPTICAL_USER_ID, MASTER = 2, b"master"
MODEL = "SM-RES-1"


def factory_of(number: int, seed: int, address: str) -> Factory:
    """Give the factory memory of the n-th SmartMeter of a street."""
    esn = f"SM{number:06d}"
    key = hashlib.sha256(f"street/{seed}/{esn}".encode()).digest()[:16]
    return Factory(esn, key, (TmsAddress(address),), OPTICAL_USER_ID, "SSI", MASTER)


class Street:
    """Houses by ESN; ``run`` keeps them alive, ``strike`` breaks and mends things."""

    def __init__(self, meters: int, seed: int, calendar: Calendar, address: str) -> None:
        self._calendar = calendar
        self._seed = seed
        self.houses: dict[str, House] = {}
        self._hosts: dict[str, NodeHost] = {}
        now_us = monotonic_us()
        for number in range(1, meters + 1):
            factory = factory_of(number, seed, address)
            self.houses[factory.esn] = self._house(number, factory, now_us)
        self._bearer = BearerSettings("tcp", address)

    def _house(self, number: int, factory: Factory, now_us: int) -> House:
        chance = Random(f"{self._seed}/{number}")
        settings = MeterSettings(
            serial=factory.esn, seed=chance.randrange(1 << 30), master_password=MASTER
        )
        journal = Journal()
        device = SmartMeter(factory, settings, self._calendar, now_us, on_interval=journal.record)
        link = Link(LinkSettings(delay_us=5_000, jitter_us=15_000), chance)
        return House(device, link, journal)

    def _host(self, house: House) -> NodeHost:
        node = BreakableNode(house.device, lambda: house.link, Random(self._seed))
        return NodeHost(node, [TcpBearer(self._bearer)])

    async def run(self) -> None:
        """Keep all houses running until cancelled; they come alive one after the other."""
        tasks = []
        try:
            for esn, house in self.houses.items():
                host = self._hosts[esn] = self._host(house)
                tasks.append(asyncio.create_task(host.run()))
                await asyncio.sleep(0.02)
            await asyncio.gather(*tasks)
        finally:
            await ended(*tasks)

    def stop_recording(self) -> None:
        """Close the journals: what meters finish from now on does not count."""
        for house in self.houses.values():
            house.journal.close()

    def faults(self, esn: str) -> dict[str, bool]:
        """Tell what is broken at one house; nothing of a meter that stands elsewhere."""
        house = self.houses.get(esn)
        if house is None:
            return {}
        return {
            Kind.NETWORK: Kind.NETWORK in house.faults,
            Kind.SILENCE: Kind.SILENCE in house.faults,
            Kind.MAINS: not house.device.meter.mains_on,
        }

    def strike(self, esn: str, what: str, begins: bool) -> None:
        """Let a fault of one house begin or end, as ``faults`` names it; ``tamper`` only begins."""
        if self.faults(esn).get(what) is begins:
            return
        now_us = monotonic_us()
        fault = Fault(now_us, now_us, Kind(what), esn, 0)
        self.houses[esn].strike(fault, begins, Random(self._seed), now_us)
        if esn in self._hosts:
            self._hosts[esn].step()

    def mend_all(self) -> None:
        """End all faults."""
        for esn in self.houses:
            for what in self.faults(esn):
                self.strike(esn, what, False)
