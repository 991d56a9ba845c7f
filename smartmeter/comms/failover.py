"""Which bearer to use: the cheapest that is not resting after a failure."""

from __future__ import annotations

from collections.abc import Sequence

from smartmeter.comms.bearer import BearerSettings

FIRST_REST_US, MAX_REST_US = 500_000, 30_000_000


class Failover:
    """A machine without bytes: told of ends, asked for the next bearer."""

    def __init__(self, bearers: Sequence[BearerSettings]) -> None:
        self._bearers = sorted(bearers, key=lambda bearer: bearer.cost)
        self._rest: dict[str, tuple[int, int]] = {}

    def choose(self, now_us: int) -> str | None:
        """Give the name of the bearer to connect now, or None while all of them rest."""
        for bearer in self._bearers:
            if self._rest.get(bearer.name, (0, 0))[0] <= now_us:
                return bearer.name
        return None

    def wait_us(self, now_us: int) -> int:
        """Give how long until a bearer has rested."""
        untils = (self._rest.get(bearer.name, (0, 0))[0] for bearer in self._bearers)
        return max(0, min(untils) - now_us)

    def failed(self, name: str, now_us: int) -> None:
        """A bearer could not be connected: it rests, each time twice as long."""
        rest_us = min(max(FIRST_REST_US, 2 * self._rest.get(name, (0, 0))[1]), MAX_REST_US)
        self._rest[name] = (now_us + rest_us, rest_us)

    def ended(self, name: str, now_us: int) -> None:
        """A bearer that worked has gone: it is tried again after the shortest rest."""
        self._rest[name] = (now_us + FIRST_REST_US, 0)
