"""Questions to the store that are more than a line."""

from __future__ import annotations

from smartmeter.tms.store.sqlite import Store

#: Intervals back from the newest in which holes are looked for; a ring holds fewer as a rule.
MAX_LOOK_BACK = 5000
MAX_GAPS = 20


def gaps(store: Store, esn: str, set_nbr: int = 1) -> list[tuple[int, int | None]]:
    """Give the sequences [first, end) that are missing of the newest ring epoch, newest last.

    The last one is open: everything after the newest interval stored.
    """
    newest = store.one(
        "SELECT ring_epoch, max(sequence) AS last FROM intervals WHERE esn=? AND set_nbr=?"
        " GROUP BY ring_epoch ORDER BY ring_epoch DESC LIMIT 1",
        esn,
        set_nbr,
    )
    if newest is None:
        return [(0, None)]
    rows = store.read(
        "SELECT sequence + 1 AS first, following AS end FROM"
        " (SELECT sequence, lead(sequence) OVER (ORDER BY sequence) AS following FROM intervals"
        "  WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence>?)"
        " WHERE following > sequence + 1 LIMIT ?",
        esn,
        set_nbr,
        newest["ring_epoch"],
        newest["last"] - MAX_LOOK_BACK,
        MAX_GAPS,
    )
    holes: list[tuple[int, int | None]] = [(row["first"], row["end"]) for row in rows]
    return [*holes, (newest["last"] + 1, None)]
