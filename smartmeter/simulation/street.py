"""A street of SmartMeters in one asyncio loop, each with its own TCP connection to the TMS.

The street keeps a journal outside the system: every interval that a meter has
finished, as the meter measured it.  What the TMS holds is compared with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from random import Random

from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended
from smartmeter.comms.node import NodeHost
from smartmeter.comms.tcp import TcpBearer
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.tables import port_of
from smartmeter.network.faults import Muted, Partition
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.count import Journal
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.ssi.factory import Factory, TmsAddress

#: The optical user of the module, and the password that a meter of the street takes.
OPTICAL_USER_ID, MASTER = 2, b"master"
MODEL = "SM-RES-1"


@dataclass
class House:
    """One SmartMeter of the street, and what stands in its way."""

    device: SmartMeter
    link: Link
    journal: Journal
    host: NodeHost | None = None
    power: bool = True
    cut: Partition | None = None
    muted: Muted | None = None


def factory_of(number: int, seed: int, address: str) -> Factory:
    """Give the factory memory of the n-th SmartMeter of a street."""
    esn = f"SM{number:06d}"
    key = hashlib.sha256(f"street/{seed}/{esn}".encode()).digest()[:16]
    return Factory(esn, key, (TmsAddress(address),), OPTICAL_USER_ID, "SSI", MASTER)


class Street:
    """Houses by ESN; ``run`` keeps them alive, the other methods break and mend things."""

    def __init__(self, meters: int, seed: int, calendar: Calendar, address: str) -> None:
        self._calendar = calendar
        self._seed = seed
        self.houses: dict[str, House] = {}
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

    async def run(self) -> None:
        """Keep all houses running until cancelled; they come alive one after the other."""
        tasks = []
        try:
            for house in self.houses.values():
                house.host = NodeHost(house.device, [TcpBearer(self._bearer)], house.link)
                tasks.append(asyncio.create_task(house.host.run()))
                await asyncio.sleep(0.02)
            await asyncio.gather(*tasks)
        finally:
            await ended(*tasks)

    def stop_recording(self) -> None:
        """Close the journals: what meters finish from now on does not count."""
        for house in self.houses.values():
            house.journal.close()

    def mains(self, esn: str, on: bool) -> None:
        """Cut or return the mains of one house."""
        house = self.houses[esn]
        if house.power != on:
            house.power = on
            house.device.mains(on, monotonic_us())
            self._step(house)

    def network(self, esn: str, on: bool) -> None:
        """Cut or mend the network of one house."""
        house = self.houses[esn]
        if not on and house.cut is None:
            house.cut = Partition()
            house.link.wrap(house.cut)
        elif on and house.cut is not None:
            house.link.unwrap(house.cut, monotonic_us())
            house.cut = None

    def silence(self, esn: str, silent: bool) -> None:
        """Take a SmartMeter's own reports away, or let them through again."""
        house = self.houses[esn]
        if silent and house.muted is None:
            house.muted = Muted()
            house.link.wrap(house.muted)
        elif not silent and house.muted is not None:
            house.link.unwrap(house.muted, monotonic_us())
            house.muted = None

    def faults(self, esn: str) -> dict[str, bool]:
        """Tell what is broken at one house; nothing of a meter that stands elsewhere."""
        house = self.houses.get(esn)
        if house is None:
            return {}
        return {
            "mains": not house.power,
            "network": house.cut is not None,
            "silence": house.muted is not None,
        }

    def tamper(self, esn: str) -> None:
        """Let somebody try a password at the optical port of one house."""
        house = self.houses[esn]
        if house.power:
            port_of(house.device.meter).security(b"0000".ljust(20), monotonic_us())
            self._step(house)

    def mend_all(self) -> None:
        """End all faults."""
        for esn in self.houses:
            self.network(esn, True)
            self.silence(esn, False)
            self.mains(esn, True)

    def _step(self, house: House) -> None:
        if house.host is not None:
            house.host.step()
