"""Watching the meter: reads for the monitors within the duty, and what their verdicts lead to.

Beside the provisioned monitors the module has its own: the status octets of
ST-03, the newest entry of the event log, and voltages for sags and swells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ansi_tables.ssi_tables import BLANK_MONITOR, AlarmSource, Disposition, ModuleAlarm
from protocols.c1218.steps import ClientLimits, Script
from smartmeter.ssi import work
from smartmeter.ssi.known_meter import KnownMeter
from smartmeter.ssi.log_reading import (
    EVENT_LOG,
    read_log_and_clock,
    read_log_end,
)
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.meter_side import Priority
from smartmeter.ssi.outage import OutageDetector
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.status_bits import (
    STATUS_MONITOR,
    STATUS_TABLE,
    StatusBits,
    status_monitor,
)
from smartmeter.ssi.table_monitor import Span, TableMonitor, Verdict
from smartmeter.ssi.voltages import LEARNING_MONITORS, VOLTAGE_MONITORS, Voltages

LOG_MONITOR = 253
#: Monitors that this meter makes impossible and that are remembered as told.
MAX_FAULTS_TOLD = 128
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
        now_us: int,
    ) -> None:
        self._memory, self._reporter, self._door = memory, reporter, door
        self._status = StatusBits(memory.seen, reporter, outage)
        self._monitor = TableMonitor(memory.seen)
        self._voltages = Voltages(memory.seen)
        #: Takes the same tables again: when a voltage was learned.
        self._take_again: Callable[[int], None] = lambda now_us: None
        self._looking: tuple[Span, ...] | None = None
        self._rest_until_us = now_us
        self._duty_permille = 1000
        #: What came while the module did not run is judged at the first look at the log's end.
        self._log_is_judged = False
        self.line_us = 0

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
        own = _own_monitors(meter, general["STATUS_PERIOD_MS"])
        own += self._voltages.monitors(meter, outage, version)
        self._take_again = partial(self.configure, monitors, outage, general, version)
        self._monitor.configure([*monitors, *own], meter.context, meter.images, now_us)
        for monitor in own:
            if monitor["MONITOR_NBR"] == STATUS_MONITOR:
                self._status.begin(monitor["WIDTH"])
        if str(LOG_MONITOR) not in self._memory.seen.watch:
            # It was not looked at, or never: what came meanwhile is no change.
            self._log_is_judged = False
        if (
            self._memory.lists.events_judged is None
            and EVENT_LOG in meter.context.fmt.std_tbls_used
        ):
            # From here on events are new; the first look only finds out where "here" is.
            self._read_log(now_us)
        self._tell_faults(now_us)

    def forget(self) -> None:
        """Begin anew: it is another meter, whose state the memory has forgotten."""
        self._monitor.forget()
        self._log_is_judged = False

    def _tell_faults(self, now_us: int) -> None:
        """Tell of each fault once, however often it comes and goes."""
        for fault in self.faults:
            told = self._memory.seen.faults_told
            if fault not in told:
                self._memory.seen.faults_told = [*told, fault][-MAX_FAULTS_TOLD:]
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
            yield from self._status.prepare(read, limits)
        return read

    def looked(
        self, read: list[tuple[Span, bytes]], line_us: int, read_us: int, now_us: int
    ) -> None:
        """Take what was read at ``read_us``, and tell what follows.

        To end the session may have taken seconds more, which no window of time is to count.
        """
        self._monitor.answered(self._looking or (), read)
        self._rest(line_us, now_us)
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

    def _rest(self, line_us: int, now_us: int) -> None:
        """A look is over: let the port rest."""
        asked, self._looking = self._looking or (), None
        self.line_us += line_us
        # Counted so, the share stays a little below what was set, never above.
        rest_us = line_us * 1000 // self._duty_permille
        self._rest_until_us = now_us + rest_us
        self._monitor.put_off(asked, now_us, rest_us, self._door.tells_changes)

    def _read_log(self, now_us: int) -> bool:
        """Read what is new in the log; the first time, only where it ends."""
        meter, after = self._reporter.meter, self._memory.lists.events_judged
        assert meter is not None
        job = partial(read_log_end, meter)
        if after is not None:
            job = partial(read_log_and_clock, meter, after)
        return self._door.submit(Priority.EXCEPTION, job, LOG_JOB, now_us)

    def _judged(self, verdict: Verdict, now_us: int) -> None:
        number = verdict.monitor["MONITOR_NBR"]
        if number == STATUS_MONITOR:
            self._status.seen(verdict.octets, now_us)
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


def _own_monitors(meter: MeterContext, period_ms: int) -> list[dict[str, Any]]:
    """Give the monitors of ST-03 and of the log's newest entry, where the meter has them."""
    used, monitors = meter.context.fmt.std_tbls_used, []
    if period_ms and STATUS_TABLE in used:
        monitors.append(status_monitor(meter))
    if period_ms and EVENT_LOG in used:
        newest = {"TABLE": EVENT_LOG, "MONITOR_NBR": LOG_MONITOR, "PATH": "LAST_ENTRY_SEQ_NBR"}
        monitors.append({**BLANK_MONITOR, **newest})
    return [{**monitor, "PERIOD_MS": period_ms} for monitor in monitors]
