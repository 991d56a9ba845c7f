"""What a monitor waits for: the condition on an element's value, and when it may be told again."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.errors import TableValueError
from ansi_tables.meaning.scale import Scale
from ansi_tables.meaning.sources import source
from ansi_tables.ssi_tables import Condition
from smartmeter.base.clock import US_PER_S
from smartmeter.ssi.extremes import Extremes

HOUR_US = 3600 * US_PER_S
#: Registers, present and kept ones, in all and by tier.
_REGISTERS = (23, 24, 25, 26)
_BLOCK = r"(?:.*\.)?(?:TOT_DATA_BLOCK|TIER_DATA_BLOCK\.\d+)\."
#: Elements that have a source: their tables and path, the table that selects it, its array there.
_SOURCES = (
    (_REGISTERS, _BLOCK + r"SUMMATIONS\.(\d+)", 22, "SUMMATION_SELECT"),
    (_REGISTERS, _BLOCK + r"DEMANDS\.(\d+)\..*DEMAND(?:\.\d+)?", 22, "DEMAND_SELECT"),
    (_REGISTERS, _BLOCK + r"COINCIDENTS\.(\d+)\.\w+\.\d+", 22, "COINCIDENT_SELECT"),
    ((28,), r"PRESENT_VALUE\.(\d+)", 27, "PRESENT_VALUE_SELECT"),
    ((28,), r"PRESENT_DEMAND\.(\d+)\.DEMAND_VALUE", 27, "PRESENT_DEMAND_SELECT"),
)
_AS_IT_IS = Scale()


class Watched:
    """One monitor's element over time.  TableError when a unit is asked for that is not known."""

    def __init__(self, monitor: Mapping[str, Any], images: Mapping[int, bytes]) -> None:
        self._monitor = monitor
        self._scale = _scale(monitor, images) if monitor["SCALED"] else _AS_IT_IS
        power = Fraction(10) ** monitor["POWER"]
        self._low: Fraction = monitor["THRESHOLD"] * power
        self._high: Fraction = monitor["THRESHOLD_HIGH"] * power
        self._hysteresis: Fraction = monitor["HYSTERESIS"] * power
        self._window_us: int = monitor["WINDOW_S"] * US_PER_S
        self._extremes = Extremes(self._window_us)
        self._last: bytes | None = None
        self._changed_us = 0
        #: What was told before a restart holds until so long: the window's values are gone.
        self._holds_until_us = 0
        self._since_us: int | None = None
        self._told_us: deque[int] = deque(maxlen=max(1, monitor["MAX_PER_HOUR"]))

    def _number(self, value: Any) -> Fraction:
        """Give a value in the unit that thresholds are in."""
        return exact(value) * self._scale.factor + self._scale.offset

    def saw(self, seen: bytes, value: Any, now_us: int) -> None:
        """Take note of a value, for conditions that look back; ``seen`` tells it from others."""
        if seen != self._last:
            self._last, self._changed_us = seen, now_us
        if self._monitor["CONDITION"] == Condition.RATE:
            self._extremes.saw(self._number(value), now_us)

    def resume(self, told: bytes, now_us: int) -> None:
        """After a restart, before anything was seen: go on from what was ``told`` before it."""
        if self._last is None:
            self._last, self._changed_us = told, now_us - self._window_us
            self._holds_until_us = now_us + self._window_us

    def moved(self, old: Any, new: Any) -> bool:
        """Tell whether two values that differ do so by more than the hysteresis."""
        far = abs(self._number(new) - self._number(old))
        return not self._hysteresis or far > self._hysteresis

    def holds(self, value: Any, raised: bool, now_us: int) -> bool:
        """Tell whether the condition holds; one that was raised needs the hysteresis to be over."""
        condition: int = self._monitor["CONDITION"]
        slack = self._hysteresis if raised else Fraction(0)
        number = self._number(value)
        match condition:
            case Condition.BIT_SET | Condition.BIT_CLEAR:
                return _bit(value, self._monitor["THRESHOLD"]) == (condition == Condition.BIT_SET)
            case Condition.ABOVE:
                return number > self._low - slack
            case Condition.BELOW:
                return number < self._low + slack
            case Condition.OUTSIDE:
                return number < self._low + slack or number > self._high - slack
            case Condition.RATE:
                if raised and now_us < self._holds_until_us:
                    return True
                return self._extremes.farthest(number, now_us) > self._low - slack
            case Condition.SILENT:
                return now_us - self._changed_us >= self._window_us
        return abs(number - self._low) <= slack

    def lasts(self, different: bool, now_us: int) -> bool:
        """Tell whether a change of the condition has lasted for the minimum duration."""
        if not different:
            self._since_us = None
            return False
        if self._since_us is None:
            self._since_us = now_us
        duration_us: int = self._monitor["MIN_DURATION_MS"] * 1000
        return now_us - self._since_us >= duration_us

    def may_tell(self, now_us: int) -> bool:
        """Tell whether re-arm time and rate limit allow to tell; else it comes later."""
        if not self._told_us:
            return True
        if now_us - self._told_us[-1] < self._monitor["REARM_S"] * US_PER_S:
            return False
        limit: int = self._monitor["MAX_PER_HOUR"]
        return not limit or len(self._told_us) < limit or now_us - self._told_us[0] >= HOUR_US

    def told(self, holds: bool, now_us: int) -> None:
        """Take note that it was told; only what ``holds`` counts for re-arm time and limit."""
        self._since_us = None
        if holds:
            self._told_us.append(now_us)


def _scale(monitor: Mapping[str, Any], images: Mapping[int, bytes]) -> Scale:
    """Give how a count of the element becomes its unit, from ST-12 to 16 and 22 or 27."""
    table, path = monitor["TABLE"], monitor["PATH"]
    tables = Snapshot(images)
    for wanted, pattern, selector, name in _SOURCES:
        found = re.fullmatch(pattern, path) if table in wanted else None
        selection = tables.get(selector) if found else None
        if found and selection is not None and int(found[1]) < len(selection[name]):
            scale = source(tables, _index(selection[name][int(found[1])])).scale
            if scale is not None:
                return scale
    raise TableValueError("the meter does not tell its unit", table=f"ST-{table}", path=path)


def scaled(monitor: Mapping[str, Any], value: Any, images: Mapping[int, bytes]) -> Fraction:
    """Give a value of a monitored element in its unit; TableError when that is not known."""
    scale = _scale(monitor, images)
    return exact(value) * scale.factor + scale.offset


def _index(selected: Any) -> int:
    """Give the source's number, which some tables hold as a record of one member."""
    return int(getattr(selected, "SOURCE_INDEX", selected))


def voltage_paths(images: Mapping[int, bytes]) -> list[str]:
    """Give the elements of ST-28 that are voltages."""
    tables = Snapshot(images)
    selection = tables.get(27)
    if selection is None:
        return []
    return [
        f"PRESENT_VALUE.{index}"
        for index, selected in enumerate(selection.PRESENT_VALUE_SELECT)
        if source(tables, _index(selected)).unit == "V"
    ]


def _bit(value: Any, bit: int) -> bool:
    return bit in value if isinstance(value, frozenset) else bool(int(exact(value)) >> bit & 1)


def exact(value: Any) -> Fraction:
    """Give a value as an exact number, a SET as that of its bits; what is no number is 0."""
    if isinstance(value, int | Decimal | float) and isfinite(value):
        return Fraction(value)
    if isinstance(value, frozenset):
        return Fraction(sum(1 << bit for bit in value if isinstance(bit, int)))
    if isinstance(value, bytes):
        return Fraction(int.from_bytes(value, "big"))
    return Fraction(0)


def whole(value: Any) -> int:
    """Give a value as the 64-bit integer that an alarm carries."""
    number = int(exact(value))
    return max(-(1 << 63), min(number, (1 << 63) - 1))
