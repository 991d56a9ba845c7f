"""How long a TMS keeps what was collected: it goes through all meters, step by step.

A script as those of ``jobs`` are: it yields changes for the store's writer, and
is sent what each came to.  The shell carries them out, with pauses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from functools import partial

from smartmeter.base.clock import DAY_S
from smartmeter.tms.store.pruning import (
    BEGIN,
    INTERVALS,
    NUMBERED,
    NumberedRows,
    prune_numbered,
    prune_others,
)
from smartmeter.tms.store.sqlite import Store

#: A look at all meters, and the next.
ROUND_S = 6 * 3600
#: How many meters are looked at for what time it is, and how lately they must have told it.
MAX_ASKED, RECENT_S = 99, 2 * DAY_S
#: The pause after a step: so many times as long as it took, and so many seconds at least.
PAUSE_FACTOR, PAUSE_S = 4, 0.02

Step = Callable[[sqlite3.Connection], int | bool | None]


def steps(
    store: Store, keep_days: int, utc_s: int, a_day_at_most: bool = False
) -> Generator[Step, int | bool | None, None]:
    """Give the steps that drop what is older than so many days, of all meters.

    ``a_day_at_most``: of each meter no more than the day of its oldest report.  Else a clock that
    is ahead by years drops nothing where meters tell intervals: these have the meters' own times.
    """
    newest_s = store.number("SELECT max(heard_s) FROM meters")
    if newest_s:
        utc_s = min(utc_s, newest_s)
    if not a_day_at_most:
        utc_s = _told_s(store, utc_s)
    for esn in _meters(store):
        before_s = utc_s - keep_days * DAY_S
        if a_day_at_most:
            before_s = min(before_s, _oldest_report_s(store, esn) + DAY_S)
        for rows in NUMBERED:
            for ring in _rings(store, rows, esn):
                after: int | None = BEGIN
                while after is not None:
                    after = yield partial(
                        prune_numbered,
                        rows=rows,
                        esn=esn,
                        ring=ring,
                        after=after,
                        before_s=before_s,
                    )
        while (yield partial(prune_others, esn=esn, before_s=before_s)):
            pass


def _told_s(store: Store, utc_s: int) -> int:
    """Give what time it is by the newest intervals of those heard last, ``utc_s`` at most.

    Modules take the TMS's time over, and are heard under a wrong one; their meters do not.
    """
    # A meter that was heard later than now was heard by a clock that has been set back since.
    lately = range(utc_s - RECENT_S, utc_s + 1)
    sql = "SELECT esn FROM meters WHERE heard_s BETWEEN ? AND ? ORDER BY heard_s DESC LIMIT ?"
    ends_s = []
    for row in store.read(sql, lately[0], utc_s, MAX_ASKED):
        received_s, end_s = _newest_interval(store, row["esn"], utc_s)
        if end_s and received_s in lately:
            ends_s.append(end_s)
    return min(utc_s, sorted(ends_s)[len(ends_s) // 2]) if ends_s else utc_s


def _newest_interval(store: Store, esn: str, utc_s: int) -> tuple[int, int]:
    """Give arrival and end of what came last by now of a meter's rings: some may have ended."""
    sql = (
        "SELECT received_s, end_s FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch=?"
        " ORDER BY sequence DESC LIMIT 1"
    )
    of_rings = (store.one(sql, esn, *ring) for ring in _rings(store, INTERVALS, esn))
    came = ((one[0], one[1]) for one in of_rings if one is not None and one[0] <= utc_s)
    return max(came, default=(0, 0))


def _meters(store: Store) -> Iterator[str]:
    """Give all ESNs of which there is something, plain meters that were removed among them."""
    tables = ("meters", "intervals", "reports", "events", "readings", "polls")
    each = " UNION ALL ".join(f"SELECT min(esn) AS esn FROM {one} WHERE esn>?1" for one in tables)
    row = store.one(f"SELECT min(esn) FROM ({each})", "")
    while row is not None and row[0] is not None:
        yield row[0]
        row = store.one(f"SELECT min(esn) FROM ({each})", row[0])


def _oldest_report_s(store: Store, esn: str) -> int:
    return store.number("SELECT min(received_s) FROM reports WHERE esn=? AND received_s>0", esn)


def _rings(store: Store, rows: NumberedRows, esn: str) -> Iterator[tuple[int, ...]]:
    """Give the rings of a meter, by a look at a key for each."""
    if not rows.ring:
        yield ()
        return
    names, marks = ", ".join(rows.ring), ", ".join("?" * len(rows.ring))
    sql = (
        f"SELECT {names} FROM {rows.table} WHERE esn=? AND ({names}) > ({marks})"
        f" ORDER BY {names} LIMIT 1"
    )
    found = store.one(sql, esn, *(BEGIN,) * len(rows.ring))
    while found is not None:
        yield tuple(found)
        found = store.one(sql, esn, *found)
