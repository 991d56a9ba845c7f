"""What a store that came back from a backup lacks: noticed, and asked for once.

What was acknowledged since the backup was made, no module sends again by itself.  The meter
still has intervals and entries of its log, the module the last outages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ansi_tables.ssi_tables import Cause, SsiTable
from smartmeter.tms import exchanges
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.jobs import DONE
from smartmeter.tms.model import Kind
from smartmeter.tms.store.queries import (
    first_missing_entry,
    is_missing_before,
    is_report_missing_before,
)
from smartmeter.tms.store.records import Part
from smartmeter.tms.store.sqlite import Store

#: How often it is asked for, with reports between, until all of it was had.
MAX_ASKS = 3
#: These overtake what waits in a module's outbox: what is before them may still come.
_URGENT = (Cause.ALARM, Cause.OUTAGE)


class LostData:
    """Looks at the first reports of each SmartMeter since the start.

    ``ask`` has a script carried out, given where the module's tables begin, and tells whether it
    is not under way already; ``fill`` has the intervals fetched that are missing.
    """

    def __init__(
        self,
        store: Store,
        ask: Callable[[str, Kind, Callable[[int], Exchange[Any]]], bool],
        fill: Callable[[str], object],
    ) -> None:
        self._store, self._ask, self._fill = store, ask, fill
        self._asks_left: dict[str, int] = {}
        #: Of these the first report that has its turn was looked at, and the first intervals.
        self._reports_seen: set[str] = set()
        self._intervals_seen: set[str] = set()

    def load(self) -> None:
        """Take up what was asked for and never had."""
        sql = (
            "SELECT esn FROM jobs AS one WHERE state!=? AND kind=?"
            " AND id=(SELECT max(id) FROM jobs WHERE esn=one.esn AND kind=one.kind)"
        )
        self._asks_left = {row["esn"]: MAX_ASKS for row in self._store.read(sql, DONE, Kind.EVENTS)}

    def reported(self, esn: str, header: Mapping[str, Any], parts: Sequence[Part]) -> None:
        """Look at a report that is durable."""
        # Both, as each is looked at once.
        if self._misses_report(esn, header) | self._misses_intervals(esn, parts):
            self._asks_left[esn] = MAX_ASKS
        if self._asks_left.get(esn):
            self._ask_for_all(esn)

    def had(self, esn: str) -> None:
        """The entries are durable; what was asked for before them is, too."""
        self._asks_left.pop(esn, None)

    def ask_for_outages(self, esn: str) -> None:
        """Have a module's OUTAGE_LOG read."""
        self._ask(esn, Kind.OUTAGES, exchanges.outage_log)

    def _ask_for_all(self, esn: str) -> None:
        first = first_missing_entry(self._store, esn)
        self._fill(esn)
        self.ask_for_outages(esn)
        if self._ask(esn, Kind.EVENTS, partial(exchanges.event_log, first=first)):
            self._asks_left[esn] -= 1

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
