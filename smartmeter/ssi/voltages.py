"""Sags and swells: monitors on the voltages that the meter shows in ST-28.

No standard table tells a meter's nominal voltage.  It is provisioned (NOMINAL_V),
or, where that is 0, learned of each voltage: the first one that is seen under a
configuration, taken as the customary voltage next to it.  What was learned is
durable and holds until another configuration is activated; a voltage that sags
just when it is learned is learned wrong, which NOMINAL_V mends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from ansi_tables import layout_for
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import BLANK_MONITOR, Condition
from smartmeter.base.provisioning import FIRST_OWN_MONITOR
from smartmeter.ssi.conditions import scaled, voltage_paths
from smartmeter.ssi.memory import Seen
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.table_monitor import Verdict

PRESENT_VALUES = 28
MAX_VOLTAGES = 6
_FIRST_LEARNING = FIRST_OWN_MONITOR + 2 * MAX_VOLTAGES
#: Numbers of the monitors that learn what is nominal, and of all that this file makes: before
#: them, for each voltage, one of sags and one of swells.
LEARNING_MONITORS = range(_FIRST_LEARNING, _FIRST_LEARNING + MAX_VOLTAGES)
VOLTAGE_MONITORS = range(FIRST_OWN_MONITOR, LEARNING_MONITORS.stop)
#: A sag or swell is over when the voltage is back by this much of the nominal.
HYSTERESIS_PERMILLE = 10
#: Customary voltages, of ANSI C84.1 and IEC 60038 and of the countries between them.
CUSTOMARY_V = (100, 110, 115, 120, 127, 208, 220, 230, 240, 277, 347, 380, 400, 415, 480, 600)
#: How far from a customary voltage one may be to be taken as that; others are taken as they are.
CUSTOMARY_PERMILLE = 60
#: A lower voltage is none to learn from: the service is cut, or a wire is open.
LIVE_MV = 50_000


def nominal_v(seen_v: Fraction) -> int:
    """Give the voltage that is meant where this one is seen, in whole volts."""
    nearest = min(CUSTOMARY_V, key=lambda one: abs(one - seen_v))
    if abs(nearest - seen_v) * 1000 <= CUSTOMARY_PERMILLE * nearest:
        return nearest
    return round(seen_v)


class Voltages:
    """Makes the monitors of one meter's voltages, and learns what is nominal."""

    def __init__(self, memory: Seen) -> None:
        self._memory = memory

    def monitors(
        self, meter: MeterContext, outage: Mapping[str, Any], version: int
    ) -> list[dict[str, Any]]:
        """Give a monitor for the sag and one for the swell of each voltage, or one to learn it."""
        memory = self._memory
        if memory.nominal_version != version:
            memory.nominal_v, memory.nominal_version = {}, version
        found: list[dict[str, Any]] = []
        if not outage["SAG_PERMILLE"] and not outage["SWELL_PERMILLE"]:
            return found
        for index, path in enumerate(_paths(meter)):
            volts = outage["NOMINAL_V"] or memory.nominal_v.get(path, 0)
            watched = _limits(index, outage, volts) if volts else _learning(index)
            about = {"TABLE": PRESENT_VALUES, "PATH": path, "SCALED": 1, "POWER": -3}
            about["PERIOD_MS"] = outage["VOLTAGE_PERIOD_MS"]
            found += [{**BLANK_MONITOR, **about, **one} for one in watched]
        return found

    def learn(self, verdict: Verdict, meter: MeterContext) -> None:
        """Take the voltage that was seen as what is nominal; of kilovolts a fraction counts."""
        path = verdict.monitor["PATH"]
        value = layout_for(PRESENT_VALUES, meter.context).value_at(path, verdict.octets)
        self._memory.nominal_v[path] = nominal_v(scaled(verdict.monitor, value, meter.images))


def _paths(meter: MeterContext) -> list[str]:
    """Give the voltages that ST-28 of this meter holds."""
    found = []
    for path in voltage_paths(meter.images)[:MAX_VOLTAGES]:
        try:
            layout_for(PRESENT_VALUES, meter.context).field(path)
        except TableError:
            continue
        found.append(path)
    return found


def _limits(index: int, outage: Mapping[str, Any], volts: int) -> Iterator[dict[str, Any]]:
    """Give what is special about the monitors for sag and swell; thresholds count millivolts."""
    for place, name, condition in (
        (0, "SAG_PERMILLE", Condition.BELOW),
        (1, "SWELL_PERMILLE", Condition.ABOVE),
    ):
        if outage[name]:
            yield {
                "MONITOR_NBR": FIRST_OWN_MONITOR + 2 * index + place,
                "CONDITION": condition,
                "THRESHOLD": outage[name] * volts,
                "HYSTERESIS": HYSTERESIS_PERMILLE * volts,
            }


def _learning(index: int) -> Iterator[dict[str, Any]]:
    """Give what is special about a monitor that tells of the first live voltage."""
    yield {
        "MONITOR_NBR": LEARNING_MONITORS[index],
        "CONDITION": Condition.ABOVE,
        "THRESHOLD": LIVE_MV,
    }
