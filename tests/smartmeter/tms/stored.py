"""A store, and what is kept in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import profile_part
from smartmeter.tms.store.interval_rows import store_intervals
from smartmeter.tms.store.sqlite import Store
from tests.ansi_tables.meaning.device import put
from tests.ansi_tables.meaning.recorder import a_recorder

EPOCH_S = 1_767_225_600
QUARTER_S = 900


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "tms.sqlite3")
    meter = "INSERT INTO meters (esn, title, context_id) VALUES ('SM1', '.7.1', 3)"
    opened.write_now(lambda c: c.execute(meter))
    yield opened
    opened.close()


def keep_context(store: Store, context_id: int, images: Mapping[int, bytes]) -> None:
    rows = [("SM1", context_id, table, image) for table, image in images.items()]
    sql = "INSERT INTO contexts VALUES (?,?,?,?)"
    store.write_now(lambda c: c.executemany(sql, rows) and None)


def record(
    store: Store,
    numbers: Sequence[int],
    context_id: int = 3,
    begin_s: int = EPOCH_S,
    status: bytes = b"\x01",
    esn: str = "SM1",
) -> None:
    """Intervals by their numbers, each of which is its count, too."""
    for number in numbers:
        end_s = begin_s + (number + 1) * QUARTER_S
        one = Interval(number, end_s, status, (number,))
        part = profile_part(1, [one], QUARTER_S, 1, context_id)
        store.write(lambda c, part=part: store_intervals(c, esn, part, "report", EPOCH_S))
    store.write_now(lambda c: None)


@pytest.fixture
def kept(store: Store) -> Store:
    """SM1 records watt-hours in hundreds under context 2, and in two hundreds under 3."""
    tables, _ = a_recorder(blocks=1, intervals=4, channels=1)
    keep_context(store, 2, tables.images)
    put(tables, 62, {"INT_FMT_CDE1": 4, "SCALARS_SET1.0": 1, "DIVISOR_SET1.0": 1})
    keep_context(store, 3, tables.images)
    return store


def part(first: int, ends: list[int], epoch: int = 1, value: int = 7) -> dict[str, Any]:
    return {
        "SET": 1,
        "RING_EPOCH": epoch,
        "FIRST_SEQUENCE": first,
        "INT_LENGTH_S": 900,
        "CONTEXT_ID": 1,
        "INTERVALS": [{"END_TIME": end, "STATUS": b"", "VALUES": [value]} for end in ends],
    }
