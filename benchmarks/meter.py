"""Meters: many at once against one after the other, and what one of them takes.

``metrology_vs_python_loop``   light meters (arrays) against a plain loop over the same model,
                               time for each meter and minute; both give the same registers
``bytes_per_light_meter``      all arrays of light meters, divided by their number
``bytes_per_full_meter``       memory of a meter with its tables, a full load profile and its
                               non-volatile memory
``meter_days_per_second``      light meters; ``full_meter_days_per_second`` those with all tables

Times are the processor's, so that other work on the machine counts for little.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
import tracemalloc

import numpy as np

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.light import WS_PER_WH, LightMeters
from smartmeter.meter.loads import MINUTES_A_DAY, PLAIN, house_day, house_minute
from smartmeter.meter.meter import Meter, MeterSettings

EPOCH_S = 1_767_225_600
EPOCH_MINUTE = EPOCH_S // 60
DAY_US = 86_400 * US_PER_S
#: Days after which the load profile of the residential meter is full.
FULL_DAYS = 11
PLAIN_METERS = 20


class PlainMeters:
    """The same meters in a plain loop: one after the other, minute by minute."""

    def __init__(self, seeds: list[int], minute: int) -> None:
        self.minute = minute
        self._seeds = seeds
        self._days: dict[tuple[int, int], tuple[int, ...]] = {}
        self.energy_ws = [[0, 0, 0, 0] for _ in seeds]
        self.block_ws = [0 for _ in seeds]
        self.max_demand_w = [0 for _ in seeds]

    def advance(self, minutes: int) -> None:
        """Measure so many minutes more."""
        for _ in range(minutes):
            day, at = divmod(self.minute, MINUTES_A_DAY)
            ends = (self.minute + 1) % 15 == 0
            for number, seed in enumerate(self._seeds):
                key = (seed, day)
                if key not in self._days:
                    self._days[key] = house_day(PLAIN, seed, day)
                watts, var = house_minute(PLAIN, seed, day, at, self._days[key])
                energy = self.energy_ws[number]
                energy[watts < 0] += abs(watts) * 60
                energy[2 + (var < 0)] += abs(var) * 60
                self.block_ws[number] += max(0, watts) * 60
                if ends:
                    demand, self.block_ws[number] = self.block_ws[number] // 900, 0
                    self.max_demand_w[number] = max(self.max_demand_w[number], demand)
            self.minute += 1


def metrology(light_count: int, minutes: int, rounds: int) -> dict[str, float]:
    """Compare arrays with the loop, in turns; the registers of both must be the same."""
    seeds = list(range(1, light_count + 1))
    plain = PlainMeters(seeds[:PLAIN_METERS], EPOCH_MINUTE)
    light = LightMeters(seeds, EPOCH_MINUTE)
    ratios, light_s = [], []
    for _ in range(rounds):
        begin = time.process_time()
        plain.advance(minutes)
        middle = time.process_time()
        light.advance(minutes)
        end = time.process_time()
        per_plain = (middle - begin) / PLAIN_METERS
        per_light = (end - middle) / light_count
        ratios.append(per_plain / per_light)
        light_s.append(per_light)
    same = light.energy_ws[:, :PLAIN_METERS].T.tolist() == plain.energy_ws
    if not same or light.max_demand_w[:PLAIN_METERS].tolist() != plain.max_demand_w:
        raise SystemExit("the arrays and the loop do not agree")
    days_a_second = minutes / MINUTES_A_DAY / statistics.median(light_s)
    return {
        "metrology_vs_python_loop": round(statistics.median(ratios), 1),
        "bytes_per_light_meter": round(light.octets / light_count),
        "meter_days_per_second": round(days_a_second, 1),
        "mean_wh_per_day": round(_mean_wh_per_day(light)),
    }


def _mean_wh_per_day(light: LightMeters) -> float:
    days = (light.minute - EPOCH_MINUTE) / MINUTES_A_DAY
    return float(np.mean(light.energy_ws[0])) / WS_PER_WH / days


def full_meters(count: int) -> dict[str, float]:
    """Measure memory and speed of meters with all their tables and a full load profile."""
    _full_meter(0)  # what all meters share is not one meter's
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    meters = [_full_meter(number) for number in range(1, count + 1)]
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    begin = time.process_time()
    for meter in meters:
        meter.expire((FULL_DAYS + 1) * DAY_US)
    return {
        "bytes_per_full_meter": round((after - before) / count),
        "full_meter_days_per_second": round(count / (time.process_time() - begin), 1),
    }


def _full_meter(seed: int) -> Meter:
    meter = Meter(MeterSettings(seed=seed), MemoryNvram(), Calendar(EPOCH_S * US_PER_S), 0)
    meter.expire(FULL_DAYS * DAY_US)
    return meter


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--light", type=int, default=5000, help="light meters")
    parser.add_argument("--full", type=int, default=4, help="full meters")
    parser.add_argument("--minutes", type=int, default=60, help="minutes of each round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures = metrology(options.light, options.minutes, options.rounds)
    figures |= full_meters(options.full)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:28s} {figure:>12,}")


if __name__ == "__main__":
    main()
