"""A meter at hand where there is none: it has measured for a day, and its clock is right."""

from __future__ import annotations

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings

#: The name of its port.
SIMULATED = "sim:"
DAY_US = 86_400 * US_PER_S


def measured_meter(settings: MeterSettings, utc_us: int, now_us: int) -> Meter:
    """Give the meter at an instant of the calendar; nothing of it outlives the program."""
    calendar = Calendar(utc_us - DAY_US, 1, now_us)
    meter = Meter(settings, MemoryNvram(), calendar, now_us)
    calendar.set(utc_us, now_us)
    meter.expire(now_us)
    return meter
