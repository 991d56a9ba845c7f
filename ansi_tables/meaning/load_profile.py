"""Load profile as columns: one a channel, in units, with UTC ends, statuses and gaps.

Stands on :mod:`ansi_tables.profile_columns`, which finds the intervals in the
ring; here ST-62 and the sources give the numbers their meaning, and the rules
of the clock make instants of block ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag
from functools import cached_property
from typing import TYPE_CHECKING

from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.errors import MissingContextError
from ansi_tables.ids import name_of
from ansi_tables.meaning.channels import ChannelSource, channel_sources
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.meaning.scale import Exact, Raw
from ansi_tables.meaning.sources import OfSource, source
from ansi_tables.profile_blocks import NO_TIME, ProfileBlock
from ansi_tables.profile_columns import ProfileColumns, profile_columns
from ansi_tables.times import EPOCH
from ansi_tables.values import TableTime

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot


class IntervalStatus(IntEnum):
    """What the meter says of one interval of one channel; 6 and 7 are of the 2008 edition."""

    OK = 0
    OVERFLOW = 1
    PARTIAL = 2
    LONG = 3
    SKIPPED = 4
    TEST_MODE = 5
    CONFIGURATION_CHANGED = 6
    RECORDING_STOPPED = 7
    RESERVED = 8


class CommonStatus(IntFlag):
    """What the meter says of one interval of all channels."""

    DAYLIGHT_SAVING = 1
    POWER_FAILED = 2
    CLOCK_FORWARD = 4
    CLOCK_BACKWARD = 8


@dataclass(frozen=True)
class Channel(OfSource):
    """One column: ``raw`` counts and ``status_codes``, a row an interval.

    ``values`` are the counts in ``unit``, exact; all None where ``source.note``
    says why the unit is not known.  A skipped interval keeps what the meter
    recorded, mostly zero: look at its status.
    """

    index: int
    recorded: ChannelSource = field(repr=False)
    raw: Sequence[Raw] = field(repr=False)
    status_codes: Sequence[int] = field(repr=False)

    def __repr__(self) -> str:
        """Tell what it measures, and how much of it there is."""
        return f"<channel {self.index}: {self.name} in {self.unit or '?'}, {len(self.raw)} values>"

    @property
    def name(self) -> str:
        """Give what it measures, for a person."""
        return self.source.name

    @cached_property
    def values(self) -> tuple[Exact | None, ...]:
        """Give the column in ``unit``."""
        return tuple(self.recorded.value(raw) for raw in self.raw)

    @cached_property
    def statuses(self) -> tuple[IntervalStatus, ...]:
        """Give the status of each interval."""
        known = tuple(IntervalStatus(min(code, 8)) for code in range(16))
        return tuple(known[code] for code in self.status_codes)


@dataclass(frozen=True)
class Interval:
    """One row: its identity, its end, a value and a status for each channel."""

    sequence: int
    end: datetime | None
    values: tuple[Exact | None, ...]
    statuses: tuple[IntervalStatus, ...]
    common: CommonStatus
    valid: bool


@dataclass(frozen=True)
class Gap:
    """Where ends do not follow each other: before row ``row``, ``missing_s`` seconds.

    Negative where time was recorded twice, because the clock was set back.
    """

    row: int
    missing_s: int


@dataclass(frozen=True)
class EndReading:
    """The register of a channel at the end of a block: in ``unit``, and pulses where recorded."""

    value: Exact | None
    raw: Raw | None
    unit: str
    pulses: int | None


@dataclass(frozen=True)
class Block:
    """One block: its array element, sequence number, its rows, its end and end readings."""

    element: int
    sequence: int
    rows: range
    end: datetime | None
    readings: tuple[EndReading, ...]


@dataclass(frozen=True)
class LoadProfile:
    """A load-profile set, oldest interval first; all columns have one length.

    ``ends_utc_s``  end of each interval in UTC seconds since 1970, 0 when not known
    ``sequences``   identity of each interval within this ring; a jump is a gap
    ``valid``       1, or 0 where the meter says that the interval is not valid
    ``common``      flags of each interval, as :class:`CommonStatus`

    ``active``: the set is recording; ``unread_blocks`` wait for acknowledgement;
    ``overflow``: a block was needed while all were unread, so that the oldest was
    lost or, with ``inhibited``, nothing is recorded any more.
    """

    set_number: int
    interval_s: int
    channels: tuple[Channel, ...]
    ends_utc_s: Sequence[int] = field(repr=False)
    sequences: Sequence[int] = field(repr=False)
    valid: Sequence[int] = field(repr=False)
    common: Sequence[int] = field(repr=False)
    blocks: tuple[Block, ...] = field(repr=False)
    clock: ClockRules = field(repr=False)
    active: bool = True
    unread_blocks: int = 0
    overflow: bool = False
    inhibited: bool = False

    def __repr__(self) -> str:
        """Tell the set, its intervals, when they end, and its channels."""
        ends = [end for end in (*self.ends[:1], *self.ends[-1:]) if end is not None]
        when = " to ".join(end.isoformat(" ", "minutes") for end in ends) or "no times"
        length = f"{len(self)} intervals of {self.interval_s // 60} min"
        return f"<load profile {self.set_number}: {length}, {when}: {list(self.channels)}>"

    def __len__(self) -> int:
        """Give the number of intervals."""
        return len(self.sequences)

    @cached_property
    def ends(self) -> tuple[datetime | None, ...]:
        """Give the end of each interval, aware and in the meter's own civil time."""
        return tuple(
            None if end == NO_TIME else self.clock.local(EPOCH + timedelta(seconds=end))
            for end in self.ends_utc_s
        )

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Give where time is missing between rows, or was recorded twice."""
        ends = self.ends_utc_s
        steps = ((row, ends[row] - ends[row - 1]) for row in range(1, len(ends)))
        return tuple(
            Gap(row, step - self.interval_s)
            for row, step in steps
            if step != self.interval_s and NO_TIME not in (ends[row], ends[row - 1])
        )

    def __iter__(self) -> Iterator[Interval]:
        """Go through the intervals, row by row."""
        for row in range(len(self)):
            yield Interval(
                self.sequences[row],
                self.ends[row],
                tuple(channel.values[row] for channel in self.channels),
                tuple(channel.statuses[row] for channel in self.channels),
                CommonStatus(self.common[row]),
                bool(self.valid[row]),
            )


def profile_sets(tables: Snapshot) -> tuple[int, ...]:
    """Give the load-profile sets (1 to 4) whose data were read."""
    return tuple(number for number in SETS if 63 + number in tables.images)


def load_profile(tables: Snapshot, set_number: int | None = None) -> LoadProfile:
    """Give a load-profile set, the first there is where none is named.

    MissingContextError names a table that was not read.
    """
    if set_number is None:
        set_number = next(iter(profile_sets(tables)), 1)
    if set_number not in SETS:
        raise ValueError(f"load-profile set {set_number}: there are sets 1 to 4")
    number = 63 + set_number
    for needed in (61, 62, 63, number):
        if needed not in tables.images:
            raise MissingContextError("is not in this snapshot", table=name_of(needed))
    status = tables[63].get(f"LP_STATUS_SET{set_number}")
    if status is None:
        raise MissingContextError(
            f"ST-00 lists no {name_of(number)}: the meter has no such set", table="ST-63"
        )
    rules = clock_rules(tables)

    def block_end(end: TableTime, daylight_saving: bool | None) -> int:
        utc_s = rules.utc_s(end, daylight_saving)
        return NO_TIME if utc_s is None else utc_s

    columns = profile_columns(tables.context, set_number, tables.images[number], status, block_end)
    recorded, flags = channel_sources(tables, set_number), status.LP_SET_STATUS_FLAGS
    return LoadProfile(
        set_number,
        columns.interval_s,
        tuple(
            Channel(
                index,
                recorded[index],
                raw,
                columns.channel_status[index],
                source=recorded[index].source,
            )
            for index, raw in enumerate(columns.values)
        ),
        columns.ends_utc_s,
        columns.sequences,
        columns.valid,
        columns.common_status,
        tuple(_blocks(tables, columns, rules)),
        rules,
        bool(flags.ACTIVE_MODE_FLAG),
        status.NBR_UNREAD_BLOCKS,
        bool(flags.OVERFLOW_FLAG),
        bool(flags.BLOCK_INHIBIT_OVERFLOW_FLAG),
    )


def _blocks(tables: Snapshot, columns: ProfileColumns, rules: ClockRules) -> Iterator[Block]:
    """Give the blocks with what they hold beside intervals."""
    number = 63 + columns.set_number
    layout, image = tables.layout(number), tables.images[number]
    selection = tables[62][f"LP_SEL_SET{columns.set_number}"]
    of_readings = [source(tables, one.END_BLK_RDG_SOURCE_SELECT) for one in selection]

    def readings(block: ProfileBlock) -> Iterator[EndReading]:
        path = f"LP_DATA_SET{columns.set_number}.{block.element}.END_READINGS"
        at, width = layout.field(path)
        records = layout.value_at(path, image[at : at + width])
        for what, record in zip(of_readings, records, strict=True):
            raw = record.get("BLOCK_END_READ")
            value = None if raw is None else what.value(raw)
            yield EndReading(value, raw, what.unit, record.get("BLOCK_END_PULSE"))

    for block in columns.blocks:
        utc_s = block.end_utc_s
        end = None if utc_s == NO_TIME else rules.local(EPOCH + timedelta(seconds=utc_s))
        yield Block(block.element, block.sequence, block.rows, end, tuple(readings(block)))
