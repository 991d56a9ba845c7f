"""What has flown through an image that runs on, and how it adds to the image's own numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ansi_tables.meaning.sources import Direction, Source
from smartmeter.meter.quantities import quadrant

#: What a unit counts, in watt-seconds.
_WATT_SECONDS = 3600
#: The quadrants in which a unit flows from the customer: they count against a net of both ways.
_RECEIVED = {"Wh": (2, 3), "varh": (3, 4)}


@dataclass
class Energy:
    """What has flown, in watt-seconds: by unit and quadrant."""

    flown: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, power_w: int, reactive_var: int, seconds: int) -> None:
        """Let a load flow."""
        where = quadrant(power_w, reactive_var)
        for unit, rate in (("Wh", power_w), ("varh", reactive_var)):
            self.flown[unit, where] = self.flown.get((unit, where), 0) + abs(rate) * seconds

    def counts(self, source: Source, factor: Fraction = Fraction(1)) -> Fraction:
        """Give the counts of a register or channel; 0 where its unit is not of these, or none."""
        received = _RECEIVED.get(source.unit, ()) if source.direction is Direction.NET else ()
        flown = 0
        for where in source.quadrants:
            part = self.flown.get((source.unit, where), 0)
            flown += -part if where in received else part
        unit = source.scale.factor * factor if source.scale is not None else 0
        return Fraction(flown, _WATT_SECONDS) / unit if unit else Fraction(0)


def added(raw: Any, counts: Fraction) -> Any:
    """Add counts to a raw number in its own type; whole counts only where it is an integer."""
    if isinstance(raw, int):
        return raw + int(counts)
    if isinstance(raw, float):
        return raw + float(counts)
    return raw + int(counts) if isinstance(raw, Decimal) else raw
