"""The meter agrees with the slow reference model over random histories, by seed.

A history is drawn: running, outages, kills, clock sets, demand resets and
self-reads, seasons by command, test mode, lists acknowledged and emptied,
recording stopped and started, trouble on the line, the service switch, and
reprogramming of eight tables, two of them also pending, over dates with tiers,
seasons and daylight saving.  After each step registers, tiers, demands,
coincident values, what was kept of earlier registers, every interval of the
load profile and every entry of both logs must be the same in meter and
reference.
"""

import math

import pytest

from smartmeter.meter.profiles import PROFILES, profile_named
from tests.smartmeter.meter.bench import HOUR_US, MINUTE_US, Bench
from tests.smartmeter.meter.reference import STARTS
from tests.smartmeter.meter.reference_history import Pair, agree


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_drawn_history_ends_the_same_in_meter_and_reference(name: str) -> None:
    agree(PROFILES[name], 1, STARTS[len(name) % len(STARTS)], 12)


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_device_agrees_with_the_reference(seed: int) -> None:
    agree(profile_named("random", seed), seed, STARTS[seed], 8)


@pytest.mark.parametrize("name", ["bcd-1997", "industrial"])
def test_a_zone_that_moves_the_boundaries_breaks_what_was_running(name: str) -> None:
    pair = Pair(PROFILES[name], 1, STARTS[0])
    for zone_min in (345, -420, 352, 0):
        pair.wait(4_000)
        pair.write(53, pair.bench.snapshot()[53] | {"TIME_ZONE_OFFSET": zone_min})
        for _ in range(5):
            pair.wait(701)
            pair.compare()
        assert zone_min == pair.bench.snapshot()[53].TIME_ZONE_OFFSET


@pytest.mark.night
@pytest.mark.parametrize("name", list(PROFILES))
def test_a_year_of_history_ends_the_same_in_meter_and_reference(name: str) -> None:
    agree(PROFILES[name], 100, STARTS[4], 250, long=True)


@pytest.mark.night
def test_many_short_histories_end_the_same() -> None:
    for seed in range(40):
        for profile in PROFILES.values():
            agree(profile, 1000 + seed, STARTS[seed % len(STARTS)], 25)
        agree(profile_named("random", seed), seed, STARTS[seed % len(STARTS)], 25)


def test_thermal_demand_reaches_ninety_percent_of_a_step_in_its_interval() -> None:
    from smartmeter.meter.demand import THERMAL_SCALE, thermal_factor

    for length in (5, 15, 30, 60):
        shown = 0
        for _ in range(length):
            shown += (1000 * THERMAL_SCALE - shown) * thermal_factor(length) // THERMAL_SCALE
        assert math.isclose(shown / THERMAL_SCALE, 900, abs_tol=0.01)


def test_thermal_demand_falls_to_a_tenth_in_an_interval_length_without_power() -> None:
    bench = Bench(PROFILES["industrial"])
    bench.wait(12 * HOUR_US)
    (number, meter), *_ = [
        (number, meter)
        for number, meter in bench.meter.metering.demands.items()
        if meter.control.thermal
    ]
    before = meter.present(0)
    bench.meter.mains(False, bench.now_us)
    bench.now_us += meter.control.length_min * MINUTE_US
    bench.start()
    after = bench.meter.metering.demands[number].present(0)
    assert before > 1000 and math.isclose(after, before / 10, abs_tol=1)
    assert bench.meter.metering.value_now(number) == after
