"""ID_CODE of ST-12: which quantity, and its unit as a rate and as an amount.

The code list agrees in several public sources (1997 edition); 13 is of the 2008
edition and from memory.  Codes that are not here have no unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A quantity and its unit; ``amount`` and ``amount_unit`` when TIME_BASE makes it a total.

    A total of what is no rate (a temperature) keeps name and unit.
    """

    name: str
    unit: str
    amount: str = ""
    amount_unit: str = ""

    def total(self) -> tuple[str, str]:
        """Give name and unit of the amount: active power in W is active energy in Wh."""
        return (self.amount or self.name, self.amount_unit or self.unit)


#: The powers, whose quadrants tell a direction.
REACTIVE = 1
POWERS = (0, REACTIVE, 2, 3, 4, 5)

_FLOW_M3, _FLOW_FT3 = ("m3/h", "m3"), ("ft3/h", "ft3")


def _flow(name: str, units: tuple[str, str]) -> Quantity:
    return Quantity(f"{name} flow", units[0], f"{name} volume", units[1])


QUANTITIES: Mapping[int, Quantity] = {
    0: Quantity("active power", "W", "active energy", "Wh"),
    1: Quantity("reactive power", "var", "reactive energy", "varh"),
    2: Quantity("apparent power", "VA", "apparent energy", "VAh"),
    3: Quantity("phasor apparent power", "VA", "phasor apparent energy", "VAh"),
    4: Quantity("Q(60)", "Q", "Q(60) energy", "Qh"),
    5: Quantity("Q(45)", "Q", "Q(45) energy", "Qh"),
    8: Quantity("voltage, RMS", "V", "volt hours", "Vh"),
    9: Quantity("voltage, average", "V", "volt hours, average", "Vh"),
    10: Quantity("voltage squared", "V2", "volt squared hours", "V2h"),
    11: Quantity("voltage, instantaneous", "V", "volt hours, instantaneous", "Vh"),
    12: Quantity("current, RMS", "A", "ampere hours", "Ah"),
    13: Quantity("current, average", "A", "ampere hours, average", "Ah"),
    14: Quantity("current squared", "A2", "ampere squared hours", "A2h"),
    15: Quantity("current, instantaneous", "A", "ampere hours, instantaneous", "Ah"),
    16: Quantity("voltage THD, IEEE", "%"),
    17: Quantity("current THD, IEEE", "%"),
    18: Quantity("voltage THD, IC", "%"),
    19: Quantity("current THD, IC", "%"),
    20: Quantity("voltage angle to phase A", "deg"),
    21: Quantity("voltage angle between phases", "deg"),
    22: Quantity("current angle to phase A voltage", "deg"),
    23: Quantity("current angle between phases", "deg"),
    24: Quantity("power factor, apparent", "1"),
    25: Quantity("power factor, phasor", "1"),
    29: Quantity("time of day", "1"),
    30: Quantity("date", "1"),
    31: Quantity("date and time", "1"),
    32: Quantity("interval timer", "1"),
    33: Quantity("frequency", "Hz"),
    34: Quantity("counter", "1"),
    35: Quantity("sense input", "1"),
    40: Quantity("voltage sag", "1"),
    41: Quantity("voltage swell", "1"),
    42: Quantity("power outage", "1"),
    43: Quantity("voltage excursion low", "1"),
    44: Quantity("voltage excursion high", "1"),
    45: Quantity("normal voltage level", "V"),
    46: Quantity("voltage unbalance", "1"),
    47: Quantity("voltage THD excess", "1"),
    48: Quantity("current THD excess", "1"),
    50: Quantity("power outages", "1"),
    51: Quantity("demand resets", "1"),
    52: Quantity("times programmed", "1"),
    53: Quantity("battery carryover", "min"),
    64: _flow("gas, uncorrected", _FLOW_M3),
    65: _flow("gas, corrected", _FLOW_M3),
    66: _flow("gas, corrected to base pressure", _FLOW_M3),
    67: _flow("gas, uncorrected", _FLOW_FT3),
    68: _flow("gas, corrected", _FLOW_FT3),
    69: _flow("gas, corrected to base pressure", _FLOW_FT3),
    70: Quantity("dry bulb temperature", "degC"),
    71: Quantity("wet bulb temperature", "degC"),
    72: Quantity("dry bulb temperature", "degF"),
    73: Quantity("wet bulb temperature", "degF"),
    74: Quantity("dry bulb temperature", "K"),
    75: Quantity("wet bulb temperature", "K"),
    76: Quantity("heat rate", "J/h", "heat", "J"),
    77: Quantity("heat rate", "therm/h", "heat", "therm"),
    78: Quantity("static pressure", "Pa"),
    79: Quantity("differential pressure", "Pa"),
    80: Quantity("static pressure", "psi"),
    81: Quantity("differential pressure", "psi"),
    82: Quantity("pressure", "g/cm2"),
    83: Quantity("pressure", "mHg"),
    84: Quantity("pressure", "inHg"),
    85: Quantity("pressure", "inH2O"),
    86: Quantity("pressure", "bar"),
    87: Quantity("relative humidity", "%"),
    88: Quantity("odorant", "ppm"),
    128: _flow("liquid", _FLOW_M3),
    129: _flow("liquid", _FLOW_FT3),
    130: _flow("liquid", ("USgal/h", "USgal")),
    131: _flow("liquid", ("impgal/h", "impgal")),
    132: _flow("liquid", ("acre ft/h", "acre ft")),
    133: Quantity("lead", "ppm"),
    134: Quantity("turbidity", "1"),
    135: Quantity("chlorine", "ppm"),
    136: Quantity("pH", "1"),
    137: Quantity("corrosion", "1"),
    138: Quantity("ionisation", "1"),
    139: Quantity("sulphur dioxide", "ppm"),
    140: Quantity("liquid volume", "l"),
    141: Quantity("liquid volume", "ft3"),
    142: Quantity("differential pressure", "lb/ft2"),
    143: Quantity("pressure", "inH2O"),
    144: Quantity("pressure", "ftH2O"),
    145: Quantity("pressure", "atm"),
    190: Quantity("local currency", "1"),
    191: Quantity("length", "in"),
    192: Quantity("length", "ft"),
    193: Quantity("length", "m"),
}

#: SEGMENTATION of ST-12; 2 and 4 as remembered, and one meter uses 4 for totals of all phases.
PHASES = ("", "A-B", "B-C", "C-A", "N-G", "A", "B", "C")

#: MULTIPLIER of ST-12 to a power of ten.
POWERS_OF_TEN = (0, 2, 3, 6, 9, -2, -3, -6)

#: TIME_BASE of ST-12, in words.
TIME_BASES = (
    "dial reading",
    "instantaneous",
    "per cycle",
    "sub-block average",
    "block average",
    "net dial reading",
    "thermal",
    "event",
)
#: Codes of TIME_BASE that make an amount of a rate.
TOTAL_TIME_BASES = (0, 5)
