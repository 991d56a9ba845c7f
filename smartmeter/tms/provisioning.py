"""Whether each SmartMeter keeps to the template, and how it is brought there.

One that refuses the template is asked ever more rarely: another try at each report would fill the
line and the list of work with what helps nobody.  A person may order one at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smartmeter.tms.job_outcomes import JobOutcomes
from smartmeter.tms.jobs import DONE, FAILED, Job
from smartmeter.tms.model import US_PER_S
from smartmeter.tms.silence import SilenceWatch

#: How long nothing is tried after a refusal; doubles with each that follows, up to a day.
FIRST_PAUSE_US, MAX_PAUSE_US = 900 * US_PER_S, 86_400 * US_PER_S


@dataclass(frozen=True)
class _Refusal:
    cause: str
    pause_us: int
    until_us: int


class Provisioning:
    """``order`` begins the work of provisioning a SmartMeter, where that can be begun."""

    def __init__(
        self, silence: SilenceWatch, outcomes: JobOutcomes, order: Callable[[str], object]
    ) -> None:
        self._silence, self._outcomes, self._order = silence, outcomes, order
        self._version = outcomes.version
        self._refusals: dict[str, _Refusal] = {}

    def registered(self, esn: str, version: int, now_us: int) -> None:
        """A SmartMeter has registered; ``version`` is what it was last provisioned with."""
        if version != self._version:
            self._bring(esn, now_us)

    def keeps(self, esn: str, version: int, utc_s: int) -> bool:
        """Tell whether a report was made by the template; if so, it was taken."""
        if version != self._version:
            return False
        self._refusals.pop(esn, None)
        if self._silence.version(esn) != version:
            self._outcomes.provisioned(esn, utc_s)  # also when its answer was lost
        return True

    def keeps_to_another(self, esn: str, version: int, utc_s: int, now_us: int) -> None:
        """Bring a SmartMeter to the template; until then its dues are those that it keeps to."""
        if self._silence.version(esn) != version:
            self._silence.forget(esn)
            self._outcomes.watch(esn, version, utc_s, utc_s)
        self._bring(esn, now_us)

    def ended(self, job: Job, now_us: int) -> None:
        """Work of provisioning has come to an end, or tries again."""
        is_watched = self._silence.version(job.esn) == self._version
        if job.state == DONE:
            self.forget(job.esn)
        elif job.state == FAILED and job.answered and not is_watched:
            self._refused(job.esn, job.cause, now_us)

    def is_settled(self, esn: str) -> bool:
        """Tell whether a SmartMeter keeps to the template, or has refused it."""
        return self._silence.version(esn) == self._version or bool(self.refusal(esn))

    def refusal(self, esn: str) -> str:
        """Give why the template was refused; "" for who has taken it or was not asked."""
        last = self._refusals.get(esn)
        return "" if last is None else last.cause

    def forget(self, esn: str) -> None:
        """A SmartMeter has taken the template, or may be asked at once when it comes back."""
        self._refusals.pop(esn, None)

    def _refused(self, esn: str, cause: str, now_us: int) -> None:
        last = self._refusals.get(esn)
        pause_us = FIRST_PAUSE_US if last is None else min(2 * last.pause_us, MAX_PAUSE_US)
        self._refusals[esn] = _Refusal(cause, pause_us, now_us + pause_us)

    def _bring(self, esn: str, now_us: int) -> None:
        last = self._refusals.get(esn)
        if last is None or now_us >= last.until_us:
            self._order(esn)
