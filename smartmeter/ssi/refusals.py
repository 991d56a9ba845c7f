"""Reports that the TMS refuses: which let others go first, and which is itself at fault.

A TMS whose disk is full refuses everything, and nothing is wrong with the reports.  So a
report is at fault only when it was refused, another one was taken, and it was refused again.
"""

from __future__ import annotations

from collections import Counter

#: Refusals of one report after which others are tried before it.
REFUSALS = 3


class Refusals:
    """Counts the refusals of each report; a restart begins to count anew."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        #: Numbers of the reports that let others go first.
        self.passed_over: set[int] = set()
        #: Something was refused since a report was taken.
        self.lasting = False

    def refused(self, number: int) -> bool:
        """Count a refusal; True when the report is at fault."""
        self.lasting = True
        self._counts[number] += 1
        if self._counts[number] > REFUSALS:
            del self._counts[number]
            return True
        if self._counts[number] == REFUSALS:
            self.passed_over.add(number)
        return False

    def taken(self, number: int) -> None:
        """The TMS took a report: those that were passed over are tried once more."""
        self.lasting = False
        self._counts.pop(number, None)
        self.passed_over.clear()

    def forget(self) -> None:
        """There is no other report to try, or another way: begin with the first one again."""
        self._counts.clear()
        self.passed_over.clear()
