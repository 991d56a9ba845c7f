"""Light meters: thousands of houses measured at once, as arrays with one element a meter.

The same formulas as of one meter (``smartmeter.meter.loads``), and the same
numbers to the last bit: registers, block demand and one load-profile day of a
plain residential meter.  For simulations that need consumption of very many
meters but no optical port of each.  Needs numpy (the extra of that name).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smartmeter.base.clock import MINUTE_S
from smartmeter.meter.loads import MINUTES_A_DAY, Draws, house_day, house_minute, mix

#: Watt-seconds in a watt-hour.
WS_PER_WH = 3600
Array = Any

_START, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def mix_arrays(*parts: Array) -> Array:
    """Give what ``loads.mix`` gives, element by element; plain numbers serve all elements."""
    if not any(isinstance(part, np.ndarray) for part in parts):
        return mix(*(int(part) for part in parts))
    state: Array = np.uint64(_START)
    first, second = np.uint64(_FIRST), np.uint64(_SECOND)
    for part in parts:
        if isinstance(part, np.ndarray):
            word = part.view(np.uint64) if part.dtype == np.int64 else part.astype(np.uint64)
        else:
            word = np.uint64(int(part) & _MASK)
        state = np.atleast_1d(state ^ word)
        state *= first
        state ^= state >> np.uint64(27)
        state *= second
        state ^= state >> np.uint64(31)
    return state


def _whole(number: Array) -> Array:
    return number.view(np.int64) if isinstance(number, np.ndarray) else int(number)


#: The numbers of a model for many seeds at once.
ARRAYS = Draws(mix_arrays, _whole)


class LightMeters:
    """Houses by seed, all at one calendar minute (minutes since 1970 UTC).

    Energies are whole watt-seconds: delivered, received, and the same of var.
    ``profile_wh`` holds the Wh delivered in each interval of the last day.
    """

    def __init__(self, seeds: Array, minute: int, interval_min: int = 15) -> None:
        self.seeds = np.asarray(seeds, dtype=np.int64)
        count = len(self.seeds)
        self.minute = minute
        self._interval_min = interval_min
        self.energy_ws = np.zeros((4, count), dtype=np.int64)
        self.max_demand_w = np.zeros(count, dtype=np.int64)
        self.max_demand_minute = np.zeros(count, dtype=np.int32)
        self.profile_wh = np.zeros((MINUTES_A_DAY // interval_min, count), dtype=np.uint16)
        self._block_ws = np.zeros(count, dtype=np.int64)
        self._mark_wh = np.zeros(count, dtype=np.int64)
        self._whole_block = minute % interval_min == 0
        self._day, self._drawn = -1, house_day(ARRAYS, self.seeds, 0)

    def advance(self, minutes: int) -> None:
        """Measure so many minutes more."""
        for _ in range(minutes):
            self._measure()

    def _measure(self) -> None:
        day, at = divmod(self.minute, MINUTES_A_DAY)
        if day != self._day:
            self._day, self._drawn = day, house_day(ARRAYS, self.seeds, day)
        watts, var = house_minute(ARRAYS, self.seeds, day, at, self._drawn)
        energy = self.energy_ws
        for row, flow in ((0, watts), (2, var)):
            delivered = np.maximum(flow, 0)
            energy[row] += delivered * MINUTE_S
            energy[row + 1] += (delivered - flow) * MINUTE_S
        self._block_ws += np.maximum(watts, 0) * MINUTE_S
        self.minute += 1
        if self.minute % self._interval_min == 0:
            self._end_interval()

    def _end_interval(self) -> None:
        length_s = self._interval_min * MINUTE_S
        demand, self._block_ws = self._block_ws // length_s, np.zeros_like(self._block_ws)
        if self._whole_block:
            higher = demand > self.max_demand_w
            self.max_demand_w[higher] = demand[higher]
            self.max_demand_minute[higher] = self.minute
        self._whole_block = True
        wh = self.energy_ws[0] // WS_PER_WH
        slot = (self.minute // self._interval_min - 1) % len(self.profile_wh)
        self.profile_wh[slot] = np.minimum(wh - self._mark_wh, 0xFFFF)
        self._mark_wh = wh

    @property
    def energy_wh(self) -> Array:
        """Give the registers: Wh delivered, Wh received, varh delivered, varh received."""
        return self.energy_ws // WS_PER_WH

    @property
    def octets(self) -> int:
        """Give the memory of all meters together."""
        arrays = [self.seeds, self.energy_ws, self.max_demand_w, self.max_demand_minute]
        arrays += [self.profile_wh, self._block_ws, self._mark_wh]
        arrays += [drawn for drawn in self._drawn if isinstance(drawn, np.ndarray)]
        return sum(array.nbytes for array in arrays)
