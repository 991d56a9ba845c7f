"""SmartMeters that refuse the template: they are told once, and asked ever more rarely."""

from __future__ import annotations

from dataclasses import dataclass

from smartmeter.tms.model import US_PER_S

#: How long nothing is tried after a refusal; doubles with each that follows, up to a day.
FIRST_PAUSE_US, MAX_PAUSE_US = 900 * US_PER_S, 86_400 * US_PER_S


@dataclass(frozen=True)
class _Refusal:
    cause: str
    pause_us: int
    until_us: int


class UntakenTemplates:
    """Of a TMS with one template: who refused it last, and why.

    Another try at each report would fill the line and the list of work with what helps nobody;
    a person may order one at any time.
    """

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    def refused(self, esn: str, cause: str, now_us: int) -> None:
        """A SmartMeter answered, and did not take it."""
        last = self._refusals.get(esn)
        pause_us = FIRST_PAUSE_US if last is None else min(2 * last.pause_us, MAX_PAUSE_US)
        self._refusals[esn] = _Refusal(cause, pause_us, now_us + pause_us)

    def forget(self, esn: str) -> None:
        """A SmartMeter keeps to it, or is asked nothing until it comes back."""
        self._refusals.pop(esn, None)

    def cause(self, esn: str) -> str:
        """Give why it was refused last, "" for who has taken it or was not asked."""
        last = self._refusals.get(esn)
        return "" if last is None else last.cause

    def may_try(self, esn: str, now_us: int) -> bool:
        """Tell whether a SmartMeter that comes by may be asked to take it."""
        last = self._refusals.get(esn)
        return last is None or now_us >= last.until_us
