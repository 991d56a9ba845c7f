"""Whether what is known of a meter is fresh, or stale and to be marked so."""

from __future__ import annotations

from smartmeter.gateway.readings import Readings

#: Values are stale when none came for so many periods.
STALE_PERIODS = 2


def is_fresh(readings: Readings, esn: str, period_s: int, now_s: int, meter_s: int) -> bool:
    """Tell whether the newest value is no older than two periods.

    A period is that of the schedule, ``period_s``, or the interval's length if
    that is longer: nothing new can come before an interval ends.  A meter that
    records no intervals, or gives them no time, is judged by its registers,
    which carry the module's time ``now_s``; intervals carry the meter's.
    """
    last = readings.last_interval(esn)
    if last is not None and last["end_s"]:
        period_s = max(period_s, last["length_s"])
        return bool(meter_s - last["end_s"] <= STALE_PERIODS * period_s)
    read_s = readings.registers_read_s(esn)
    return read_s is not None and now_s - read_s <= STALE_PERIODS * period_s
