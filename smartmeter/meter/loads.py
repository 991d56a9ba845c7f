"""What flows through a meter, minute by minute, as a function of a seed: our own models.

A *house* has a base load, a refrigerator, people who get up and come home,
heavy appliances, weather that heats and cools, on some roofs photovoltaics and
in some garages a car.  A *shop* has opening hours, a *factory* shifts and
motors.  Nothing is random at run time: seed and minute give the flow, in any
order of asking, so a meter can be stopped, restarted and compared.

The formulas are written for integers and for arrays of them alike: the same
lines serve one meter (``flow_at``) and thousands at once
(``smartmeter.meter.light``), and must give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_MASK = (1 << 64) - 1
MINUTES_A_DAY = 1440
#: Days of the seasons' wave, which begins in October; leap days move it by two weeks in a lifetime.
_YEAR_DAYS, _TO_JANUARY = 365, 63
#: The sun is ahead of the warmth by so many days.
_SUN_LEADS = 25

#: An integer, or an array of integers.
Number = Any
#: Gives 64 well-mixed bits of some numbers.
Mix = Callable[..., Number]


@dataclass(frozen=True, slots=True)
class Flow:
    """What flows during one minute, a phase each: W and var (delivered positive), and mV."""

    power_w: tuple[int, ...]
    reactive_var: tuple[int, ...]
    millivolts: tuple[int, ...]
    millihertz: int = 60_000


@dataclass(frozen=True)
class Service:
    """How a customer is connected: phases, and volts of a phase to neutral."""

    phases: int
    volts: int


#: Two-wire single phase, three-wire single phase, four-wire wye, three-wire delta.
SERVICES = {
    "2W1P": Service(1, 120),
    "3W1P": Service(2, 120),
    "4WY": Service(3, 277),
    "3WD": Service(3, 139),
}


def mix(*parts: int) -> int:
    """Give 64 well-mixed bits of some integers (the finaliser of splitmix64)."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state ^= state >> 27
        state = state * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


class Draws:
    """Numbers of a model, drawn by seed: ``whole`` makes a mixed word a plain number."""

    def __init__(self, mixer: Mix, whole: Callable[[Number], Number]) -> None:
        self._mix = mixer
        self._whole = whole

    def between(self, low: int, high: int, *parts: Number) -> Number:
        """Give a number from ``low`` to ``high``, both included."""
        return low + self._whole(self._mix(*parts) % (high - low + 1))


PLAIN = Draws(mix, int)

#: What one day holds; a tuple of numbers or of arrays.
Day = tuple[Number, ...]


def _wave(day: Number) -> Number:
    """Give the seasons in thousandths: -1000 in the middle of January, 1000 in that of July."""
    at = (day + _TO_JANUARY) % _YEAR_DAYS
    half = at % 183
    return half * (182 - half) * 1000 // 8281 * (1 - 2 * (at < 183))


def _weather(draws: Draws, day: Number) -> tuple[Number, Number]:
    """Give heating and cooling degrees of a day, in tenths; the wave is a parabola."""
    tenths = 100 + 150 * _wave(day) // 1000 + draws.between(-40, 40, 12, day)
    cold, hot = 150 - tenths, tenths - 180
    return cold * (cold > 0), hot * (hot > 0)


def house_day(draws: Draws, seed: Number, day: Number) -> Day:
    """Draw what a house does on one day."""
    cold, hot = _weather(draws, day)
    home = draws.between(16 * 60, 19 * 60, seed, 7, day)
    evening_w = draws.between(180, 620, seed, 8, day)
    morning_w = draws.between(60, 290, seed, 9, day)
    climate_w = (cold + 2 * hot) * draws.between(2, 14, seed, 13)
    has_car = draws.between(0, 5, seed, 14) == 0
    car = draws.between(22 * 60, 24 * 60 - 1, seed, 15, day)
    charges = draws.between(0, 11, seed, 17, day) < 5  # three nights a week
    car_min = draws.between(50, 220, seed, 16, day) * has_car * charges
    has_sun, sun = seed % 3 == 0, _wave(day + _SUN_LEADS)
    sun_min = 720 + 160 * sun // 1000
    peak_w = rated_w(draws, seed) * (875 + 125 * sun // 1000) // 1000 * has_sun
    heavy: list[Number] = []
    for number in range(4):  # kettle, oven, washing machine, iron: at their own times of day
        start = draws.between(6 * 60, 22 * 60, seed, 3, day, number)
        heavy += [start, start + draws.between(4, 55, seed, 4, day, number)]
        heavy.append(draws.between(700, 2300, seed, 5, day, number))
    base_w = draws.between(90, 310, seed, 1)
    return (base_w, home, evening_w, morning_w, climate_w, car, car_min, peak_w, sun_min, *heavy)


def rated_w(draws: Draws, seed: Number) -> Number:
    """Give the peak power of a house's photovoltaics, if it has any."""
    return draws.between(1500, 4200, seed, 10)


def house_minute(draws: Draws, seed: Number, day: Number, at: int, drawn: Day) -> Day:
    """Give total W and var (delivered positive) of one minute of a house."""
    base_w, home, evening_w, morning_w, climate_w, car, car_min, peak_w, sun_min = drawn[:9]
    minute = day * MINUTES_A_DAY + at
    used_w = base_w + draws.between(0, 25, seed, 2, minute)
    used_w = used_w + 110 * ((minute + seed) % 45 < 16)  # the refrigerator's compressor
    used_w = used_w + evening_w * ((home <= at) & (at < 23 * 60))
    used_w = used_w + morning_w * (6 * 60 <= at < 9 * 60)
    for k in range(9, len(drawn), 3):
        used_w = used_w + drawn[k + 2] * ((drawn[k] <= at) & (at < drawn[k + 1]))
    # Heat pump and air conditioner run in cycles of twenty minutes.
    used_w = used_w + 2 * climate_w * ((minute + seed) % 20 < 10)
    # The car was plugged in at ``car``, perhaps last evening.
    used_w = used_w + 7200 * ((at - car) % MINUTES_A_DAY < car_min)
    risen = at - (MINUTES_A_DAY - sun_min) // 2
    made_w: Number = 0
    if 0 < risen < sun_min:
        clear = draws.between(150, 1000, seed, 11, day, at // 20)
        made_w = peak_w * risen * (sun_min - risen) * 4 // (sun_min * sun_min) * clear // 1000
    # A capacitive standby load now and then outweighs the motors.
    return used_w - made_w, used_w // 6 - 60 * (at % 7 == 0)


def shop_day(draws: Draws, seed: Number, day: Number) -> Day:
    """Draw what a shop does on one day: opening hours, closed on Sundays."""
    cold, hot = _weather(draws, day)
    closed = (day + 4) % 7 == 0
    opens = draws.between(7 * 60, 9 * 60, seed, 21)
    closes = draws.between(18 * 60, 21 * 60, seed, 22) * (1 - closed)
    lights_w = draws.between(3_000, 14_000, seed, 23)
    cooling_w = draws.between(1_500, 6_000, seed, 24)
    climate_w = (cold + 3 * hot) * draws.between(15, 60, seed, 25)
    return cooling_w, opens, closes, lights_w, climate_w


def shop_minute(draws: Draws, seed: Number, day: Number, at: int, drawn: Day) -> Day:
    """Give total W and var of one minute of a shop: lights, cold store, climate."""
    cooling_w, opens, closes, lights_w, climate_w = drawn
    is_open = (opens <= at) & (at < closes)
    minute = day * MINUTES_A_DAY + at
    cold_w = cooling_w * 2 * ((minute + seed) % 30 < 17)
    used_w = 800 + cold_w + (lights_w + climate_w) * is_open
    used_w = used_w + draws.between(0, 900, seed, 26, minute)
    return used_w, cold_w * 3 // 5 + (used_w - cold_w) // 9


def factory_day(draws: Draws, seed: Number, day: Number) -> Day:
    """Draw what a factory does on one day: one to three shifts, half of it on weekends.

    Light, air and pumps run on when the motors rest.
    """
    shifts = draws.between(1, 3, seed, 31)
    weekend = ((day + 4) % 7 == 0) | ((day + 5) % 7 == 0)
    motors_w = draws.between(80_000, 400_000, seed, 32)
    idle_w = 9_000 + motors_w * draws.between(8, 20, seed, 35) // 100
    motors_w = motors_w // (1 + weekend)
    generates = draws.between(0, 3, seed, 33) == 0
    return 6 * 60, 6 * 60 + shifts * 480, motors_w, generates * motors_w // 3, idle_w


def factory_minute(draws: Draws, seed: Number, day: Number, at: int, drawn: Day) -> Day:
    """Give total W and var of one minute of a factory: motors, lagging until compensated."""
    begins, ends, motors_w, own_w, idle_w = drawn
    # A night shift goes over midnight.
    works = ((begins <= at) & (at < ends)) | (at + MINUTES_A_DAY < ends)
    minute = day * MINUTES_A_DAY + at
    stroke = draws.between(820, 1000, seed, 34, minute // 2)
    used_w = idle_w + motors_w * stroke // 1000 * works
    used_w = used_w - own_w * (12 * 60 <= at < 13 * 60)
    # Capacitors switch in steps of 20 kvar, and stay connected in the lunch break.
    wanted = motors_w * 3 // 4 * works
    return used_w, wanted - wanted // 20_000 * 14_000 - 4_000 * (1 - works)


#: How a kind of customer is drawn: a day, then a minute of it.
MODELS = {
    "house": (house_day, house_minute),
    "shop": (shop_day, shop_minute),
    "factory": (factory_day, factory_minute),
}


@lru_cache(maxsize=4096)
def _day(kind: str, seed: int, day: int) -> tuple[int, ...]:
    return tuple(int(number) for number in MODELS[kind][0](PLAIN, seed, day))


@lru_cache(maxsize=4096)
def _shares(seed: int, day: int, phases: int) -> tuple[int, ...]:
    """Give the permille of the load that each phase but the last carries on one day."""
    even = 1000 // phases
    return tuple(even + PLAIN.between(-90, 90, seed, 41, day, phase) for phase in range(phases - 1))


def flow_at(seed: int, minute: int, kind: str = "house", service: str = "3W1P") -> Flow:
    """Give the flow in the calendar minute ``minute`` (minutes since 1970 UTC)."""
    day, at = divmod(minute, MINUTES_A_DAY)
    total_w, total_var = MODELS[kind][1](PLAIN, seed, day, at, _day(kind, seed, day))
    grid = SERVICES[service]
    shares = _shares(seed, day, grid.phases)
    power, reactive = _split(int(total_w), shares), _split(int(total_var), shares)
    nominal = grid.volts * 1000
    sway = mix(seed, 6, minute)
    volts = []
    for phase, watts in enumerate(power):
        # The wire drops up to some percent at the size of load that it was laid for.
        drop = abs(watts) * nominal // (_FULL_LOAD_W[kind] * 25)
        volts.append(nominal + ((sway >> 10 * phase) % 1024 - 400) * nominal // 80_000 - drop)
    return Flow(power, reactive, tuple(volts), 59_980 + mix(42, minute) % 41)


#: The load of one phase at which its wire drops four percent.
_FULL_LOAD_W = {"house": 12_000, "shop": 30_000, "factory": 200_000}


def _split(total: int, shares: tuple[int, ...]) -> tuple[int, ...]:
    """Split a total over phases; nothing is lost, the last phase takes the rest."""
    parts = [total * share // 1000 for share in shares]
    return (*parts, total - sum(parts))
