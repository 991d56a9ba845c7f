"""Whether each SmartMeter has mains: by what it told, and by its log where that lacks an end."""

from __future__ import annotations

from collections.abc import Callable

from smartmeter.tms.model import State
from smartmeter.tms.silence import SilenceWatch
from smartmeter.tms.store.queries import has_power
from smartmeter.tms.store.sqlite import Store


class PowerStanding:
    """``ask_for_log`` has a SmartMeter's OUTAGE_LOG read; ``log_read`` is told when it is stored.

    A store that came back from a backup lacks the ends of outages that were acknowledged
    since it was made.
    """

    def __init__(
        self,
        store: Store,
        silence: SilenceWatch,
        utc_s: Callable[[], int],
        set_state: Callable[[str, State, str], None],
        ask_for_log: Callable[[str], object],
    ) -> None:
        self._store, self._silence, self._utc_s = store, silence, utc_s
        self._set_state, self._ask_for_log = set_state, ask_for_log
        #: Of these the log was read since the start.
        self._logs_read: set[str] = set()

    def told(self, esn: str) -> None:
        """An outage was told, or its end, in whichever order: the newest one counts."""
        on = has_power(self._store, esn)
        self._silence.power(esn, on, self._utc_s())
        if not on:
            self._set_state(esn, State.POWERLESS, "told with the last gasp")
        elif self._silence.silent(esn):
            self._set_state(esn, State.OVERDUE, "has mains, and no report that was due came yet")
        else:
            self._set_state(esn, State.PROVISIONED, "")

    def reported(self, esn: str, is_due: bool) -> None:
        """Who keeps to its schedules has mains, or another supply: its log tells, asked once."""
        if not self._silence.powerless(esn):
            return
        if has_power(self._store, esn):
            self.told(esn)
        elif is_due and esn not in self._logs_read:
            self._ask_for_log(esn)

    def log_read(self, esn: str) -> None:
        """The ends of outages were stored again."""
        self._logs_read.add(esn)
        if self._silence.powerless(esn):
            self.told(esn)
