"""What becomes of intervals that hold fractions or no numbers at all."""

from collections.abc import Callable

import pytest

from ansi_tables import Snapshot
from ansi_tables.profile_blocks import ProfileShape, shape_of
from ansi_tables.ssi_tables import ModuleAlarm, ScheduleKind, SsiTable
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.ssi.host import (
    Street,
    raise_alarms,
    schedule,
    schedules,
    small_outbox,
)

HOUR_S = 3600
PROFILE = 64
FRACTION, BLANK = b"     20662.5", b" " * 12


def spoiled(street: Street, spoil: Callable[[bytearray, ProfileShape], None]) -> None:
    """Let a meter that writes its counts as text hold what ``spoil`` makes of its load profile."""
    meter = street.device.meter
    genuine = meter.table

    def table(number: int, now_us: int) -> bytes:
        image = genuine(number, now_us)
        if number != PROFILE:
            return image
        tables = Snapshot({one: genuine(one, now_us) for one in (0, 61, 62)})
        shape = shape_of(tables.layout(PROFILE), 1)
        assert shape is not None
        octets = bytearray(image)
        spoil(octets, shape)
        return bytes(octets)

    meter.table = table  # type: ignore[method-assign]


def put(octets: bytearray, shape: ProfileShape, block: int, index: int, value: bytes) -> None:
    at = shape.interval(block * shape.block_octets, index) + shape.status_octets
    octets[at : at + len(value)] = value


def everything(value: bytes) -> Callable[[bytearray, ProfileShape], None]:
    """Let the first channel hold a value in each interval."""

    def spoil(octets: bytearray, shape: ProfileShape) -> None:
        for block in range(shape.blocks):
            for index in range(shape.intervals):
                put(octets, shape, block, index, value)

    return spoil


def begun() -> Street:
    street = Street(meter=MeterSettings(profile=PROFILES["unusual"]))
    street.run(10)
    return street


def told(street: Street) -> list[tuple[int, str]]:
    """Give value and text of what was told of intervals, or of a meter that is lost."""
    codes = (ModuleAlarm.INTERVALS_LEFT_OUT, ModuleAlarm.METER_UNREACHABLE)
    alarms = street.host.parts(SsiTable.ALARM)
    return [(one["VALUE"], one["TEXT"]) for one in alarms if one["CODE"] in codes]


LEFT_OUT = "set 1: intervals without whole numbers left out"


@pytest.mark.parametrize("value", [FRACTION, BLANK])
def test_a_load_profile_without_whole_numbers_costs_no_registers_and_is_told_once(
    value: bytes,
) -> None:
    street = begun()
    spoiled(street, everything(value))
    street.provision(SCHEDULES=schedules(schedule(TABLES=[23], JITTER_S=0)))
    for _ in range(2):
        street.run(3 * HOUR_S)
        street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    assert not street.host.intervals()
    registers = [n for report in street.host.reports for n, _ in report.parts].count(23)
    assert registers >= 24
    [(count, text)] = told(street)
    assert count >= 1 and text == LEFT_OUT
    left_out = street.device.module.parts.memory.lists.profile_left_out
    assert left_out == {"1": len(street.journal)}


def test_one_interval_with_a_fraction_is_left_out_and_all_others_are_reported() -> None:
    street = begun()
    street.run(2 * HOUR_S)
    spoiled(street, lambda octets, shape: put(octets, shape, 0, 1, FRACTION))
    street.provision(SCHEDULES=schedules(schedule(TABLES=[23], JITTER_S=0)))
    street.run(3 * HOUR_S)
    sequences = [sequence for sequence, _, _ in street.host.intervals()]
    assert len(sequences) == len(street.journal) - 1
    assert told(street) == [(1, LEFT_OUT)]


def test_a_ring_that_began_anew_is_told_of_again() -> None:
    street = begun()
    spoiled(street, everything(FRACTION))
    street.provision(SCHEDULES=schedules(schedule(JITTER_S=0)))
    street.run(2 * HOUR_S)
    street.device.module.parts.memory.lists.begin_profile_anew(1)
    street.run(2 * HOUR_S)
    assert [text for _, text in told(street)] == [LEFT_OUT] * 2


def test_what_was_left_out_of_a_report_does_not_part_the_gap_that_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where every few intervals one is left out the list of gaps would be full at once."""
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 4)
    monkeypatch.setattr("smartmeter.ssi.memory.MAX_GAPS", 6)
    street = begun()

    def odd_ones(octets: bytearray, shape: ProfileShape) -> None:
        for block in range(shape.blocks):
            for index in range(shape.intervals):
                at = shape.interval(block * shape.block_octets, index) + shape.status_octets
                if octets[at + len(FRACTION) - 1] % 2:
                    octets[at : at + len(FRACTION)] = FRACTION

    spoiled(street, odd_ones)
    street.provision(SCHEDULES=schedules(schedule(KIND=ScheduleKind.HOURLY)))
    street.run(HOUR_S)
    street.host.refusing = True
    street.run(6 * HOUR_S)
    raise_alarms(street, 12)
    parts = street.device.module.parts
    assert parts.memory.lists.profile_gaps and parts.memory.reports_dropped >= 6
    street.host.refusing = False
    street.run(4 * HOUR_S)
    sequences = [sequence for sequence, _, _ in street.host.intervals()]
    whole = [one.sequence for one in street.journal if not one.values[0] % 2]
    assert len(whole) - 4 <= len(sequences) < len(street.journal) - 8
    assert sorted(sequences) == whole[: len(sequences)]
    assert ModuleAlarm.GAP not in [one["CODE"] for one in street.host.parts(SsiTable.ALARM)]
