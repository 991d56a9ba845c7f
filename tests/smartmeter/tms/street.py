"""What SmartMeters tell a head-end in one process, without a network between them."""

from __future__ import annotations

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, AlarmSource, Disposition, ModuleAlarm, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NOTIFICATION
from protocols.c1222.node import RequestArrived
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.services import encode_service
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.template import make_template
from tests.smartmeter.tms.reporting import UTC_S, Office, report

HOST_TITLE = ApTitle.parse(".1")


class Street(Office):
    """An office whose clock goes on, and what its first SmartMeter has to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self.esn = self.factories[0].esn
        self.number = 0

    def go_on(self, seconds: int) -> None:
        """Let time pass, looking ten times a second as the server does, but more coarsely."""
        for _ in range(0, seconds, 5):
            self.now_us += 5_000_000
            self.head_end.expire(self.now_us)
            self.settle()
            self.head_end.outgoing()  # nobody answers

    def go_on_answering(self, code: ResponseCode) -> None:
        """Let five seconds pass; pings are answered ok, and all else with a code."""
        node = self.nodes[0]
        self.now_us += 5_000_000
        self.head_end.expire(self.now_us)
        self.settle()
        for path, octets in self.head_end.outgoing():
            node.receive(path, octets, self.now_us)
        for event in node.events():
            if isinstance(event, RequestArrived):
                told = ResponseCode.ok if len(event.services) == 1 else code
                node.answer(event.token, [bytes([told])] * len(event.services), self.now_us)
        for path, octets in node.outgoing():
            self.head_end.receive(path, octets, self.now_us)
        self.settle()

    def tell(self, services: list[bytes], qualifier: int = NOTIFICATION) -> None:
        node = self.nodes[0]
        node.request(services, HOST_TITLE, 0, self.now_us, key_id=0, qualifier=qualifier)
        for path, octets in node.outgoing():
            self.head_end.receive(path, octets, self.now_us)
        self.settle()

    def register(self) -> None:
        factory = self.factories[0]
        self.tell([encode_service(Register(factory.title, serial_uid(factory.esn)))], 0)

    def report(self, version: int, due: bool = True) -> None:
        """Report on schedule 1 (or on none) with this configuration."""
        self.number += 1
        now_s = UTC_S + self.now_us // 1_000_000
        header = {"TIME": now_s, "DUE_TIME": now_s if due else 0, "CONFIG_VERSION": version}
        self.tell(report(self.esn, self.number, 2 * self.number, **header))

    def upgraded(self, version: int) -> None:
        """Report that another version of the module was confirmed."""
        self.number += 1
        header, _ = report(self.esn, self.number, 0, CONFIG_VERSION=version, DUE_TIME=0)
        value = {"ALARM_NBR": 1, "SOURCE": AlarmSource.MODULE, "CODE": ModuleAlarm.UPGRADED}
        value |= {"DISPOSITION": Disposition.ADVISORY, "TIME": UTC_S, "MONITOR_NBR": 0}
        image = ssi_tables.encode(SsiTable.ALARM, value | {"VALUE": 0, "TEXT": "confirmed"})
        self.tell([header, encode_request(FullWrite(DEFAULT_BASE + SsiTable.ALARM, image))])

    def outage(self, number: int, restored: bool, version: int | None = None) -> None:
        """Report that an outage begins or has ended; ``version`` None: as it is to be."""
        self.number += 1
        version = self.head_end.template.version if version is None else version
        header, _ = report(self.esn, self.number, 0, CONFIG_VERSION=version, DUE_TIME=0)
        begin_s = UTC_S + 1000 * number
        value = {"OUTAGE_NBR": number, "RESTORED": restored, "START_TIME": begin_s}
        value |= {"END_TIME": begin_s + 600 if restored else 0, "NBR_MOMENTARIES": 0}
        value["DURATION_S"] = 600 if restored else 0
        image = ssi_tables.encode(SsiTable.OUTAGE_RECORD, value)
        written = FullWrite(DEFAULT_BASE + SsiTable.OUTAGE_RECORD, image)
        self.tell([header, encode_request(written)])

    def restart(self) -> None:
        """Cut the head-end off, and start another on its store."""
        self.head_end = HeadEnd(
            self.store, self.calendar, self.head_end.template, self.later.append
        )
        self.head_end.load(self.now_us)

    @property
    def state(self) -> str:
        row = self.store.one("SELECT state FROM meters WHERE esn=?", self.esn)
        assert row is not None
        return str(row["state"])

    @property
    def cause(self) -> str:
        row = self.store.one("SELECT cause FROM meters WHERE esn=?", self.esn)
        assert row is not None
        return str(row["cause"])

    @property
    def open_silences(self) -> int:
        return self.store.number("SELECT count(*) FROM silences WHERE ended_s=0")

    def meets_another_template(self, version: int) -> None:
        """Report by ``version`` before and after a start of the head-end with another template."""
        self.report(version)
        self.head_end.template = make_template({"general": {"REPORT_GRACE_S": 77}})
        self.restart()
        self.report(version)
