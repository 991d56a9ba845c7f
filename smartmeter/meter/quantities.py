"""What the meter can measure: from a flow to the rate of one unit of measure of ST-12.

All rates are integers in thousandths of the base unit (mW, mvar, mVA, mV, mA,
mHz, thousandths of a degree, thousandths for ratios and counts).  A rate times
microseconds, added up, is the exact energy: nothing is rounded on the way.

Quadrants (C12.19 UOM_ENTRY_BFLD): 1 W and var delivered, 2 W received and var
delivered, 3 both received, 4 W delivered and var received.  An entry that
accounts for some quadrants adds while the flow is in one of them; with
NET_FLOW the received direction counts negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smartmeter.meter.loads import Flow

#: TIME_BASE codes of ST-12.
DIAL, INSTANTANEOUS, PERIOD, SUB_BLOCK, BLOCK, NET_DIAL, THERMAL, EVENT_COUNT = range(8)
ENERGY_BASES = (DIAL, NET_DIAL)
DEMAND_BASES = (SUB_BLOCK, BLOCK, THERMAL)
#: ID_CODE of ST-12.
WATT, VAR, VA_RMS, VA_PHASOR, Q60 = 0, 1, 2, 3, 4
VOLTS, VOLTS_SQUARED, AMPERES, AMPERES_SQUARED = 8, 10, 12, 14
VOLT_ANGLE, CURRENT_ANGLE, PF_APPARENT, PF_PHASOR, HERTZ = 20, 22, 24, 25, 33
SAGS, SWELLS, OUTAGES = 40, 41, 42
OUTAGE_COUNT, RESET_COUNT, PROGRAMMED_COUNT, BATTERY_MINUTES = 50, 51, 52, 53
COUNTERS = (SAGS, SWELLS, OUTAGES, OUTAGE_COUNT, RESET_COUNT, PROGRAMMED_COUNT, BATTERY_MINUTES)
POWERS = (WATT, VAR, VA_RMS, VA_PHASOR, Q60)
#: Quantities whose integral over time means something: energy, and the squares that losses follow.
INTEGRABLE = (*POWERS, VOLTS_SQUARED, AMPERES_SQUARED)
MOMENTARY = (VOLTS, AMPERES, VOLT_ANGLE, CURRENT_ANGLE, PF_APPARENT, PF_PHASOR, HERTZ)
MEASURED = frozenset((*INTEGRABLE, *MOMENTARY, *COUNTERS))
#: SEGMENTATION: 0 (4 by a real meter) the whole service; lines to each other; lines to neutral.
LINES = {1: (0, 1), 2: (1, 2), 3: (2, 0)}
PHASES = {5: 0, 6: 1, 7: 2}

MILLI = 1000
Rate = Callable[[Flow], int]


@dataclass(frozen=True)
class Unit:
    """The members of an ST-12 entry that say what to measure."""

    quantity: int
    time_base: int
    quadrants: tuple[int, ...] = ()
    multiplier: int = 0
    net: int = 0
    segmentation: int = 0


def quadrant(watts: int, var: int) -> int:
    """Give the quadrant of a flow; no flow is delivered."""
    if watts >= 0:
        return 1 if var >= 0 else 4
    return 2 if var >= 0 else 3


def milliamperes(flow: Flow, phase: int) -> int:
    """Give the current of one phase, from its apparent power and voltage."""
    volts = flow.millivolts[phase]
    apparent = math.isqrt(flow.power_w[phase] ** 2 + flow.reactive_var[phase] ** 2)
    return apparent * MILLI * MILLI // volts if volts > 0 else 0


def rate_of(unit: Unit) -> Rate:
    """Give the function from a flow to the rate of a unit, in thousandths of its base unit."""
    if unit.quantity in POWERS:
        return _power_rate(unit)
    return _momentary_rate(unit)


def _power_rate(unit: Unit) -> Rate:
    allowed = frozenset(unit.quadrants)
    measure = _MEASURES[unit.quantity]
    phase = PHASES.get(unit.segmentation)
    reactive = unit.quantity == VAR

    def rate(flow: Flow) -> int:
        if phase is None:
            watts, var = sum(flow.power_w), sum(flow.reactive_var)
        elif phase < len(flow.power_w):
            watts, var = flow.power_w[phase], flow.reactive_var[phase]
        else:
            return 0
        if quadrant(watts, var) not in allowed:
            return 0
        size = measure(flow, phase, watts, var)
        received = (var if reactive else watts) < 0
        return -size if unit.net and received else size

    return rate


def _rms_apparent(flow: Flow, phase: int | None, watts: int, var: int) -> int:
    """Give VA as volts times amperes, added over the phases."""
    phases = range(len(flow.power_w)) if phase is None else (phase,)
    return sum(
        math.isqrt((flow.power_w[k] ** 2 + flow.reactive_var[k] ** 2) * MILLI * MILLI)
        for k in phases
    )


#: The size of a power in thousandths, from flow, phase, W and var.
_MEASURES: Mapping[int, Callable[[Flow, int | None, int, int], int]] = {
    WATT: lambda flow, phase, watts, var: abs(watts) * MILLI,
    VAR: lambda flow, phase, watts, var: abs(var) * MILLI,
    VA_RMS: _rms_apparent,
    VA_PHASOR: lambda flow, phase, watts, var: math.isqrt((watts**2 + var**2) * MILLI * MILLI),
    # Q lags the voltage by 60 degrees: (W + sqrt(3) var) / 2.
    Q60: lambda flow, phase, watts, var: abs(watts * MILLI + var * 1732) // 2,
}


def _momentary_rate(unit: Unit) -> Rate:
    measure, segmentation = _MOMENTARY[unit.quantity], unit.segmentation
    return lambda flow: measure(flow, segmentation)


def _volts(flow: Flow, segmentation: int) -> int:
    """Give mV: a phase, a line to a line, or of the whole service.

    Whole: across both legs of a three-wire single phase, else the mean of the phases.
    """
    volts = flow.millivolts
    if segmentation in LINES:
        one, other = LINES[segmentation]
        if max(one, other) >= len(volts):
            return 0
        a, b = volts[one], volts[other]
        return a + b if len(volts) == 2 else math.isqrt(a * a + b * b + a * b)
    if segmentation in PHASES:
        phase = PHASES[segmentation]
        return volts[phase] if phase < len(volts) else 0
    return sum(volts) if len(volts) == 2 else sum(volts) // len(volts)


def _amperes(flow: Flow, segmentation: int) -> int:
    """Give mA: of a phase, or the mean of the phases."""
    phases = range(len(flow.power_w))
    if segmentation in PHASES:
        phase = PHASES[segmentation]
        return milliamperes(flow, phase) if phase in phases else 0
    return sum(milliamperes(flow, phase) for phase in phases) // len(phases)


def _volt_angle(flow: Flow, segmentation: int) -> int:
    """Give the angle of a phase's voltage behind phase A, thousandths of a degree."""
    step = 180_000 if len(flow.power_w) == 2 else 120_000
    return step * PHASES.get(segmentation, 0)


def _current_angle(flow: Flow, segmentation: int) -> int:
    """Give the angle of a phase's current behind the voltage of phase A."""
    phase = PHASES.get(segmentation, 0)
    if phase >= len(flow.power_w):
        return 0
    lag = math.degrees(math.atan2(flow.reactive_var[phase], flow.power_w[phase]))
    return (_volt_angle(flow, segmentation) + round(lag * 10) * 100) % 360_000


def _power_factor(quantity: int) -> Callable[[Flow, int], int]:
    def measure(flow: Flow, segmentation: int) -> int:
        phase = PHASES.get(segmentation)
        if phase is not None and phase >= len(flow.power_w):
            return 0
        watts = sum(flow.power_w) if phase is None else flow.power_w[phase]
        var = sum(flow.reactive_var) if phase is None else flow.reactive_var[phase]
        apparent = _MEASURES[quantity](flow, phase, watts, var)
        return watts * MILLI * MILLI // apparent if apparent else MILLI

    return measure


#: What is read at an instant, from the flow and the segment; in thousandths.
_MOMENTARY: Mapping[int, Callable[[Flow, int], int]] = {
    VOLTS: _volts,
    VOLTS_SQUARED: lambda flow, segment: _volts(flow, segment) ** 2 // MILLI,
    AMPERES: _amperes,
    AMPERES_SQUARED: lambda flow, segment: _amperes(flow, segment) ** 2 // MILLI,
    VOLT_ANGLE: _volt_angle,
    CURRENT_ANGLE: _current_angle,
    PF_APPARENT: _power_factor(VA_RMS),
    PF_PHASOR: _power_factor(VA_PHASOR),
    HERTZ: lambda flow, segment: flow.millihertz,
}
