"""Pending tables: images that wait for an event before they become active.

A pending table has the id of its table with bit 12 set; its image is an
EVENT_RCD of 6 octets and then the image of the table, in one layout here, so
that ``layout_for(pending(6), context)`` decodes both.  ST-04 lists which tables
can wait and which do.  The entries of ST-04 come from one public source, the
codes of EVENT_SELECTOR from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ansi_tables.context import Context
from ansi_tables.ids import MANUFACTURER_BIT, name_of, pending
from ansi_tables.times import decode_time, size_of_time

if TYPE_CHECKING:
    from ansi_tables.snapshot import Snapshot

#: EVENT_CODE of EVENT_SELECTOR (from memory).
ABSOLUTE, RELATIVE, NOT_BY_TIME, UNUSED = 0, 1, 2, 15


@dataclass(frozen=True)
class Activation:
    """What a pending table waits for.

    ``at`` is the time of the meter's clock when it becomes active, or ``after``
    how long from its writing; with neither, ``trigger`` holds the octets of a
    manufacturer's own event.  ``self_read`` and ``demand_reset`` happen before.
    """

    at: datetime | None = None
    after: timedelta | None = None
    trigger: bytes | None = None
    self_read: bool = False
    demand_reset: bool = False


@dataclass(frozen=True)
class PendingTable:
    """One entry of ST-04: the id of the table that waits, and for what."""

    table: int
    activation: Activation

    @property
    def name(self) -> str:
        """Give the name a person uses: "pending ST-06"."""
        return name_of(pending(self.table))


@dataclass(frozen=True)
class PendingStatus:
    """ST-04: ``can_wait`` are ids of tables that take pending writes; ``waiting`` those there."""

    can_wait: frozenset[int]
    last_activation: datetime | None
    nbr_pending_activation: int
    waiting: tuple[PendingTable, ...]


def pending_status(tables: Snapshot) -> PendingStatus:
    """Give what waits on a meter; MissingContextError when ST-04 was not read."""
    status, context = tables.require(4), tables.context
    waiting = []
    for entry in status.PENDING_TABLES:
        if entry.EVENT.EVENT_SELECTOR.EVENT_CODE != UNUSED:
            chosen = entry.TABLE_SELECTOR
            table = chosen.TBL_PROC_NBR | chosen.STD_VS_MFG_FLAG * MANUFACTURER_BIT
            waiting.append(PendingTable(table, activation_of(entry.EVENT, context)))
    manufacturers = (MANUFACTURER_BIT | number for number in status.MANUFACT_PENDING)
    return PendingStatus(
        frozenset(status.STANDARD_PENDING).union(manufacturers),
        status.LAST_ACTIVATION_DATE_TIME.value,
        status.NBR_PENDING_ACTIVATION,
        tuple(waiting),
    )


def activation_of(found: Mapping[str, Any], ctx: Context) -> Activation:
    """Give the meaning of an EVENT_RCD; what is no time there is a trigger."""
    selector, storage = found["EVENT_SELECTOR"], bytes(found["EVENT_STORAGE"])
    before = Activation(
        self_read=bool(selector["SELF_READ_FLAG"]),
        demand_reset=bool(selector["DEMAND_RESET_FLAG"]),
    )
    if selector["EVENT_CODE"] == ABSOLUTE:
        size = size_of_time("STIME_DATE", ctx.fmt.tm_format)
        moment = decode_time("STIME_DATE", storage[:size], ctx.fmt.tm_format, ctx.fmt.data_order)
        if isinstance(moment.value, datetime):
            return replace(before, at=moment.value)
    if selector["EVENT_CODE"] == RELATIVE:
        weeks, days, hours, minutes, seconds = storage
        after = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        return replace(before, after=after)
    return replace(before, trigger=storage)
