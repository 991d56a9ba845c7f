"""A meter at hand where there is none: it has measured for a day, and its clock is right."""

from __future__ import annotations

from smartmeter.base.clock import DAY_S, US_PER_S, Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profiles import profile_named

#: How the name of its port begins; a profile may follow, and a seed.
SIMULATED = "sim:"
MAX_SEED_DIGITS = 18
DAY_US = DAY_S * US_PER_S


def is_simulated(port: str) -> bool:
    """Tell whether a port's name means a meter in this process: ``sim:[PROFILE[:SEED]]``."""
    return port.startswith(SIMULATED)


def meter_named(port: str, utc_us: int, now_us: int) -> Meter:
    """Give the meter of a simulated port; SettingsError for a profile or seed that is none."""
    name, _, given = port.removeprefix(SIMULATED).partition(":")
    if given and not (given.isascii() and given.isdecimal() and len(given) <= MAX_SEED_DIGITS):
        raise SettingsError(
            port, f"{given!r} is no seed", "write sim:PROFILE:SEED, as sim:random:7"
        )
    seed = int(given or 1)
    profile = profile_named(name or "residential", seed)
    return measured_meter(MeterSettings(profile=profile, seed=seed), utc_us, now_us)


def measured_meter(settings: MeterSettings, utc_us: int, now_us: int) -> Meter:
    """Give the meter at an instant of the calendar; nothing of it outlives the program."""
    calendar = Calendar(utc_us - DAY_US, 1, now_us)
    meter = Meter(settings, MemoryNvram(), calendar, now_us)
    calendar.set(utc_us, now_us)
    meter.expire(now_us)
    return meter
