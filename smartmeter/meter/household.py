"""The load of a house, minute by minute, as a function of a seed: our own model.

A refrigerator that cycles, a base load, people who get up and come home, short
heavy appliances, and on some roofs a photovoltaic plant.  Nothing is random at
run time: the same seed and minute give the same load, in any order of asking,
so a meter can be stopped, restarted and compared.
"""

from __future__ import annotations

from dataclasses import dataclass

_MASK = (1 << 64) - 1
MINUTES_A_DAY = 1440


@dataclass(frozen=True)
class Load:
    """What flows during one minute: W and var (delivered positive), and centivolts."""

    power_w: int
    reactive_var: int
    centivolts: int


def _mix(*parts: int) -> int:
    """Give 64 well-mixed bits of some integers (the finaliser of splitmix64)."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state ^= state >> 27
        state = state * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def _between(low: int, high: int, *parts: int) -> int:
    return low + _mix(*parts) % (high - low + 1)


def load_at(seed: int, minute: int) -> Load:
    """Give the load in the calendar minute ``minute`` (minutes since 1970 UTC)."""
    day, at = divmod(minute, MINUTES_A_DAY)
    used_w = _between(90, 210, seed, 1) + _between(0, 25, seed, 2, minute)
    if (minute + seed) % 45 < 16:
        used_w += 110  # the refrigerator's compressor
    used_w += _evening(seed, day, at)
    for number in range(4):  # kettle, oven, washing machine, iron: at their own times of day
        start = _between(6 * 60, 22 * 60, seed, 3, day, number)
        if start <= at < start + _between(4, 55, seed, 4, day, number):
            used_w += _between(700, 2300, seed, 5, day, number)
    made_w = _sun(seed, day, at) if seed % 3 == 0 else 0
    drop = used_w // 40
    return Load(
        power_w=used_w - made_w,
        reactive_var=used_w // 6 - 12 * (at % 7 == 0),
        centivolts=_between(11_950, 12_080, seed, 6, minute) - drop,
    )


def _evening(seed: int, day: int, at: int) -> int:
    """Give lights and screens: strong in the evening, weaker in the morning, in W."""
    home = _between(16 * 60, 19 * 60, seed, 7, day)
    if home <= at < 23 * 60:
        return _between(180, 420, seed, 8, day)
    return _between(60, 190, seed, 9, day) if 6 * 60 <= at < 9 * 60 else 0


def _sun(seed: int, day: int, at: int) -> int:
    """Give what a photovoltaic plant makes: a parabola over the day, and clouds, in W."""
    hours = at - 6 * 60
    if not 0 < hours < 720:
        return 0
    peak_w = _between(1500, 4200, seed, 10)
    clear_permille = _between(250, 1000, seed, 11, day, at // 20)
    return peak_w * hours * (720 - hours) * 4 // (720 * 720) * clear_permille // 1000
