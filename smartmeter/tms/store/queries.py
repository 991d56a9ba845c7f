"""Questions to the store that are more than a line."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from random import Random

from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.ssi_tables import DEFAULT_BASE
from smartmeter.base.errors import SettingsError
from smartmeter.tms.model import State
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.pruned_numbers import RANGES_IN_HOLE, Numbered, without_pruned
from smartmeter.tms.store.sqlite import Store

#: Missing sequences [first, end); the end None is open.
Gaps = Sequence[tuple[int, int | None]]

#: Intervals, or entries, back from the newest in which holes are looked for; a ring holds fewer.
MAX_LOOK_BACK = 5000
#: Holes that are asked for at a time, and how many of them are the newest.
MAX_GAPS, NEWEST_GAPS = 20, 10
#: Rows that one question may bring.
MAX_PAGE = 200


def among(esns: Sequence[str] | None) -> tuple[str, list[str]]:
    """Give a condition on ``esn`` and its values: one of these, or any without."""
    if esns is None:
        return "true", []
    return "esn IN (SELECT value FROM json_each(?))", [json.dumps(esns)]


class NotThere(SettingsError):
    """Something was named that the TMS does not have."""


class UnknownMeter(NotThere):
    """An ESN that the TMS does not know."""

    def __init__(self, esn: str) -> None:
        shown = esn if esn.isprintable() else repr(esn)
        super().__init__(f"SmartMeter {shown:.16}", "is not known", "import its shipment file")


def meter_row(store: Store, esn: str) -> sqlite3.Row:
    """Give what is stored of a meter itself; UnknownMeter for one that is not there."""
    row = store.one("SELECT * FROM meters WHERE esn=?", esn)
    if row is None:
        raise UnknownMeter(esn)
    return row


def want_in_service(store: Store, esn: str) -> None:
    """Want a meter of which something may be asked: UnknownMeter, or SettingsError when retired."""
    if meter_row(store, esn)["state"] == State.RETIRED:
        raise SettingsError(esn, "is retired", "bring it back first")


def tables_begin(store: Store, esn: str) -> int:
    """Give where the tables of a meter's module begin, by its newest report."""
    return store.number("SELECT base FROM meters WHERE esn=?", esn) or DEFAULT_BASE


def context_tables(store: Store, esn: str, context_id: int) -> dict[int, bytes]:
    """Give the images of a meter context by their table; none of one that is not stored."""
    sql = "SELECT table_nbr, image FROM contexts WHERE esn=? AND context_id=?"
    rows = store.read(sql, esn, context_id)
    return {row["table_nbr"]: octets_of(row["image"]) for row in rows}


def has_power(store: Store, esn: str) -> bool:
    """Tell whether the newest outage of a SmartMeter is over; also when there was none.

    One that an outbox told before it began anew counts no more: its module lost its memory,
    and nobody is left to tell the end.
    """
    row = store.one(
        "SELECT end_s, EXISTS (SELECT 1 FROM reports WHERE esn=one.esn AND epoch > one.epoch"
        " AND received_s >= told_s) AS is_forgotten FROM outages AS one WHERE esn=?"
        " ORDER BY epoch DESC, outage_nbr DESC LIMIT 1",
        esn,
    )
    return row is None or row["end_s"] != 0 or bool(row["is_forgotten"])


def bounded(limit: int) -> int:
    """Give how many rows to bring where so many are asked for."""
    return max(1, min(limit, MAX_PAGE))


def profile_sets(store: Store, esn: str) -> list[int]:
    """Give the load-profile sets of which intervals are stored."""
    sql = "SELECT 1 FROM intervals WHERE esn=? AND set_nbr=? LIMIT 1"
    return [one for one in SETS if store.one(sql, esn, one) is not None]


def gaps_by_set(store: Store, esn: str) -> dict[int, Gaps]:
    """Give what is missing of each set that is known; of a meter without any, of the first."""
    return {one: gaps(store, esn, one) for one in profile_sets(store, esn) or (1,)}


def is_missing_before(store: Store, esn: str, ring: tuple[int, int], sequence: int) -> bool:
    """Tell whether an interval follows a hole; ``ring`` is set and epoch.  By one look at a key."""
    newest = store.one(
        "SELECT max(sequence) AS last FROM intervals"
        " WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence>? AND sequence<?",
        esn,
        *ring,
        sequence - MAX_LOOK_BACK,
        sequence,
    )
    return newest is not None and newest["last"] is not None and newest["last"] < sequence - 1


def is_report_missing_before(
    store: Store, esn: str, number: tuple[int, int], urgent: Sequence[int]
) -> bool:
    """Tell whether reports are missing before one, which is not urgent itself.

    ``number`` is outbox epoch and report number; reports of the causes ``urgent`` may be stored
    before their turn.
    """
    epoch, end = number
    marks = ",".join("?" * len(urgent))
    last = store.number(
        "SELECT number FROM reports WHERE esn=? AND epoch=? AND number<?"
        f" AND cause NOT IN ({marks}) ORDER BY number DESC LIMIT 1",
        esn,
        epoch,
        end,
        *urgent,
    )
    between = "SELECT count(*) FROM reports WHERE esn=? AND epoch=? AND number>? AND number<?"
    return store.number(between, esn, epoch, last, end) < end - 1 - last


def first_missing_entry(store: Store, esn: str) -> int:
    """Give the sequence of the first entry of a meter's log that is missing, or comes next.

    Logs count from 1 on: what is before the first entry that is stored is missing, too.
    """
    newest = store.number("SELECT max(sequence) FROM events WHERE esn=?", esn)
    begin = max(0, newest - MAX_LOOK_BACK)
    rows = store.read(
        "SELECT before + 1 AS first, sequence AS end FROM"
        " (SELECT sequence, lag(sequence, 1, ?) OVER (ORDER BY sequence) AS before FROM events"
        "  WHERE esn=? AND sequence>?) WHERE sequence > before + 1 ORDER BY first LIMIT ?",
        *(begin, esn, begin, MAX_GAPS),
    )
    for row in rows:
        hole = row["first"], row["end"]
        pruned = store.read(RANGES_IN_HOLE, Numbered.EVENT, esn, 0, 0, *hole)
        for first, _ in without_pruned(hole, [(one["first"], one["last"]) for one in pruned]):
            return first
    return newest + 1


def gaps(store: Store, esn: str, set_nbr: int) -> Gaps:
    """Give the sequences that are missing of the newest ring epoch of a set, newest last.

    The last one is open: everything after the newest interval stored.  Of many the newest are
    given, as a ring forgets the oldest first, and some of the others, drawn anew with each interval
    that comes: those that can never be filled hide none for ever.
    """
    newest = store.one(
        "SELECT ring_epoch, sequence AS last FROM intervals WHERE esn=? AND set_nbr=?"
        " ORDER BY ring_epoch DESC, sequence DESC LIMIT 1",
        esn,
        set_nbr,
    )
    if newest is None:
        return [(0, None)]
    rows = store.read(
        "SELECT sequence + 1 AS first, following AS end FROM"
        " (SELECT sequence, lead(sequence) OVER (ORDER BY sequence) AS following FROM intervals"
        "  WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence>?)"
        " WHERE following > sequence + 1 ORDER BY first",
        esn,
        set_nbr,
        newest["ring_epoch"],
        newest["last"] - MAX_LOOK_BACK,
    )
    ring = Numbered.INTERVAL, esn, set_nbr, newest["ring_epoch"]
    holes: list[tuple[int, int | None]] = []
    for hole in _in_turn([(row["first"], row["end"]) for row in rows], newest["last"]):
        pruned = store.read(RANGES_IN_HOLE, *ring, *hole)
        holes += without_pruned(hole, [(one["first"], one["last"]) for one in pruned])
    return [*holes, (newest["last"] + 1, None)]


def _in_turn(holes: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """Give the newest of many holes, and of those before them a few that ``last`` draws."""
    if len(holes) <= MAX_GAPS:
        return holes
    older, newest = holes[:-NEWEST_GAPS], holes[-NEWEST_GAPS:]
    return [*sorted(Random(last).sample(older, MAX_GAPS - NEWEST_GAPS)), *newest]
