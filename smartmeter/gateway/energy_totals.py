"""Energy registers whose total goes on where one meter takes another's place.

A program that adds totals up, as Home Assistant does, takes a lower reading for a reset
and a higher one for consumption; the first reading of another meter is neither.  So both
are kept: what the meters before had counted, and what the new one showed when it was first
read.  A total is the first meter's own reading, and all that this gateway saw counted since.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

REGISTERS = ("active energy delivered", "active energy received")
UNIT = "Wh"
_OF_ONE_METER = "SELECT value FROM registers WHERE +esn=? AND name=? AND unit=? AND number > ?"


class EnergyTotals:
    """The totals in a database of readings; its caller commits.  sqlite3.Error as it comes."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def meter_changed(self, esn: str, before: int, last: int) -> None:
        """Another meter is there: the former one's readings are those above ``before``.

        ``last`` is the number of the last of them; of the new one there may be some already.
        """
        steps = self.steps(esn)
        for name in REGISTERS:
            sql = f"{_OF_ONE_METER} AND number <= ? ORDER BY number DESC LIMIT 1"
            row = self._db.execute(sql, (esn, name, UNIT, before, last)).fetchone()
            if row is not None:  # else it was never read, and what was before still is
                total = Decimal(row[0]) + steps.get(name, 0)
                sql = "INSERT OR REPLACE INTO energy_before VALUES (?,?,?,NULL)"
                self._db.execute(sql, (esn, name, f"{total:f}"))
        self.began(esn, last)

    def began(self, esn: str, last: int) -> None:
        """Keep what the meter that is there now showed at first, once it is known."""
        sql = "SELECT name FROM energy_before WHERE esn=? AND begin IS NULL"
        for (name,) in self._db.execute(sql, (esn,)).fetchall():
            sql = f"{_OF_ONE_METER} ORDER BY number LIMIT 1"
            row = self._db.execute(sql, (esn, name, UNIT, last)).fetchone()
            if row is not None:
                sql = "UPDATE energy_before SET begin=? WHERE esn=? AND name=?"
                self._db.execute(sql, (row[0], esn, name))

    def steps(self, esn: str) -> dict[str, Decimal]:
        """Give what is to be added to the register of the meter that is there now, by name."""
        sql = "SELECT name, total, begin FROM energy_before WHERE esn=? AND begin IS NOT NULL"
        rows = self._db.execute(sql, (esn,))
        return {name: Decimal(total) - Decimal(begin) for name, total, begin in rows}
