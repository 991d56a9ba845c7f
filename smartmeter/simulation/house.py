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
        device = self.device
        match fault.kind:
            case Kind.MAINS | Kind.FLICKER:
                device.mains(not begins, now_us)
            case Kind.PROBE:
                device.probe(not begins, now_us)
            case Kind.TAMPER if device.meter.mains_on:
                try_wrong_password(device.meter, now_us)
            case Kind.WATCHDOG if not device.module.dead:
                device.watchdog(now_us)
            case Kind.CLOCK_SET if device.meter.mains_on:
                # By minutes; at its end the clock is put right.
                step_us = _step(fault, begins) * 60 * US_PER_S
                device.meter.set_clock(device.meter.clock.utc_us(now_us) + step_us, now_us)
            case Kind.CLOCK if begins and not device.module.dead:
                # The module's own clock is wrong; its check against the meter mends it.
                calendar = device.module.parts.calendar
                utc_us = calendar.utc_us(now_us)
                if utc_us is not None:
                    calendar.set(utc_us + _step(fault, begins) * US_PER_S, now_us)
            case kind if kind in _WRAPPERS:
                wrapper = _WRAPPERS[kind](fault.amount, chance) if begins else None
                self._wrap(kind, wrapper, now_us)

    def _wrap(self, kind: Kind, obstacle: Wrapper | None, now_us: int) -> None:
        """Put an obstacle on the link, in the place of the one of its kind; None: none any more."""
        old = self.faults.pop(kind, None)
        if old is not None:
            self.link.unwrap(old, now_us)
        if obstacle is not None:
            self.faults[kind] = obstacle
            self.link.wrap(obstacle)


def _step(fault: Fault, begins: bool) -> int:
    """Give by how much a clock is set: odd amounts forward, even ones back; at the end undone."""
    step = fault.amount if fault.amount % 2 else -fault.amount
    return step if begins else -step
