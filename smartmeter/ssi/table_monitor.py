"""The table monitor: conditions on elements of the meter's tables, with hysteresis.

It says what to read and judges what was read; reading is the module's work.
A monitor's state is durable (in the module's memory), so that a restart raises
nothing twice and misses no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ansi_tables import Context, layout_for
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import Condition

US_PER_MS = 1000
#: Elements of one table are read at once when they lie within so many octets.
MAX_SPAN = 64


@dataclass(frozen=True)
class Span:
    """Octets of a table to read."""

    table: int
    offset: int
    count: int


@dataclass(frozen=True)
class Verdict:
    """A monitor's condition has come true (``raised``) or is over; ``value`` was seen."""

    monitor: Mapping[str, Any]
    raised: bool
    value: int


@dataclass
class _Watch:
    monitor: Mapping[str, Any]
    span: Span
    next_us: int
    since_us: int | None = None


class TableMonitor:
    """All monitors of a module.  ``states`` maps a number to [raised, last octets in hex]."""

    def __init__(self, states: dict[str, list[Any]]) -> None:
        self._states = states
        self._watches: list[_Watch] = []
        self._context: Context | None = None
        self.faults: list[str] = []

    def configure(
        self, monitors: Sequence[Mapping[str, Any]], context: Context, now_us: int
    ) -> None:
        """Bind the monitors to the meter's tables; what it does not have goes to ``faults``."""
        self._context, self._watches, self.faults = context, [], []
        numbers = {str(monitor["MONITOR_NBR"]) for monitor in monitors if monitor["ENABLED"]}
        for number in set(self._states) - numbers:
            del self._states[number]
        for monitor in monitors:
            if not monitor["ENABLED"]:
                continue
            try:
                self._watches.append(_Watch(monitor, self._span(monitor), now_us))
            except TableError as error:
                self.faults.append(f"monitor {monitor['MONITOR_NBR']}: {error}")

    def _span(self, monitor: Mapping[str, Any]) -> Span:
        assert self._context is not None
        if not monitor["PATH"]:
            return Span(monitor["TABLE"], monitor["OFFSET"], monitor["WIDTH"])
        layout = layout_for(monitor["TABLE"], self._context)
        return Span(monitor["TABLE"], *layout.field(monitor["PATH"]))

    def next_us(self) -> int | None:
        """Give when the first monitor is due."""
        return min((watch.next_us for watch in self._watches), default=None)

    def due(self, now_us: int) -> list[Span]:
        """Give what to read now: monitors of one table that lie close share a read."""
        spans: list[Span] = []
        wanted = sorted(
            (watch.span for watch in self._watches if watch.next_us <= now_us),
            key=lambda span: (span.table, span.offset),
        )
        for span in wanted:
            last = spans[-1] if spans else None
            end = span.offset + span.count
            if last and last.table == span.table and end - last.offset <= MAX_SPAN:
                count = max(last.count, end - last.offset)
                spans[-1] = Span(last.table, last.offset, count)
            else:
                spans.append(span)
        return spans

    def put_off(self, now_us: int, rest_us: int) -> None:
        """Set the next instant of each monitor that is due: its period, and at least the rest."""
        for watch in self._watches:
            if watch.next_us <= now_us:
                period_us = watch.monitor["PERIOD_MS"] * US_PER_MS
                watch.next_us = now_us + max(period_us, rest_us)

    def judge(self, read: Iterable[tuple[Span, bytes]], now_us: int) -> list[Verdict]:
        """Take what was read; give the changes.  Their states are to be made durable now."""
        verdicts = []
        for span, octets in read:
            for watch in self._watches:
                inside = watch.span.offset - span.offset
                if watch.span.table != span.table or inside < 0:
                    continue
                mine = octets[inside : inside + watch.span.count]
                if len(mine) == watch.span.count:
                    verdict = self._judge(watch, mine, now_us)
                    if verdict is not None:
                        verdicts.append(verdict)
        return verdicts

    def _judge(self, watch: _Watch, octets: bytes, now_us: int) -> Verdict | None:
        monitor = watch.monitor
        number = str(monitor["MONITOR_NBR"])
        raised, last = self._states.get(number, [False, None])
        value = self._value(monitor, octets)
        if monitor["CONDITION"] == Condition.CHANGED:
            self._states[number] = [False, octets.hex()]
            if last is None or last == octets.hex():
                return None
            return Verdict(monitor, True, _whole(value))
        if _holds(monitor, value, bool(raised)) == bool(raised):
            watch.since_us = None
            return None
        if watch.since_us is None:
            watch.since_us = now_us
        if now_us - watch.since_us < monitor["MIN_DURATION_MS"] * US_PER_MS:
            return None
        watch.since_us = None
        self._states[number] = [not raised, octets.hex()]
        return Verdict(monitor, not raised, _whole(value))

    def _value(self, monitor: Mapping[str, Any], octets: bytes) -> Any:
        assert self._context is not None
        if monitor["PATH"]:
            return layout_for(monitor["TABLE"], self._context).value_at(monitor["PATH"], octets)
        order = self._context.fmt.data_order
        return int.from_bytes(octets, order, signed=bool(monitor["SIGNED"]))


def _holds(monitor: Mapping[str, Any], value: Any, raised: bool) -> bool:
    """Tell whether a condition holds; one that was raised needs the hysteresis to be over."""
    condition, low, high = (
        int(monitor[name]) for name in ("CONDITION", "THRESHOLD", "THRESHOLD_HIGH")
    )
    if condition in (Condition.BIT_SET, Condition.BIT_CLEAR):
        members = isinstance(value, frozenset)
        is_set = low in value if members else bool(_whole(value) >> low & 1)
        return is_set == (condition == Condition.BIT_SET)
    number = _exact(value)
    slack = int(monitor["HYSTERESIS"]) if raised else 0
    if condition == Condition.BELOW:
        return number < low + slack
    if condition == Condition.ABOVE:
        return number > low - slack
    if condition == Condition.OUTSIDE:
        return number < low + slack or number > high - slack
    return number == low


def _exact(value: Any) -> Fraction:
    if isinstance(value, int | Decimal | float):
        return Fraction(value)
    if isinstance(value, bytes):
        return Fraction(int.from_bytes(value, "big"))
    return Fraction(0)


def _whole(value: Any) -> int:
    """Give a value as the 64-bit integer that an alarm carries; what is no number is 0."""
    number = int(_exact(value))
    return max(-(1 << 63), min(number, (1 << 63) - 1))
