"""What the entries of the meter's log lead to: alarms, and outages that only the meter saw."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansi_tables.ids import NAME_MASK
from ansi_tables.ssi_tables import AlarmSource
from smartmeter.ssi.log_reading import POWER_DOWN, POWER_UP, LogEntry, LogRead
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_data import own_second
from smartmeter.ssi.outage import OutageDetector, Restored
from smartmeter.ssi.outbox import LOG_SET
from smartmeter.ssi.reporter import Reporter

SEASON_CHANGED = 24
#: Somebody has programmed the meter, at whatever port, or what waited there is in force (28): its
#: tables may be others now.
PROGRAMMED = frozenset((11, 28, 36, 60, 65, 70))
#: A table was written, or became active; the argument begins with TABLE_IDA_BFLD.
TABLE_WRITTEN = frozenset((10, 28, 59, 64, 69))
#: An event this close to a reset or self-read that the module asked for is its effect.
EFFECT_S = 120
#: USER_ID of an entry of the log that the meter made by itself.
DEVICE = 0


@dataclass(frozen=True)
class Follows:
    """What new entries call for: the meter's context may be another, or its season is."""

    programmed: bool = False
    season_changed: bool = False


class LogJudge:
    """Judges each entry once; how far it has come is in the module's memory.

    ``user_id`` is the module's own at the optical port.
    """

    def __init__(
        self, memory: Memory, reporter: Reporter, outage: OutageDetector, user_id: int
    ) -> None:
        self._memory, self._reporter, self._outage = memory, reporter, outage
        self._user_id = user_id

    def judge(self, read: LogRead, ahead_s: int, now_us: int) -> Follows:
        """Judge what is new in the log, whoever read it; report outages that only the meter saw.

        A commit holds all that the entries up to its cursor led to, so that each is judged once.
        ``ahead_s`` is by how much the meter's clock is ahead of the module's.
        """
        memory = self._memory
        if memory.lists.events_judged == read.last:
            return Follows()
        if memory.lists.events_judged is None:
            memory.lists.events_judged = read.last
        elif read.last < memory.lists.events_judged:  # the log began anew
            memory.lists.events_judged, memory.lists.events_before = -1, None
            epoch = memory.lists.profile_epoch(LOG_SET) + 1
            memory.lists.profile_epochs = {**memory.lists.profile_epochs, str(LOG_SET): epoch}
        fresh = [entry for entry in read.entries if entry.sequence > memory.lists.events_judged]
        losses = [one for one in fresh if one.code == POWER_DOWN and not one.manufacturer]
        self._outage.log_tells([one.time_s for one in losses], ahead_s)
        for entry in fresh:
            memory.lists.events_judged = entry.sequence
            self._judge_entry(entry, ahead_s, now_us)
        memory.lists.events_judged = read.last
        self._outage.log_was_read(self._reporter.utc_s(now_us))
        self._reporter.keep()
        standard = [one for one in fresh if not one.manufacturer]
        return Follows(
            programmed=any(map(self._programs, standard)),
            season_changed=any(one.code == SEASON_CHANGED for one in standard),
        )

    def _judge_entry(self, entry: LogEntry, ahead_s: int, now_us: int) -> None:
        own = replace(entry, time_s=own_second(entry.time_s, ahead_s))
        if entry.manufacturer or entry.code not in (POWER_DOWN, POWER_UP):
            self._raise_entry(own, now_us)
            return
        time_s, is_up = entry.time_s, entry.code == POWER_UP
        if is_up and not time_s:  # a meter that has lost its clock: the loss is over by now
            time_s = self._reporter.utc_s(now_us) + ahead_s
        event = self._outage.evidence(is_up, time_s, ahead_s)
        if isinstance(event, Restored):
            self._reporter.outage(event.number, event.start_s, event.end_s, now_us)
        elif event is None and not self._outage.enabled:
            self._raise_entry(own, now_us)

    def _raise_entry(self, entry: LogEntry, now_us: int) -> None:
        source = AlarmSource.METER_STANDARD
        if entry.manufacturer:
            source = AlarmSource.METER_MANUFACTURER
        disposition = self._reporter.alarms.event(source, entry.code, self._is_ours(entry))
        text = f"event {entry.code}, number {entry.sequence}"
        self._reporter.raise_(source, entry.code, disposition, text, now_us, time_s=entry.time_s)

    def _programs(self, entry: LogEntry) -> bool:
        """Tell whether an event may have made the meter's context another."""
        meter, octets = self._reporter.meter, entry.argument[:2]
        if entry.code not in TABLE_WRITTEN or not octets or meter is None:
            return entry.code in PROGRAMMED
        table = int.from_bytes(octets, meter.context.fmt.data_order) & NAME_MASK
        return table in meter.images

    def _is_ours(self, entry: LogEntry) -> bool:
        """Tell whether the module caused an event: by its user, or a reset or self-read just done.

        Some meters log the effect of a procedure as the device's own doing.  Each has one: what
        else is reset about that time was reset by somebody else.
        """
        is_by_us = entry.user_id == self._user_id
        if entry.manufacturer or not (is_by_us or entry.user_id == DEVICE):
            return is_by_us
        return self._memory.resets.saw_effect(entry.code, entry.time_s, EFFECT_S) or is_by_us
