"""The load models against what is published of real loads, and exact sums over any time.

Houses: the United States' average is 10,500 kWh a year (EIA, residential
customers, 2021 to 2023), about 29 kWh a day, most in the evening; a house of
this size peaks at 5 to 15 kW, a load factor of 0.1 to 0.4.  Power factors of
houses lie above 0.9, of factories with motors above 0.7.
"""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartmeter.meter.light import LightMeters
from smartmeter.meter.loads import SERVICES, Flow, flow_at
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.program import program_of
from smartmeter.meter.quantities import (
    INSTANTANEOUS,
    PF_APPARENT,
    PF_PHASOR,
    Unit,
    quadrant,
    rate_of,
)
from tests.smartmeter.meter.bench import EPOCH_US, MINUTE_US, Bench

DAY = 1440
FIRST_DAY = EPOCH_US // MINUTE_US // DAY
HOUSES = [seed for seed in range(1, 400) if seed % 3]  # without photovoltaics


def day_of(meters: LightMeters, day: int) -> None:
    meters.minute = (FIRST_DAY + day) * DAY
    meters.advance(DAY)


def test_houses_use_what_houses_use_and_most_of_it_in_the_evening() -> None:
    meters = LightMeters(HOUSES, FIRST_DAY * DAY)
    days = range(0, 365, 92)
    quarters = np.zeros((96, len(HOUSES)))
    for day in days:
        day_of(meters, day)
        quarters += meters.profile_wh
    kwh_a_day = meters.energy_wh[0] / 1000 / len(days)
    assert 25 < kwh_a_day.mean() < 34
    assert np.percentile(kwh_a_day, 5) > 8 and np.percentile(kwh_a_day, 95) < 75
    by_hour = quarters.sum(axis=1).reshape(24, 4).sum(axis=1)
    assert by_hour[17:22].mean() > 1.4 * by_hour[2:6].mean()
    mean_w, peak_w = kwh_a_day * 1000 / 24, meters.max_demand_w
    load_factor = mean_w / peak_w
    assert 0.1 < np.median(load_factor) < 0.4
    assert 3_000 < np.median(peak_w) < 15_000


def test_a_roof_in_three_feeds_in_by_day_and_never_by_night() -> None:
    meters = LightMeters(range(3, 300, 3), FIRST_DAY * DAY)
    day_of(meters, 170)
    assert (meters.energy_wh[1] > 0).mean() > 0.8
    for minute in range(0, 5 * 60, 17):
        assert sum(flow_at(3, (FIRST_DAY + 170) * DAY + minute).power_w) > 0


def test_phases_are_unequal_within_bounds_and_power_factors_are_those_of_the_trade() -> None:
    for kind, least in (("house", 0.9), ("shop", 0.85), ("factory", 0.7)):
        factors, shares = [], []
        for minute in range(0, DAY, 13):
            flow = flow_at(5, (FIRST_DAY + 2) * DAY + minute, kind, "4WY")
            watts, var = sum(flow.power_w), sum(flow.reactive_var)
            factors.append(abs(watts) / math.hypot(watts, var))
            shares += [abs(w) / abs(watts) for w in flow.power_w if abs(watts) > 100]
        assert np.median(factors) > least, kind
        assert min(shares) > 0.15 and max(shares) < 0.55, kind
        assert max(shares) - min(shares) > 0.02, "no service is balanced"


def test_voltages_stay_in_the_band_of_ansi_c84() -> None:
    for kind in ("house", "shop", "factory"):
        for service, grid in SERVICES.items():
            for minute in range(0, DAY, 37):
                flow = flow_at(9, (FIRST_DAY + 30) * DAY + minute, kind, service)
                for volts in flow.millivolts:
                    # Range B: -8.3 to +5.8 percent at the service.
                    assert 0.917 < volts / 1000 / grid.volts < 1.058


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.integers(1, 10**12))
def test_ten_years_in_any_parts_count_what_they_count_at_once(spans: list[int], rate: int) -> None:
    """Counts of parts add up to the count of the whole: no part is rounded away, ever."""
    source = program_of(Bench(PROFILES["commercial"]).meter.images).sources[0]
    ten_years_us = 10 * 366 * 86_400 * 10**6
    total = counted = 0
    for span in (*spans, ten_years_us):
        before = source.count(total)
        total += rate * span
        counted += source.count(total) - before
    exact = Fraction(rate * (sum(spans) + ten_years_us), 3_600_000_000) / source.weight
    assert counted == source.count(total) == math.floor(exact)


def test_a_power_factor_is_of_a_phase_or_of_the_whole_service_by_either_sum_of_its_phases() -> None:
    flow = Flow((300, 300), (400, 0), (120_000, 120_000))
    whole, first, second, missing = 0, 5, 6, 7

    def of(quantity: int, segmentation: int) -> int:
        return rate_of(Unit(quantity, INSTANTANEOUS, segmentation=segmentation))(flow)

    for quantity in (PF_APPARENT, PF_PHASOR):
        assert [of(quantity, one) for one in (first, second, missing)] == [600, 1000, 0]
    assert of(PF_APPARENT, whole) == 600 * 1000 // (500 + 300)
    assert of(PF_PHASOR, whole) == 600 * 1000 // math.isqrt(600**2 + 400**2)


def test_what_does_not_flow_is_delivered() -> None:
    flows = ((0, 0), (0, -1), (-1, 0), (-1, -1))
    assert [quadrant(watts, var) for watts, var in flows] == [1, 4, 2, 3]
