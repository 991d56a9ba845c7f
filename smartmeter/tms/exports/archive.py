"""A TMS's database, read only: of one that runs, of one that has stopped, or a copy.

In WAL mode a reader holds no writer up.  No statement stays open between two
pages, so that a slow reader does not keep the log from being put in its place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from smartmeter.base.errors import DamagedError, SettingsError, StorageError
from smartmeter.base.file import file_number, log_of
from smartmeter.tms.exports.selection import Selection
from smartmeter.tms.store.faults import damage_of, storage_error
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.places import Tenure, in_its_place, tenure
from smartmeter.tms.store.sqlite import BUSY_TIMEOUT_S, FILE_NAME, OWN_TABLES, newest_schema

PAGE_ROWS = 500
_TABLES = ("meters", "intervals", "readings", "events", "alarms", "outages")
#: Before all keys.
_BEGIN = -(1 << 62)


class Archive:
    """One open database.  SettingsError for what is none, StorageError for what is torn."""

    def __init__(self, path: Path) -> None:
        self._path = path / FILE_NAME if path.is_dir() else path
        if not self._path.is_file():
            raise SettingsError(str(self._path), "is no file", "name a TMS's folder, or a copy")
        self._connection = _open(self._path, "mode=ro")
        try:
            schema = self._schema()
        except StorageError:
            # A copy on a medium that takes no files has no room for SQLite's own beside it.
            if log_of(self._path).exists():
                raise
            self._connection.close()
            self._connection = _open(self._path, "immutable=1")
            schema = self._schema()
        self._check(schema)

    def refuse_as_output(self, name: str) -> None:
        """Refuse to write over this database, which would be lost; SettingsError."""
        if file_number(Path(name)) == file_number(self._path):
            raise SettingsError(f"--out {name}", "is the database itself", "choose another name")

    def _schema(self) -> int:
        # The first question tells whether it is a database at all.
        tables = {row[0] for row in self.rows("SELECT name FROM sqlite_master")}
        row = self.one("PRAGMA user_version")
        return int(row[0]) if row is not None and tables >= OWN_TABLES else 0

    def _check(self, schema: int) -> None:
        newest = newest_schema()
        if schema == newest:
            return
        fault = f"has schema {schema}, this program {newest}"
        if not schema:
            fault, remedy = "is no database of a TMS", "name a TMS's folder, or a copy"
        elif schema < newest:
            remedy = "start tms run on it once (on a copy, if it is to stay)"
        else:
            remedy = "use the newer program"
        raise SettingsError(str(self._path), fault, remedy)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Give all rows of a query; the caller bounds them."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def one(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Give the first row of a query, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def knows(self, esn: str) -> bool:
        """Tell whether there is such a meter, or something of one that was removed."""
        return any(self.one(f"SELECT 1 FROM {table} WHERE esn=? LIMIT 1", esn) for table in _TABLES)

    def tenures(self, table: str, selection: Selection) -> Iterator[Tenure]:
        """Give the meters of a selection of which a table may have rows, in order, and when."""
        for esn in self._meters(table, selection):
            span = selection.from_s, selection.to_s
            yield tenure(self, esn, *span) if selection.by_place else Tenure(esn, *span)

    def _meters(self, table: str, selection: Selection) -> Iterator[str]:
        """Give ESNs; a plain meter that was removed is among them: what it told stays."""
        chosen = selection.esns
        if chosen is not None:
            places = [in_its_place(self, esn) if selection.by_place else [esn] for esn in chosen]
            yield from sorted({esn for place in places for esn in place})
            return
        sql = f"SELECT min(esn) FROM {table} WHERE esn>?"
        row = self.one(sql, "")
        while row is not None and row[0] is not None:
            yield row[0]
            row = self.one(sql, row[0])

    def pages(
        self, table: str, esn: str, key: Sequence[str], where: str, *values: object
    ) -> Iterator[sqlite3.Row]:
        """Give a meter's rows of a table in the order of their key, a page at a time."""
        names, marks = ", ".join(key), ", ".join("?" * len(key))
        sql = (
            f"SELECT * FROM {table} WHERE esn=? AND ({names}) > ({marks}) AND {where}"
            f" ORDER BY {names} LIMIT {PAGE_ROWS}"
        )
        after: tuple[object, ...] = (_BEGIN,) * len(key)
        while rows := self.rows(sql, esn, *after, *values):
            yield from rows
            after = tuple(rows[-1][name] for name in key)

    def images(self, esn: str, context_id: int) -> dict[int, bytes]:
        """Give the tables of a meter context; none of one that never came."""
        sql = "SELECT table_nbr, image FROM contexts WHERE esn=? AND context_id=?"
        return {
            row["table_nbr"]: octets_of(row["image"]) for row in self.rows(sql, esn, context_id)
        }

    def context_id(self, esn: str) -> int:
        """Give the context that a meter has now; 0 for one that is no longer known."""
        row = self.one("SELECT context_id FROM meters WHERE esn=?", esn)
        return int(row[0]) if row is not None else 0

    def explained(self, error: Exception) -> StorageError:
        """Give what is told of rows that make no sense: mostly the database is damaged."""
        fault = f"holds what makes no sense: {type(error).__name__}: {error}"[:200]
        return damage_of(self._path) or StorageError(
            str(self._path), fault, "restore it from a copy"
        )

    def copy_to(self, path: Path) -> None:
        """Copy all of it as of one moment into a file that needs no other beside it.

        DamagedError for what would be no good as a copy.
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                self._connection.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise storage_error(path, error) from error
        if (damage := damage_of(path)) is not None:
            raise DamagedError(str(self._path), damage.fault, damage.remedy) from damage

    def close(self) -> None:
        """End."""
        self._connection.close()


def _open(path: Path, how: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise storage_error(path, error) from error
    connection.row_factory = sqlite3.Row
    return connection
