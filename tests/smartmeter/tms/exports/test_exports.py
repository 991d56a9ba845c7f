"""What a TMS has collected leaves it whole, exact, and the same each time."""

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.tms.exports.archive import PAGE_ROWS, Archive
from smartmeter.tms.exports.intervals import status_words
from smartmeter.tms.exports.kinds import KINDS, export_pieces
from smartmeter.tms.exports.selection import BEGIN, MAX_SECOND, Selection
from smartmeter.tms.exports.stamps import LocalTime
from smartmeter.tms.store.pruned_numbers import Numbered, note_pruned
from smartmeter.tms.store.queries import UnknownMeter
from smartmeter.tms.store.readings import keep_reading
from smartmeter.tms.store.records import store_image
from smartmeter.tms.store.sqlite import Store, newest_schema
from tests.ansi_tables.meaning.device import device, put
from tests.ansi_tables.meaning.recorder import a_recorder
from tests.ansi_tables.meaning.registers import calendar, sources_of, uom
from tests.smartmeter.tms.stored import EPOCH_S, QUARTER_S, keep_context, kept, record, store

__all__ = ["kept", "store"]


ALL = Selection()


def text_of(store: Store, kind: str, form: str = "csv", chosen: Selection = ALL) -> str:
    archive = Archive(store.path)
    try:
        return "".join(export_pieces(archive, chosen, kind, form))
    finally:
        archive.close()


def lines_of(store: Store, kind: str, chosen: Selection = ALL) -> list[dict[str, Any]]:
    """Give the rows by CSV, after a look that JSON lines tell of the same ones."""
    rows = list(csv.DictReader(io.StringIO(text_of(store, kind, chosen=chosen))))
    told = [json.loads(line) for line in text_of(store, kind, "jsonl", chosen).splitlines()]
    assert len(rows) == len(told)
    for row, one in zip(rows, told, strict=True):
        values = one.pop("values", {})
        assert {name: row[name] for name in values} == values
    return rows


def test_intervals_are_scaled_by_their_own_context_and_a_gap_is_told(kept: Store) -> None:
    record(kept, [0, 1], 2)
    record(kept, [4, 5, 9], 3)
    rows = lines_of(kept, "intervals")
    assert [row["Wh delivered"] for row in rows] == ["0", "50", "400", "500", "900"]
    assert [row["missing_before"] for row in rows] == ["0", "0", "2", "0", "3"]
    assert (rows[1]["begin_utc"], rows[1]["end_utc"]) == (
        "2026-01-01T00:15:00Z",
        "2026-01-01T00:30:00Z",
    )
    late = Selection(from_s=EPOCH_S + 4 * QUARTER_S)
    assert lines_of(kept, "intervals", late)[0]["missing_before"] == "2", "the gap lies before it"
    kept.write_now(lambda c: note_pruned(c, (Numbered.INTERVAL, "SM1", 1, 1), [(2, EPOCH_S)]))
    assert lines_of(kept, "intervals", late)[0]["missing_before"] == "1", "what was pruned came"


def test_what_has_no_unit_or_no_time_is_left_empty_and_not_guessed(kept: Store) -> None:
    record(kept, [7], 3)
    record(kept, [8], 9)  # a context that never came
    record(kept, [-1], 3, status=b"")  # ends at the very second that means: no time
    kept.write_now(lambda c: c.execute("UPDATE intervals SET end_s=0 WHERE sequence=-1"))
    rows = lines_of(kept, "intervals")
    assert [(row["Wh delivered"], row["channel 0 (raw)"]) for row in rows] == [
        ("-100", ""),
        ("700", ""),
        ("", "8"),
    ]
    assert (rows[0]["begin_utc"], rows[0]["end_utc"], rows[0]["end_local"]) == ("", "", "")


@settings(max_examples=15)
@given(st.lists(st.integers(0, 40 * QUARTER_S), max_size=4))
def test_spans_that_follow_each_other_lose_nothing_and_double_nothing(cuts: list[int]) -> None:
    with_store: Store = _FULL[0]
    bounds = [BEGIN, *sorted(EPOCH_S + cut for cut in cuts), MAX_SECOND]
    whole = text_of(with_store, "intervals", "jsonl")
    parts = [
        text_of(with_store, "intervals", "jsonl", Selection(None, begin, end))
        for begin, end in pairwise(bounds)
    ]
    assert "".join(parts) == whole and len(whole.splitlines()) == 30


_FULL: list[Store] = []


@pytest.fixture(scope="module", autouse=True)
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    opened = Store(tmp_path_factory.mktemp("full") / "tms.sqlite3")
    record(opened, range(30))
    _FULL.append(opened)
    yield
    _FULL.clear()
    opened.close()


def test_more_than_a_page_of_several_meters_comes_in_order_and_the_same_each_time(
    kept: Store,
) -> None:
    many = PAGE_ROWS * 2 + 3
    row = (EPOCH_S, 900, 3, b"\x01", "[7]", "report", 1)

    def fill(connection: sqlite3.Connection) -> None:
        for esn in ("SM3", "SM1", "SM2"):
            rows = [(esn, 1, 1, number, *row) for number in range(many)]
            marks = ",".join("?" * 11)
            connection.executemany(f"INSERT INTO intervals VALUES ({marks})", rows)

    kept.write_now(fill)
    first = text_of(kept, "intervals")
    rows = list(csv.DictReader(io.StringIO(first)))
    assert [row["esn"] for row in rows] == ["SM1"] * many + ["SM2"] * many + ["SM3"] * many
    assert [int(row["sequence"]) for row in rows[:many]] == list(range(many))
    assert text_of(kept, "intervals") == first
    one = text_of(kept, "intervals", chosen=Selection(("SM2", "SM2")))
    assert len(one.splitlines()) == 1 + many, "who is named twice comes once"


def test_text_that_a_spreadsheet_would_run_is_no_formula_in_csv(store: Store) -> None:
    texts = ["=HYPERLINK(1)", "+1+2", "-2+3", "@SUM(A1)", "\t=1", 'a "quoted", üñí\nline', "-12.5"]
    texts += ["a;=1+1;", ";@A1; =1;b", "a\t=1", "a\n-b\r\n+c"]
    sql = (
        "INSERT INTO alarms (esn, epoch, alarm_nbr, source, code, disposition, time_s,"
        " monitor_nbr, value, text, received_s) VALUES ('SM1', 1, ?, 5, 0, 2, 5, 0, -9, ?, 5)"
    )
    store.write_now(lambda c: c.executemany(sql, enumerate(texts)) and None)
    rows = list(csv.DictReader(io.StringIO(text_of(store, "alarms"))))
    dangerous = [*(f"'{text}" for text in texts[:4]), "'\t'=1"]
    inside = ["a;'=1+1;", ";'@A1; =1;b", "a\t'=1", "a\n'-b\r\n'+c"]
    assert [row["alarm"] for row in rows] == [*dangerous, *texts[5:7], *inside]
    assert {row["value"] for row in rows} == {"-9"}
    told = [json.loads(line)["alarm"] for line in text_of(store, "alarms", "jsonl").splitlines()]
    assert told == texts


def test_local_times_go_through_both_hours_that_come_twice(store: Store) -> None:
    tables, _ = a_recorder(blocks=1, intervals=4, channels=1)
    dates = calendar((date(2026, 3, 8), 1), (date(2026, 11, 1), 2))
    zone = {"DST_TIME_EFF": datetime(2026, 1, 1, 2).time(), "DST_TIME_AMT": 60}
    put(tables, 51, dates[51])
    put(tables, 53, {**zone, "TIME_ZONE_OFFSET": -300})
    put(tables, 54, dates[54])
    keep_context(store, 3, tables.images)
    begin_s = int(datetime(2026, 11, 1, 5, tzinfo=UTC).timestamp())
    record(store, range(8), begin_s=begin_s)
    local = [row["end_local"] for row in lines_of(store, "intervals")]
    assert local[:4] == [f"2026-11-01T01:{m}:00-04:00" for m in ("15", "30", "45")] + [
        "2026-11-01T01:00:00-05:00"
    ]
    assert local[4:] == [f"2026-11-01T01:{m}:00-05:00" for m in ("15", "30", "45")] + [
        "2026-11-01T02:00:00-05:00"
    ]
    assert LocalTime(tables.images).text(0) == "", "what has no time has none there"


def test_readings_stay_beside_each_other_and_keep_their_scale(store: Store) -> None:
    def read(context_id: int, multiplier: int, count: int, time_s: int) -> None:
        tables: dict[int, Any] = sources_of(uom(0, 0, "14", MULTIPLIER=multiplier))
        tables |= {21: {"NBR_SUMMATIONS": 1}, 22: {}}
        made = device({**tables, 23: {"TOT_DATA_BLOCK.SUMMATIONS.0": count}})
        image = made.images.pop(23)
        keep_context(store, context_id, made.images)

        def keep(connection: sqlite3.Connection) -> None:
            store_image(connection, "SM1", 23, image, EPOCH_S)
            keep_reading(connection, "SM1", 23, time_s, context_id, EPOCH_S)

        store.write_now(keep)

    read(1, 6, 19825, EPOCH_S)
    read(2, 5, 30000, EPOCH_S + 86_400)
    rows = lines_of(store, "readings")
    assert [(row["value"], row["unit"], row["raw"]) for row in rows] == [
        ("19.825", "Wh", "19825"),
        ("300.00", "Wh", "30000"),
    ]
    day = Selection(None, EPOCH_S, EPOCH_S + 86_400)
    assert [row["raw"] for row in lines_of(store, "readings", day)] == ["19825"]


def test_the_words_of_a_status_are_those_of_the_standard() -> None:
    assert status_words(b"\x01\x00\x00", 2) == ()
    assert status_words(b"\x00\x34\x20", 2) == (
        *("invalid", "daylight saving", "power failed"),
        *("channel 0 skipped", "channel 1 partial"),
    )
    assert status_words(b"\x01", 2) == status_words(b"", 2) == ()


def test_a_copy_of_the_database_gives_the_same_and_wrong_files_are_named(
    kept: Store, tmp_path: Path
) -> None:
    record(kept, range(4))
    copy = tmp_path / "copy ?#%.sqlite3"
    kept.write_now(lambda c: None)
    with sqlite3.connect(kept.path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    archive = Archive(copy)
    assert "".join(export_pieces(archive, Selection(), "intervals", "csv")) == text_of(
        kept, "intervals"
    )
    with pytest.raises(StorageError, match="readonly"):
        archive.rows("DELETE FROM intervals")
    with pytest.raises(UnknownMeter):
        export_pieces(archive, Selection(("SM1", "SM9")), "events", "csv")
    archive.close()
    none, other, old = tmp_path / "none", tmp_path / "other", tmp_path / "old"
    other.write_bytes(b"no database" * 500)
    shutil.copy(copy, old)
    with sqlite3.connect(old) as connection:
        connection.execute("PRAGMA user_version=3")
    for path, fault in ((none, "is no file"), (tmp_path / "web", "is no file")):
        with pytest.raises(SettingsError, match=fault):
            Archive(path)
    with pytest.raises(StorageError, match="not a database"):
        Archive(other)
    with pytest.raises(SettingsError, match=r"has schema 3, this program \d+; start tms run"):
        Archive(old)


def test_a_database_of_another_program_with_meters_is_told_as_none_of_a_tms(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE meters (name)")
        connection.execute(f"PRAGMA user_version={newest_schema()}")
    with pytest.raises(SettingsError, match="is no database of a TMS; name a TMS's folder"):
        Archive(other)


def test_every_kind_is_empty_but_for_its_header_where_nothing_came(store: Store) -> None:
    for kind in KINDS:
        assert text_of(store, kind).count("\n") == 1 and text_of(store, kind, "jsonl") == ""
