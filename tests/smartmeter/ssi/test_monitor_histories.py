"""Any monitor on any history of its element, with restarts: what it tells, against a plain model.

The model keeps all that was seen since the start; of what was before it knows what was told last.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansi_tables.ssi_tables import Condition
from smartmeter.base.clock import US_PER_S as S
from smartmeter.ssi.memory import Seen
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.table_monitor import Span, TableMonitor
from tests.smartmeter.ssi.host import Street, monitor

SPAN = Span(23, 0, 1)


def known_meter() -> MeterContext:
    street = Street()
    street.run(10)
    meter = street.device.module.meter
    assert meter is not None
    return meter


METER = known_meter()


@dataclass
class Model:
    """What one monitor is to tell; ``raised`` and ``told`` outlive a restart."""

    monitor: dict[str, Any]
    raised: bool = False
    #: The value that was told last, of changes also the first one.
    told: int | None = None
    #: The same two when the module started.
    was_raised: bool = False
    was_told: int | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)
    differs_since: int | None = None
    told_at: list[int] = field(default_factory=list)

    def restart(self) -> None:
        self.was_raised, self.was_told, self.seen = self.raised, self.told, []
        self.differs_since, self.told_at = None, []

    def _holds(self, at: int, value: int) -> bool:
        one, slack = self.monitor, self.monitor["HYSTERESIS"] if self.raised else 0
        low, high, window = one["THRESHOLD"], one["THRESHOLD_HIGH"], one["WINDOW_S"] * S
        begun, last = self.seen[0][0], self.told
        match one["CONDITION"]:
            case Condition.EQUAL:
                return abs(value - low) <= slack
            case Condition.ABOVE:
                return bool(value > low - slack)
            case Condition.BELOW:
                return bool(value < low + slack)
            case Condition.OUTSIDE:
                return bool(value < low + slack or value > high - slack)
            case Condition.BIT_SET | Condition.BIT_CLEAR:
                return bool(value >> low & 1) is (one["CONDITION"] == Condition.BIT_SET)
            case Condition.RATE:
                far = max(abs(value - other) for when, other in self.seen if when >= at - window)
                lasts = self.raised and self.was_raised and at < begun + window
                return bool(lasts or far > low - slack)
            case Condition.SILENT:
                history = (
                    [(begun - window, self.was_told), *self.seen] if self.was_raised else self.seen
                )
                changes = [
                    when
                    for n, (when, other) in enumerate(history)
                    if not n or other != history[n - 1][1]
                ]
                return bool(at - changes[-1] >= window)
        assert last is not None
        return value != last and not abs(value - last) <= one["HYSTERESIS"]

    def look(self, at: int, value: int) -> bool | None:
        """Give what is told of a value that was seen: raised, over, or nothing."""
        self.seen.append((at, value))
        one, changes = self.monitor, self.monitor["CONDITION"] == Condition.CHANGED
        if changes and self.told is None:
            self.told = value
        holds = self._holds(at, value)
        if holds == self.raised:
            self.differs_since = None
            return None
        self.differs_since = at if self.differs_since is None else self.differs_since
        recent = [when for when in self.told_at if at - when < 3600 * S]
        limit, rests = one["MAX_PER_HOUR"], one["REARM_S"] * S
        waits = bool(limit) and len(recent) >= limit
        waits = waits or any(at - when < rests for when in self.told_at)
        if at - self.differs_since < one["MIN_DURATION_MS"] * 1000 or (holds and waits):
            return None
        self.told_at += [at] if holds else []
        self.differs_since, self.raised, self.told = None, holds and not changes, value
        return holds


MONITORS = st.fixed_dictionaries(
    {
        "CONDITION": st.sampled_from(Condition),
        "THRESHOLD": st.integers(0, 7),
        "THRESHOLD_HIGH": st.integers(7, 15),
        "HYSTERESIS": st.sampled_from([0, 0, 1, 4]),
        "WINDOW_S": st.sampled_from([3, 20]),
        "MIN_DURATION_MS": st.sampled_from([0, 0, 2500]),
        "REARM_S": st.sampled_from([0, 0, 9]),
        "MAX_PER_HOUR": st.sampled_from([0, 0, 2]),
    }
)
#: Seconds until the next look, the value that it sees (None: as before), a restart before it.
LOOKS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 15, 2000]),
        st.none() | st.sampled_from([0, 5, 7, 8, 16, 20]),
        st.sampled_from([False, False, True]),
    ),
    min_size=12,
    max_size=40,
)


@given(MONITORS, LOOKS)
def test_a_monitor_tells_what_lasts_and_nothing_twice_whenever_the_module_restarts(
    drawn: dict[str, Any], looks: Sequence[tuple[int, int | None, bool]]
) -> None:
    one = monitor(1, PATH="", WIDTH=1, **drawn)
    model, at, value, kept = Model(one), 1000 * S, 0, json.dumps(vars(Seen()))

    def start() -> tuple[Seen, TableMonitor]:
        memory = Seen(**json.loads(kept))
        found = TableMonitor(memory)
        found.configure([one], METER.context, METER.images, at)
        return memory, found

    memory, found = start()
    for seconds, seen, restarts in looks:
        at, value = at + seconds * S, value if seen is None else seen
        if restarts:
            memory, found = start()
            model.restart()
        verdicts = found.judge([(SPAN, bytes([value]))], at)
        if verdicts or found.begun:
            kept = json.dumps(vars(memory))
        expected = model.look(at, value)
        assert [verdict.raised for verdict in verdicts] == [expected] * (expected is not None)
