"""Houses, shops and factories as a statistician sees them, against what is published of real ones.

* EIA, form 861, average monthly consumption by state, 1999: commercial customers 3,516 to 9,762 kWh
  (New Hampshire, Maryland), industrial ones 37,942 to 643,356 (Rhode Island, Illinois).
* EIA, Electric Power Monthly, table 5.1, 2022: sales to households in January, April, July and
  October were 141, 97, 164 and 100 TWh.
* *Electrical and Production Load Factors* (Texas A&M, from the database of the U.S. Industrial
  Assessment Centers): plants work 40, 80, 120 or 168 hours a week, and their load factor goes from
  about 0.4 with one shift to about 0.7 around the clock.
* Load factors of shops are 0.4 to 0.6, of single shifts 0.25 to 0.4, of three 0.7 to 0.9
  (glossary of Heaven Green Energy).
* PVWatts by state (solar-estimate.org): 2.9 to 4.7 kWh a day for each kW; Fort Worth's December
  has 0.64 of its July's sun, places further north less.
* Electric cars at home: 2,363 kWh a year (EIA, Residential Energy Consumption Survey 2020); 12 to
  13 times and 200 to 250 kWh a month (Sagewell, customers' chargers).
* ANSI C84.1: voltages of a service unbalanced by 3 percent at most.

What a shop or a one-shift plant takes at night, and power factors, are from memory: a tenth to a
third of the peak; 0.9 and more in shops, 0.8 and more in plants with capacitors.
"""

from functools import cache

import numpy as np
import pytest

from smartmeter.meter.light import ARRAYS
from smartmeter.meter.loads import MODELS, flow_at, rated_w
from tests.smartmeter.meter.bench import EPOCH_US, MINUTE_US

DAY = 1440
#: 1 January 2026, a Thursday; and the days from Monday on of a week in winter and in summer.
FIRST = EPOCH_US // MINUTE_US // DAY
WEEKS = (*range(18, 25), *range(193, 200))
STEP, HOURS_A_MONTH = 15, 730
SEEDS = np.arange(1, 90)
JANUARY, APRIL, JULY, OCTOBER, DECEMBER = 15, 105, 196, 288, 349


@cache
def sampled(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Give W and var, each as (day of WEEKS, quarter of an hour, seed)."""
    draw_day, draw_minute = MODELS[kind]
    found = []
    for day in WEEKS:
        drawn = draw_day(ARRAYS, SEEDS, FIRST + day)
        for at in range(0, DAY, STEP):
            found.append(draw_minute(ARRAYS, SEEDS, FIRST + day, at, drawn))
    shape = len(WEEKS), DAY // STEP, len(SEEDS)
    watts, var = zip(*found, strict=True)
    return np.array(watts).reshape(shape), np.array(var).reshape(shape)


def load_factors(kind: str) -> np.ndarray:
    watts, _ = sampled(kind)
    return watts.mean(axis=(0, 1)) / watts.max(axis=(0, 1))


def by_weekday(kind: str) -> tuple[float, float, float]:
    """Give means of a weekday, of Saturday and of Sunday."""
    days = sampled(kind)[0].mean(axis=(1, 2)).reshape(2, 7).mean(axis=0)
    return float(days[:5].mean()), float(days[5]), float(days[6])


def shifts() -> np.ndarray:
    begins, ends, *_ = MODELS["factory"][0](ARRAYS, SEEDS, FIRST)
    return (ends - begins) // 480


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("shop", 3_516, 9_762), ("factory", 37_942, 643_356)]
)
def test_customers_use_what_their_kind_uses_in_a_month(kind: str, low: int, high: int) -> None:
    kwh = sampled(kind)[0].mean(axis=(0, 1)) * HOURS_A_MONTH / 1000
    assert low < np.median(kwh) < high
    assert np.percentile(kwh, 90) > 1.3 * np.percentile(kwh, 10), "no two are alike"


def test_shops_have_the_load_factor_of_shops_and_are_closed_on_sundays() -> None:
    factors = load_factors("shop")
    assert 0.35 < np.median(factors) < 0.6
    assert factors.min() > 0.25 and factors.max() < 0.75
    weekday, saturday, sunday = by_weekday("shop")
    assert 0.9 < saturday / weekday < 1.1
    assert 0.2 < sunday / weekday < 0.75


def test_load_factors_of_factories_grow_with_their_shifts_and_weekends_are_quiet() -> None:
    factors, worked = load_factors("factory"), shifts()
    one, two, three = (np.median(factors[worked == n]) for n in (1, 2, 3))
    assert 0.25 < one < 0.5 < two < 0.7 < three < 0.9
    weekday, saturday, sunday = by_weekday("factory")
    assert 0.4 < saturday / weekday < 0.8
    assert 0.95 < saturday / sunday < 1.05


@pytest.mark.parametrize("kind", ["shop", "factory"])
def test_what_is_closed_still_takes_a_tenth_to_a_third_of_its_peak(kind: str) -> None:
    watts, _ = sampled(kind)
    closed = watts[:, : 4 * 60 // STEP]  # the hours before four
    base = closed.mean(axis=(0, 1)) / watts.max(axis=(0, 1))
    if kind == "factory":
        base = base[shifts() == 1]
    assert 0.1 < np.median(base) < 0.33


@pytest.mark.parametrize(("kind", "least"), [("house", 0.9), ("shop", 0.9), ("factory", 0.8)])
def test_power_factors_over_time_are_those_of_the_trade(kind: str, least: float) -> None:
    watts, var = (np.abs(each).sum(axis=(0, 1)) for each in sampled(kind))
    factor = watts / np.hypot(watts, var)
    assert factor.min() > least and factor.max() < 0.999


def test_houses_use_most_in_july_and_january_and_least_between() -> None:
    draw_day, draw_minute = MODELS["house"]
    used = {}
    for day in (JANUARY, APRIL, JULY, OCTOBER):
        drawn = draw_day(ARRAYS, SEEDS, FIRST + day)
        without_sun = (*drawn[:7], 0 * SEEDS, *drawn[8:])
        minutes = range(0, DAY, 7)
        used[day] = np.mean(
            [draw_minute(ARRAYS, SEEDS, FIRST + day, at, without_sun)[0] for at in minutes]
        )
    low, high = used[APRIL] + used[OCTOBER], used[JANUARY] + used[JULY]
    assert max(used[APRIL], used[OCTOBER]) < min(used[JANUARY], used[JULY])
    assert 1.2 < high / low < 2.5  # 1.55 in 2022


def made_wh(day: int) -> np.ndarray:
    """Give what the roofs of the houses made on a day."""
    draw_day, draw_minute = MODELS["house"]
    drawn = draw_day(ARRAYS, SEEDS, FIRST + day)
    without_sun = (*drawn[:7], 0 * SEEDS, *drawn[8:])
    made = np.zeros(len(SEEDS))
    for at in range(240, DAY - 240, 20):
        with_it, _ = draw_minute(ARRAYS, SEEDS, FIRST + day, at, drawn)
        without, _ = draw_minute(ARRAYS, SEEDS, FIRST + day, at, without_sun)
        made += (without - with_it) * 20 / 60
    return made


def test_roofs_make_what_a_kilowatt_makes_in_a_year_and_half_as_much_in_winter() -> None:
    roofs = SEEDS % 3 == 0
    days = [made_wh(day)[roofs] for day in range(15, 365, 30)]
    a_day = np.mean(days, axis=0) / rated_w(ARRAYS, SEEDS)[roofs]
    assert a_day.min() > 2.9 and a_day.max() < 4.7
    winter, summer = (sum(made_wh(day + k)[roofs].sum() for k in (0, 7)) for day in (DECEMBER, 165))
    assert 0.35 < winter / summer < 0.64


def test_cars_are_charged_at_home_as_often_and_as_much_as_cars_are() -> None:
    days = [MODELS["house"][0](ARRAYS, SEEDS, FIRST + day)[6] for day in range(365)]
    minutes = np.array(days)[:, (np.array(days) > 0).any(axis=0)]
    assert 0.05 < minutes.shape[1] / len(SEEDS) < 0.3
    kwh_a_year = minutes.sum(axis=0) / 60 * 7.2
    assert 2_000 < kwh_a_year.mean() < 3_000
    assert 12 < (minutes > 0).sum(axis=0).mean() / 12 < 13


@pytest.mark.parametrize("kind", ["shop", "factory"])
@pytest.mark.parametrize("service", ["4WY", "3WD"])
def test_voltages_of_a_service_are_unbalanced_and_by_less_than_three_percent(
    kind: str, service: str
) -> None:
    worst = 0.0
    for seed in (1, 7, 30):
        for minute in range(0, DAY, 41):
            volts = flow_at(seed, (FIRST + 20) * DAY + minute, kind, service).millivolts
            mean = sum(volts) / len(volts)
            worst = max(worst, *(abs(each - mean) / mean for each in volts))
    assert 0.003 < worst < 0.03
