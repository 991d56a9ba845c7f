"""Demand: the mean of a source over block, rolling block or thermal time, by ST-13.

*Block*: the mean over an interval that ends on a multiple of its length.
*Rolling*: the mean over the last subintervals, renewed at the end of each.
*Thermal*: what a thermal meter shows, which reaches 90 % of a steady load in
the interval length; worked out each minute, in integers.  It does not start anew
after an outage: the element that it stands for has cooled meanwhile, so it falls
to a tenth in each interval length without power.

Only what was measured whole counts: a subinterval that was broken by an outage
or a clock set, or lies in the time after a power failure that ST-13 excludes,
gives no demand, and a rolling demand begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from smartmeter.base.clock import MINUTE_S, US_PER_S
from smartmeter.meter.program import DemandControl, Source
from smartmeter.meter.quantities import MILLI, VA_PHASOR, VA_RMS, VAR, WATT

#: Quantities that a service can have too much of.
LIMITED = (WATT, VAR, VA_RMS, VA_PHASOR)
MINUTE_US = MINUTE_S * US_PER_S
#: Fixed point of a thermal demand: its state and its factor.
THERMAL_SCALE = 1 << 32


@lru_cache(maxsize=64)
def thermal_factor(length_min: int) -> int:
    """Give how much of the distance one minute covers, times THERMAL_SCALE: 1 - 10^(-1/length)."""
    return int((1 - Decimal(10) ** (Decimal(-1) / length_min)) * THERMAL_SCALE)


@dataclass
class DemandState:
    """Totals at the start of the running (sub)interval, the whole ones before it, and results.

    ``last`` is the last demand, None before the first; ``thermal`` the mean of a
    thermal demand, in thousandths times THERMAL_SCALE; ``over`` tells that the
    last demand was more than the service is built for.
    """

    mark: int = 0
    window: list[int] = field(default_factory=list)
    broken: bool = True
    last: int | None = None
    thermal: int = 0
    over: bool = False


class DemandMeter:
    """The demand of one source."""

    def __init__(self, source: Source, control: DemandControl) -> None:
        self.source = source
        self.control = control
        self.state = DemandState()

    @property
    def step_min(self) -> int:
        """Give the minutes after which a demand can be new."""
        return 1 if self.control.thermal else self.control.sub_min

    def ends_at(self, local_minute: int) -> bool:
        """Tell whether a subinterval ends with this minute of the local standard day."""
        return local_minute % self.step_min == 0

    def end(self, total: int) -> int | None:
        """Close a subinterval; give the new demand, or None when it was not measured whole."""
        state, control = self.state, self.control
        energy, state.mark = total - state.mark, total
        broken, state.broken = state.broken, False
        if broken:
            state.window = []
            return None
        if control.thermal:
            mean = energy * THERMAL_SCALE // MINUTE_US
            factor = thermal_factor(control.length_min)
            state.thermal += (mean - state.thermal) * factor // THERMAL_SCALE
            state.last = self.source.shown(state.thermal // THERMAL_SCALE)
            return state.last
        state.window = [*state.window, energy][-control.subintervals :]
        if len(state.window) < control.subintervals:
            return None
        state.last = self.source.average(sum(state.window), control.length_min * MINUTE_US)
        return state.last

    def overloads(self, value: int, limit_w: int) -> bool:
        """Compare a new demand with a limit in W, var or VA; True when it goes over it now."""
        before, source = self.state.over, self.source
        limited = limit_w > 0 and source.unit.quantity in LIMITED
        self.state.over = limited and value * source.weight > limit_w * MILLI
        return self.state.over and not before

    def interrupt(self, total: int) -> None:
        """Break the running subinterval, and leave out what was before it."""
        self.state.mark, self.state.window, self.state.broken = total, [], True

    def cool(self, seconds: int) -> None:
        """Let a thermal demand fall while nothing flowed, as long as the meter's clock tells."""
        if not self.control.thermal:
            return
        state, times = self.state, Decimal(seconds) / (60 * self.control.length_min)
        state.thermal = int(state.thermal * Decimal(10) ** -times)
        if state.last is not None:
            state.last = self.source.shown(state.thermal // THERMAL_SCALE)

    def present(self, total: int) -> int:
        """Give the demand as it builds up (ST-28): what flowed so far over the whole length."""
        state, control = self.state, self.control
        if control.thermal:
            return self.source.shown(state.thermal // THERMAL_SCALE)
        recent = state.window[-(control.subintervals - 1) :] if control.subintervals > 1 else []
        energy = sum(recent) + total - state.mark
        return self.source.average(energy, control.length_min * MINUTE_US)

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return vars(self.state).copy()  # it is flat, and asked for after every interval

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state back."""
        self.state = DemandState(**state)


@dataclass
class Exclusion:
    """Until when ST-13 wants no demand, and no reset: UTC seconds of the meter's clock."""

    demand_until_s: int = 0
    reset_until_s: int = 0

    def after_outage(self, control: Mapping[str, Any], length_s: int, utc_s: int) -> None:
        """Exclude demand after an outage that ST-13 recognises, and that was long enough.

        An outage counts from P_FAIL_RECOGNTN_TM seconds; COLD_LOAD_PICKUP
        minutes of it start the exclusion of P_FAIL_EXCLUSION minutes.
        """
        recognised = max(
            control.get("P_FAIL_RECOGNTN_TM", 0), control.get("COLD_LOAD_PICKUP", 0) * MINUTE_S
        )
        exclusion_s = control.get("P_FAIL_EXCLUSION", 0) * MINUTE_S
        if exclusion_s and length_s >= recognised:
            self.demand_until_s = utc_s + exclusion_s

    def shift(self, seconds: int) -> None:
        """Keep both where they are in running time, after the clock was set."""
        self.demand_until_s += seconds if self.demand_until_s else 0
        self.reset_until_s += seconds if self.reset_until_s else 0

    def after_reset(self, control: Mapping[str, Any], utc_s: int) -> None:
        """Exclude further demand resets for RESET_EXCLUSION minutes."""
        self.reset_until_s = utc_s + control.get("RESET_EXCLUSION", 0) * MINUTE_S
