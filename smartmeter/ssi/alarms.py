"""Exceptions and what becomes of them: logged, told with the next report, or told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import AlarmSource, Disposition, ModuleAlarm, SsiTable
from smartmeter.ssi.memory import Memory

#: Advisories that wait for a report; the oldest gives way, and is counted.
MAX_ADVISORIES = 64
NO_MONITOR = 255
#: Exceptions of the module's own that count: while one waits, what follows adds to its value.
_COUNTS = frozenset((ModuleAlarm.OUTBOX_OVERFLOW, ModuleAlarm.GAP))

#: What the module tells of itself when the TMS has set nothing else.
_OWN: Mapping[int, Disposition] = {
    ModuleAlarm.METER_UNREACHABLE: Disposition.ALARM,
    ModuleAlarm.METER_BACK: Disposition.ADVISORY,
    ModuleAlarm.CLOCK_OFF: Disposition.ADVISORY,
    ModuleAlarm.OUTBOX_OVERFLOW: Disposition.ADVISORY,
    ModuleAlarm.METER_SECURITY: Disposition.ALARM,
    ModuleAlarm.DATA_CLEARED: Disposition.ADVISORY,
    ModuleAlarm.GAP: Disposition.ADVISORY,
    ModuleAlarm.MEMORY_FAILED: Disposition.ALARM,
    ModuleAlarm.WATCHDOG_RESET: Disposition.ADVISORY,
    ModuleAlarm.RESET_NOT_DUE: Disposition.ADVISORY,
    ModuleAlarm.UPGRADED: Disposition.ADVISORY,
    ModuleAlarm.UPGRADE_FAILED: Disposition.ALARM,
    ModuleAlarm.SAG: Disposition.ADVISORY,
    ModuleAlarm.SWELL: Disposition.ADVISORY,
    ModuleAlarm.MONITOR_IMPOSSIBLE: Disposition.ADVISORY,
    ModuleAlarm.METER_CHANGED: Disposition.ALARM,
    ModuleAlarm.REPORT_REFUSED: Disposition.ALARM,
    ModuleAlarm.INTERVALS_LEFT_OUT: Disposition.ADVISORY,
}
#: Events that any session causes; of the module's own user they are never told.
NUISANCES = frozenset((3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21))
NUISANCES |= frozenset((49, 58, 59, 60, 63, 64, 65, 68, 69, 70, 73, 74, 75, 76))
#: The standard event that says the same as a bit of ED_STD_STATUS1 (C12.19 ST-03 and table A).
EVENT_OF_STATUS: Mapping[int, int] = {
    **{bit: 36 + bit for bit in range(1, 11)},
    11: 1,
    12: 47,
    13: 48,
}


class Alarms:
    """Numbers alarms and keeps the advisories in the module's memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._default = Disposition.LOG
        self._entries: dict[tuple[int, int], Disposition] = {}
        #: An alarm may be among what is kept, also since before a start.
        self.alarm_waits = True

    def configure(self, table: Mapping[str, Any]) -> None:
        """Take the DISPOSITION table."""
        self._default = Disposition(min(table["DEFAULT"], Disposition.ALARM))
        self._entries = {
            (entry["SOURCE"], entry["CODE"]): Disposition(
                min(entry["DISPOSITION"], Disposition.ALARM)
            )
            for entry in table["ENTRIES"]
        }

    def disposition(self, source: AlarmSource, code: int) -> Disposition:
        """Give what is to become of an exception."""
        found = self._entries.get((source, code))
        if found is None and source is AlarmSource.MODULE:
            found = _OWN.get(code)
        return self._default if found is None else found

    def event(self, source: AlarmSource, code: int, caused_by_us: bool) -> Disposition:
        """Give what is to become of an event of the meter's log."""
        if caused_by_us and source is AlarmSource.METER_STANDARD and code in NUISANCES:
            return Disposition.LOG
        return self.disposition(source, code)

    def status_bit(self, bit: int, is_logged: bool) -> Disposition:
        """Give what is to become of a bit of ST-03 that was set.

        Where the meter's log tells of the event that is the same, once is enough.
        """
        found = self._entries.get((AlarmSource.METER_STATUS, bit))
        event = EVENT_OF_STATUS.get(bit)
        if found is not None or event is None:
            return self._default if found is None else found
        return Disposition.LOG if is_logged else self.disposition(AlarmSource.METER_STANDARD, event)

    def value(
        self,
        source: AlarmSource,
        code: int,
        disposition: int,
        time_s: int,
        text: str,
        monitor_nbr: int = NO_MONITOR,
        value: int = 0,
    ) -> dict[str, Any]:
        """Number an exception; give the ALARM table's value."""
        number, self._memory.next_alarm = self._memory.next_alarm, self._memory.next_alarm + 1
        return {
            "ALARM_NBR": number,
            "SOURCE": source,
            "CODE": code,
            "DISPOSITION": disposition,
            "TIME": time_s,
            "MONITOR_NBR": monitor_nbr,
            "VALUE": value,
            "TEXT": text,
        }

    def keep(self, value: Mapping[str, Any]) -> None:
        """Keep an advisory for the next report, an alarm until it may be told; to be committed.

        What counts is added to the same that waits.  Of too many the oldest give way, counted in
        one more exception.
        """
        if value["DISPOSITION"] == Disposition.ALARM:
            self.alarm_waits = True
        if not self._added(value):
            image = ssi_tables.encode(SsiTable.ALARM, value).hex()
            self._memory.advisories = [*self._memory.advisories, image]
        while len(self._memory.advisories) > MAX_ADVISORIES:
            self._drop_oldest(value["TIME"])

    def _added(self, value: Mapping[str, Any]) -> bool:
        """Add a count to the one that waits; False: none does, or it is no count.

        It takes the later number: under the earlier one the TMS may have it without this.
        """
        if not counts(value):
            return False
        same, images = ("SOURCE", "CODE", "DISPOSITION", "TEXT"), list(self._memory.advisories)
        for index, waiting in enumerate(self._waiting()):
            if all(waiting[name] == value[name] for name in same):
                waiting["VALUE"] += value["VALUE"]
                waiting["ALARM_NBR"] = max(waiting["ALARM_NBR"], value["ALARM_NBR"])
                images[index] = ssi_tables.encode(SsiTable.ALARM, waiting).hex()
                self._memory.advisories = images
                return True
        return False

    def _drop_oldest(self, time_s: int) -> None:
        waiting = self._waiting()
        others = (index for index, one in enumerate(waiting) if not counts(one))
        # Alarms wait here while the outbox has no place for them: advisories give way first.
        order = "DISPOSITION", "ALARM_NBR"
        oldest = min(others, key=lambda index: [waiting[index][name] for name in order])
        images = self._memory.advisories
        self._memory.advisories = images[:oldest] + images[oldest + 1 :]
        source, code = AlarmSource.MODULE, ModuleAlarm.OUTBOX_OVERFLOW
        disposition = self.disposition(source, code)
        if disposition is not Disposition.LOG:
            text = "advisories were dropped"
            self.keep(self.value(source, code, disposition, time_s, text, value=1))

    def _waiting(self) -> list[dict[str, Any]]:
        images = map(bytes.fromhex, self._memory.advisories)
        return [ssi_tables.decode(SsiTable.ALARM, image) for image in images]

    def take(self, disposition: Disposition) -> list[dict[str, Any]]:
        """Give the exceptions of a disposition that wait, as values, and forget them."""
        if disposition is Disposition.ALARM:
            self.alarm_waits = False
        waiting = list(zip(self._memory.advisories, self._waiting(), strict=True))
        left = [image for image, value in waiting if value["DISPOSITION"] != disposition]
        self._memory.advisories = left
        return [value for _, value in waiting if value["DISPOSITION"] == disposition]


def counts(value: Mapping[str, Any]) -> bool:
    """Tell whether an exception counts something in its value."""
    return value["SOURCE"] == AlarmSource.MODULE and value["CODE"] in _COUNTS
