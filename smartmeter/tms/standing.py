"""The state that is shown of each SmartMeter: late, without mains, or well again."""

from __future__ import annotations

from collections.abc import Callable

from smartmeter.tms.model import State
from smartmeter.tms.provisioning import Provisioning
from smartmeter.tms.silence import Overdue, SilenceWatch
from smartmeter.tms.store.queries import has_power
from smartmeter.tms.store.silences import end_silence, store_silence, store_state
from smartmeter.tms.store.sqlite import Store


class Standing:
    """``look_after`` has a SmartMeter pinged, and what is missing of it fetched.

    ``ask_for_log`` has its OUTAGE_LOG read, and ``log_read`` is told when that is stored: a store
    that came back from a backup lacks the ends of outages that were acknowledged since.
    """

    def __init__(
        self,
        store: Store,
        silence: SilenceWatch,
        provisioning: Provisioning,
        utc_s: Callable[[], int],
        look_after: Callable[[str], object],
        ask_for_log: Callable[[str], object],
    ) -> None:
        self._store, self._silence, self._provisioning = store, silence, provisioning
        self._utc_s, self._look_after, self._ask_for_log = utc_s, look_after, ask_for_log
        #: Of these the log was read since the start.
        self._logs_read: set[str] = set()

    def overdue(self, event: Overdue) -> None:
        """A report that was due has not come."""
        utc_s, esn = self._utc_s(), event.esn
        if not event.again:
            number, due_s = event.schedule_nbr, event.due_s
            self._store.write(lambda c: store_silence(c, esn, number, due_s, utc_s), again=True)
            self._show(esn, State.OVERDUE, f"report of schedule {number} is late")
        self._look_after(esn)

    def heard_again(self, esn: str) -> None:
        """A SmartMeter that was late has reported."""
        utc_s = self._utc_s()
        self._store.write(lambda c: end_silence(c, esn, utc_s), again=True)
        # One that keeps to another template is brought to this one by the same report.
        if self._provisioning.is_settled(esn) and not self._silence.powerless(esn):
            self._show(esn, State.PROVISIONED, "")

    def outage_told(self, esn: str) -> None:
        """An outage was told, or its end, in whichever order: the newest one counts."""
        on = has_power(self._store, esn)
        self._silence.power(esn, on, self._utc_s())
        if not on:
            self._show(esn, State.POWERLESS, "told with the last gasp")
        elif self._silence.silent(esn):
            self._show(esn, State.OVERDUE, "has mains, and no report that was due came yet")
        else:
            self._show(esn, State.PROVISIONED, "")

    def reported(self, esn: str, is_due: bool) -> None:
        """One that keeps to its schedules may have mains again: its log, read once, tells."""
        if not self._silence.powerless(esn):
            return
        if has_power(self._store, esn):
            self.outage_told(esn)
        elif is_due and esn not in self._logs_read:
            self._ask_for_log(esn)

    def log_read(self, esn: str) -> None:
        """The ends of outages were stored again."""
        self._logs_read.add(esn)
        if self._silence.powerless(esn):
            self.outage_told(esn)

    def _show(self, esn: str, state: State, cause: str) -> None:
        """Store the state; one that has refused the template is not shown as provisioned."""
        utc_s = self._utc_s()
        if state is State.PROVISIONED and (refusal := self._provisioning.refusal(esn)):
            state, cause = State.FAILED, refusal
        self._store.write(lambda c: store_state(c, esn, state, cause, utc_s), again=True)
