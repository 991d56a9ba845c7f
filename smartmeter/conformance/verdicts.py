"""What a check found, and what its verdict rests on.

A check that a device fails is a *violation* only where two independent sources
agree on the rule; with one source, or only memory of the standard, the verdict
is *doubtful*; where the rule is a recommendation, it is *advice*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from smartmeter.conformance.transcript import Transcript


class Basis(Enum):
    """What a rule rests on."""

    TWO_SOURCES = "two sources"
    ONE_SOURCE = "one source"
    MEMORY = "memory of the standard"
    RECOMMENDATION = "our recommendation"


class Verdict(Enum):
    """How a check ended."""

    PASSED = "passed"
    VIOLATION = "violation"
    DOUBTFUL = "doubtful"
    ADVICE = "advice"
    WAIVED = "waived"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"

    @property
    def failed(self) -> bool:
        """Tell whether the device did not do as the check wants."""
        return self in (Verdict.VIOLATION, Verdict.DOUBTFUL, Verdict.ADVICE)


_VERDICTS = {
    Basis.TWO_SOURCES: Verdict.VIOLATION,
    Basis.ONE_SOURCE: Verdict.DOUBTFUL,
    Basis.MEMORY: Verdict.DOUBTFUL,
    Basis.RECOMMENDATION: Verdict.ADVICE,
}


class Deviation(Exception):
    """The device did something else than the check wants; the text says what.

    ``steps`` are those of the drawn session in which it did.
    """

    def __init__(self, text: str, basis: Basis | None = None, steps: tuple[str, ...] = ()) -> None:
        self.basis = basis
        self.steps = steps
        super().__init__(text)

    def verdict(self, basis: Basis) -> Verdict:
        """Give the verdict, on the check's basis unless this deviation has its own."""
        return _VERDICTS[self.basis or basis]


class NotApplicable(Exception):
    """The device has not what the check is about; the text says what is missing."""


class Unreachable(Exception):
    """The device does not answer any more."""


@dataclass(frozen=True)
class Result:
    """One check's end; ``steps`` is the shortest session that still fails, for a drawn one."""

    check: str
    group: str
    title: str
    basis: Basis
    verdict: Verdict
    text: str = ""
    transcript: Transcript = field(default_factory=Transcript)
    seconds: float = 0.0
    steps: tuple[str, ...] = ()

    def waived(self, waivers: Mapping[str, str]) -> Result:
        """Give itself, as WAIVED where it failed and a person knows why: check to reason."""
        if not self.verdict.failed or self.check not in waivers:
            return self
        text = f"{self.text} (waived: {waivers[self.check]})"
        return replace(self, verdict=Verdict.WAIVED, text=text)

    def to_json(self) -> dict[str, Any]:
        """Give the result as a report holds it."""
        return {
            "check": self.check,
            "group": self.group,
            "title": self.title,
            "basis": self.basis.value,
            "verdict": self.verdict.value,
            "text": self.text,
            "seconds": round(self.seconds, 3),
            "steps": list(self.steps),
            "transcript": self.transcript.to_json(),
        }
