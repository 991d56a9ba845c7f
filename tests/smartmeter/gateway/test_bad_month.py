"""A scripted bad month of a gateway, as real processes on one fast calendar.

``gateway run`` on a pty that leads to ``meter serve``, with ``tms run`` and mosquitto.  The
probe is unplugged and moved away, the network cut for 13 hours, everything killed with -9,
the meter's clock set, and both changes of the hour pass.  At the end every interval that the
meter recorded is at the TMS and in the CSV file, once and equal, and every fault was named
once.  What the meter recorded is read from the meter itself, past the gateway.
"""

import csv
import json
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from ansi_tables import Context, layout_for
from ansi_tables.meaning.load_profile import CommonStatus, load_profile
from ansi_tables.snapshot import Snapshot
from ansi_tables.ssi_tables import AlarmSource, Content, ModuleAlarm, Task
from protocols.transports.pump import open_meter
from smartmeter.ssi.factory import relative_title
from tests.ports import free_port
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.gateway.cable import Cable, ProbeCable
from tests.smartmeter.processes import ESN, KEY, Process
from tests.waiting import wait_until

pytestmark = NEEDS_MOSQUITTO
#: An hour of the calendar a second; faster, the ring moves while a busy machine reads it.  Where a
#: machine is too slow for the timetable of the faults, the month begins anew on a slower calendar.
RATES = (3600, 1800, 900)
ZONE = timedelta(hours=-5)
LOGON = {"user_id": 2, "user": b"SSI", "password": b"master"}
SET_CLOCK, DST_ON, DST_OFF, END_OF_LIST = 10, 22, 23, 31
CONTEXT = (0, 16, 51, 52, 53, 54, 61, 62)
PER_BLOCK = 96
#: How often the module compares clocks.
CHECK_MIN, NIGHT_CHECK_MIN = 60, 480
#: By how much a technician sets the meter's clock.  A tenth of a second on the line is six
#: minutes of this calendar, and told as a step too; an answer that had to be repeated is two
#: hours old.  Half a set is told from that.
SET = timedelta(hours=8)
TEMPLATE: dict[str, Any] = {
    "general": {"ACK_TIMEOUT_MS": 1000, "REPORT_GRACE_S": 6 * 3600, "CLOCK_REFUSE_S": 12 * 3600},
    # The simulated meter of this profile shows 240 V.
    "outage": {"THRESHOLD_S": 30, "NOMINAL_V": 240},
    "schedules": [
        {"SCHEDULE_NBR": 1, "CONTENT": int(Content.LOAD_PROFILE)},
        {"SCHEDULE_NBR": 2, "PERIOD_MIN": 60, "CONTENT": int(Content.EVENT_LOG)},
    ],
}


class TooFast(Exception):
    """The calendar has run past the timetable of the faults."""


class Month:
    """Everything that runs, what goes wrong with it, and the book of both."""

    def __init__(self, folder: Path, broker: Broker, rate: int, days: int, check_min: int) -> None:
        """Begin at five in the evening; the hour changes in the first night and ``days`` later."""
        self.folder, self._rate, self._check_min = folder, rate, check_min
        local = (datetime.now(UTC) + ZONE).date()
        wanted = datetime.combine(local + timedelta(1), datetime.min.time(), UTC)
        wanted += timedelta(hours=17) - ZONE
        # What --clock wants: when the fast calendar and the wall's showed the same.
        self._epoch = int(time.time() - (wanted.timestamp() - time.time()) / (rate - 1))
        self.begin = self.now.replace(minute=0, second=0, microsecond=0)
        first = (self.begin + ZONE).date() + timedelta(1)
        saving = (first, first + timedelta(days))
        self.meter_port, tms_port = free_port(), free_port()
        self.control = f"127.0.0.1:{free_port()}"
        self.database, self.csv = folder / "tms" / "tms.sqlite3", folder / "intervals.csv"
        self.book: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.unsure: set[int] = set()
        self.faults: Counter[str] = Counter()
        clock = ("--clock", f"{self._epoch},{rate}")
        self.meter = Process(
            folder / "meter.log",
            *("meter", "serve", "--tcp", f"127.0.0.1:{self.meter_port}", "--seed", "7", *clock),
            *("--profile", "residential-tou", "--state", str(folder / "state")),
            *("--control", self.control),
        )
        self.meter.start("ready")
        self._set_calendar(saving)
        self.probe = ProbeCable(folder / "probe", self.meter_port)
        self.network = Cable(tms_port)
        self._write_files(broker)
        self.tms = Process(
            folder / "tms.log",
            *("tms", "run", "--data", str(folder / "tms"), "--web", "off", *clock),
            *("--listen", f"127.0.0.1:{tms_port}", "--shipment", str(folder / "shipment.csv")),
            *("--template", str(folder / "template.json")),
        )
        self.gateway = Process(
            folder / "gateway.log",
            *("gateway", "run", "--settings", str(folder / "gateway.toml"), *clock),
        )
        self.tms.start("ready")
        self.gateway.start("ready")

    def _write_files(self, broker: Broker) -> None:
        folder = self.folder
        (folder / "shipment.csv").write_text(
            f"esn,title,key,model\n{ESN},{relative_title(ESN)},{KEY},test\n"
        )
        check = {"SCHEDULE_NBR": 3, "PERIOD_MIN": self._check_min, "TASK": int(Task.CLOCK_CHECK)}
        template = {**TEMPLATE, "schedules": [*TEMPLATE["schedules"], check]}
        (folder / "template.json").write_text(json.dumps(template))
        (folder / "gateway.toml").write_text(
            f'[gateway]\ndata = "{folder}/gateway"\n'
            f'[module]\nesn = "{ESN}"\nstate = "{folder}/module.nvram"\n'
            f'[meter]\nport = "{folder}/probe"\n'
            f'[[tms]]\naddress = "tcp:127.0.0.1:{self.network.port}"\n'
            f'[csv]\nfile = "{self.csv}"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )

    # Time.

    @property
    def now(self) -> datetime:
        """Give the calendar's time."""
        passed_s = self._rate * (time.time() - self._epoch)
        return datetime.fromtimestamp(self._epoch + passed_s, UTC)

    def hours(self, count: float) -> None:
        """Let so many hours of the calendar pass."""
        time.sleep(count * 3600 / self._rate)

    def until(self, hours: float) -> None:
        """Let time pass until so many hours after the beginning."""
        moment = self.begin + timedelta(hours=hours)
        time.sleep(max(0.0, (moment - self.now).total_seconds() / self._rate))

    def is_not_past(self, hours: float) -> None:
        """TooFast when so many hours after the beginning are over."""
        if self.now > self.begin + timedelta(hours=hours):
            raise TooFast

    def until_it_reports(self) -> None:
        """Wait until the TMS has what was recorded now, by the module's own report."""
        wanted = self.now.timestamp() - 900
        wait_until(lambda: (self._newest() or 0) >= wanted, lambda: self.log("gateway"))

    def until_sets_are_told(self) -> None:
        """Wait until the next clock check has told of every set of the clock."""
        wait_until(lambda: self.clock_sets() >= self.faults["clock"], lambda: self.log("gateway"))

    def _newest(self) -> int | None:
        sql = "SELECT max(end_s) FROM intervals WHERE source='report'"
        return self.rows(sql)[0][0] if self.database.exists() else None

    # What goes wrong.

    def unplug(self, hours: float, clock: timedelta | None = None) -> None:
        """Pull the probe; a technician reads the meter meanwhile, and may set its clock."""
        self.probe.cut()
        self.faults["unplugged"] += 1
        self._look_into_the_meter()
        if clock is not None:
            self._set_clock(clock)
            self.faults["clock"] += 1
        self.hours(hours)
        self.probe.mend()
        self.until_it_reports()
        self.until_sets_are_told()

    def move_away(self, hours: float) -> None:
        """The probe hangs beside the meter."""
        self.probe.silence()
        self.faults["moved away"] += 1
        self.hours(hours)
        self.probe.mend()
        self.until_it_reports()

    def cut_network(self, hours: float) -> None:
        """The gateway reaches its TMS no more."""
        self.network.cut()
        self.faults["network"] += 1
        self.hours(hours)
        self.network.mend()
        self.until_it_reports()

    def kill(self, process: Process) -> None:
        """Cut the power of one of the three."""
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        self.hours(0.5)
        process.start("ready")
        names = {id(self.meter): "meter", id(self.tms): "tms", id(self.gateway): "gateway"}
        self.faults[f"killed {names[id(process)]}"] += 1
        self.until_it_reports()
        self.until_sets_are_told()

    def power_off(self, hours: float) -> None:
        """Cut the meter's mains; the gateway's board has its own."""
        self._mains(False)
        self.faults["outage"] += 1
        self.hours(hours)
        self._mains(True)
        self.until_it_reports()

    # The meter itself.

    def _mains(self, on: bool) -> None:
        url, body = f"http://{self.control}/meters/0/power", json.dumps({"on": on}).encode()
        with urlopen(Request(url, body, {"Content-Type": "application/json"})) as answer:
            assert answer.status == 200

    def _set_calendar(self, saving: tuple[date, date]) -> None:
        """Let daylight saving begin and end on two dates of this month."""
        with open_meter(f"tcp:127.0.0.1:{self.meter_port}", **LOGON) as meter:
            context = Context.from_images({n: meter.read(n) for n in (0, 51)})
            layout = layout_for(54, context)
            table = layout.decode(meter.read(54))
            dates = table["NON_RECURR_DATES"]
            for entry, day, control in zip(dates, (*saving, saving[1]), (1, 2, 31), strict=False):
                entry["NON_RECURR_DATE"] = day
                entry["CALENDAR_ACTION"]["CALENDAR_CTRL"] = control
            meter.write(54, layout.encode(table))

    def _set_clock(self, by: timedelta) -> None:
        with open_meter(f"tcp:127.0.0.1:{self.meter_port}", **LOGON) as meter:
            now = Snapshot({n: meter.read(n) for n in (0, 52)})[52].CLOCK_CALENDAR.value
            to = now + by
            stamp = (to.year % 100, to.month, to.day, to.hour, to.minute, to.second)
            answer = meter.procedure(bytes((SET_CLOCK, 0, 1, 3, *stamp, 0)))
            assert answer[3] == 0, answer.hex()

    def _look_into_the_meter(self) -> None:
        """Enter into the book what the meter's ring holds."""
        with open_meter(f"tcp:127.0.0.1:{self.meter_port}", **LOGON) as meter:
            profile = load_profile(Snapshot({n: meter.read(n) for n in (*CONTEXT, 63, 64)}))
        set_flags = CommonStatus.CLOCK_FORWARD | CommonStatus.CLOCK_BACKWARD
        columns = [channel.raw for channel in profile.channels]
        for row, sequence in enumerate(profile.sequences):
            if profile.common[row] & (set_flags | CommonStatus.POWER_FAILED):
                # Within such a block the ends that are counted back are not those that were.
                block = sequence // PER_BLOCK * PER_BLOCK
                self.unsure |= set(range(block, block + PER_BLOCK))
            raw = tuple(int(column[row]) for column in columns)
            self.book[int(sequence)] = (int(profile.ends_utc_s[row]), raw)

    # What is left of it.

    def finish(self) -> None:
        """Wait for a last report, end gateway and TMS, and read the meter once more."""
        self.until_it_reports()
        assert self.gateway.end(signal.SIGTERM) == 0
        assert self.tms.end(signal.SIGTERM) == 0
        self.probe.cut()
        self._look_into_the_meter()
        for name in ("gateway", "tms", "meter"):
            assert "Traceback" not in self.log(name), self.log(name)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Ask the TMS' store."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            return connection.execute(sql, values).fetchall()

    def count(self, sql: str, *values: Any) -> int:
        """Give one number of the TMS' store."""
        return int(self.rows(f"SELECT count(*) FROM {sql}", *values)[0][0])

    def alarms(self, code: ModuleAlarm) -> int:
        """Give how often the module raised one of its own alarms."""
        return self.count("alarms WHERE source=? AND code=?", int(AlarmSource.MODULE), int(code))

    def clock_sets(self) -> int:
        """Give how often a set of the clock was told: what is more than the line's delay."""
        code, source = int(ModuleAlarm.CLOCK_OFF), int(AlarmSource.MODULE)
        what = "alarms WHERE source=? AND code=? AND abs(value) >= ?"
        return self.count(what, source, code, SET.total_seconds() / 2)

    def log(self, name: str) -> str:
        """Give what a process said."""
        return (self.folder / f"{name}.log").read_text()


def every_interval_arrived_once(month: Month) -> None:
    """The TMS and the CSV file hold what the meter recorded: each once, and equal."""
    rows = month.rows("SELECT sequence, end_s, raw FROM intervals ORDER BY sequence")
    assert [sequence for sequence, _, _ in rows] == list(range(len(rows)))
    # The book goes on while gateway and TMS are being ended: four or five intervals a second.
    # Where more is on its way, the ring went on faster than a busy machine could read it.
    if len(rows) <= len(month.book) - 60:
        raise TooFast
    for sequence, end_s, raw in rows:
        recorded_s, values = month.book[sequence]
        assert tuple(json.loads(raw)) == values, sequence
        assert end_s == recorded_s or sequence in month.unsure, sequence
    with month.csv.open() as lines:
        found = [
            (int(row["sequence"]), int(row["channel"]), int(row["raw"]), row["end_utc"])
            for row in csv.DictReader(lines)
        ]
    held = {(sequence, channel): (raw, end) for sequence, channel, raw, end in found}
    assert len(held) == len(found), "an interval stands twice in the CSV file"
    for sequence, end_s, raw in rows:
        for channel, value in enumerate(json.loads(raw)):
            told, end = held[sequence, channel]
            assert told == value
            same = datetime.fromisoformat(end).timestamp() == end_s
            assert same or sequence in month.unsure, (sequence, end, end_s)


def every_fault_was_named_once(month: Month) -> None:
    """The gateway's journal, the module's alarms and the TMS name each fault once."""
    told, faults = month.log("gateway"), month.faults
    assert told.count(" port: is away") == faults["unplugged"], told
    lost, back = told.count("meter: does not answer"), told.count("meter: answers")
    assert month.alarms(ModuleAlarm.METER_UNREACHABLE) == lost, told
    assert month.alarms(ModuleAlarm.METER_BACK) in (lost, lost - 1) and back >= lost
    assert month.clock_sets() == faults["clock"], told
    assert month.count("events WHERE code=?", DST_ON) == 1
    assert month.count("events WHERE code=?", DST_OFF) == 1
    assert month.count("outages") == month.count("outages WHERE end_s != 0")
    assert month.count("outages") == faults["outage"]
    assert month.count("silences WHERE ended_s = 0") == 0
    assert month.count("silences") >= faults["network"]
    # Beside load a second without an answer, an hour of this calendar, is a doubt too, also of a
    # gateway that has just started; each loss is said once and its return once.
    place = f"TMS tcp:127.0.0.1:{month.network.port}"
    logs = told.split("ready module")[1:]
    starts = [re.findall(f"{place}: (is away|works)", log) for log in logs]
    assert sum(said.count("is away") for said in starts) >= faults["network"], told
    assert all(one != other for said in starts for one, other in pairwise(said)), told
    assert all("works" in said for said in starts) and starts[-1][-1] == "works", told


def stop(month: Month) -> None:
    for process in (month.gateway, month.tms, month.meter):
        if process.process is not None and process.process.poll() is None:
            process.end(signal.SIGKILL)


def two_bad_days(folder: Path, broker: Broker, rate: int) -> None:
    month = Month(folder, broker, rate, 1, CHECK_MIN)
    try:
        month.until_it_reports()
        month.move_away(3)
        month.kill(month.gateway)
        month.power_off(1)
        # No set leads over a change of the hour (at 9 and 32): it would be, rightly, a second one.
        month.until(11)
        month.is_not_past(21)
        month.unplug(1, clock=SET)
        month.kill(month.meter)
        month.cut_network(13)
        month.kill(month.tms)
        month.until(37.5)
        month.unplug(1, clock=-SET)
        month.until(41)
        month.finish()
        every_interval_arrived_once(month)
        every_fault_was_named_once(month)
    finally:
        stop(month)


def a_bad_month(folder: Path, broker: Broker, rate: int) -> None:
    # No set leads over a change of the hour, in the first night and after 17 days: it would be
    # missed, or happen twice.
    month = Month(folder, broker, rate, 17, NIGHT_CHECK_MIN)
    others = [
        lambda: month.move_away(20),
        lambda: month.cut_network(13),
        lambda: month.kill(month.gateway),
        lambda: month.kill(month.meter),
        lambda: month.kill(month.tms),
        lambda: month.power_off(2),
    ]
    steps = [None, SET, None, None, -SET, None]
    try:
        month.until_it_reports()
        for day in range(30):
            month.until(24 * day + 1)
            month.is_not_past(24 * day + 12)
            month.unplug(3, clock=steps[day % 6])
            others[day % 6]()
        month.until(30 * 24)
        month.finish()
        every_interval_arrived_once(month)
        every_fault_was_named_once(month)
    finally:
        stop(month)


def on_a_calendar_that_fits(what: Callable[[Path, Broker, int], None], folder: Path) -> None:
    """Let it happen on the fastest calendar that this machine can follow."""
    for rate in RATES:
        (folder / str(rate)).mkdir()
        broker = Broker()
        try:
            what(folder / str(rate), broker, rate)
            return
        except TooFast:
            continue
        finally:
            broker.stop()
    pytest.fail(f"at {RATES[-1]} times its time the timetable is not kept either")


def test_two_bad_days_lose_and_double_nothing_and_every_fault_is_named_once(tmp_path: Path) -> None:
    on_a_calendar_that_fits(two_bad_days, tmp_path)


@pytest.mark.night
def test_a_bad_month_loses_and_doubles_nothing_and_every_fault_is_named_once(
    tmp_path: Path,
) -> None:
    on_a_calendar_that_fits(a_bad_month, tmp_path)
