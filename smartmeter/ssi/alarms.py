"""Exceptions and what becomes of them: logged, told with the next report, or told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import AlarmSource, Disposition, ModuleAlarm, SsiTable
from smartmeter.ssi.memory import Memory

#: Advisories that wait for a report; the oldest gives way.
MAX_ADVISORIES = 64
NO_MONITOR = 255

#: What the module tells of itself when the TMS has set nothing else.
_OWN: Mapping[int, Disposition] = {
    ModuleAlarm.METER_UNREACHABLE: Disposition.ALARM,
    ModuleAlarm.METER_BACK: Disposition.ADVISORY,
    ModuleAlarm.CLOCK_OFF: Disposition.ADVISORY,
    ModuleAlarm.OUTBOX_OVERFLOW: Disposition.ADVISORY,
    ModuleAlarm.METER_SECURITY: Disposition.ALARM,
    ModuleAlarm.DATA_CLEARED: Disposition.ADVISORY,
    ModuleAlarm.GAP: Disposition.ADVISORY,
}


class Alarms:
    """Numbers alarms and keeps the advisories in the module's memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._default = Disposition.LOG
        self._entries: dict[tuple[int, int], Disposition] = {}

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
        """Keep an advisory for the next report; the caller commits the memory."""
        image = ssi_tables.encode(SsiTable.ALARM, value).hex()
        self._memory.advisories = [*self._memory.advisories, image][-MAX_ADVISORIES:]

    def waiting(self) -> list[bytes]:
        """Give the images of the advisories that wait, and forget them."""
        images = [bytes.fromhex(image) for image in self._memory.advisories]
        self._memory.advisories = []
        return images
