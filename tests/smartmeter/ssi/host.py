"""A TMS of the tests: one C12.22 node that takes reports, and a world with one SmartMeter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import (
    CONFIG_TABLES,
    DEFAULT_BASE,
    STAGING_OFFSET,
    Command,
    Content,
    Disposition,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import (
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.registration import REGISTER, Register, Registered
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import decode_service
from protocols.psem.codec import encode_request, table_data
from protocols.psem.services import FullRead, FullWrite, OffsetWrite
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import MeterSettings
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.world import World
from smartmeter.ssi.factory import Factory, TmsAddress
from smartmeter.ssi.guard import Permission

EPOCH_US = 1_767_225_600 * US_PER_S  # 2026-01-01
KEY = bytes(range(16))
FACTORY = Factory("SM000001", KEY, (TmsAddress("test"),), 2, "SSI", b"master")


@dataclass
class Ring:
    cipher: EaxPrime
    ids: tuple[int, ...] = (0,)

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self.cipher if key_id in self.ids else None


@dataclass
class Report:
    header: dict[str, Any]
    parts: list[tuple[int, Any]]


@dataclass
class Host:
    """Takes everything that is new; ``refusing`` leaves reports without an answer.

    So are registrations left where it ``takes_in`` nobody.
    """

    node: Node
    reports: list[Report] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    repeats: int = 0
    registrations: int = 0
    #: What it registered as last.
    connection_type: int = 0
    #: What bore which ED class, a registration (True) or a report (False).
    ed_classes: set[tuple[bool, bytes | None]] = field(default_factory=set)
    refusing: bool = False
    takes_in: bool = True
    #: For how long it takes somebody in.
    grants_s: int = 3600
    #: Reports that are answered with iar, and how often one was.
    refuses: Callable[[Report], bool] = lambda report: False
    refusals: int = 0
    answers: dict[int, tuple[bytes, ...] | str] = field(default_factory=dict)

    def drain(self, now_us: int) -> None:
        for event in self.node.events():
            if isinstance(event, RequestArrived):
                self._take(event, now_us)
            elif isinstance(event, ResponseArrived):
                self.answers[event.transaction] = event.responses
            elif isinstance(event, TransactionFailed):
                self.answers[event.transaction] = event.cause

    def _take(self, event: RequestArrived, now_us: int) -> None:
        services = [decode_service(octets) for octets in event.services]
        self.ed_classes.add((isinstance(services[0], Register), event.ed_class))
        if isinstance(services[0], Register):
            self.registrations += 1
            if not self.takes_in:
                return
            self.connection_type = int(services[0].connection_type)
            assert services[0].title is not None
            answer = Registered(services[0].title, 0, self.grants_s).encode()
            self.node.answer(event.token, [answer], now_us)
            return
        if self.refusing:
            return
        report = Report({}, [])
        for service in services:
            assert isinstance(service, FullWrite | OffsetWrite), service
            number = service.table - DEFAULT_BASE
            if number in set(SsiTable):
                value = ssi_tables.decode(SsiTable(number), service.data)
                if number == SsiTable.REPORT_HEADER:
                    report.header = value
                else:
                    report.parts.append((service.table, value))
            else:
                report.parts.append((service.table, service.data))
        if self.refuses(report):
            self.refusals += 1
            self.node.answer(event.token, [b"\x05"] * len(services), now_us)
            return
        mark = (report.header["OUTBOX_EPOCH"], report.header["REPORT_NBR"])
        self.repeats += mark in self.seen
        if mark not in self.seen:
            self.seen.add(mark)
            self.reports.append(report)
        self.node.answer(event.token, [b"\0"] * len(services), now_us)

    def parts(self, table: SsiTable) -> list[Any]:
        number = DEFAULT_BASE + table
        return [v for report in self.reports for n, v in report.parts if n == number]

    def intervals(self, set_nbr: int = 1) -> list[tuple[int, int, list[int]]]:
        found = []
        for part in self.parts(SsiTable.LOAD_PROFILE_PART):
            if part["SET"] != set_nbr:
                continue
            for index, one in enumerate(part["INTERVALS"]):
                found.append((part["FIRST_SEQUENCE"] + index, one["END_TIME"], one["VALUES"]))
        return found


class Street:
    """A world with one SmartMeter, its link and the host; implements Actor."""

    def __init__(
        self,
        rate: int = 1,
        baud: int | None = None,
        link: LinkSettings | None = None,
        permission: Permission | None = None,
        meter: MeterSettings | None = None,
        epoch_us: int = EPOCH_US,
        meter_ahead_s: int = 0,
    ) -> None:
        self.calendar = Calendar(epoch_us, rate)
        #: APDUs that the SmartMeter has sent.
        self.sent = 0
        self.journal: list[Interval] = []
        self.device = SmartMeter(
            FACTORY,
            meter or MeterSettings(),
            Calendar(epoch_us + meter_ahead_s * US_PER_S, rate),
            0,
            baud=baud,
            on_interval=self.journal.append,
            permission=permission,
        )
        self.ring = ring = Ring(EaxPrime(KEY))
        told = frozenset((REGISTER,))
        settings = NodeSettings(window_s=900 * rate, tell_time_to=told)
        self.host = Host(Node(ApTitle.parse(".1"), ring, self.calendar, None, settings))
        self.link = Link(link or LinkSettings(), Random(1))
        self.world = World()
        self.world.actors.append(self)
        self.device.bearer_up("link", 0)

    def expire(self, now_us: int) -> None:
        self.device.expire(now_us)
        self.host.node.expire(now_us)

    def deadline_us(self) -> int | None:
        dues = (self.device.deadline_us(), self.host.node.deadline_us(), self.link.deadline_us())
        return min((due for due in dues if due is not None), default=None)

    def settle(self, now_us: int) -> bool:
        moved = False
        for _, octets in self.device.outgoing():
            self.sent += 1
            self.link.put(octets, True, now_us)
        for _, octets in self.host.node.outgoing():
            self.link.put(octets, False, now_us)
        for outward, octets in self.link.arrived(now_us):
            moved = True
            if outward:
                self.host.node.receive("link", octets, now_us)
            else:
                self.device.receive("link", octets, now_us)
        self.host.drain(now_us)
        return moved

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now_us + int(seconds * US_PER_S))

    def ask(self, *services: bytes, key_id: int = 0) -> list[bytes]:
        """Ask the SmartMeter over the network; give the answers."""
        number = self.host.node.request(
            services, FACTORY.title, "link", self.world.now_us, key_id=key_id
        )
        self.world.run(self.world.now_us + 60 * US_PER_S, lambda: number in self.host.answers)
        answer = self.host.answers[number]
        assert not isinstance(answer, str), answer
        return list(answer)

    def provision(self, *also: bytes, **tables: Any) -> list[bytes]:
        """Stage the tables given (by name) and commit them all as version 1, 2, ...

        In the same request services follow that are asked for also.
        """
        configuration = self.device.module.parts.configuration
        images = {
            table: ssi_tables.encode(table, tables.get(table.name, configuration.value(table)))
            for table in CONFIG_TABLES
        }
        commit = {
            "VERSION": configuration.version + 1,
            "DIGEST": ssi_tables.config_digest(images),
        }
        writes = [own_write(t + STAGING_OFFSET, image) for t, image in images.items()]
        commit_image = ssi_tables.encode(SsiTable.COMMIT, commit)
        return self.ask(*writes, own_write(SsiTable.COMMIT, commit_image), *also)


class PowerCut(Exception):
    """The power went at a write."""


class CutNvram(MemoryNvram):
    """Loses power at the n-th commit: before it, or just after."""

    cut_in, after = 0, False

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self.cut_in -= 1
        if self.cut_in == 0 and not self.after:
            raise PowerCut
        super().commit(changes)
        if self.cut_in == 0:
            raise PowerCut


def cut_nvram(street: Street) -> CutNvram:
    """Start the module anew on a memory that can lose power."""
    cutting = CutNvram(dict(street.device.nvram._pages))
    street.device.nvram = cutting
    street.device.restart(street.world.now_us)
    return cutting


class FailingNvram(MemoryNvram):
    """Fails at the n-th commit from now, once."""

    fails_in = 0

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self.fails_in -= 1
        if self.fails_in == 0:
            raise StorageError("the flash", "is worn out")
        super().commit(changes)


def failing_memory(street: Street) -> FailingNvram:
    """Give the module a memory that can fail; it starts anew on it."""
    held = street.device.nvram
    pages = {name: held.get(name) or b"" for name in held.names()}
    street.device.nvram = failing = FailingNvram(pages)
    street.device.restart(street.world.now_us)
    street.run(60)
    return failing


def script_table(street: Street, number: int) -> list[bytes]:
    """Let the meter show whatever stands in the list given, first what it shows now."""
    meter = street.device.meter
    genuine = meter.table
    shown = [genuine(number, street.world.now_us)]

    def table(asked: int, now_us: int) -> bytes:
        return shown[0] if asked == number else genuine(asked, now_us)

    meter.table = table  # type: ignore[method-assign]
    return shown


def small_outbox(monkeypatch: pytest.MonkeyPatch, capacity: int, reserve: int) -> None:
    """Let outboxes hold little, and keep some of it for exceptions."""
    monkeypatch.setattr("smartmeter.ssi.outbox.CAPACITY", capacity)
    monkeypatch.setattr("smartmeter.ssi.outbox.RESERVE", reserve)


def raise_alarms(street: Street, count: int) -> None:
    """Let the module raise so many alarms of its own."""
    for number in range(count):
        street.device.module.parts.reporter.raise_own(
            ModuleAlarm.METER_SECURITY, f"{number}", street.world.now_us
        )


def own_write(table: int, image: bytes) -> bytes:
    return encode_request(FullWrite(DEFAULT_BASE + table, image))


def own_read(table: int) -> bytes:
    return encode_request(FullRead(DEFAULT_BASE + table))


def decoded(table: SsiTable, answer: bytes) -> dict[str, Any]:
    assert answer[0] == 0, answer
    return ssi_tables.decode(table, table_data(answer[1:]))


def schedule(number: int = 1, **changes: Any) -> dict[str, Any]:
    value = {
        "SCHEDULE_NBR": number,
        "ENABLED": 1,
        "TASK": Task.REPORT,
        "KIND": ScheduleKind.INTERVAL,
        "LOCAL": 0,
        "PERIOD_MIN": 15,
        "AT_MINUTE": 0,
        "DAY": 0,
        "ONCE_TIME": 0,
        "PRIORITY": 1,
        "CATCH_UP": 0,
        "JITTER_S": 0,
        "CONTENT": Content.LOAD_PROFILE,
        "TABLES": [],
        "PARTS": [],
    }
    return value | changes


def schedules(*values: dict[str, Any]) -> dict[str, Sequence[dict[str, Any]]]:
    return {"SCHEDULES": list(values)}


def monitor(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Give a monitor of ST-23's demand resets that tells each change at once."""
    value = {
        "MONITOR_NBR": number,
        "TABLE": 23,
        "PATH": "NBR_DEMAND_RESETS",
        "PERIOD_MS": 1000,
        "DISPOSITION": Disposition.ALARM,
    }
    return ssi_tables.BLANK_MONITOR | value | changes


def command(code: Command, **changes: int) -> bytes:
    value = {"CODE": code, "SET": 1, "RING_EPOCH": 1, "FIRST_SEQUENCE": 0}
    value |= {"COUNT": 0, "SCHEDULE_NBR": 255, "FORCE": 1}
    return ssi_tables.encode(SsiTable.COMMAND, value | changes)


GENERAL = {
    "REPORT_GRACE_S": 300,
    "DUTY_PERMILLE": 100,
    "CLOCK_SILENT_S": 5,
    "CLOCK_REFUSE_S": 3600,
    "ACK_TIMEOUT_MS": 15_000,
    "REGISTRATION_PERIOD_S": 3600,
    "STATUS_PERIOD_MS": 0,
}

OUTAGE = {
    "ENABLED": 1,
    "THRESHOLD_S": 30,
    "LAST_GASP_COUNT": 3,
    "LAST_GASP_SPREAD_MS": 500,
    "HOLD_UP_MS": 60_000,
    "DISPOSITION": 2,
    "SAG_PERMILLE": 0,
    "SWELL_PERMILLE": 0,
    "NOMINAL_V": 120,
    "VOLTAGE_PERIOD_MS": 1000,
}
