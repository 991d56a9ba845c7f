"""What a monitor watches, by name: numbers, bits among other bits, and what cannot be compared."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables.ssi_tables import Condition
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.conditions import Watched
from smartmeter.ssi.extremes import SLICES, Extremes
from smartmeter.ssi.memory import Seen
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.table_monitor import Span, TableMonitor
from tests.smartmeter.ssi.host import Street, monitor

S = US_PER_S


@cache
def meter_of(profile: str = "residential") -> MeterContext:
    street = Street(meter=MeterSettings(profile=PROFILES[profile]))
    street.run(10)
    meter = street.device.module.meter
    assert meter is not None
    return meter


def bound(profile: str = "residential", memory: Seen | None = None, **changes: Any) -> TableMonitor:
    memory = memory or Seen()
    one = TableMonitor(memory)
    configure(one, monitor(**changes), profile=profile)
    return one


def configure(one: TableMonitor, *monitors: dict[str, Any], profile: str = "residential") -> None:
    meter = meter_of(profile)
    one.configure(monitors, meter.context, meter.images, 0)


def raised(one: TableMonitor, *looks: tuple[int, bytes]) -> list[bool]:
    """Judge octets as they were read at some seconds; give for each whether it was told."""
    span = one.due(1 << 40)[0]
    return [bool(one.judge([(span, octets)], second * S)) for second, octets in looks]


def test_a_bit_of_a_bit_field_is_watched_by_the_fields_name() -> None:
    status = {"TABLE": 3, "PATH": "ED_STD_STATUS1"}
    one = bound(**status, CONDITION=Condition.BIT_SET, THRESHOLD=9)
    assert one.faults == []
    assert raised(one, (0, b"\0\0"), (1, b"\0\1"), (2, b"\0\2")) == [False, False, True]
    whole = bound(**status, CONDITION=Condition.EQUAL, THRESHOLD=0x0201)
    assert raised(whole, (0, b"\0\0"), (1, b"\1\2")) == [False, True]


@pytest.mark.parametrize("condition", [Condition.CHANGED, Condition.SILENT])
def test_a_member_of_a_bit_field_is_not_changed_by_its_neighbours(condition: Condition) -> None:
    season = {"TABLE": 55, "PATH": "STATUS.SEASON", "WINDOW_S": 60}
    one = bound(**season, CONDITION=condition)
    (span,) = one.due(0)
    assert span == Span(55, 7, 2)
    tier, winter = b"\1\0", b"\1\x10"  # SEASON in the bits 12 to 15
    told = raised(one, (0, b"\0\0"), (50, tier), (70, tier), (80, winter))
    assert told == ([False, False, False, True] if condition is Condition.CHANGED else
                    [False, False, True, True])  # fmt: skip


def test_a_bit_that_its_field_does_not_have_is_a_fault() -> None:
    for path in ("ED_MODE.NO_SUCH_FLAG", "ED_MODE.METERING_FLAG.METERING_FLAG"):
        (fault,) = bound(TABLE=3, PATH=path).faults
        assert "no such" in fault and path in fault


@pytest.mark.parametrize(
    ("table", "path"), [(23, "TOT_DATA_BLOCK"), (52, "CLOCK_CALENDAR"), (23, "NO_SUCH")]
)
def test_what_is_no_number_cannot_be_compared_and_is_a_fault(table: int, path: str) -> None:
    (fault,) = bound(TABLE=table, PATH=path, CONDITION=Condition.ABOVE).faults
    assert path in fault


@pytest.mark.parametrize(
    ("table", "path"),
    [
        (23, "TIER_DATA_BLOCK.1.SUMMATIONS.1"),
        (23, "TIER_DATA_BLOCK.0.DEMANDS.0.CUM_DEMAND"),
        (23, "TOT_DATA_BLOCK.COINCIDENTS.0.COINCIDENT_VALUES.0"),
        (24, "PREV_SEASON_REG_DATA.TOT_DATA_BLOCK.SUMMATIONS.1"),
        (25, "PREV_DEMAND_RESET_DATA.TIER_DATA_BLOCK.0.DEMANDS.0.DEMAND.0"),
        (26, "SELF_READS_ENTRIES.0.SELF_READ_REGISTER_DATA.TOT_DATA_BLOCK.SUMMATIONS.1"),
    ],
)
def test_every_register_is_compared_in_its_unit(table: int, path: str) -> None:
    what = {"SCALED": 1, "CONDITION": Condition.ABOVE}
    assert bound("industrial", TABLE=table, PATH=path, **what).faults == []
    (fault,) = bound("industrial", TABLE=23, PATH="NBR_DEMAND_RESETS", **what).faults
    assert "unit" in fault


def test_octets_that_mean_no_number_are_no_value_of_zero() -> None:
    sums = {"TABLE": 23, "PATH": "TOT_DATA_BLOCK.SUMMATIONS.0"}
    one = bound("bcd-1997", **sums, CONDITION=Condition.BELOW, THRESHOLD=10)
    assert raised(one, (0, b"\xee" * 6), (1, b"\0\0\0\0\0\5")) == [False, True]


def test_a_number_that_the_meter_writes_as_text_is_compared() -> None:
    sums = {"TABLE": 23, "PATH": "TOT_DATA_BLOCK.SUMMATIONS.0", "SCALED": 1}
    one = bound("unusual", **sums, CONDITION=Condition.ABOVE, THRESHOLD=99)
    assert one.faults == []
    texts = (b"          99", b"         100", bytes(12), b"         099")
    assert raised(one, *enumerate(texts)) == [False, True, False, True]


def test_a_change_is_told_when_it_has_lasted_and_is_large_enough() -> None:
    one = bound(MIN_DURATION_MS=5000, HYSTERESIS=2)
    looks = [(0, 10), (1, 20), (2, 10), (3, 12), (20, 12), (21, 13), (25, 14), (26, 14), (40, 14)]
    told = raised(one, *((second, bytes([value])) for second, value in looks))
    assert [looks[n][0] for n, one in enumerate(told) if one] == [26]


def test_each_change_of_a_condition_must_last_also_one_right_after_the_other() -> None:
    one = bound(CONDITION=Condition.ABOVE, THRESHOLD=9, MIN_DURATION_MS=3000)
    low, high = b"\5", b"\x14"
    looks = [(0, high), (3, high), (4, low), (7, low), (8, high), (9, low), (10, low)]
    assert raised(one, *looks) == [False, True, False, True, False, False, False]


def test_a_silence_that_was_told_is_not_over_because_the_module_starts_anew() -> None:
    silent = {"CONDITION": Condition.SILENT, "WINDOW_S": 60}
    memory = Seen()
    assert raised(bound(memory=memory, **silent), (0, b"\5"), (61, b"\5")) == [False, True]
    again = bound(memory=Seen(**json.loads(json.dumps(vars(memory)))), **silent)
    assert raised(again, (0, b"\5"), (30, b"\5"), (61, b"\5")) == [False, False, False]
    assert raised(again, (70, b"\6"), (131, b"\6")) == [True, True], "over, and silent again"
    assert raised(bound(memory=memory, **silent), (0, b"\7")) == [True]


def test_a_rate_that_was_told_is_over_after_a_restart_when_its_window_is() -> None:
    rate = {"CONDITION": Condition.RATE, "THRESHOLD": 9, "WINDOW_S": 60}
    memory = Seen()
    assert raised(bound(memory=memory, **rate), (0, b"\5"), (10, b"\x20")) == [False, True]
    again = bound(memory=memory, **rate)
    looks = [(20, b"\x20"), (79, b"\x20"), (81, b"\x20"), (90, b"\5")]
    assert raised(again, *looks) == [False, False, True, True]


def test_a_monitor_that_watches_something_else_now_knows_nothing_of_what_was() -> None:
    memory = Seen()
    assert raised(bound(memory=memory), (0, b"\5")) == [False]
    other = bound(memory=memory, PATH="", OFFSET=1, WIDTH=2)
    assert raised(other, (0, b"\6\6"), (1, b"\6\7")) == [False, True]


def test_a_configuration_that_leaves_a_monitor_as_it_is_leaves_its_windows() -> None:
    silent = {"CONDITION": Condition.SILENT, "WINDOW_S": 60}
    one = bound(**silent)
    assert raised(one, (0, b"\5"), (40, b"\5")) == [False, False]
    configure(one, monitor(**silent), monitor(2, TABLE=28))
    assert raised(one, (61, b"\5")) == [True]


def test_equal_with_hysteresis_ends_when_it_is_left_behind() -> None:
    one = Watched(monitor(CONDITION=Condition.EQUAL, THRESHOLD=5, HYSTERESIS=1), {})
    assert one.holds(5, False, 0) and one.holds(6, True, 0)
    assert not one.holds(6, False, 0) and not one.holds(7, True, 0)


def test_a_slow_rise_is_a_rate_however_often_it_is_looked_at() -> None:
    one = Watched(monitor(CONDITION=Condition.RATE, THRESHOLD=500, WINDOW_S=600), {})
    for second in range(1500):
        value = max(0, second - 500) * 9 // 10  # 540 in ten minutes
        one.saw(b"", value, second * S)
        if one.holds(value, False, second * S):
            break
    assert 1050 < second < 1070


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(-50, 50)), min_size=1, max_size=150))
def test_the_extremes_of_a_window_are_those_of_all_that_was_seen(
    steps: list[tuple[int, int]],
) -> None:
    window, now, value, seen = 6400, 0, 0, []
    one = Extremes(window)
    for step, change in steps:
        now, value = now + step, value + change
        seen.append((now, value))
        one.saw(value, now)
        inside, surely = (
            max(abs(value - old) for at, old in seen if at >= now - width)
            for width in (window, window - window // SLICES)
        )
        assert surely <= one.farthest(value, now) <= inside
    assert len(one) <= SLICES + 1
