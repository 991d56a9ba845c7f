"""What a run came to: the TMS' store compared with the journals that the meters keep outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from smartmeter.meter.load_profile import Interval
from smartmeter.tms.store.sqlite import Store


class Journal(dict[int, Interval]):
    """A meter's intervals as it measured them, by sequence, kept outside the system."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def record(self, interval: Interval) -> None:
        """Take an interval that the meter has finished."""
        if not self._closed:
            self[interval.sequence] = interval

    def close(self) -> None:
        """Take no more: what the meter finishes from now on does not count."""
        self._closed = True


@dataclass(frozen=True)
class Count:
    """What a run came to; ``seconds`` is wall time in a demo, the world's own in a fleet."""

    meters: int
    provisioned: int
    reports: int
    intervals_expected: int
    intervals_stored: int
    duplicates: int
    altered: int
    alarms: int
    outages: int
    restorations: int
    silences: int
    recovered: int
    polls: int
    seconds: float

    def json(self) -> str:
        """Give the object that ``--json`` prints."""
        return json.dumps(asdict(self))

    @property
    def sound(self) -> bool:
        """Tell whether the TMS holds what the meters measured, once and unaltered."""
        complete = self.intervals_stored == self.intervals_expected
        return complete and not self.duplicates and not self.altered


def compare(store: Store, journals: Mapping[str, Journal]) -> tuple[int, int, int]:
    """Give intervals expected, stored, and stored with another content; journals hold set 1."""
    rows: dict[str, dict[int, tuple[int, list[int]]]] = {}
    for row in store.read("SELECT esn, sequence, end_s, raw FROM intervals WHERE set_nbr=1"):
        found = rows.setdefault(row["esn"], {})
        found[row["sequence"]] = (row["end_s"], json.loads(row["raw"]))
    expected = stored = altered = 0
    for esn, journal in journals.items():
        expected += len(journal)
        for sequence, interval in journal.items():
            held = rows.get(esn, {}).get(sequence)
            if held is not None:
                stored += 1
                altered += held != (interval.end_utc_s, list(interval.values))
    return expected, stored, altered


def count(store: Store, journals: Mapping[str, Journal], polls: int, seconds: float) -> Count:
    """Count what is in the store."""
    expected, stored, altered = compare(store, journals)
    return Count(
        meters=len(journals),
        provisioned=store.number("SELECT count(*) FROM meters WHERE provisioned_s != 0"),
        reports=store.number("SELECT count(*) FROM reports"),
        intervals_expected=expected,
        intervals_stored=stored,
        duplicates=count_duplicates(store),
        altered=altered,
        alarms=store.number("SELECT count(*) FROM alarms"),
        outages=store.number("SELECT count(*) FROM outages"),
        restorations=store.number("SELECT count(*) FROM outages WHERE end_s != 0"),
        silences=store.number("SELECT count(*) FROM silences"),
        recovered=store.number("SELECT count(*) FROM silences WHERE ended_s != 0"),
        polls=polls,
        seconds=round(seconds, 1),
    )


def settled(store: Store, journals: Mapping[str, Journal]) -> bool:
    """Tell whether everything has arrived, and no silence or outage is open."""
    expected, stored, _ = compare(store, journals)
    still_open = store.number("SELECT count(*) FROM silences WHERE ended_s=0")
    still_open += store.number("SELECT count(*) FROM outages WHERE end_s=0")
    return expected == stored and not still_open


def count_duplicates(store: Store) -> int:
    """Count double rows of what is exported: the same interval, event or alarm twice."""
    queries = (
        "SELECT count(*) - count(DISTINCT esn || '/' || set_nbr || '/' || sequence) FROM intervals",
        "SELECT count(*) - count(DISTINCT esn || '/' || sequence) FROM events",
        "SELECT count(*) - count(DISTINCT esn || '/' || epoch || '/' || alarm_nbr) FROM alarms",
    )
    return sum(store.number(query) for query in queries)
