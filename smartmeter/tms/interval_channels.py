"""What the raw counts of an interval mean: a name of its own for each channel, and its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.meaning.channels import ChannelSource, channel_sources
from ansi_tables.meaning.scale import Scale

#: Name and scale of one channel; without a scale its counts are raw.
Channel = tuple[str, Scale | None]


def channels_of(context: Mapping[int, bytes], set_nbr: int, count: int) -> list[Channel]:
    """Give the channels of a set under a meter context, of which an interval has ``count``.

    Named by unit, direction and phase.  One whose unit the meter does not tell
    has its number for a name, and is raw.
    """
    try:
        known = channel_sources(Snapshot(dict(context)), set_nbr)
    except TableError:  # of a context that cannot be read
        known = ()
    return _named(known, count)


def _named(known: Sequence[ChannelSource], count: int) -> list[Channel]:
    names = [f"channel {index} (raw)" for index in range(count)]
    scales: list[Scale | None] = [None] * count
    for index, channel in enumerate(known[:count]):
        source = channel.source
        if source.measure and source.scale is not None:
            names[index] = source.measure + (f", phase {source.phase}" if source.phase else "")
            scales[index] = source.scale.times(channel.factor)
    return [
        (f"{name} (channel {index})" if names.count(name) > 1 else name, scale)
        for index, (name, scale) in enumerate(zip(names, scales, strict=True))
    ]
