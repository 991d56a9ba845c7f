"""What a gateway has read, as rows in SQLite: the source of all its sinks, and a sink itself.

Durable: the rows of a report (``report_rows``) are committed before the report may leave the
module's outbox, and the number of the report with them.  A report that was cut off by a kill is
still in the outbox and is taken then; one that was taken is known by (epoch, number).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from smartmeter.base.clock import DAY_S, HOUR_S
from smartmeter.gateway.database import Database
from smartmeter.gateway.report_rows import ReportRows

#: Rows that one look for new ones gives at the most.
MAX_ROWS = 1000
#: Where the newest values are looked for: a day of several meters, and not years of them.
NEWEST_ROWS = 10_000
#: How long rows are kept, where nothing else is set.
KEEP_DAYS = 800
_PRUNED = ("intervals", "end_s"), ("registers", "time_s"), ("happenings", "time_s")
#: Intervals that a sum counts: energy, at a time that is known.
_COUNTED = "unit='Wh' AND end_s > 0"


def energy_rows(rows: Iterable[sqlite3.Row]) -> dict[str, sqlite3.Row]:
    """Give the first channel that records energy, by its direction."""
    found: dict[str, sqlite3.Row] = {}
    for row in rows:
        if row["unit"] == "Wh":
            found.setdefault(row["direction"], row)
    return found


class Readings:
    """The database of one gateway."""

    def __init__(self, path: Path, keep_days: int = KEEP_DAYS) -> None:
        self._db, self._keep_days = Database(path), keep_days
        self._rows = ReportRows(self._db)
        #: Counts upwards whenever something was kept: sinks look only then.
        self.kept = 0

    @property
    def damaged(self) -> bool:
        """Tell whether a part of it was found that cannot be read any more."""
        return self._db.damaged

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # What comes in.

    def taken(self, esn: str) -> tuple[int, int]:
        """Give epoch and number of the last report that is here; zeros for none."""
        row = self._db.one("SELECT epoch, report FROM taken WHERE esn=?", esn)
        return (row["epoch"], row["report"]) if row is not None else (0, 0)

    def knows(self, esn: str) -> bool:
        """Tell whether anything is known of the tables of a meter."""
        return self._db.one("SELECT 1 FROM contexts WHERE esn=? LIMIT 1", esn) is not None

    def learn(self, esn: str, context_id: int, images: Mapping[int, bytes]) -> None:
        """Keep the tables by which what a meter's reports carry is understood."""
        with self._db.commit():
            self._rows.learn(esn, context_id, images)

    def keep(self, esn: str, epoch: int, reports: Iterable[tuple[int, Sequence[bytes]]]) -> None:
        """Write what reports carry, in one commit; StorageError when the medium takes no more.

        ``reports`` are number and services, in order of their numbers.
        """
        with self._db.commit():
            for number, services in reports:
                self._rows.keep(esn, services)
                self._db.connection.execute(
                    "INSERT OR REPLACE INTO taken VALUES (?,?,?)", (esn, epoch, number)
                )
        self.kept += 1

    def energy_steps(self, esn: str) -> dict[str, Decimal]:
        """Give what a meter's energy registers lack, by name, to go on from those before it."""
        try:
            return self._rows.totals.steps(esn)
        except sqlite3.Error as error:
            raise self._db.fault(error) from error

    # What goes out.

    def after(self, table: str, number: int, limit: int = MAX_ROWS) -> list[sqlite3.Row]:
        """Give the rows of intervals, registers or happenings above a number, in order."""
        assert table in ("intervals", "registers", "happenings")
        self._db.check_name()
        return self._db.all(
            f"SELECT * FROM {table} WHERE number > ? ORDER BY number LIMIT ?", number, limit
        )

    def before_with_its_end(self, interval: sqlite3.Row) -> list[sqlite3.Row]:
        """Give what came before an interval of this channel and had the same end."""
        return self._db.all(
            "SELECT * FROM intervals WHERE esn=? AND channel=? AND end_s=? AND set_nbr=?"
            " AND number<?",
            *(interval[name] for name in ("esn", "channel", "end_s", "set_nbr", "number")),
        )

    def newest(self, esn: str) -> dict[str, sqlite3.Row]:
        """Give the newest row of each register of a meter, by name, among the last rows.

        What was read of another meter in its place is not of this one.
        """
        # The plus keeps SQLite from the index by ESN, which leads through years.
        rows = self._db.all(
            "SELECT *, max(number) FROM registers WHERE +esn=?"
            " AND number > (SELECT max(number) FROM registers) - ?"
            " AND number > coalesce((SELECT last_register FROM meter_before WHERE esn=?), 0)"
            " GROUP BY name, unit",
            esn,
            NEWEST_ROWS,
            esn,
        )
        return {row["name"]: row for row in rows}

    def registers_read_s(self, esn: str) -> int | None:
        """Give when a meter's registers were read last, among the last rows.

        The last row tells: the clock may have been ahead before, and set back since.
        """
        row = self._db.one(
            "SELECT time_s FROM registers WHERE +esn=?"
            " AND number > (SELECT max(number) FROM registers) - ? ORDER BY number DESC LIMIT 1",
            esn,
            NEWEST_ROWS,
        )
        return row["time_s"] if row is not None else None

    def last_interval(self, esn: str) -> sqlite3.Row | None:
        """Give channel 0 of the newest interval of a meter's first load-profile set."""
        for set_nbr in self._sets(esn):
            return self._newest_interval(esn, set_nbr)[0]
        return None

    def power_w(self, esn: str) -> Decimal | None:
        """Give the mean power of the newest interval: what is received counts negative."""
        for set_nbr in self._sets(esn):
            total: Decimal | None = None
            found = energy_rows(self._newest_interval(esn, set_nbr))
            for direction, sign in (("delivered", 1), ("received", -1)):
                if direction in found and found[direction]["length_s"]:
                    row = found[direction]
                    power_w = sign * Decimal(row["value"]) * 3600 / row["length_s"]
                    total = power_w + (total or 0)
            if total is not None:
                return total
        return None

    def energy_set(self, esn: str, direction: str) -> int | None:
        """Give the set that records a direction's energy: the first of those that do."""
        for set_nbr in self._sets(esn):
            if direction in energy_rows(self._newest_interval(esn, set_nbr)):
                return set_nbr
        return None

    def _sets(self, esn: str) -> Iterator[int]:
        """Give the load-profile sets of which there are intervals, each found by one look."""
        last, sql = -1, "SELECT min(set_nbr) AS next FROM intervals WHERE esn=? AND set_nbr > ?"
        while (row := self._db.one(sql, esn, last)) is not None and row["next"] is not None:
            last = row["next"]
            yield last

    def _newest_interval(self, esn: str, set_nbr: int) -> list[sqlite3.Row]:
        """Give all channels of a set's newest interval, which its number tells.

        Its time does not: the meter's clock may have been set back.
        """
        return self._db.all(
            "SELECT * FROM intervals WHERE (esn, set_nbr, ring_epoch, sequence) ="
            " (SELECT esn, set_nbr, ring_epoch, sequence FROM intervals WHERE esn=? AND set_nbr=?"
            " ORDER BY ring_epoch DESC, sequence DESC LIMIT 1) ORDER BY channel",
            esn,
            set_nbr,
        )

    def hourly(self, esn: str, set_nbr: int, direction: str, from_s: int = 0) -> list[sqlite3.Row]:
        """Give the energy of a direction with the UTC hour in which each interval ended, in order.

        Of several channels the first of each interval counts: another meter, or another
        programme, may record it in another one.  An interval that ends on the hour belongs to
        the hour before.  What ended up to ``from_s`` is left out.
        """
        last = self._db.one("SELECT max(channel) AS channel FROM intervals WHERE esn=?", esn)
        channels = range((last["channel"] if last and last["channel"] is not None else -1) + 1)
        return self._db.all(
            "SELECT (end_s - 1) / 3600 * 3600 AS hour_s, value FROM"
            " (SELECT end_s, value, number, min(channel) FROM intervals"
            # Each channel by its number, and the plus: they keep SQLite with the index by time.
            f" WHERE esn=? AND channel IN ({','.join(map(str, channels))}) AND end_s > ?"
            f" AND +set_nbr=? AND direction=? AND {_COUNTED}"
            " GROUP BY ring_epoch, sequence) ORDER BY end_s, number",
            esn,
            from_s,
            set_nbr,
            direction,
        )

    def begin_s(self, esn: str, set_nbr: int, direction: str, hour_s: int) -> int:
        """Give when the first interval of a direction that ended within an hour began."""
        row = self._db.one(
            "SELECT min(end_s - length_s) AS begin_s FROM intervals WHERE esn=?"
            " AND end_s > ? AND end_s <= ? AND +set_nbr=? AND direction=? AND unit='Wh'",
            *(esn, hour_s, hour_s + HOUR_S, set_nbr, direction),
        )
        return row["begin_s"] if row is not None and row["begin_s"] is not None else hour_s

    def forgotten(self, esn: str, set_nbr: int, direction: str) -> Decimal:
        """Give the energy of a direction in intervals that were here and are forgotten."""
        sql = "SELECT value FROM forgotten_energy WHERE esn=? AND set_nbr=? AND direction=?"
        row = self._db.one(sql, esn, set_nbr, direction)
        return Decimal(row["value"]) if row is not None else Decimal(0)

    def meters(self) -> list[str]:
        """Give the ESNs of all meters that have intervals."""
        return [
            row["esn"] for row in self._db.all("SELECT DISTINCT esn FROM intervals ORDER BY esn")
        ]

    def position(self, sink: str) -> dict[str, int]:
        """Give how far a sink has come; empty at first."""
        row = self._db.one("SELECT position FROM cursors WHERE sink=?", sink)
        position: dict[str, int] = json.loads(row["position"]) if row is not None else {}
        return position

    def move(self, sink: str, position: Mapping[str, int]) -> None:
        """Note, durably, how far a sink has come."""
        self._db.do("INSERT OR REPLACE INTO cursors VALUES (?,?)", sink, json.dumps(dict(position)))

    def prune(self, now_s: int) -> None:
        """Forget what is older than it keeps, so that the database stays bounded.

        Of each table its oldest day at the most: the clock is the meter's, and one that is
        a century ahead for an hour must not cost two years of readings.
        """
        with self._db.commit():
            for table, column in _PRUNED:
                before_s = min(
                    now_s - self._keep_days * DAY_S, self._oldest_s(table, column) + DAY_S
                )
                if table == "intervals":
                    self._add_forgotten(before_s)
                self._db.connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (before_s,))

    def _oldest_s(self, table: str, column: str) -> int:
        sql = f"SELECT min({column}) FROM {table} WHERE {column} > 0"
        oldest_s: int | None = self._db.connection.execute(sql).fetchone()[0]
        return oldest_s or 0

    def _add_forgotten(self, before_s: int) -> None:
        """Keep the sums of what is about to be forgotten."""
        sums: dict[tuple[str, int, str], Decimal] = {}
        sql = f"SELECT *, min(channel) FROM intervals WHERE end_s < ? AND {_COUNTED}"
        sql += " GROUP BY esn, set_nbr, ring_epoch, sequence, direction"
        for row in self._db.connection.execute(sql, (before_s,)):
            energy = row["esn"], row["set_nbr"], row["direction"]
            known = sums[energy] if energy in sums else self.forgotten(*energy)
            sums[energy] = known + Decimal(row["value"])
        self._db.connection.executemany(
            "INSERT OR REPLACE INTO forgotten_energy VALUES (?,?,?,?)",
            [(*energy, f"{total:f}") for energy, total in sums.items()],
        )
