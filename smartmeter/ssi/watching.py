"""Watching the meter: reads for the monitors within the duty, and what their verdicts lead to.

Beside the provisioned monitors the module has its own: the status octets of
ST-03, the newest entry of the event log, and voltages for sags and swells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ansi_tables.ssi_tables import BLANK_MONITOR, AlarmSource, Disposition, ModuleAlarm
from protocols.c1218.scripts import Script
from protocols.c1218.steps import ClientLimits
from smartmeter.ssi import work
from smartmeter.ssi.alarms import EVENT_OF_STATUS
from smartmeter.ssi.known_meter import KnownMeter
from smartmeter.ssi.log_reading import (
    EVENT_LOG,
    POWER_DOWN,
    POWER_UP,
    LogEntry,
    LogRead,
    read_log_and_clock,
    read_log_end,
    read_logged,
)
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.meter_side import Priority
from smartmeter.ssi.outage import OutageDetector, Restored
from smartmeter.ssi.outbox import LOG_SET
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.table_monitor import Span, TableMonitor, Verdict
from smartmeter.ssi.voltages import LEARNING_MONITORS, VOLTAGE_MONITORS, Voltages

STATUS_TABLE = 3
SEASON_CHANGED = 24
#: Somebody has programmed the meter, at whatever port: its tables may be others now.
PROGRAMMED = frozenset((11, 36, 60, 65, 70))
#: A table was written; the argument begins with TABLE_IDA_BFLD, whose bits 0 to 11 name it.
TABLE_WRITTEN, TABLE_NAME = 10, 0xFFF
#: An event this close to a reset or self-read that the module asked for is its effect.
EFFECT_S = 120
#: The first octet of ST-03 is the mode; the status octets follow.
STATUS_OFFSET = 1
#: POWER_FAILURE_FLAG of ED_STD_STATUS1.
POWER_FAILURE_BIT = 11
#: ED_STD_STATUS1 is two octets in the order of ST-00, ED_STD_STATUS2 one; then the manufacturer's.
STANDARD_OCTETS, MANUFACTURER_BIT = 3, 32
STATUS_MONITOR, LOG_MONITOR = 254, 253
#: Monitors that this meter makes impossible and that are remembered as told.
MAX_FAULTS_TOLD = 128
#: USER_ID of an entry of the log that the meter made by itself.
DEVICE = 0

#: A port at which too many jobs wait is asked again after so long.
BUSY_US = 1_000_000
#: The token of a read of the meter's log.
LOG_JOB = "log"


class Watching:
    """Keeps to the duty: after each look the port rests for its time divided by the share."""

    def __init__(
        self,
        memory: Memory,
        reporter: Reporter,
        outage: OutageDetector,
        door: KnownMeter,
        user_id: int,
        now_us: int,
    ) -> None:
        self._memory, self._reporter, self._outage = memory, reporter, outage
        self._door, self._user_id = door, user_id
        self._monitor = TableMonitor(memory.watch, memory.watched)
        self._voltages = Voltages(memory)
        #: Takes the same tables again: when a voltage was learned.
        self._take_again: Callable[[int], None] = lambda now_us: None
        self._looking: tuple[Span, ...] | None = None
        self._rest_until_us = now_us
        self._duty_permille = 1000
        #: The standard events that the meter's log takes; None: it does not tell.
        self._logged: frozenset[int] | None = None
        #: What came while the module did not run is judged at the first look at the log's end.
        self._log_is_judged = False
        self.line_us = 0
        self.season_changed = self.programmed = False

    @property
    def faults(self) -> list[str]:
        """Give the monitors that this meter makes impossible."""
        return self._monitor.faults

    def configure(
        self,
        monitors: Sequence[dict[str, Any]],
        outage: dict[str, Any],
        general: dict[str, Any],
        version: int,
        now_us: int,
    ) -> None:
        """Take the tables of a configuration; monitors of the module's own come with them."""
        meter = self._reporter.meter
        assert meter is not None
        self._duty_permille = general["DUTY_PERMILLE"]
        own = _status_monitors(meter, general["STATUS_PERIOD_MS"])
        own += self._voltages.monitors(meter, outage, version)
        self._take_again = partial(self.configure, monitors, outage, general, version)
        self._monitor.configure([*monitors, *own], meter.context, meter.images, now_us)
        if self._memory.events_judged is None and EVENT_LOG in meter.context.fmt.std_tbls_used:
            # From here on events are new; the first look only finds out where "here" is.
            self._read_log(now_us)
        self._tell_faults(now_us)

    def forget(self) -> None:
        """Begin anew: it is another meter, whose state the memory has forgotten."""
        self._monitor.forget()
        self._log_is_judged = self.season_changed = self.programmed = False

    def _tell_faults(self, now_us: int) -> None:
        """Tell of each fault once, however often it comes and goes."""
        for fault in self.faults:
            told = self._memory.faults_told
            if fault not in told:
                self._memory.faults_told = [*told, fault][-MAX_FAULTS_TOLD:]
                self._reporter.raise_own(ModuleAlarm.MONITOR_IMPOSSIBLE, fault, now_us)

    def next_us(self) -> int | None:
        """Give when to look next."""
        due_us = self._monitor.next_us()
        if due_us is None or self._looking is not None:
            return None
        return max(due_us, self._rest_until_us)

    def table_changed(self, table: int, now_us: int) -> None:
        """Look at a table now: it has changed."""
        self._monitor.changed(table, now_us)

    def start_due(self, now_us: int) -> bool:
        """Look, if it is time; True when a job was begun."""
        due_us = self.next_us()
        if due_us is None or now_us < due_us:
            return False
        spans = tuple(self._monitor.due(now_us))
        job = partial(self._look, spans, now_us)
        if not self._door.submit(Priority.WATCH, job, ("watch", spans), now_us):
            self._rest_until_us = now_us + BUSY_US
            return False
        self._looking = spans
        return True

    def _look(
        self, spans: tuple[Span, ...], now_us: int, limits: ClientLimits
    ) -> Script[list[tuple[Span, bytes]]]:
        """Read what is watched; before anything of it is told, see that it is the same meter."""
        read = yield from work.watch(spans, limits)
        if self._monitor.stirs(spans, read, now_us):
            yield from self._door.look(limits)
            meter, status = self._reporter.meter, self._memory.status_bits
            if meter is not None and any(
                span.table == STATUS_TABLE and octets.hex() != status for span, octets in read
            ):
                self._logged = yield from read_logged(meter, limits)
        return read

    def looked(
        self, read: list[tuple[Span, bytes]], line_us: int, read_us: int, now_us: int
    ) -> None:
        """Take what was read at ``read_us``, and tell what follows.

        To end the session may have taken seconds more, which no window of time is to count.
        """
        asked = self._rest(line_us, now_us)
        self._monitor.answered(asked, read)
        self._tell_faults(now_us)
        verdicts = self._monitor.judge(read, read_us)
        if verdicts or self._monitor.begun:
            with self._reporter.together(now_us):
                for verdict in verdicts:
                    self._judged(verdict, now_us)
                if any(one.monitor["MONITOR_NBR"] in LEARNING_MONITORS for one in verdicts):
                    self._take_again(now_us)
        if any(span.table == EVENT_LOG for span, _ in read):
            changed = any(verdict.monitor["TABLE"] == EVENT_LOG for verdict in verdicts)
            if changed or not self._log_is_judged:
                self._log_is_judged = self._read_log(now_us)

    def failed(self, token: object, line_us: int, now_us: int) -> None:
        """A look, or a read of the log, came to nothing; the log is read again at the next look."""
        if token == LOG_JOB:
            self._log_is_judged = False
        else:
            self._rest(line_us, now_us)

    def _rest(self, line_us: int, now_us: int) -> tuple[Span, ...]:
        """A look is over: let the port rest; give what was asked for."""
        asked, self._looking = self._looking or (), None
        self.line_us += line_us
        # Counted so, the share stays a little below what was set, never above.
        rest_us = line_us * 1000 // self._duty_permille
        self._rest_until_us = now_us + rest_us
        self._monitor.put_off(asked, now_us, rest_us, self._door.tells_changes)
        return asked

    def _read_log(self, now_us: int) -> bool:
        """Read what is new in the log; the first time, only where it ends."""
        meter, after = self._reporter.meter, self._memory.events_judged
        assert meter is not None
        job = partial(read_log_end, meter)
        if after is not None:
            job = partial(read_log_and_clock, meter, after)
        return self._door.submit(Priority.EXCEPTION, job, LOG_JOB, now_us)

    def _judged(self, verdict: Verdict, now_us: int) -> None:
        number = verdict.monitor["MONITOR_NBR"]
        if number == STATUS_MONITOR:
            self._status(verdict.octets, now_us)
        elif number in VOLTAGE_MONITORS:
            self._voltage(verdict, now_us)
        elif number != LOG_MONITOR:
            self._provisioned(verdict, now_us)

    def _provisioned(self, verdict: Verdict, now_us: int) -> None:
        monitor = verdict.monitor
        words = "raised" if verdict.raised else "over"
        self._reporter.raise_(
            AlarmSource.MONITOR,
            1 if verdict.raised else 0,
            Disposition(min(monitor["DISPOSITION"], Disposition.ALARM)),
            f"{words}: ST-{monitor['TABLE']} {monitor['PATH']}",
            now_us,
            monitor_nbr=monitor["MONITOR_NBR"],
            value=verdict.value,
        )

    def _voltage(self, verdict: Verdict, now_us: int) -> None:
        number = verdict.monitor["MONITOR_NBR"]
        if number in LEARNING_MONITORS:
            assert self._reporter.meter is not None
            self._voltages.learn(verdict, self._reporter.meter)
            return
        is_swell = (number - VOLTAGE_MONITORS.start) % 2
        code = ModuleAlarm.SWELL if is_swell else ModuleAlarm.SAG
        words = "began" if verdict.raised else "ended"
        text = f"{words}: ST-28 {verdict.monitor['PATH']}"
        self._reporter.raise_own(code, text, now_us, verdict.value)

    # Status bits.

    def _status(self, octets: bytes, now_us: int) -> None:
        """Tell of bits that were set since the last look."""
        meter, memory = self._reporter.meter, self._memory
        assert meter is not None
        order = meter.context.fmt.data_order
        # A bit is told when it is set; the first look tells what is set already.
        before = _bits(bytes.fromhex(memory.status_bits or ""), order)
        memory.status_bits = octets.hex()
        for bit in sorted(_bits(octets, order) - before):
            is_logged = self._is_logged(EVENT_OF_STATUS.get(bit))
            if bit == POWER_FAILURE_BIT and self._outage_is_told(is_logged, now_us):
                continue
            disposition = self._reporter.alarms.status_bit(bit, is_logged)
            text = f"status bit {bit} of ST-03 was set"
            self._reporter.raise_(AlarmSource.METER_STATUS, bit, disposition, text, now_us)

    def _is_logged(self, event: int | None) -> bool:
        """Tell whether the meter's log tells of a standard event."""
        meter = self._reporter.meter
        if meter is None or EVENT_LOG not in meter.context.fmt.std_tbls_used:
            return False
        return self._logged is None or event in self._logged

    def _outage_is_told(self, logs: bool, now_us: int) -> bool:
        """Tell whether the power failure that ST-03 shows is an outage that is told as one.

        The meter's log tells of each; without a log it is the one that the mains sense has seen.
        """
        outage = self._outage
        return outage.enabled and (logs or outage.knows(self._reporter.utc_s(now_us)))

    # The meter's log.

    def log_read(self, read: LogRead, ahead_s: int, now_us: int) -> None:
        """Judge what is new in the log, whoever read it; report outages that only the meter saw.

        A commit holds all that the entries up to its cursor led to, so that each is judged once.
        ``ahead_s`` is by how much the meter's clock is ahead of the module's.
        """
        memory = self._memory
        if memory.events_judged == read.last:
            return
        if memory.events_judged is None:
            memory.events_judged = read.last
        elif read.last < memory.events_judged:  # the log began anew
            memory.events_judged, memory.events_before = -1, None
            epoch = memory.profile_epoch(LOG_SET) + 1
            memory.profile_epochs = {**memory.profile_epochs, str(LOG_SET): epoch}
        fresh = [entry for entry in read.entries if entry.sequence > memory.events_judged]
        losses = [one for one in fresh if one.code == POWER_DOWN and not one.manufacturer]
        self._outage.log_tells([one.time_s for one in losses], ahead_s)
        for entry in fresh:
            memory.events_judged = entry.sequence
            self._judge_entry(entry, ahead_s, now_us)
        memory.events_judged = read.last
        self._outage.log_was_read(self._reporter.utc_s(now_us))
        self._reporter.keep()

    def _judge_entry(self, entry: LogEntry, ahead_s: int, now_us: int) -> None:
        own = replace(entry, time_s=max(0, entry.time_s - ahead_s))
        if entry.manufacturer or entry.code not in (POWER_DOWN, POWER_UP):
            self._raise_entry(own, now_us)
            return
        event = self._outage.evidence(entry.code == POWER_UP, entry.time_s, ahead_s)
        if isinstance(event, Restored):
            self._reporter.outage(event.number, event.start_s, event.end_s, now_us)
        elif event is None and not self._outage.enabled:
            self._raise_entry(own, now_us)

    def _raise_entry(self, entry: LogEntry, now_us: int) -> None:
        source = AlarmSource.METER_STANDARD
        if entry.manufacturer:
            source = AlarmSource.METER_MANUFACTURER
        elif entry.code == SEASON_CHANGED:
            self.season_changed = True
        elif self._programs(entry):
            self.programmed = True
        disposition = self._reporter.alarms.event(source, entry.code, self._is_ours(entry))
        text = f"event {entry.code}, number {entry.sequence}"
        self._reporter.raise_(source, entry.code, disposition, text, now_us, time_s=entry.time_s)

    def _programs(self, entry: LogEntry) -> bool:
        """Tell whether an event may have made the meter's context another."""
        meter, octets = self._reporter.meter, entry.argument[:2]
        if entry.code != TABLE_WRITTEN or not octets or meter is None:
            return entry.code in PROGRAMMED
        table = int.from_bytes(octets, meter.context.fmt.data_order) & TABLE_NAME
        return table in meter.images

    def _is_ours(self, entry: LogEntry) -> bool:
        """Tell whether the module caused an event: by its user, or a reset or self-read just done.

        Some meters log the effect of a procedure as the device's own doing.  Each has one: what
        else is reset about that time was reset by somebody else.
        """
        is_by_us = entry.user_id == self._user_id
        if entry.manufacturer or not (is_by_us or entry.user_id == DEVICE):
            return is_by_us
        return self._memory.saw_effect(entry.code, entry.time_s, EFFECT_S) or is_by_us


def _status_monitors(meter: MeterContext, period_ms: int) -> list[dict[str, Any]]:
    """Give the monitors of ST-03 and of the log's newest entry, where the meter has them."""
    used, monitors = meter.context.fmt.std_tbls_used, []
    if not period_ms:
        return []
    if STATUS_TABLE in used:
        manufacturer = meter.context.fmt.dim_mfg_status_used
        monitor = {"TABLE": STATUS_TABLE, "MONITOR_NBR": STATUS_MONITOR}
        width = {"OFFSET": STATUS_OFFSET, "WIDTH": STANDARD_OCTETS + manufacturer}
        monitors.append({**BLANK_MONITOR, **monitor, **width, "PERIOD_MS": period_ms})
    if EVENT_LOG in used:
        monitor = {"TABLE": EVENT_LOG, "MONITOR_NBR": LOG_MONITOR, "PERIOD_MS": period_ms}
        monitors.append({**BLANK_MONITOR, **monitor, "PATH": "LAST_ENTRY_SEQ_NBR"})
    return monitors


def _bits(octets: bytes, order: Any) -> set[int]:
    """Give the bits of the status octets by their number in ``AlarmSource.METER_STATUS``."""
    first = int.from_bytes(octets[:2], order)
    second = int.from_bytes(octets[2:3], "little") << 16
    # A SET has bit k in octet k // 8, whatever the data order.
    manufacturer = int.from_bytes(octets[STANDARD_OCTETS:], "little") << MANUFACTURER_BIT
    word = first | second | manufacturer
    return {bit for bit in range(word.bit_length()) if word >> bit & 1}
