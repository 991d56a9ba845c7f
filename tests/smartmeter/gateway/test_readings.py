"""What modules report becomes rows, each once, in engineering units; and a CSV file of them."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any

import pytest

from ansi_tables import layout_for
from ansi_tables.ssi_tables import AlarmSource, Disposition, ModuleAlarm, SsiTable
from smartmeter.base.errors import StorageError
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.report_rows import number_text
from smartmeter.gateway.sinks.csv_file import CsvFile
from smartmeter.gateway.sinks.home_assistant import hourly_statistics, state_payload
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import carry_table, write_own
from tests.smartmeter.gateway.reports import (
    EPOCH_S,
    QUARTER_S,
    header,
    hello,
    meter_images,
    profile,
    recorded,
)
from tests.smartmeter.ssi.host import FACTORY, Street

ESN = FACTORY.esn
FULL = [b"\x01"] * 4
WRITER = """
import sys
from pathlib import Path
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.csv_file import CsvFile
from tests.smartmeter.gateway.reports import profile
folder = Path(sys.argv[1])
readings = Readings(folder / "readings.sqlite3")
file = CsvFile(folder / "out.csv", readings)
_, number = readings.taken("SM000001")
while True:
    number += 1
    readings.keep("SM000001", 1, [(number, profile(number, 2 * number, [[1, 2], [3, 4]]))])
    file.step()
    print(number, flush=True)
"""


@pytest.fixture
def readings(tmp_path: Path) -> Readings:
    return Readings(tmp_path / "readings.sqlite3")


def rows(readings: Readings) -> list[tuple[int, int, str, str]]:
    found = readings.after("intervals", 0)
    return [(row["sequence"], row["channel"], row["value"], row["unit"]) for row in found]


def test_intervals_are_kept_once_with_quantity_unit_and_exact_value(readings: Readings) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0], [7, 3]]))])
    readings.keep(ESN, 1, [(3, profile(3, 1, [[7, 3], [9, 0]]))])
    assert rows(readings) == [
        (0, 0, "51", "Wh"),
        (0, 1, "0", "Wh"),
        (1, 0, "7", "Wh"),
        (1, 1, "3", "Wh"),
        (2, 0, "9", "Wh"),
        (2, 1, "0", "Wh"),
    ]
    first = readings.after("intervals", 0, 1)[0]
    assert (first["end_s"], first["length_s"]) == (EPOCH_S + QUARTER_S, QUARTER_S)
    assert (first["quantity"], first["direction"]) == ("active energy", "delivered")
    assert readings.taken(ESN) == (1, 3)


def test_intervals_of_a_ring_that_began_anew_are_kept_though_the_module_forgot_that_it_did(
    readings: Readings,
) -> None:
    def told(number: int, first: int, values: list[list[int]], days: int) -> list[bytes]:
        ends = (EPOCH_S + days * 86_400 + (first + n + 1) * QUARTER_S for n in range(len(values)))
        channels = (tuple(one) for one in values)
        return recorded(
            number,
            [
                Interval(first + n, *one)
                for n, one in enumerate(zip(ends, FULL, channels, strict=False))
            ],
        )

    old, new = [[5, 1], [0, 0], [6, 2]], [[0, 0], [0, 0], [7, 3], [8, 4]]
    readings.keep(ESN, 1, [(1, told(1, 0, old, 0)), (2, told(2, 0, new[:3], 9))])
    again = [(1, told(1, 0, new[:3], 9)), (2, told(2, 0, old, 0)), (3, told(3, 3, new[3:], 9))]
    readings.keep(ESN, 2, again)
    found = readings.after("intervals", 0)
    assert [row["raw"] for row in found] == [raw for one in old + new for raw in one]
    assert len({row["end_s"] for row in found}) == 7
    # Where the older ring's numbers end, the newer one goes on in its own epoch.
    readings.keep(ESN, 2, [(4, told(4, 4, [[9, 5]], 9)), (5, told(5, 4, [[9, 5]], 9))])
    last = readings.last_interval(ESN)
    assert last is not None and (last["ring_epoch"], last["raw"]) == (2, 9)
    assert len(readings.after("intervals", 0)) == 16


def test_the_sets_of_a_meter_are_kept_apart(readings: Readings) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 7]]))])
    readings.keep(ESN, 1, [(3, profile(3, 0, [[900, 0], [901, 0]], set_nbr=2))])
    assert readings.energy_set(ESN, "delivered") == readings.energy_set(ESN, "received") == 1
    assert readings.energy_set("SM000002", "delivered") is None
    assert [row["value"] for row in readings.hourly(ESN, 1, "delivered")] == ["51"]
    last = readings.last_interval(ESN)
    assert last is not None and (last["set_nbr"], last["value"]) == (1, "51")


def test_without_the_meters_context_the_raw_counts_are_kept_and_no_unit_is_made_up(
    readings: Readings,
) -> None:
    readings.keep(ESN, 1, [(1, profile(1, 0, [[51, 0]]))])
    assert rows(readings) == [(0, 0, "51", ""), (0, 1, "0", "")]


def test_a_report_that_cannot_be_read_stops_nothing(readings: Readings) -> None:
    readings.keep(ESN, 1, [(1, [b"\xff\x00"]), (2, profile(2, 0, [[1, 2]]))])
    assert len(rows(readings)) == 2 and readings.taken(ESN) == (1, 2)


def test_a_database_that_takes_no_more_is_one_clear_fault_and_nothing_half_written(
    readings: Readings,
) -> None:
    readings._db.do("PRAGMA max_page_count=1")  # the smallest full disk
    many = [[n, n] for n in range(200)]
    with pytest.raises(StorageError, match="free some space"):
        readings.keep(ESN, 1, [(n, profile(n, 200 * n, many)) for n in range(1, 9)])
    assert readings.taken(ESN) == (0, 0) and not rows(readings)


def test_a_database_that_another_program_holds_is_told_and_holds_up_nobody(
    readings: Readings, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "readings.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        before = time.monotonic()
        with pytest.raises(StorageError, match="find out which program"):
            readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
        assert time.monotonic() - before < 3
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    assert len(rows(readings)) == 2


def test_a_log_that_is_removed_under_way_takes_nothing_more_and_loses_nothing(
    readings: Readings, tmp_path: Path
) -> None:
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    (tmp_path / "readings.sqlite3-wal").unlink()
    with pytest.raises(StorageError, match="sqlite3-wal: was removed or replaced; the gate"):
        readings.keep(ESN, 1, [(2, profile(2, 1, [[1, 2]]))])
    readings.close()
    again = Readings(tmp_path / "readings.sqlite3")
    assert len(rows(again)) == 2 and again.taken(ESN) == (1, 1)


def test_readings_whose_name_is_a_link_to_a_better_medium_are_kept_there(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "readings.sqlite3"
    link.symlink_to("disk/r.sqlite3")
    readings = Readings(link)
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    assert len(rows(readings)) == 2
    (tmp_path / "disk" / "r.sqlite3-wal").unlink()
    with pytest.raises(StorageError, match="sqlite3-wal: was removed or replaced; the gate"):
        readings.keep(ESN, 1, [(2, profile(2, 1, [[1, 2]]))])
    readings.close()


def test_a_copy_that_takes_the_place_of_readings_under_way_is_left_as_it_is(
    readings: Readings, tmp_path: Path
) -> None:
    path, kept = tmp_path / "readings.sqlite3", tmp_path / "kept.sqlite3"
    copy = Readings(tmp_path / "copy.sqlite3")
    copy.keep(ESN, 1, [(1, profile(1, 0, [[n, n] for n in range(300)]))])
    copy.close()
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    path.rename(kept)
    (tmp_path / "copy.sqlite3").rename(path)
    with pytest.raises(StorageError, match="sqlite3: was removed or replaced; the gateway begins"):
        readings.keep(ESN, 1, [(2, profile(2, 1, [[1, 2]]))])
    readings.close()
    for name, count in ((path, 600), (kept, 2)):
        again = Readings(name)
        assert len(rows(again)) == count
        again.close()


def test_a_damaged_database_is_told_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "readings.sqlite3").write_bytes(bytes(range(256)) * 64)
    with pytest.raises(StorageError, match="not a database; it is set aside"):
        Readings(tmp_path / "readings.sqlite3")
    whole = Readings(tmp_path / "whole.sqlite3")
    whole._db.do("DROP TABLE cursors")
    with pytest.raises(StorageError, match="no such table: cursors; move it away"):
        whole.position("csv")


def test_a_look_that_fails_within_a_commit_takes_back_what_was_begun(readings: Readings) -> None:
    readings._db.do("ALTER TABLE intervals RENAME TO elsewhere")
    with pytest.raises(StorageError, match="no such table: intervals"):
        readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    readings._db.do("ALTER TABLE elsewhere RENAME TO intervals")
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    assert len(rows(readings)) == 2 and readings.taken(ESN) == (1, 1)


def test_exact_values_become_plain_digits() -> None:
    assert number_text(Fraction(1, 8)) == "0.125"
    assert number_text(Decimal("1E+3")) == "1000"
    assert number_text(12) == "12"
    assert number_text(Fraction(1, 3)) is None
    assert number_text(None) is None


def test_old_rows_are_forgotten(readings: Readings) -> None:
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    readings.prune(EPOCH_S + 799 * 86_400)
    assert len(rows(readings)) == 2
    readings.prune(EPOCH_S + 802 * 86_400)
    assert not rows(readings)


def test_rows_are_kept_for_as_long_as_is_set(tmp_path: Path) -> None:
    readings = Readings(tmp_path / "readings.sqlite3", keep_days=7)
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    readings.prune(EPOCH_S + 6 * 86_400)
    assert len(rows(readings)) == 2
    readings.prune(EPOCH_S + 9 * 86_400)
    assert not rows(readings)


def test_a_clock_that_is_a_century_ahead_costs_the_oldest_day_and_not_all(
    readings: Readings,
) -> None:
    days = 5
    readings.keep(ESN, 1, [(1, profile(1, 0, [[n, 0] for n in range(days * 96)]))])
    readings.prune(EPOCH_S + 36_525 * 86_400)
    assert len(rows(readings)) == 2 * 96 * (days - 1)


def test_sums_go_on_from_what_was_forgotten(readings: Readings) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    readings.keep(ESN, 1, [(2, profile(2, 0, [[n, 2 * n] for n in range(1, 13)]))])
    assert readings.forgotten(ESN, 1, "delivered") == 0
    whole = hourly_statistics(readings.hourly(ESN, 1, "delivered"))
    for hours in (1, 2):
        readings.prune(EPOCH_S + 800 * 86_400 + hours * 3600 + 1)
        before = readings.forgotten(ESN, 1, "delivered")
        assert before == sum(range(1, 4 * hours + 1))
        assert readings.forgotten(ESN, 1, "received") == 2 * before
        rest = hourly_statistics(readings.hourly(ESN, 1, "delivered"), before)
        assert rest == whole[hours:]


def test_a_database_of_before_sums_were_kept_is_taken_over(tmp_path: Path) -> None:
    old = Readings(tmp_path / "readings.sqlite3")
    old.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    old._db.connection.executescript("DROP TABLE forgotten_energy; PRAGMA user_version = 1;")
    old.close()
    new = Readings(tmp_path / "readings.sqlite3")
    assert len(rows(new)) == 2 and new.forgotten(ESN, 1, "delivered") == 0


def test_a_register_that_holds_no_number_is_no_reading(readings: Readings) -> None:
    street = Street(meter=MeterSettings(profile=PROFILES["unusual"]))
    street.run(10)
    meter = street.device.module.meter
    assert meter is not None
    readings.keep(ESN, 1, [(1, hello(1, meter.images))])
    image = OpticalPort(street.device.meter).read(23, street.world.now_us)
    at, width = layout_for(23, meter.context).field("TOT_DATA_BLOCK.SUMMATIONS.0")
    readings.keep(ESN, 1, [(2, [header(2), *carry_table(23, image)])])
    whole = [row["name"] for row in readings.after("registers", 0)]
    blank = image[:at] + b" " * width + image[at + width :]
    readings.keep(ESN, 1, [(3, [header(3), *carry_table(23, blank)])])
    assert [row["name"] for row in readings.after("registers", len(whole))] == whole[1:]


def test_the_power_is_what_is_delivered_less_what_is_received(readings: Readings) -> None:
    assert readings.power_w(ESN) is None
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    readings.keep(ESN, 1, [(2, profile(2, 0, [[1000, 0], [3, 50]]))])
    assert readings.power_w(ESN) == -188


@pytest.mark.parametrize("old_s", [EPOCH_S, EPOCH_S + 99 * QUARTER_S])  # a clock that was ahead
@pytest.mark.parametrize("changed_s", [EPOCH_S + QUARTER_S, EPOCH_S + 3 * QUARTER_S, 0])
@pytest.mark.parametrize("sharing", ["alarm", "one report", "two reports"])
def test_what_was_read_of_another_meter_in_its_place_is_not_shown_as_a_meters_own(
    readings: Readings, old_s: int, changed_s: int, sharing: str
) -> None:
    """The alarm comes by itself, or as an advisory behind what was read of the new meter."""
    street = Street()
    street.run(10)
    module = street.device.module
    assert module.meter is not None
    image = OpticalPort(street.device.meter).read(23, street.world.now_us)
    readings.keep(ESN, 1, [(1, hello(1, module.meter.images))])
    readings.keep(ESN, 1, [(2, [header(2, time_s=old_s), *carry_table(23, image)])])
    names = set(readings.newest(ESN))
    assert "active energy delivered" in names
    readings._db.do("UPDATE registers SET name = 'old ' || name")
    alarm = write_own(
        SsiTable.ALARM,
        module.parts.reporter.alarms.value(
            AlarmSource.MODULE, ModuleAlarm.METER_CHANGED, Disposition.ALARM, changed_s, "another"
        ),
    )
    new, told_s = carry_table(23, image), EPOCH_S + 3 * QUARTER_S
    if sharing == "alarm":
        first = [header(3, time_s=changed_s), alarm]
        readings.keep(ESN, 1, [(3, first)])
        assert not readings.newest(ESN)
        second = [header(4, time_s=told_s), *new]
    elif sharing == "one report":
        first, second = [header(3, time_s=told_s), *new, alarm], []
    else:
        first = [header(3, time_s=told_s), *new]
        second = [header(4, time_s=told_s), alarm]
    readings.keep(ESN, 1, [(3, first)])
    if second:
        readings.keep(ESN, 1, [(4, second)])
    assert set(readings.newest(ESN)) == names


@pytest.mark.parametrize("advisory", [False, True])
def test_the_energy_goes_on_where_another_meter_takes_a_meters_place(
    readings: Readings, advisory: bool
) -> None:
    """Three meters in turn, the first one again at the end; an advisory comes behind readings."""
    street = Street()
    street.run(10)
    module = street.device.module
    assert module.meter is not None
    shown, number = [], 1
    layout = layout_for(23, module.meter.context)
    value = layout.decode(OpticalPort(street.device.meter).read(23, street.world.now_us))
    readings.keep(ESN, 1, [(1, hello(1, module.meter.images))])
    for meter, counts in enumerate([(700, 710), (5, 6), (99_000,), (800, 803)]):
        for index, count in enumerate(counts):
            number += 1
            time_s = EPOCH_S + number * QUARTER_S
            value.TOT_DATA_BLOCK.SUMMATIONS[0] = count
            told = carry_table(23, layout.encode(value))
            if meter and not index:
                alarm = module.parts.reporter.alarms.value(
                    *(AlarmSource.MODULE, ModuleAlarm.METER_CHANGED, Disposition.ALARM),
                    *(time_s - 1, "another"),
                )
                told.insert(len(told) if advisory else 0, write_own(SsiTable.ALARM, alarm))
            readings.keep(ESN, 1, [(number, [header(number, time_s=time_s), *told])])
            state = state_payload(readings.newest(ESN), None, None, readings.energy_steps(ESN))
            shown.append(state["delivered_wh"])
    assert shown == ["700", "710", "710", "711", "711", "711", "714"]


def test_the_newest_interval_is_the_last_although_the_clock_was_set_back(
    readings: Readings,
) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    readings.keep(ESN, 1, [(2, profile(2, 0, [[0, 0], [1, 0]]) + profile(2, 3, [[3, 0]])[1:])])
    readings._db.do("UPDATE intervals SET end_s = end_s + 63072000")
    readings.keep(ESN, 1, [(3, profile(3, 4, [[25, 0]]))])
    readings.keep(ESN, 1, [(4, profile(4, 2, [[7, 7]]))])  # a gap that was filled
    last = readings.last_interval(ESN)
    assert last is not None and (last["sequence"], last["value"]) == (4, "25")
    assert readings.power_w(ESN) == 100


def test_the_csv_file_has_one_line_an_interval_and_channel(
    readings: Readings, tmp_path: Path
) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    file = CsvFile(tmp_path / "out" / "x.csv", readings)
    while file.step():
        pass
    assert not file.step()
    lines = (tmp_path / "out" / "x.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[1] == (
        "SM000001,1,1,0,0,2026-01-01T00:15:00Z,900,01,active energy,delivered,Wh,51,51"
    )


def test_lines_that_a_cut_left_behind_are_written_again_and_not_twice(
    readings: Readings, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    file = CsvFile(path, readings)
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    file.step()
    with path.open("a") as torn:
        torn.write("SM000001,1,1,1,0,2026-01-01T00")
    readings.keep(ESN, 1, [(2, profile(2, 1, [[3, 4]]))])
    file.step()
    lines = path.read_text().splitlines()
    assert len(lines) == 5 and all(line.count(",") == 12 for line in lines)


def test_a_csv_file_that_was_moved_away_is_followed_by_one_with_what_is_new(
    readings: Readings, tmp_path: Path
) -> None:
    path, file = tmp_path / "x.csv", CsvFile(tmp_path / "x.csv", readings)
    for number in range(3):
        readings.keep(ESN, 1, [(number + 1, profile(number + 1, number, [[number, 0]]))])
        assert file.step() and not file.step()
        path.rename(tmp_path / f"{number}.csv")
    heads = [(tmp_path / f"{number}.csv").read_text().splitlines() for number in range(3)]
    assert [len(lines) for lines in heads] == [3, 3, 3]
    assert {lines[0] for lines in heads} == {heads[0][0]}
    assert [lines[1].split(",")[3] for lines in heads] == ["0", "1", "2"]


def test_an_interval_without_a_time_has_none_in_the_csv_and_is_in_no_hour(
    readings: Readings, tmp_path: Path
) -> None:
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    readings._db.do("UPDATE intervals SET end_s=0")
    CsvFile(tmp_path / "x.csv", readings).step()
    assert "SM000001,1,1,0,0,,900,01," in (tmp_path / "x.csv").read_text()
    assert readings.hourly(ESN, 1, "delivered") == []


def test_a_file_that_was_there_before_is_left_alone_until_it_is_moved_away(
    readings: Readings, tmp_path: Path
) -> None:
    readings.keep(ESN, 1, [(1, profile(1, 0, [[51, 0]]))])
    path = tmp_path / "x.csv"
    path.write_text("years of readings\n")
    with pytest.raises(StorageError, match="move it away"):
        CsvFile(path, readings).step()
    assert path.read_text() == "years of readings\n"
    path.rename(tmp_path / "old.csv")
    CsvFile(path, readings).step()
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("edited", [b"\r\n", b"\n\n"])
def test_a_csv_file_that_was_edited_is_left_alone_until_it_is_moved_away(
    readings: Readings, tmp_path: Path, edited: bytes
) -> None:
    path = tmp_path / "out.csv"
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    file = CsvFile(path, readings)
    assert file.step() and not file.step()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\n", edited))  # as a spreadsheet may write it
    readings.keep(ESN, 1, [(2, profile(2, 1, [[3, 4]]))])
    with pytest.raises(StorageError, match="is not as it was written; move it away"):
        file.step()
    assert path.read_bytes() == whole.replace(b"\n", edited)
    path.unlink()
    assert file.step() and len(path.read_text().splitlines()) == 3
    readings.keep(ESN, 1, [(3, profile(3, 2, [[5, 6]]))])
    assert file.step() and len(path.read_text().splitlines()) == 5


def test_a_csv_file_that_was_shortened_by_somebody_is_left_alone(
    readings: Readings, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    file = CsvFile(path, readings)
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    file.step()
    path.write_text("mine\n")
    readings.keep(ESN, 1, [(2, profile(2, 1, [[3, 4]]))])
    with pytest.raises(StorageError, match="move it away"):
        file.step()
    assert path.read_text() == "mine\n"


def test_zeros_that_a_power_cut_left_in_a_csv_file_are_written_over(
    readings: Readings, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]] * 4))])
    CsvFile(path, readings).step()
    whole = path.read_bytes()
    readings.move("csv", {"number": 0, "octets": 0})  # as if it had been cut before this was noted
    line = len(whole.splitlines(keepends=True)[2])
    path.write_bytes(whole[: -2 * line] + bytes(line) + whole[-line:])
    assert CsvFile(path, readings).step() and path.read_bytes() == whole


def test_a_csv_file_that_is_ahead_of_readings_that_were_put_back_is_left_alone(
    readings: Readings, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    readings.keep(ESN, 1, [(1, profile(1, 0, [[1, 2]]))])
    CsvFile(path, readings).step()
    with closing(sqlite3.connect(tmp_path / "older")) as older:
        readings._db.connection.backup(older)
    readings.keep(ESN, 1, [(2, profile(2, 1, [[3, 4]]))])
    CsvFile(path, readings).step()
    readings.close()
    whole = path.read_bytes()
    (tmp_path / "older").replace(tmp_path / "readings.sqlite3")
    old = Readings(tmp_path / "readings.sqlite3")
    old.keep(ESN, 1, [(3, profile(3, 2, [[5, 6]]))])
    file = CsvFile(path, old)
    with pytest.raises(StorageError, match="has lines that the readings have not; move it away"):
        file.step()
    assert path.read_bytes() == whole
    path.unlink()
    assert file.step() and len(path.read_text().splitlines()) == 3


def test_the_program_that_the_page_shows_reads_what_is_new(tmp_path: Path) -> None:
    readings = Readings(tmp_path / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0], [7, 3]]))])
    page = (Path(__file__).parents[3] / "docs" / "gateway.rst").read_text()
    code = page.partition("A sink of your own")[2].partition("::\n")[2].partition("\n``number``")[0]
    names: dict[str, Any] = {"last_number": 2}
    exec(dedent(code).replace("/var/lib/smartmeter", str(tmp_path)), names)
    [first, second] = names["new"]
    assert first[:6] == (3, ESN, 1, 1, 1, 0) and first[-3:] == ("delivered", "7", "Wh")
    assert second[-3:] == ("received", "3", "Wh")
    names["readings"].close()


def test_killed_at_any_moment_every_interval_is_in_database_and_csv_once(tmp_path: Path) -> None:
    chance, last = Random(11), 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        assert process.stdout is not None
        for _ in range(chance.randint(1, 40)):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    readings = Readings(tmp_path / "readings.sqlite3")
    file = CsvFile(tmp_path / "out.csv", readings)
    while file.step():
        pass
    with sqlite3.connect(tmp_path / "readings.sqlite3") as database:
        sql = "SELECT sequence, channel FROM intervals ORDER BY number"
        stored = [tuple(row) for row in database.execute(sql)]
    with (tmp_path / "out.csv").open() as lines:
        written = [(int(row["sequence"]), int(row["channel"])) for row in csv.DictReader(lines)]
    reports = readings.taken(ESN)[1]
    assert reports >= last > 5
    assert stored == written == [(n, c) for n in range(2, 2 * reports + 2) for c in (0, 1)]
