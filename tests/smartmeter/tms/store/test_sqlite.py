"""The store: told is durable, a change that fails leaves its neighbours, a torn file is said so."""

import gc
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from smartmeter.base.errors import StorageError
from smartmeter.tms.store import faults, sqlite
from smartmeter.tms.store.invocation_ids import RESERVED_IDS, InvocationIds
from smartmeter.tms.store.sqlite import Store
from tests.waiting import wait_until


def put(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("INSERT INTO settings VALUES (?, 'x')", (name,))


def test_what_was_told_is_there_for_another_connection(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    futures = [store.write(lambda c, n=n: put(c, f"name {n}")) for n in range(1000)]  # type: ignore[misc]
    wait(futures)
    with sqlite3.connect(tmp_path / "tms.sqlite3") as other:
        assert other.execute("SELECT count(*) FROM settings").fetchone()[0] == 1000
    store.close()


def test_threads_that_ask_the_same_at_one_moment_are_each_given_their_own_row(
    tmp_path: Path,
) -> None:
    """As a log-in is checked in a thread while the loop asks whether sessions go on."""
    names = ("ann", "bob")
    given: dict[str, set[str]] = {name: set() for name in names}
    with closing(Store(tmp_path / "tms.sqlite3")) as store:
        for name in names:
            row = name, name * 100, "operator"
            store.write_now(lambda c, row=row: c.execute("INSERT INTO users VALUES (?,?,?)", row))  # type: ignore[misc]

        def ask(name: str) -> None:
            for _ in range(10_000):
                row = store.one("SELECT hash FROM users WHERE name=?", name)
                given[name].add(row["hash"] if row is not None else "")

        with ThreadPoolExecutor() as threads:
            list(threads.map(ask, names))
    assert given == {name: {name * 100} for name in names}


def test_who_looks_at_all_objects_of_the_program_meanwhile_ends_no_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page server does when it starts; the writer lets other threads on at each file."""
    seen, look = list[object](), faults.file_number

    def file_number(path: Path) -> tuple[int, int] | None:
        seen[:] = gc.get_objects()
        return look(path)

    monkeypatch.setattr(faults, "file_number", file_number)
    store = Store(tmp_path / "tms.sqlite3")
    store.write_now(lambda c: put(c, "a name"))
    assert store.number("SELECT count(*) FROM settings") == 1
    seen.clear()
    store.close()


@pytest.mark.parametrize("again", [False, True])
def test_an_error_that_nobody_foresaw_ends_the_change_that_met_it_and_not_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    files = sqlite.own_files(store.path)
    errors = [MemoryError("no room")]

    def own_files(path: Path) -> object:
        if errors:
            raise errors.pop()
        return files

    monkeypatch.setattr(sqlite, "own_files", own_files)
    with pytest.raises(StorageError, match="nobody foresaw MemoryError: no room; see the log"):
        store.write(lambda c: put(c, "lost"), again).result(60)
    assert store.fault is not None
    store.write(lambda c: put(c, "kept")).result(60)
    assert store.fault is None and store.number("SELECT count(*) FROM settings") == 1
    store.close()


def test_a_change_that_fails_is_undone_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")

    def half(connection: sqlite3.Connection) -> None:
        put(connection, "half")
        raise ValueError("no")

    futures = [store.write(lambda c: put(c, "before")), store.write(half)]
    futures.append(store.write(lambda c: put(c, "after")))
    wait(futures)
    assert isinstance(futures[1].exception(), ValueError)
    names = {row["name"] for row in store.read("SELECT name FROM settings")}
    assert {"before", "after"} <= names and "half" not in names
    store.close()


def test_who_no_longer_waits_for_a_change_ends_no_other(tmp_path: Path) -> None:
    store, go = Store(tmp_path / "tms.sqlite3"), Event()
    store.write(lambda c: go.wait(5))
    store.write(lambda c: put(c, "left alone")).cancel()
    go.set()
    assert store.write(lambda c: 2).result(5) == 2
    assert store.number("SELECT count(*) FROM settings WHERE name='left alone'") == 1
    store.close()


def test_a_store_is_found_again_and_its_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tms.sqlite3"
    store = Store(path)
    store.write_now(lambda c: put(c, "kept"))
    store.close()
    store = Store(path)
    assert store.number("SELECT count(*) FROM settings WHERE name='kept'") == 1
    store.close()
    assert path.stat().st_mode & 0o077 == 0


def test_no_start_uses_an_invocation_id_twice_however_many_were_used_before_it(
    tmp_path: Path,
) -> None:
    unused = 1
    for count in (0, 1, RESERVED_IDS, 3 * RESERVED_IDS, 0):
        store = Store(tmp_path / "tms.sqlite3")
        ids = InvocationIds(store)
        assert ids.first >= unused
        for unused in range(ids.first, ids.first + count + 1, RESERVED_IDS // 8):
            ids.reserve(unused)
        store.close()


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "tms.sqlite3"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StorageError, match=r"tms\.sqlite3: .*; restore it from a copy"):
        Store(path)


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tms.sqlite3"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match=r"tms\.sqlite3: has schema 99, newer"):
        Store(path)


@pytest.mark.parametrize("table", ["bookmarks", "meters"])
@pytest.mark.parametrize("version", [0, 5, 21, -3])
def test_a_database_of_another_program_is_left_alone(
    tmp_path: Path, version: int, table: str
) -> None:
    path = tmp_path / "tms.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (name)")
        connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    octets = path.read_bytes()
    with pytest.raises(StorageError, match=r"tms\.sqlite3: is no database of a TMS; name another"):
        Store(path)
    assert path.read_bytes() == octets


@pytest.mark.parametrize("name", ["tms.sqlite3", "tms.sqlite3-wal"])
def test_a_database_whose_files_were_removed_acknowledges_nothing_until_they_are_back(
    tmp_path: Path, name: str
) -> None:
    path, away = tmp_path / "tms.sqlite3", tmp_path / "away"
    store = Store(path)
    store.write_now(lambda c: put(c, "before"))
    (tmp_path / name).rename(away)
    noted = store.write(lambda c: put(c, "noted"), again=True)
    for _ in range(2):
        with pytest.raises(StorageError, match="removed or replaced; put it back, or start again"):
            store.write_now(lambda c: put(c, "lost"))
        (tmp_path / name).touch()  # another file in its place
    assert not noted.done()
    away.rename(tmp_path / name)
    store.write_now(lambda c: put(c, "after"))
    store.close()
    store = Store(path)
    names = {row[0] for row in store.read("SELECT name FROM settings")}
    assert names >= {"before", "noted", "after"} and "lost" not in names
    store.close()


@pytest.mark.parametrize("with_log", [True, False])
def test_a_database_that_a_copy_was_written_over_acknowledges_nothing(
    tmp_path: Path, with_log: bool
) -> None:
    path, copy = tmp_path / "tms.sqlite3", tmp_path / "copy"
    Store(path).close()
    copy.write_bytes(path.read_bytes())
    if not with_log:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    store = Store(path)
    big = "INSERT INTO settings VALUES ('big', zeroblob(100000))"
    store.write_now(lambda c: c.execute(big).rowcount)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint")
    store.write_now(lambda c: put(c, "before"))
    path.write_bytes(copy.read_bytes())
    with pytest.raises(StorageError, match="overwritten while it was open; stop, put the copy"):
        store.write_now(lambda c: put(c, "lost"))
    store.close()


def test_a_database_that_was_made_shorter_by_sqlite_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "tms.sqlite3"
    store = Store(path)
    big = "INSERT INTO settings VALUES ('big', zeroblob(100000))"
    store.write_now(lambda c: c.execute(big).rowcount)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint")
        store.write_now(lambda c: c.execute("DELETE FROM settings WHERE name='big'").rowcount)
        octets = path.stat().st_size
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint")
    assert path.stat().st_size < octets
    for name in ("first", "second"):
        store.write_now(lambda c, name=name: put(c, name))
    assert store.number("SELECT count(*) FROM settings WHERE name IN ('first', 'second')") == 2
    store.close()


def test_a_copy_that_takes_the_place_of_a_database_under_way_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tms.sqlite3"
    Store(path).close()
    copy = Store(tmp_path / "copy.sqlite3")
    copy.write_now(lambda c: put(c, "copied"))
    copy.close()
    store = Store(path)
    store.write_now(lambda c: put(c, "before"))
    path.rename(tmp_path / "kept.sqlite3")
    (tmp_path / "copy.sqlite3").rename(path)
    store.close()
    for name, told in (("tms", "copied"), ("kept", "before")):
        store = Store(tmp_path / f"{name}.sqlite3")
        names = {row[0] for row in store.read("SELECT name FROM settings")}
        assert names & {"copied", "before"} == {told}
        store.close()


def torn(path: Path, table: str) -> Store:
    """Give a store of which the first page of a table is spoilt."""
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name=?", (table,))
        [(octets,)] = connection.execute("PRAGMA page_size")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * octets)
        file.write(b"\xff" * octets)
    return Store(path)


def test_a_database_that_is_torn_inside_is_one_clear_error_when_it_is_read(tmp_path: Path) -> None:
    store = torn(tmp_path / "tms.sqlite3", "meters")
    for read in (store.read, store.one, store.number):
        with pytest.raises(StorageError, match=r"tms\.sqlite3: .*malformed; restore it"):
            read("SELECT * FROM meters")
    store.close()


def test_a_database_that_is_torn_inside_is_one_clear_error_when_it_is_written(
    tmp_path: Path,
) -> None:
    store = torn(tmp_path / "tms.sqlite3", "settings")
    with pytest.raises(StorageError, match=r"tms\.sqlite3: .*malformed; restore it"):
        store.write_now(lambda c: put(c, "lost"))
    assert "malformed" in str(store.fault)
    store.close()


def test_a_database_that_may_not_be_written_says_that_and_nothing_of_space(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    store.write_now(lambda c: c.execute("PRAGMA query_only=1").fetchall())
    with pytest.raises(StorageError, match="readonly database; make folder and file writable"):
        store.write_now(lambda c: put(c, "lost"))
    store.close()


def test_what_an_older_program_stored_is_counted_once_when_it_is_taken_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tms.sqlite3"
    connection = sqlite3.connect(path)
    folder = Path(sqlite.__file__).with_name("schema")
    for number in range(1, 9):
        connection.executescript((folder / f"{number:03d}.sql").read_text())
    connection.execute("PRAGMA user_version=8")
    rows = [("SM1", n) for n in range(5)]
    sql = "INSERT INTO intervals VALUES (?,1,1,?,0,900,1,x'01','[1]','report',0)"
    connection.executemany(sql, rows)
    connection.commit()
    connection.close()
    store = Store(path)
    assert store.number("SELECT count FROM totals WHERE name='intervals'") == 5
    store.close()


def test_a_full_database_refuses_names_why_and_is_well_again_with_the_first_change(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    few = int(store.write_now(lambda c: c.execute("PRAGMA page_count").fetchone()[0])) + 2
    store.write_now(lambda c: c.execute(f"PRAGMA max_page_count={few}").fetchall())
    assert store.fault is None
    big = "x" * 100_000
    with pytest.raises(StorageError, match=r"tms\.sqlite3: .* is full; free some space"):
        store.write_now(lambda c: put(c, big))
    assert "is full" in str(store.fault)
    store.write_now(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchall())
    store.write_now(lambda c: put(c, big))
    assert store.fault is None
    store.close()


def test_what_nobody_would_tell_again_is_kept_until_there_is_room_and_nothing_overtakes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "AGAIN_S", 0.01)
    store = Store(tmp_path / "tms.sqlite3")
    few = int(store.write_now(lambda c: c.execute("PRAGMA page_count").fetchone()[0])) + 2

    def limit(pages: int) -> None:
        sql = f"PRAGMA max_page_count={pages}"
        store._writer.execute(sql).fetchall()  # beside the queue, in which it would come last

    limit(few)
    first = store.write(lambda c: put(c, "x" * 100_000), again=True)
    with pytest.raises(StorageError, match="is full"):
        store.write_now(lambda c: put(c, "small"))
    second = store.write(lambda c: put(c, "small"), again=True)
    with pytest.raises(StorageError, match="is full"):
        store.write_now(lambda c: put(c, "x"))
    assert not first.done() and not second.done()
    limit(1_000_000)
    second.result(timeout=60)
    assert first.done() and store.fault is None
    assert store.number("SELECT count(*) FROM settings WHERE length(name) IN (5, 100000)") == 2
    store.close()


def test_what_is_wrong_in_itself_is_not_tried_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "tms.sqlite3")
    for wrong in ("INSERT INTO nothing VALUES (1)", "INSERT INTO meters (esn) VALUES (NULL)"):
        future = store.write(lambda c, sql=wrong: c.execute(sql).rowcount, again=True)
        assert future.exception(timeout=60) is not None
    store.write_now(lambda c: put(c, "kept"))
    store.close()


def test_a_database_that_another_program_let_go_is_well_again_though_nothing_is_to_be_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tms.sqlite3"
    store = Store(path, lock_timeout_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="is locked"):
            store.write_now(lambda c: put(c, "locked"))
        other.execute("ROLLBACK")
        wait_until(lambda: store.fault is None)
    store.close()


def test_a_lock_that_outlasts_its_time_is_waited_for_no_longer_until_it_is_gone(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "tms.sqlite3", lock_timeout_s=0.2)

    def patience_ms() -> int:
        return int(store._writer.execute("PRAGMA busy_timeout").fetchone()[0])

    other = sqlite3.connect(tmp_path / "tms.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="is locked; end the other program that holds it"):
        store.write_now(lambda c: put(c, "locked"))
    assert patience_ms() == 100
    other.execute("ROLLBACK")
    store.write_now(lambda c: put(c, "free"))
    assert patience_ms() == 200
    other.close()
    store.close()
