"""What came from a meter is shown as the meter meant it when it recorded it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ansi_tables.ssi_tables import DEFAULT_BASE, AlarmSource, SsiTable
from smartmeter.base.clock import Calendar
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import profile_part
from smartmeter.tms.collected import Collected
from smartmeter.tms.interval_channels import channels_of
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import read_shipment
from smartmeter.tms.store.interval_rows import store_intervals
from smartmeter.tms.store.records import Part, store_notification
from smartmeter.tms.store.sqlite import Store
from tests.ansi_tables.meaning.device import put
from tests.ansi_tables.meaning.recorder import a_recorder
from tests.smartmeter.ssi.reading import Bench
from tests.smartmeter.tms.running import running_tms
from tests.smartmeter.tms.stored import EPOCH_S, QUARTER_S, keep_context, store

__all__ = ["store"]


def recorded(store: Store, first: int, context_id: int, values: tuple[int, ...]) -> None:
    """Two intervals under a context."""
    ends = [(n, EPOCH_S + (n + 1) * QUARTER_S) for n in (first, first + 1)]
    intervals = [Interval(n, end_s, b"\x01", values) for n, end_s in ends]
    part = profile_part(1, intervals, QUARTER_S, 1, context_id)
    store.write_now(lambda c: store_intervals(c, "SM1", part, "report", EPOCH_S))


def test_each_interval_is_scaled_by_the_context_that_it_was_recorded_under(store: Store) -> None:
    tables, _ = a_recorder(blocks=1, intervals=4, channels=1)
    keep_context(store, 2, tables.images)
    control = {"INT_FMT_CDE1": 4, "SCALARS_SET1.0": 1, "DIVISOR_SET1.0": 1}
    put(tables, 62, control)
    keep_context(store, 3, tables.images)
    recorded(store, 0, 2, (7,))
    recorded(store, 2, 3, (7,))
    shown = Collected(store).load_profile("SM1")
    # Hundreds of watt-hours, at first multiplied by 4 and divided by 2 before they were recorded.
    assert (shown["channels"], shown["values"]) == (["Wh delivered"], [[350, 350, 700, 700]])


def test_intervals_of_a_context_that_never_came_are_raw_counts_beside_the_others(
    store: Store,
) -> None:
    tables, _ = a_recorder(blocks=1, intervals=4, channels=1)
    keep_context(store, 3, tables.images)
    recorded(store, 0, 9, (7, 8))
    recorded(store, 2, 3, (7,))
    shown = Collected(store).load_profile("SM1")
    values: dict[str, Any] = dict(zip(shown["channels"], shown["values"], strict=True))
    assert values == {
        "Wh delivered": [None, None, 350, 350],
        "channel 0 (raw)": [7, 7, None, None],
        "channel 1 (raw)": [8, 8, None, None],
    }
    assert shown["length_s"] == [QUARTER_S] * 4


def test_the_newest_entries_of_a_log_are_those_of_the_meter_that_came_last(store: Store) -> None:
    # The old meter's log, one of its entries by a clock far ahead; the new one counts from 1 again.
    entries = [(900, 10, 20), (901, 4_000_000_000, 30), (1, 40, 50), (2, 45, 50), (3, 0, 60)]
    sql = "INSERT INTO events VALUES ('SM1',?,?,1,0,x'',?)"
    store.write_now(lambda c: c.executemany(sql, entries) and None)
    told = [one["sequence"] for one in Collected(store).events("SM1")]
    assert told == [3, 2, 1, 901, 900]


async def test_octets_that_are_no_table_of_a_module_break_no_page(tmp_path: Path) -> None:
    async with running_tms(tmp_path, Calendar(EPOCH_S * 1_000_000)) as tms:
        tms.import_shipment(read_shipment(f"esn,title,key,model\nSM1,.7.1,{bytes(16).hex()},m\n"))
        parts = [Part(DEFAULT_BASE + SsiTable.MODULE_VERSION, None, {}, b"none", None)]

        def told(connection: sqlite3.Connection) -> None:
            store_notification(connection, "SM1", parts, EPOCH_S)

        tms.store.write_now(told)
        assert Service(tms).meter("SM1")["module"] == {}


async def test_an_alarm_is_told_in_the_words_of_who_saw_it(tmp_path: Path) -> None:
    async with running_tms(tmp_path, Calendar(EPOCH_S * 1_000_000)) as tms:
        sql = (
            "INSERT INTO alarms (esn, epoch, alarm_nbr, source, code, disposition, time_s,"
            " monitor_nbr, value, text, received_s) VALUES ('SM1', 1, ?, ?, 3, 2, 0, 255, 0, ?, 0)"
        )
        texts = {
            AlarmSource.METER_STANDARD: "time changed old",
            AlarmSource.METER_MANUFACTURER: "manufacturer event 3",
            AlarmSource.METER_STATUS: "status bit 3 of ST-03 was set",
            AlarmSource.MONITOR: "voltage",
        }
        rows = [(source, source, texts[source]) for source in texts]
        tms.store.write_now(lambda c: c.executemany(sql, rows) and None)
        alarms = Service(tms).alarms.page()["alarms"][::-1]
        assert [one["text"] for one in alarms] == list(texts.values())


@pytest.mark.parametrize("missing", [12, 62])
def test_channels_whose_unit_a_context_does_not_tell_are_raw_and_have_numbers(missing: int) -> None:
    context = dict(Bench(PROFILES["residential"]).context.images)
    assert [name for name, _ in channels_of(context, 1, 2)] == ["Wh delivered", "Wh received"]
    del context[missing]
    raw = [("channel 0 (raw)", None), ("channel 1 (raw)", None)]
    assert channels_of(context, 1, 2) == raw
