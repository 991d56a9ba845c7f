"""A scenario: what happens to served meters, and when; the actions are those of the control.

A JSON list of steps, each with ``at_s`` (seconds of the meter's calendar after
the start) and ``do`` (the last word of a control path: ``troubles``, ``power``,
``clock``, ``events``, ``faults``, ``button``), ``meter`` where there are
several, and the members of that action::

    [{"at_s": 60, "do": "troubles", "kind": "sag", "percent": 60},
     {"at_s": 90, "do": "troubles", "kind": "sag", "on": false},
     {"at_s": 300, "do": "power", "on": false, "for_ms": 5000}]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocols.machine import earliest
from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import SettingsError
from smartmeter.simulation.actions import ControlError, checked
from smartmeter.simulation.control import ACTIONS, Control

#: The longest scenario, and the latest step: ten years.
MAX_STEPS, MAX_AT_S = 100_000, 10 * 366 * 86_400
_EXAMPLE = '{"at_s": 60, "do": "troubles", "kind": "sag"}'


@dataclass(frozen=True)
class Step:
    """One action on one meter, at a time after the start."""

    at_s: int
    meter: int
    do: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        """Give the control's path of the action."""
        return f"/meters/{self.meter}/{self.do}"


class Scenario:
    """The steps that are still to come, in order of time."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = sorted(steps, key=lambda step: step.at_s)

    @classmethod
    def from_json(cls, text: str, name: str, meters: int) -> Scenario:
        """Read a scenario for so many meters; SettingsError names the step and the remedy."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(name, f"is no JSON: {error}", f"write [{_EXAMPLE}]") from None
        if not isinstance(given, list) or len(given) > MAX_STEPS:
            raise SettingsError(name, f"is no list of at most {MAX_STEPS} steps", f"[{_EXAMPLE}]")
        return cls([_step(one, f"{name}, step {n}", meters) for n, one in enumerate(given, 1)])

    def deadline_us(self, control: Control) -> int | None:
        """Give the monotonic instant of the next step or end of an outage, None after the last."""
        step_us = self._due_us(self._steps[0], control) if self._steps else None
        return earliest(step_us, control.deadline_us())

    def _due_us(self, step: Step, control: Control) -> int:
        calendar = control.meters[step.meter].calendar
        assert calendar is not None, "a scenario is for simulated meters"
        # Seconds of a calendar that runs faster are shorter; sets of the clock do not count.
        return control.begun_us + int(step.at_s * US_PER_S / calendar.rate)

    def expire(self, control: Control, now_us: int) -> Iterator[str]:
        """Do the steps that are due, and end outages; tells each step in a line."""
        while self._steps and self._due_us(self._steps[0], control) <= now_us:
            step = self._steps.pop(0)
            try:
                control.handle("POST", step.path, step.body, now_us)
                yield f"{step.at_s} s: meter {step.meter} {step.do} {step.body or ''}".rstrip()
            except ControlError as error:
                yield f"{step.at_s} s: meter {step.meter} {step.do}: {error}"
        control.expire(now_us)


def _step(given: Any, name: str, meters: int) -> Step:
    """Check one step as the control would, before anything is served."""
    if not isinstance(given, dict):
        raise SettingsError(name, "is no object", f"write {_EXAMPLE}")
    at_s, do, meter = given.get("at_s"), given.get("do"), given.get("meter", 0)
    if not isinstance(at_s, int) or isinstance(at_s, bool) or not 0 <= at_s <= MAX_AT_S:
        raise SettingsError(name, f"at_s {at_s!r:.80}", f"give whole seconds, 0 to {MAX_AT_S}")
    if not isinstance(meter, int) or isinstance(meter, bool) or not 0 <= meter < meters:
        raise SettingsError(name, f"meter {meter!r:.80}", f"give 0 to {meters - 1}")
    pattern = f"/meters/{{meter}}/{do}"
    found = [a for a in ACTIONS if a.method == "POST" and a.path == pattern]
    if not found:
        known = ", ".join(a.path.rpartition("/")[2] for a in ACTIONS if a.method == "POST")
        raise SettingsError(name, f"do {do!r:.80} is not known", f"one of {known}")
    body = {key: value for key, value in given.items() if key not in ("at_s", "do", "meter")}
    try:
        checked(found[0], body)
    except ControlError as error:
        raise SettingsError(name, str(error), f"write it as {_EXAMPLE}") from None
    return Step(at_s, meter, str(do), body)
