"""Each trouble has its flag, its event and its effect; the service switch keeps its rules."""

from dataclasses import replace
from typing import Any

import pytest

from smartmeter.base.clock import Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.service_switch import REST_S
from smartmeter.meter.trouble import EFFECTS, Trouble
from tests.smartmeter.meter.bench import EPOCH_US, HOUR_US, MINUTE_US, Bench, codes, run

TOU, COMMERCIAL, INDUSTRIAL = (PROFILES[n] for n in ("residential-tou", "commercial", "industrial"))


@pytest.mark.parametrize("kind", list(Trouble))
def test_a_trouble_sets_its_flag_and_is_an_event(kind: Trouble) -> None:
    bench = Bench(TOU)
    bench.wait(MINUTE_US)
    bench.meter.inject(kind, bench.now_us)
    effect = EFFECTS[kind]
    status = bench.snapshot()[3].ED_STD_STATUS1
    assert [name for name, bit in status.items() if bit] == [effect.flag] * bool(effect.flag)
    logged = [effect.begins]
    assert codes(bench) == logged
    bits = {effect.mfg_bit} - {None}
    assert bits == bench.snapshot()[3].ED_MFG_STATUS
    bench.start()  # all are in non-volatile memory
    assert bits == bench.snapshot()[3].ED_MFG_STATUS
    assert status == bench.snapshot()[3].ED_STD_STATUS1 and codes(bench) == logged


def test_a_lost_phase_takes_its_voltage_and_its_share_of_the_energy() -> None:
    whole, lame = Bench(COMMERCIAL), Bench(COMMERCIAL)
    lame.meter.inject("phase-loss", 0, phase=1)
    for bench in (whole, lame):
        bench.wait(HOUR_US)
    values = lame.snapshot()[28].PRESENT_VALUE
    assert values[0] > 20_000 and values[1] == 0 and values[4] == 0
    used = [b.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[0] for b in (whole, lame)]
    assert 0.5 * used[0] < used[1] < 0.8 * used[0]


def test_sags_and_swells_are_counted_and_move_the_voltage() -> None:
    bench = Bench(INDUSTRIAL)
    nominal = bench.snapshot()[28].PRESENT_VALUE[0]
    bench.meter.inject("sag", bench.now_us, percent=50)
    assert 0.45 < bench.snapshot()[28].PRESENT_VALUE[0] / nominal < 0.55
    bench.meter.relieve("sag", bench.now_us)
    bench.meter.inject("swell", bench.now_us)
    values = bench.snapshot()[28].PRESENT_VALUE
    assert values[0] > 1.15 * nominal
    assert values[5:7] == [1, 1]  # sags, swells


def test_reversed_wires_count_in_the_other_direction() -> None:
    bench = Bench()
    bench.wait(2 * HOUR_US)
    before = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    bench.meter.inject("reverse-energy", bench.now_us)
    bench.wait(2 * HOUR_US)
    after = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert after[0] == before[0] and after[1] > before[1]


def test_a_demand_over_the_limit_is_an_overload_once_until_it_is_less_again() -> None:
    bench = Bench(replace(COMMERCIAL, overload_w=1))
    bench.wait(30 * HOUR_US)
    shown = bench.snapshot()
    assert shown[3].ED_STD_STATUS1.DEMAND_OVERLOAD_FLAG == 1
    assert codes(bench).count(EventCode.DEMAND_OVERLOAD) == 1, "it never was less"
    below = Bench(replace(COMMERCIAL, overload_w=200_000))
    below.wait(30 * HOUR_US)
    assert below.snapshot()[3].ED_STD_STATUS1.DEMAND_OVERLOAD_FLAG == 0
    assert EventCode.DEMAND_OVERLOAD not in codes(below)


def test_an_injected_overload_is_three_times_the_load() -> None:
    whole, heavy = Bench(COMMERCIAL), Bench(COMMERCIAL)
    heavy.meter.inject("demand-overload", 0)
    for bench in (whole, heavy):
        bench.wait(HOUR_US)
    used = [b.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[0] for b in (whole, heavy)]
    assert abs(used[1] - 3 * used[0]) <= 3


def test_an_outage_with_an_empty_battery_stops_the_clock() -> None:
    bench = Bench()
    bench.meter.inject("low-battery", bench.now_us)
    bench.wait(HOUR_US)
    before = bench.snapshot()[52].CLOCK_CALENDAR.value
    bench.meter.mains(False, bench.now_us)
    bench.now_us += 5 * HOUR_US
    bench.meter.mains(True, bench.now_us)
    tables = bench.snapshot()
    assert tables[52].CLOCK_CALENDAR.value == before
    assert tables[3].ED_STD_STATUS1.CLOCK_ERROR_FLAG == 1


def test_nothing_flows_in_an_outage_whoever_looks() -> None:
    bench, alone = Bench(), Bench()
    for each in (bench, alone):
        each.wait(HOUR_US)
        each.meter.mains(False, each.now_us)
        each.now_us += 3 * HOUR_US
    bench.meter.table(23, bench.now_us)
    bench.meter.inject("tamper", bench.now_us)
    for each in (bench, alone):
        each.meter.mains(True, each.now_us)
        each.wait(HOUR_US)
    assert bench.snapshot()[23] == alone.snapshot()[23]
    assert bench.book == alone.book


@pytest.mark.parametrize("moved_h", [-5, 50])
def test_an_outage_in_which_the_clock_is_set_lasts_as_long_as_it_does(moved_h: int) -> None:
    bench, plain = Bench(INDUSTRIAL), Bench(INDUSTRIAL)
    thermal = []
    for each in (bench, plain):
        each.wait(HOUR_US)
        each.meter.mains(False, each.now_us)
        each.now_us += HOUR_US // 4
        if each is bench:
            moved_us = bench.meter.clock.utc_us(bench.now_us) + moved_h * HOUR_US
            bench.meter.set_clock(moved_us, bench.now_us)
        each.meter.mains(True, each.now_us)
        thermal.append([meter.state.thermal for meter in each.meter.metering.demands.values()])
    assert thermal[0] == thermal[1] and any(thermal[0])
    assert bench.snapshot()[23].TOT_DATA_BLOCK == plain.snapshot()[23].TOT_DATA_BLOCK


def test_a_thermal_demand_does_not_grow_by_a_clock_that_went_back_before_the_outage() -> None:
    bench = Bench(INDUSTRIAL)
    bench.wait(2 * HOUR_US)
    bench.meter.mains(False, bench.now_us)
    before = [meter.state.thermal for meter in bench.meter.metering.demands.values()]
    bench.calendar = Calendar(EPOCH_US - 10**6 * HOUR_US)
    bench.start()
    assert [meter.state.thermal for meter in bench.meter.metering.demands.values()] == before


@pytest.mark.parametrize(
    "wrong",
    # The plain meter is on two phases.
    [
        ("fire", None, None),
        ("sag", 2, None),
        ("sag", None, 95),
        ("swell", None, 100),
        ("demand-overload", None, 201),
        ("sag", None, -1),
        ("sag", None, "half"),
    ],
)
def test_a_trouble_that_is_none_is_refused_with_a_remedy(wrong: tuple[str, Any, Any]) -> None:
    bench = Bench()
    with pytest.raises(SettingsError) as caught:
        bench.meter.inject(wrong[0], 0, wrong[1], wrong[2])
    assert caught.value.remedy
    assert bench.snapshot()[3].ED_STD_STATUS1.LOW_LOSS_POTENTIAL_FLAG == 0


def control(bench: Bench, level: int, seconds: int = 0) -> int:
    """Run procedure 21; gives the result code."""
    bench.wait((REST_S + 1) * 1_000_000)
    hours, rest = divmod(seconds, 3600)
    order = bytes((21, 0, 1, level, 1, hours, rest // 60, rest % 60))
    bench.meter.write_table(7, order, bench.now_us)
    return bench.meter.table(8, bench.now_us)[3]


def position(bench: Bench) -> frozenset[int]:
    return bench.snapshot()[3].ED_MFG_STATUS


def test_a_disconnected_service_uses_nothing_and_closes_only_by_command_and_button() -> None:
    bench = Bench(TOU)
    bench.wait(HOUR_US)
    assert control(bench, 0) == 0 and position(bench) == {0}
    before = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert not bench.meter.press_button(bench.now_us)
    bench.wait(HOUR_US)
    bench.meter.mains(False, bench.now_us)
    bench.now_us += HOUR_US
    bench.start()
    assert position(bench) == {0}
    assert before == bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert control(bench, 100) == 0 and position(bench) == {0, 1}
    bench.wait(HOUR_US)
    assert before == bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert bench.meter.press_button(bench.now_us) and position(bench) == frozenset()
    bench.wait(HOUR_US)
    assert bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[0] > before[0]
    moved = [code for code in codes(bench) if code in (49, 51)]
    assert moved == [49, 49, 51]


def test_a_switch_does_not_close_onto_foreign_voltage_and_rests_between_moves() -> None:
    bench = Bench(TOU)
    assert control(bench, 0) == 0
    bench.meter.inject("load-side-voltage", bench.now_us)
    assert control(bench, 100) == 3 and position(bench) == {0, 3}
    bench.meter.relieve("load-side-voltage", bench.now_us)
    assert control(bench, 100) == 0 and bench.meter.press_button(bench.now_us)
    bench.meter.write_table(7, bytes((21, 0, 1, 0, 1, 0, 0, 0)), bench.now_us)
    assert bench.meter.table(8, bench.now_us)[3] == 4
    assert control(bench, 50) == 2


def test_a_timed_disconnection_arms_itself_when_the_time_is_over() -> None:
    bench = Bench(TOU)
    assert control(bench, 0, seconds=1800) == 0
    bench.wait(29 * MINUTE_US)
    assert position(bench) == {0}
    bench.wait(MINUTE_US)
    assert position(bench) == {0, 1}


def test_a_later_disconnection_says_how_long_it_holds() -> None:
    bench = Bench(TOU)
    assert control(bench, 0, seconds=600) == 0
    assert control(bench, 0) == 0  # for good
    bench.wait(HOUR_US)
    assert position(bench) == {0}
    assert control(bench, 0, seconds=600) == 0
    bench.wait(HOUR_US)
    assert position(bench) == {0, 1}


def test_a_timed_disconnection_waits_while_somebody_feeds_in() -> None:
    bench = Bench(TOU)
    assert control(bench, 0, seconds=600) == 0
    bench.meter.inject("load-side-voltage", bench.now_us)
    bench.wait(HOUR_US)
    assert position(bench) == {0, 3}
    due_us = bench.meter.deadline_us()
    assert due_us is not None and due_us > bench.now_us
    bench.meter.relieve("load-side-voltage", bench.now_us)
    bench.wait(MINUTE_US)
    assert position(bench) == {0, 1, 3}


def test_a_clock_that_is_set_moves_neither_rest_nor_timed_disconnection() -> None:
    bench = Bench(TOU)
    assert control(bench, 0, seconds=7200) == 0
    for hours in (5, -30):
        utc_us = bench.meter.clock.utc_us(bench.now_us)
        bench.meter.set_clock(utc_us + hours * HOUR_US, bench.now_us)
        bench.wait(30 * MINUTE_US)
        assert position(bench) == {0}
    bench.wait(HOUR_US)
    assert position(bench) == {0, 1}
    assert bench.meter.press_button(bench.now_us)


def test_a_meter_without_a_switch_does_not_know_the_procedure() -> None:
    assert run(Bench(COMMERCIAL), 21, {"LEVEL": 0, "CONTROL_POINTS": {0}, "DURATION": None})[0] == 6
    assert EventCode.CONTROL_POINT_CHANGED_COMMAND == 49
