"""What must hold in every world: checked after every step, and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ansi_tables.ssi_tables import SsiTable
from smartmeter.simulation.count import Journal
from smartmeter.ssi.module import Module
from smartmeter.ssi.outbox import CAPACITY
from smartmeter.tms.store.records import Stored


class Violation(Exception):
    """A promise was broken; the text says which, of whom, and when."""

    def __init__(self, what: str, esn: str, now_us: int) -> None:
        super().__init__(f"{what} ({esn or 'the fleet'}, {now_us / 1e6:.6f} s)")


class Safety:
    """Never: an interval altered, a report acknowledged and not stored, a queue without bound."""

    def __init__(self, journals: Mapping[str, Journal]) -> None:
        self._journals = journals
        self._stored: set[tuple[str, int]] = set()
        self._waiting: dict[str, set[int]] = {}
        self._unsent: Counter[str] = Counter()

    def stored(self, report: Stored, now_us: int) -> None:
        """Look at a report that the TMS has just made durable."""
        key = (report.esn, report.header["REPORT_NBR"])
        if report.repeated is (key not in self._stored):
            raise Violation(f"report {key[1]} is taken for what it is not", report.esn, now_us)
        self._stored.add(key)
        journal = self._journals[report.esn]
        for part in report.parts:
            if part.ssi is not SsiTable.LOAD_PROFILE_PART:
                continue
            for place, told in enumerate(part.value["INTERVALS"]):
                sequence = part.value["FIRST_SEQUENCE"] + place
                measured = journal.get(sequence)
                if measured is not None and (told["END_TIME"], told["VALUES"]) != (
                    measured.end_utc_s,
                    list(measured.values),
                ):
                    raise Violation(f"interval {sequence} is altered", report.esn, now_us)

    def step(self, module: Module, now_us: int) -> None:
        """Look at a module after it did something: what left its outbox is at the TMS."""
        if len(module.parts.outbox) > CAPACITY:
            raise Violation("the outbox is over its bound", module.parts.esn, now_us)
        waiting = set(module.parts.outbox.numbers)
        gone = self._waiting.get(module.parts.esn, set()) - waiting
        self._waiting[module.parts.esn] = waiting
        for number in gone:
            if (module.parts.esn, number) not in self._stored:
                self._unsent[module.parts.esn] += 1
                # Only what had to give way, and was counted, may go.
                if self._unsent[module.parts.esn] > module.parts.memory.reports_dropped:
                    raise Violation(
                        f"report {number} was forgotten unsent", module.parts.esn, now_us
                    )
