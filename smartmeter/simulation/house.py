"""One SmartMeter of a fleet on its link, and what the faults of a swarm do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from protocols.psem.codec import PASSWORD_OCTETS
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.meter import Meter
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.network.carrier import Wrapper
from smartmeter.network.faults import Corruption, Loss, Muted, Partition, Reordering, Repetition
from smartmeter.network.link import Link
from smartmeter.simulation.count import Journal
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.swarm import Fault, Kind

#: What a fault of the link puts around it, from its amount and its chance.
_WRAPPERS: Mapping[Kind, Callable[[int, Random], Wrapper]] = {
    Kind.NETWORK: lambda amount, chance: Partition(),
    Kind.LOSS: Loss,
    Kind.SILENCE: lambda amount, chance: Muted(),
    Kind.REPEAT: Repetition,
    Kind.REORDER: Reordering,
    Kind.CORRUPT: Corruption,
}


def try_wrong_password(meter: Meter, now_us: int) -> None:
    """Somebody tries a wrong password at the optical port of a meter."""
    OpticalPort(meter).security(b"0000".ljust(PASSWORD_OCTETS), now_us)


@dataclass
class House:
    """A SmartMeter, its link, the faults that hold on that, and what was measured."""

    device: SmartMeter
    link: Link
    journal: Journal
    faults: dict[Kind, Wrapper] = field(default_factory=dict)
    octets: int = 0
    #: The relay that it is behind; empty: none.
    relay: str = ""

    def strike(self, fault: Fault, begins: bool, chance: Random, now_us: int) -> None:
        """Let a fault of this meter begin or end; the device is to be told the time after it."""
        kind, device = fault.kind, self.device
        if kind in (Kind.MAINS, Kind.FLICKER):
            device.mains(not begins, now_us)
        elif kind is Kind.PROBE:
            device.probe(not begins, now_us)
        elif kind in _WRAPPERS:
            self._wrap(kind, _WRAPPERS[kind](fault.amount, chance) if begins else None, now_us)
        elif kind is Kind.TAMPER and device.meter.mains_on:
            try_wrong_password(device.meter, now_us)
        elif kind is Kind.WATCHDOG and not device.module.dead:
            device.watchdog(now_us)
        elif kind is Kind.CLOCK_SET and device.meter.mains_on:
            # Odd minutes forward, even ones back; at its end the clock is put right.
            step_us = (fault.amount if fault.amount % 2 else -fault.amount) * 60 * US_PER_S
            clock_us = device.meter.clock.utc_us(now_us)
            device.meter.set_clock(clock_us + (step_us if begins else -step_us), now_us)
        elif kind is Kind.CLOCK and not device.module.dead:
            # The module's own clock is wrong; its check against the meter mends it.
            calendar, step_us = device.module.parts.calendar, fault.amount * US_PER_S
            utc_us = calendar.utc_us(now_us)
            if utc_us is not None and begins:
                calendar.set(utc_us + (step_us if fault.amount % 2 else -step_us), now_us)

    def _wrap(self, kind: Kind, obstacle: Wrapper | None, now_us: int) -> None:
        """Put an obstacle on the link, in the place of the one of its kind; None: none any more."""
        old = self.faults.pop(kind, None)
        if old is not None:
            self.link.unwrap(old, now_us)
        if obstacle is not None:
            self.faults[kind] = obstacle
            self.link.wrap(obstacle)
