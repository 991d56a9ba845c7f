"""A seed's own swarm of faults: which kinds there are, how often, on whom and when.

Not every seed has every kind: what never happens together in an even mixture
happens when some kinds are left out and others are frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
DAY_US = 24 * HOUR_US


class Kind(StrEnum):
    """Kinds of faults; one without a duration happens at an instant."""

    MAINS = "mains"
    FLICKER = "flicker"
    NETWORK = "network"
    AREA = "area"
    LOSS = "loss"
    SILENCE = "silence"
    TAMPER = "tamper"
    WATCHDOG = "watchdog"
    CLOCK = "clock"
    HEAD_END = "head-end"
    REPEAT = "repetition"
    REORDER = "reordering"
    CORRUPT = "corruption"
    PROBE = "probe"
    CLOCK_SET = "clock-set"


#: Shortest and longest duration of each kind.
_SPANS = {
    Kind.MAINS: (2 * MINUTE_US, 5 * HOUR_US),
    Kind.FLICKER: (500_000, 20_000_000),
    Kind.NETWORK: (MINUTE_US, 13 * HOUR_US),
    Kind.AREA: (10 * MINUTE_US, 3 * HOUR_US),
    Kind.LOSS: (10 * MINUTE_US, 6 * HOUR_US),
    Kind.SILENCE: (30 * MINUTE_US, 8 * HOUR_US),
    Kind.CLOCK: (HOUR_US, 6 * HOUR_US),
    Kind.REPEAT: (10 * MINUTE_US, 6 * HOUR_US),
    Kind.REORDER: (10 * MINUTE_US, 6 * HOUR_US),
    Kind.CORRUPT: (10 * MINUTE_US, 2 * HOUR_US),
    Kind.PROBE: (MINUTE_US, 5 * HOUR_US),
}
#: Kinds that strike everybody at once; their rate counts for the fleet, not for each meter.
_COMMON = frozenset((Kind.AREA, Kind.HEAD_END))
#: A technician's hand on the meter's clock comes in scripts only.
SCRIPTED = frozenset((Kind.CLOCK_SET,))
#: How often a kind strikes a meter in ten days, at most.
_MOST_IN_TEN_DAYS = 6


@dataclass(frozen=True)
class Fault:
    """A fault of a meter (``esn``), or of everybody (empty); ``amount`` depends on the kind."""

    begin_us: int
    end_us: int
    kind: Kind
    esn: str
    amount: int


def swarm(
    seed: int,
    esns: Sequence[str],
    begin_us: int,
    end_us: int,
    only: Sequence[Kind] | None = None,
) -> list[Fault]:
    """Give the faults of a seed in the order in which they begin; ``only`` chooses the kinds."""
    chance = Random(f"swarm/{seed}")
    drawn = [kind for kind in Kind if kind not in SCRIPTED]
    kinds = [kind for kind in drawn if chance.random() < 0.75] if only is None else list(only)
    rates = {kind: chance.randint(1, _MOST_IN_TEN_DAYS) for kind in kinds}
    faults: list[Fault] = []
    for kind in kinds:
        mean_us = 10 * DAY_US // rates[kind]
        for esn in ("",) if kind in _COMMON else esns:
            at_us = begin_us + int(chance.expovariate(1.0) * mean_us)
            while at_us < end_us:
                low, high = _SPANS.get(kind, (0, 0))
                until_us = min(end_us, at_us + (chance.randint(low, high) if high else 0))
                faults.append(Fault(at_us, until_us, kind, esn, chance.randint(10, 60)))
                at_us = until_us + MINUTE_US + int(chance.expovariate(1.0) * mean_us)
    return sorted(faults, key=lambda one: (one.begin_us, one.kind, one.esn))
