"""What a gateway has read, as rows in SQLite: the source of all its sinks, and a sink itself.

Durable: the rows of a report are committed (WAL, ``synchronous=FULL``) before
the report may leave the module's outbox, and the number of the report with
them.  A report that was cut off by a kill is still in the outbox and is taken
then; one that was taken is known by (epoch, number), and an interval by
(set, ring epoch, sequence): each is here once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.events import event_text
from ansi_tables.meaning.channels import ChannelSource, channel_sources
from ansi_tables.meaning.register_tables import readings as register_readings
from ansi_tables.meaning.scale import Exact
from ansi_tables.snapshot import Snapshot
from ansi_tables.ssi_tables import CONTEXT_TABLES, AlarmSource, ModuleAlarm, SsiTable
from protocols.psem.codec import MalformedRequest
from smartmeter.base.errors import DamagedError, StorageError
from smartmeter.base.file import file_number, leads_to, log_of
from smartmeter.base.tasks import DAY_S, HOUR_S
from smartmeter.gateway.energy_totals import EnergyTotals
from smartmeter.tms.report_reader import read_report
from smartmeter.tms.store.faults import empty_log
from smartmeter.tms.store.interval_rows import is_same_interval
from smartmeter.tms.store.records import Part

#: Beside this file: importlib.resources costs a board a megabyte.
SCHEMA = Path(__file__).with_name("readings.sql")
SCHEMA_VERSION = 5
REGISTER_TABLES = (23, 25, 28)
#: Rows that one look for new ones gives at the most.
MAX_ROWS = 1000
#: Where the newest values are looked for: a day of several meters, and not years of them.
NEWEST_ROWS = 10_000
#: How long rows are kept, where nothing else is set.
KEEP_DAYS = 800
MAX_DIGITS = 60
#: How long another program's write is waited for: meanwhile nothing else is done.
BUSY_S = 0.5
#: What is told of a file whose name leads elsewhere now.
GONE = "was removed or replaced"
_TAKEN = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_METER_CHANGED = (AlarmSource.MODULE, ModuleAlarm.METER_CHANGED)
_PRUNED = ("intervals", "end_s"), ("registers", "time_s"), ("happenings", "time_s")
#: Intervals that a sum counts: energy, at a time that is known.
_COUNTED = "unit='Wh' AND end_s > 0"


def number_text(value: Exact | None) -> str | None:
    """Give an exact value in plain digits; None where there is none, or no end to its digits."""
    if isinstance(value, Fraction):
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest != 1:
            return None
        with localcontext(prec=MAX_DIGITS):
            value = Decimal(value.numerator) / value.denominator
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def database_files(path: Path) -> tuple[Path, Path]:
    """Give the files of an open database: its own, and the log that holds what is newest."""
    return path, log_of(path)


def energy_rows(rows: Iterable[sqlite3.Row]) -> dict[str, sqlite3.Row]:
    """Give the first channel that records energy, by its direction."""
    found: dict[str, sqlite3.Row] = {}
    for row in rows:
        if row["unit"] == "Wh":
            found.setdefault(row["direction"], row)
    return found


def _one_by_one(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give each interval of a LOAD_PROFILE_PART as a part of its own."""
    for index, interval in enumerate(value["INTERVALS"]):
        yield {
            **value,
            "FIRST_SEQUENCE": value["FIRST_SEQUENCE"] + index,
            "INTERVALS": [interval],
        }


class Readings:
    """The database of one gateway."""

    def __init__(self, path: Path, keep_days: int = KEEP_DAYS) -> None:
        self._path, self._keep_days = path, keep_days
        #: Counts upwards whenever something was kept: sinks look only then.
        self.kept = 0
        #: Whether a part of it was found that cannot be read any more.
        self.damaged = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
            self._db.row_factory = sqlite3.Row
            self._totals = EnergyTotals(self._db)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            if self._db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                script = SCHEMA.read_text(encoding="utf-8")
                self._db.executescript(f"BEGIN; {script} COMMIT;")
            self._files = {path: file_number(path) for path in database_files(path)}
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the database."""
        if not all(leads_to(path, number) for path, number in self._files.items()):
            empty_log(self._db)
        self._db.close()

    def _fault(self, error: Exception) -> StorageError:
        told = getattr(error, "strerror", None) or str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            self.damaged = True
            return DamagedError(str(self._path), told, "it is set aside, and a new one is begun")
        remedy = "free some space, check the rights"
        if code == sqlite3.SQLITE_ERROR:  # a table is missing, or of another form
            remedy = "move it away, the -wal and -shm beside it too; a new one is begun"
        elif code in _TAKEN:
            remedy = "find out which program works on it"
        return StorageError(str(self._path), told, remedy)

    def _has_its_name(self) -> None:
        """Refuse to work on files without a name: nothing of it would be there at the end."""
        for path, number in self._files.items():
            if not leads_to(path, number):
                raise StorageError(str(path), GONE, "the gateway begins anew")

    # What comes in.

    def taken(self, esn: str) -> tuple[int, int]:
        """Give epoch and number of the last report that is here; zeros for none."""
        row = self._one("SELECT epoch, report FROM taken WHERE esn=?", esn)
        return (row["epoch"], row["report"]) if row is not None else (0, 0)

    def knows(self, esn: str) -> bool:
        """Tell whether anything is known of the tables of a meter."""
        return self._one("SELECT 1 FROM contexts WHERE esn=? LIMIT 1", esn) is not None

    def learn(self, esn: str, context_id: int, images: Mapping[int, bytes]) -> None:
        """Keep the tables by which what a meter's reports carry is understood."""
        self._has_its_name()
        rows = [(esn, context_id, number, image) for number, image in images.items()]
        with self._commit():
            self._db.executemany("INSERT OR REPLACE INTO contexts VALUES (?,?,?,?)", rows)

    def keep(self, esn: str, epoch: int, reports: Iterable[tuple[int, Sequence[bytes]]]) -> None:
        """Write what reports carry, in one commit; StorageError when the medium takes no more.

        ``reports`` are number and services, in order of their numbers.
        """
        self._has_its_name()
        with self._commit():
            for number, services in reports:
                self._keep_one(esn, services)
                self._db.execute(
                    "INSERT OR REPLACE INTO taken VALUES (?,?,?)", (esn, epoch, number)
                )
        self.kept += 1

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """Commit all that is done within, or nothing of it where anything fails; StorageError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fault(error) from error
        finally:
            # What only looked something up failed with a StorageError already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _keep_one(self, esn: str, services: Sequence[bytes]) -> None:
        try:
            header, parts = read_report(services)
        except (TableError, MalformedRequest, ValueError):
            return  # a module of another edition: its reports go to the TMS all the same
        context_id = header["CONTEXT_ID"]
        for part in parts:
            if part.ssi is None and part.offset is None and part.table in CONTEXT_TABLES:
                self._db.execute(
                    "INSERT OR REPLACE INTO contexts VALUES (?,?,?,?)",
                    (esn, context_id, part.table, part.octets),
                )
        for part in parts:
            self._keep_part(esn, header, part)

    def _keep_part(self, esn: str, header: Mapping[str, Any], part: Part) -> None:
        value = part.value
        match part.ssi:
            case SsiTable.LOAD_PROFILE_PART:
                self._intervals(esn, value)
            case SsiTable.EVENT_PART:
                for entry in value["ENTRIES"]:
                    text = event_text(entry["CODE"])
                    identity = f"{entry['SEQUENCE']}/{entry['TIME']}"
                    self._happening(esn, "event", identity, entry["TIME"], text)
            case SsiTable.ALARM:
                identity = f"{header['OUTBOX_EPOCH']}/{value['ALARM_NBR']}"
                self._happening(esn, "alarm", identity, value["TIME"], value["TEXT"])
                if (value["SOURCE"], value["CODE"]) == _METER_CHANGED:
                    self._meter_changed(esn, value["TIME"] or header["TIME"], header["TIME"])
            case SsiTable.OUTAGE_RECORD:
                back = bool(value["END_TIME"])
                identity = f"{header['OUTBOX_EPOCH']}/{value['OUTAGE_NBR']}/{int(back)}"
                time_s = value["END_TIME"] if back else value["START_TIME"]
                text = f"power is back after {value['DURATION_S']} s" if back else "power is gone"
                self._happening(esn, "outage", identity, time_s, text)
            case None if part.table in REGISTER_TABLES and part.offset is None:
                self._registers(esn, header, part)
            case _:
                pass

    def _meter_changed(self, esn: str, changed_s: int, told_s: int) -> None:
        """Note which registers are another meter's: an advisory comes behind the new one's.

        The old meter's clock may have been ahead: what is later than the report is its, too.
        """
        before = self._meter_before(esn)
        self._db.execute(
            "INSERT OR REPLACE INTO meter_before SELECT ?, coalesce("
            # From the newest on: the plus keeps SQLite from the index by ESN and time.
            "(SELECT number FROM registers WHERE +esn=? AND time_s NOT BETWEEN ? AND ?"
            " ORDER BY number DESC LIMIT 1), 0)",
            (esn, esn, changed_s, told_s),
        )
        self._totals.meter_changed(esn, before, self._meter_before(esn))

    def _meter_before(self, esn: str) -> int:
        """Give the last register that is of the meter before the one that is there now."""
        row = self._one("SELECT last_register FROM meter_before WHERE esn=?", esn)
        return row["last_register"] if row is not None else 0

    def energy_steps(self, esn: str) -> dict[str, Decimal]:
        """Give what a meter's energy registers lack, by name, to go on from those before it."""
        try:
            return self._totals.steps(esn)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _intervals(self, esn: str, value: Mapping[str, Any]) -> None:
        """Keep intervals, in the newest epoch that is kept at least."""
        sql = "SELECT min(ring_epoch) AS next FROM intervals WHERE esn=? AND set_nbr=?"
        sql += " AND ring_epoch>?"
        epochs = [value["RING_EPOCH"]]
        while (row := self._one(sql, esn, value["SET"], epochs[-1])) and row["next"]:
            epochs.append(row["next"])
        if len(epochs) == 1:
            self._insert(esn, value)
            return
        for one in _one_by_one(value):
            places = [{**one, "RING_EPOCH": epoch} for epoch in epochs]
            if not any(self._is_held(esn, place) for place in places):
                self._insert(esn, places[-1])

    def _insert(self, esn: str, value: Mapping[str, Any]) -> None:
        channels = self._channels(esn, value["CONTEXT_ID"], value["SET"])
        rows = []
        for index, interval in enumerate(value["INTERVALS"]):
            for number, raw in enumerate(interval["VALUES"]):
                known = channels[number] if number < len(channels) else None
                text = number_text(known.value(raw)) if known is not None else None
                source = known.source if known is not None and text is not None else None
                rows.append(
                    (
                        esn,
                        value["SET"],
                        value["RING_EPOCH"],
                        value["FIRST_SEQUENCE"] + index,
                        number,
                        interval["END_TIME"],
                        value["INT_LENGTH_S"],
                        interval["STATUS"].hex(),
                        source.quantity if source else "",
                        source.unit if source else "",
                        source.direction.value if source else "",
                        str(raw) if text is None else text,
                        raw,
                    )
                )
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO intervals (esn, set_nbr, ring_epoch, sequence, channel, end_s,"
            " length_s, status, quantity, unit, direction, value, raw)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            rows,
        )
        if self._db.total_changes - before < len(rows):
            for one in _one_by_one(value):
                if not self._is_held(esn, one):  # another interval has its place
                    self._insert(esn, {**one, "RING_EPOCH": one["RING_EPOCH"] + 1})

    def _is_held(self, esn: str, one: Mapping[str, Any]) -> bool:
        """Tell whether a part of one interval is kept in its place."""
        sql = "SELECT end_s, raw FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch=?"
        sql += " AND sequence=? ORDER BY channel"
        held = self._all(sql, esn, one["SET"], one["RING_EPOCH"], one["FIRST_SEQUENCE"])
        [interval] = one["INTERVALS"]
        told = interval["END_TIME"], list(interval["VALUES"])
        raw = [row["raw"] for row in held]
        return bool(held) and is_same_interval((held[0]["end_s"], raw), told)

    def _registers(self, esn: str, header: Mapping[str, Any], part: Part) -> None:
        images = self._context(esn, header["CONTEXT_ID"])
        try:
            found = register_readings(Snapshot({**images, part.table: part.octets}))
        except TableError:
            return  # without its context the image means nothing yet
        self._db.executemany(
            "INSERT INTO registers (esn, time_s, name, unit, value, raw) VALUES (?,?,?,?,?,?)",
            [
                (
                    esn,
                    header["TIME"],
                    one.name,
                    "" if (text := number_text(one.value)) is None else one.unit,
                    str(one.raw) if text is None else text,
                    str(one.raw),
                )
                for one in found
            ],
        )
        self._totals.began(esn, self._meter_before(esn))

    def _happening(self, esn: str, kind: str, identity: str, time_s: int, text: str) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO happenings (esn, kind, identity, time_s, text)"
            " VALUES (?,?,?,?,?)",
            (esn, kind, identity, time_s, text),
        )

    def _context(self, esn: str, context_id: int) -> dict[int, bytes]:
        sql = "SELECT table_nbr, image FROM contexts WHERE esn=? AND context_id=?"
        rows = self._db.execute(sql, (esn, context_id))
        return {row["table_nbr"]: bytes(row["image"]) for row in rows}

    def _channels(self, esn: str, context_id: int, set_nbr: int) -> tuple[ChannelSource, ...]:
        try:
            return channel_sources(Snapshot(self._context(esn, context_id)), set_nbr)
        except TableError:
            return ()

    # What goes out.

    def after(self, table: str, number: int, limit: int = MAX_ROWS) -> list[sqlite3.Row]:
        """Give the rows of intervals, registers or happenings above a number, in order."""
        assert table in ("intervals", "registers", "happenings")
        self._has_its_name()
        return self._all(
            f"SELECT * FROM {table} WHERE number > ? ORDER BY number LIMIT ?", number, limit
        )

    def before_with_its_end(self, interval: sqlite3.Row) -> list[sqlite3.Row]:
        """Give what came before an interval of this channel and had the same end."""
        return self._all(
            "SELECT * FROM intervals WHERE esn=? AND channel=? AND end_s=? AND set_nbr=?"
            " AND number<?",
            *(interval[name] for name in ("esn", "channel", "end_s", "set_nbr", "number")),
        )

    def newest(self, esn: str) -> dict[str, sqlite3.Row]:
        """Give the newest row of each register of a meter, by name, among the last rows.

        What was read of another meter in its place is not of this one.
        """
        # The plus keeps SQLite from the index by ESN, which leads through years.
        rows = self._all(
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
        row = self._one(
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
        while (row := self._one(sql, esn, last)) is not None and row["next"] is not None:
            last = row["next"]
            yield last

    def _newest_interval(self, esn: str, set_nbr: int) -> list[sqlite3.Row]:
        """Give all channels of a set's newest interval, which its number tells.

        Its time does not: the meter's clock may have been set back.
        """
        return self._all(
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
        last = self._one("SELECT max(channel) AS channel FROM intervals WHERE esn=?", esn)
        channels = range((last["channel"] if last and last["channel"] is not None else -1) + 1)
        return self._all(
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
        row = self._one(
            "SELECT min(end_s - length_s) AS begin_s FROM intervals WHERE esn=?"
            " AND end_s > ? AND end_s <= ? AND +set_nbr=? AND direction=? AND unit='Wh'",
            *(esn, hour_s, hour_s + HOUR_S, set_nbr, direction),
        )
        return row["begin_s"] if row is not None and row["begin_s"] is not None else hour_s

    def forgotten(self, esn: str, set_nbr: int, direction: str) -> Decimal:
        """Give the energy of a direction in intervals that were here and are forgotten."""
        sql = "SELECT value FROM forgotten_energy WHERE esn=? AND set_nbr=? AND direction=?"
        row = self._one(sql, esn, set_nbr, direction)
        return Decimal(row["value"]) if row is not None else Decimal(0)

    def meters(self) -> list[str]:
        """Give the ESNs of all meters that have intervals."""
        return [row["esn"] for row in self._all("SELECT DISTINCT esn FROM intervals ORDER BY esn")]

    def position(self, sink: str) -> dict[str, int]:
        """Give how far a sink has come; empty at first."""
        row = self._one("SELECT position FROM cursors WHERE sink=?", sink)
        position: dict[str, int] = json.loads(row["position"]) if row is not None else {}
        return position

    def move(self, sink: str, position: Mapping[str, int]) -> None:
        """Note, durably, how far a sink has come."""
        self._do("INSERT OR REPLACE INTO cursors VALUES (?,?)", sink, json.dumps(dict(position)))

    def prune(self, now_s: int) -> None:
        """Forget what is older than it keeps, so that the database stays bounded.

        Of each table its oldest day at the most: the clock is the meter's, and one that is
        a century ahead for an hour must not cost two years of readings.
        """
        with self._commit():
            for table, column in _PRUNED:
                before_s = min(
                    now_s - self._keep_days * DAY_S, self._oldest_s(table, column) + DAY_S
                )
                if table == "intervals":
                    self._add_forgotten(before_s)
                self._db.execute(f"DELETE FROM {table} WHERE {column} < ?", (before_s,))

    def _oldest_s(self, table: str, column: str) -> int:
        sql = f"SELECT min({column}) FROM {table} WHERE {column} > 0"
        oldest_s: int | None = self._db.execute(sql).fetchone()[0]
        return oldest_s or 0

    def _add_forgotten(self, before_s: int) -> None:
        """Keep the sums of what is about to be forgotten."""
        sums: dict[tuple[str, int, str], Decimal] = {}
        sql = f"SELECT *, min(channel) FROM intervals WHERE end_s < ? AND {_COUNTED}"
        sql += " GROUP BY esn, set_nbr, ring_epoch, sequence, direction"
        for row in self._db.execute(sql, (before_s,)):
            energy = row["esn"], row["set_nbr"], row["direction"]
            known = sums[energy] if energy in sums else self.forgotten(*energy)
            sums[energy] = known + Decimal(row["value"])
        self._db.executemany(
            "INSERT OR REPLACE INTO forgotten_energy VALUES (?,?,?,?)",
            [(*energy, f"{total:f}") for energy, total in sums.items()],
        )

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _do(self, sql: str, *values: Any) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._fault(error) from error
