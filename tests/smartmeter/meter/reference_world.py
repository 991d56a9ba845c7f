"""What flows, for the reference model: rates and weights of sources, worked out from ST-12 to 16.

Rates are whole thousandths of the base unit; a sum of them times seconds is exact.
"""

import math
from fractions import Fraction
from typing import Any

from ansi_tables import Snapshot
from smartmeter.meter.loads import Flow

POWERS_OF_TEN = (0, 2, 3, 6, 9, -2, -3, -6)
COUNTERS = (40, 41, 42, 50, 51, 52, 53)
DEMAND_BASES = (3, 4, 6)
ENERGY_BASES = (0, 5)
THERMAL = 6


def rate(unit: Any, flow: Flow) -> int:
    """Give a quantity of ST-12 while this flows, in thousandths."""
    if unit.ID_CODE in COUNTERS:
        return 0
    if unit.ID_CODE > 4:
        return momentary(unit.ID_CODE, unit.SEGMENTATION, flow)
    watts, var, phases = totals(unit.SEGMENTATION, flow)
    quadrant = {(1, 1): 1, (0, 1): 2, (0, 0): 3, (1, 0): 4}[watts >= 0, var >= 0]
    if not phases or not unit[f"Q{quadrant}_ACCOUNTABILITY"]:
        return 0
    size = apparent(unit.ID_CODE, flow, phases) if unit.ID_CODE in (2, 3) else 0
    size = {0: 1000 * abs(watts), 1: 1000 * abs(var)}.get(unit.ID_CODE, size)
    if unit.ID_CODE == 4:
        size = abs(1000 * watts + 1732 * var) // 2
    negative = unit.NET_FLOW_ACCOUNTABILITY and (var if unit.ID_CODE == 1 else watts) < 0
    return -size if negative else size


def totals(segment: int, flow: Flow) -> tuple[int, int, list[int]]:
    """Give W, var and the phases that a segment of the service covers."""
    phases = [segment - 5] if segment in (5, 6, 7) else list(range(len(flow.power_w)))
    phases = [phase for phase in phases if phase < len(flow.power_w)]
    return (
        sum(flow.power_w[k] for k in phases),
        sum(flow.reactive_var[k] for k in phases),
        phases,
    )


def apparent(code: int, flow: Flow, phases: list[int]) -> int:
    """Give VA in thousandths: of each phase added up, or of the sums of W and var."""
    pairs = [(flow.power_w[k], flow.reactive_var[k]) for k in phases]
    if code in (3, 25):
        pairs = [(sum(w for w, _ in pairs), sum(v for _, v in pairs))]
    return sum(math.isqrt((w * w + v * v) * 10**6) for w, v in pairs)


def momentary(code: int, segment: int, flow: Flow) -> int:
    """Give voltage, current, angle, power factor or frequency of a segment."""
    volts, count = flow.millivolts, len(flow.power_w)
    amps = [
        math.isqrt(w * w + v * v) * 10**6 // u if u else 0
        for w, v, u in zip(flow.power_w, flow.reactive_var, volts, strict=True)
    ]
    phase = segment - 5 if segment in (5, 6, 7) else None
    if phase is not None and phase >= count and code not in (20, 33):
        return 0
    if code in (8, 10):
        if segment in (1, 2, 3):
            one, other = ((0, 1), (1, 2), (2, 0))[segment - 1]
            if max(one, other) >= count:
                value = 0
            elif count == 2:
                value = volts[0] + volts[1]
            else:
                a, b = volts[one], volts[other]
                value = math.isqrt(a * a + b * b + a * b)
        else:
            value = sum(volts) if count == 2 else sum(volts) // count
            value = value if phase is None else volts[phase]
        return value * value // 1000 if code == 10 else value
    if code in (12, 14):
        value = sum(amps) // count if phase is None else amps[phase]
        return value * value // 1000 if code == 14 else value
    if code in (20, 22):
        angle = (phase or 0) * (180_000 if count == 2 else 120_000)
        if code == 20:
            return angle
        lag = math.degrees(math.atan2(flow.reactive_var[phase or 0], flow.power_w[phase or 0]))
        return (angle + round(lag * 10) * 100) % 360_000
    if code in (24, 25):
        watts, _, phases = totals(segment, flow)
        size = apparent(2 if code == 24 else 3, flow, phases)
        return watts * 10**6 // size if size else 1000
    assert code == 33, code
    return flow.millihertz


class Sources:
    """What ST-12, ST-13, ST-15 and ST-16 say of each source, by its number."""

    def __init__(self, tables: Snapshot) -> None:
        self.links = tables[16].SOURCES_LINK
        entries = tables[12].UOM_ENTRY
        self.units = [
            entries[sum(link.UOM_ENTRY_FLAG for link in self.links[:n])]
            for n in range(len(self.links))
        ]
        self.weights = [self._weight(tables, n) for n in range(len(self.links))]
        self.intervals = {
            n: self._interval(tables, n)
            for n, link in enumerate(self.links)
            if link.DEMAND_CTRL_FLAG
        }

    def is_energy(self, source: int) -> bool:
        unit = self.units[source]
        return unit.TIME_BASE in ENERGY_BASES and unit.ID_CODE not in COUNTERS

    def count(self, source: int, energy: int) -> int:
        """Give the register of a sum, in thousandths times seconds."""
        weight = self.weights[source]
        return energy * weight.denominator // (3_600_000 * weight.numerator)

    def mean(self, source: int, energy: int, seconds: int) -> int:
        """Give the mean rate as a register shows it."""
        weight = self.weights[source]
        return energy * weight.denominator // (1000 * seconds * weight.numerator)

    def _weight(self, tables: Snapshot, source: int) -> Fraction:
        """Give what one count is worth: the unit's power of ten, and constants left to the host."""
        link = self.links[source]
        weight = Fraction(10) ** POWERS_OF_TEN[self.units[source].MULTIPLIER]
        if not (link.CONSTANTS_FLAG and link.CONSTANT_TO_BE_APPLIED):
            return weight
        entry = sum(one.CONSTANTS_FLAG for one in self.links[:source])
        record = tables[15].SELECTION[entry].ELECTRIC_CONSTANTS
        weight *= Fraction(record.MULTIPLIER)
        for name in ("SET1_CONSTANTS", "SET2_CONSTANTS"):
            if name in record and not record[name].SET_FLAGS.SET_APPLIED_FLAG:
                weight *= Fraction(record[name].RATIO_F1) * Fraction(record[name].RATIO_P1)
        return weight

    def _interval(self, tables: Snapshot, source: int) -> tuple[int, int]:
        """Give step and length in seconds of a demand."""
        entry = tables[13].INTERVAL_VALUE[sum(x.DEMAND_CTRL_FLAG for x in self.links[:source])]
        if "SUB_INT" in entry:
            step, length = 60 * entry.SUB_INT, 60 * entry.SUB_INT * entry.INT_MULTIPLIER
        else:
            step = length = 60 * entry.INT_LENGTH
        base = self.units[source].TIME_BASE
        if base == THERMAL:
            return 60, length
        return (step, step) if base == 3 else (step, length)
