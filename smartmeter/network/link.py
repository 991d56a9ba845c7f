"""A link of the simulated network: takes APDUs, gives them later, or never.

A wire, and any number of wrappers around it (``smartmeter.network.faults``),
put on and taken off while it carries.  Sans-I/O: it is told the time, and its
chance comes from a seeded source, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from smartmeter.network.carrier import Carrier, Wire, Wrapper
from smartmeter.network.faults import (
    DEFAULT_QUEUE_OCTETS,
    Corruption,
    DutyCycle,
    Latency,
    Loss,
    Rate,
    Reordering,
    Repetition,
)


@dataclass(frozen=True)
class LinkSettings:
    """How slow and how bad a link is, from its first day on; 0 is: not at all.

    ``rate_bps`` bits a second go through in turn, and ``queue_octets`` may wait
    for that; of every ``duty_period_us`` the link is up for ``duty_open_us``.
    The percentages are of APDUs.
    """

    delay_us: int = 0
    jitter_us: int = 0
    loss_percent: int = 0
    rate_bps: int = 0
    queue_octets: int = 0
    duty_period_us: int = 0
    duty_open_us: int = 0
    repeat_percent: int = 0
    reorder_percent: int = 0
    corrupt_percent: int = 0


class Link:
    """A wire in its wrappers: ``put`` goes through them from the last one wrapped inwards."""

    def __init__(self, settings: LinkSettings, chance: Random) -> None:
        self._top: Carrier = Wire()
        self._wrappers: list[Wrapper] = []
        self._gone = 0
        for wrapper in _of_settings(settings, chance):
            self.wrap(wrapper)

    @property
    def wrappers(self) -> tuple[Wrapper, ...]:
        """Give the wrappers, the innermost first."""
        return tuple(self._wrappers)

    @property
    def lost(self) -> int:
        """Give how many APDUs did not get through."""
        return self._gone + sum(wrapper.lost for wrapper in self._wrappers)

    def wrap(self, wrapper: Wrapper) -> None:
        """Put a wrapper around all that is there."""
        wrapper.inner = self._top
        self._top = wrapper
        self._wrappers.append(wrapper)

    def unwrap(self, wrapper: Wrapper, now_us: int = 0) -> None:
        """Take a wrapper off; what it holds goes on at once."""
        wrapper.let_go(now_us)
        place = self._wrappers.index(wrapper)
        if place + 1 < len(self._wrappers):
            self._wrappers[place + 1].inner = wrapper.inner
        else:
            self._top = wrapper.inner
        del self._wrappers[place]
        self._gone += wrapper.lost

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Give an APDU to the link."""
        self._top.put(octets, outward, now_us)

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through: direction and octets, in the order of arrival."""
        return self._top.arrived(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next APDU moves on."""
        return self._top.deadline_us()


def _of_settings(settings: LinkSettings, chance: Random) -> Iterator[Wrapper]:
    """Give the wrappers that settings ask for, the innermost first.

    An APDU meets the chances of loss first, then waits for the link to be up
    and for its turn, and is on its way at last.
    """
    if settings.delay_us or settings.jitter_us:
        yield Latency(settings.delay_us, settings.jitter_us, chance)
    if settings.rate_bps:
        yield Rate(settings.rate_bps, settings.queue_octets or DEFAULT_QUEUE_OCTETS)
    if settings.duty_period_us:
        offset_us = chance.randrange(settings.duty_period_us)
        yield DutyCycle(settings.duty_period_us, settings.duty_open_us, offset_us)
    if settings.reorder_percent:
        yield Reordering(settings.reorder_percent, chance)
    if settings.repeat_percent:
        yield Repetition(settings.repeat_percent, chance)
    if settings.corrupt_percent:
        yield Corruption(settings.corrupt_percent, chance)
    if settings.loss_percent:
        yield Loss(settings.loss_percent, chance)
