"""What a store that came back from a backup lacks: noticed, and asked for once.

What was acknowledged since the backup was made, no module sends again by itself.  The meter
still has intervals and entries of its log, the module the last outages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansi_tables.ssi_tables import Cause, SsiTable
from smartmeter.tms import exchanges
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.jobs import FAILED, RUNNING, WAITING
from smartmeter.tms.model import Kind
from smartmeter.tms.store.queries import (
    first_missing_entry,
    is_missing_before,
    is_report_missing_before,
)
from smartmeter.tms.store.records import Part
from smartmeter.tms.store.sqlite import Store

#: How often it is asked for, with reports between, until all of it was had.
MAX_ASKS = 8
#: Intervals, outages, entries of the log.
KINDS = (Kind.RECOVER, Kind.OUTAGES, Kind.EVENTS)
#: These overtake what waits in a module's outbox: what is before them may still come.
_URGENT = (Cause.ALARM, Cause.OUTAGE)


@dataclass
class _Owed:
    """What a meter is still to give, and how often it may be asked."""

    kinds: set[Kind]
    asks_left: int = MAX_ASKS


class LostData:
    """Looks at the first reports of each SmartMeter since the start.

    ``ask`` has a script carried out, given where the module's tables begin, and tells whether it
    was begun; ``fill`` has the intervals fetched that are missing, None when that is not begun.
    """

    def __init__(
        self,
        store: Store,
        ask: Callable[[str, Kind, Callable[[int], Exchange[Any]]], bool],
        fill: Callable[[str], object],
    ) -> None:
        self._store, self._ask, self._fill = store, ask, fill
        self._owed: dict[str, _Owed] = {}
        #: Of these the first report that has its turn was looked at, and the first intervals.
        self._reports_seen: set[str] = set()
        self._intervals_seen: set[str] = set()

    def load(self) -> None:
        """Take up what was asked for and never had; what is asked at once bears one time."""
        sql = (
            "SELECT esn, kind FROM jobs AS one WHERE state IN (?,?,?) AND kind IN (?,?,?)"
            " AND id=(SELECT max(id) FROM jobs WHERE esn=one.esn AND kind=one.kind)"
            " AND created_s IN (SELECT created_s FROM jobs WHERE esn=one.esn AND kind=?)"
        )
        undone = FAILED, WAITING, RUNNING
        self._owed = {}
        for row in self._store.read(sql, *undone, *KINDS, Kind.EVENTS):
            self._owed.setdefault(row["esn"], _Owed(set())).kinds.add(Kind(row["kind"]))

    def reported(self, esn: str, header: Mapping[str, Any], parts: Sequence[Part]) -> None:
        """Look at a report that is durable."""
        # Both, as each is looked at once.
        if self._misses_report(esn, header) | self._misses_intervals(esn, parts):
            self._owed[esn] = _Owed(set(KINDS))
        owed = self._owed.get(esn)
        if owed is not None and owed.asks_left:
            begun = [self._ask_for(esn, kind) for kind in KINDS if kind in owed.kinds]
            owed.asks_left -= any(begun)

    def had(self, esn: str, kind: Kind) -> None:
        """What was asked for is durable."""
        owed = self._owed.get(esn)
        if owed is not None:
            owed.kinds.discard(kind)
            if not owed.kinds:
                del self._owed[esn]

    def ask_for_outages(self, esn: str) -> bool:
        """Have a module's OUTAGE_LOG read; False when that cannot be begun."""
        return self._ask(esn, Kind.OUTAGES, exchanges.outage_log)

    def _ask_for(self, esn: str, kind: Kind) -> bool:
        if kind is Kind.RECOVER:
            return self._fill(esn) is not None
        if kind is Kind.OUTAGES:
            return self.ask_for_outages(esn)
        first = first_missing_entry(self._store, esn)
        return self._ask(esn, Kind.EVENTS, partial(exchanges.event_log, first=first))

    def _misses_report(self, esn: str, header: Mapping[str, Any]) -> bool:
        if esn in self._reports_seen or header["CAUSE"] in _URGENT:
            return False
        self._reports_seen.add(esn)
        number = header["OUTBOX_EPOCH"], header["REPORT_NBR"]
        return is_report_missing_before(self._store, esn, number, _URGENT)

    def _misses_intervals(self, esn: str, parts: Sequence[Part]) -> bool:
        if esn in self._intervals_seen:
            return False
        firsts = {
            ((part.value["SET"], part.value["RING_EPOCH"]), part.value["FIRST_SEQUENCE"])
            for part in parts
            if part.ssi is SsiTable.LOAD_PROFILE_PART and part.value["INTERVALS"]
        }
        if not firsts:
            return False
        self._intervals_seen.add(esn)
        return any(is_missing_before(self._store, esn, ring, first) for ring, first in firsts)
