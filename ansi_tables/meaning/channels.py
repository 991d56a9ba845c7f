"""The channels of a load-profile set: ST-62 names their sources, scalars and divisors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ansi_tables.meaning.scale import Exact, Raw
from ansi_tables.meaning.sources import Source, source

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot


@dataclass(frozen=True)
class ChannelSource:
    """What one channel records: a source, and what its counts are multiplied with.

    ``factor`` is DIVISOR / SCALAR of ST-62 (1 without them): the meter has
    multiplied by the scalar and divided by the divisor before it recorded.
    """

    source: Source
    factor: Fraction = Fraction(1)

    def value(self, raw: Raw) -> Exact | None:
        """Give a recorded count in the unit of the source, exactly; None where it is not known."""
        scale = self.source.scale
        return None if scale is None else scale.times(self.factor).value(raw)


def channel_sources(tables: Snapshot, set_number: int = 1) -> tuple[ChannelSource, ...]:
    """Give the channels of a set (1 to 4); empty when ST-62 was not read or has no such set."""
    control = tables.get(62)
    selection = None if control is None else control.get(f"LP_SEL_SET{set_number}")
    if control is None or selection is None:
        return ()
    scalars = control.get(f"SCALARS_SET{set_number}", [1] * len(selection))
    divisors = control.get(f"DIVISOR_SET{set_number}", [1] * len(selection))
    return tuple(
        # A scalar of zero would have recorded nothing: the counts are taken as they are.
        ChannelSource(source(tables, channel.LP_SOURCE_SELECT), Fraction(divisor, scalar or 1))
        for channel, scalar, divisor in zip(selection, scalars, divisors, strict=True)
    )
