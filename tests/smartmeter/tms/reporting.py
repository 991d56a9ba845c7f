"""A head-end in memory, and SmartMeters that report to it."""

from __future__ import annotations

from collections.abc import Callable

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, Cause, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NOTIFICATION
from protocols.c1222.node import Node, ResponseArrived
from protocols.c1222.security import EaxPrime
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.clock import Calendar
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import profile_part
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.template import make_template

UTC_S, METERS = 1_767_225_600, 3


class Office:
    """A head-end in memory, and SmartMeters that send it reports."""

    def __init__(self) -> None:
        self.calendar = Calendar(UTC_S * 1_000_000)
        self.store = MemoryStore()
        self.factories = [factory_of(n, 3, "tcp:127.0.0.1:1") for n in range(1, METERS + 1)]
        shipped = [Shipped(f.esn, str(f.title), f.key, MODEL) for f in self.factories]
        self.store.write_now(lambda c: import_shipment(c, shipped, 0))
        self.later: list[Callable[[], None]] = []
        self.head_end = HeadEnd(self.store, self.calendar, make_template(), self.later.append)
        self.head_end.load(0)
        self.nodes = [Node(f.title, Keys(f.key), self.calendar) for f in self.factories]

    def send(self, meter: int, number: int, first_sequence: int, **header: int) -> None:
        """Send a report of two intervals."""
        services = report(self.factories[meter].esn, number, first_sequence, **header)
        title = ApTitle.parse(".1")
        self.nodes[meter].request(services, title, meter, 0, key_id=0, qualifier=NOTIFICATION)
        for path, octets in self.nodes[meter].outgoing():
            self.head_end.receive(path, octets, 0)

    def settle(self) -> None:
        """Let what waits be done."""
        while self.later:
            self.later.pop(0)()

    def answers(self) -> list[tuple[int, list[int]]]:
        """Let what waits be done; give the answers, each with its SmartMeter."""
        self.settle()
        for path, octets in self.head_end.outgoing():
            assert isinstance(path, int)
            self.nodes[path].receive("tms", octets, 0)
        return [
            (meter, [response[0] for response in event.responses])
            for meter, node in enumerate(self.nodes)
            for event in node.events()
            if isinstance(event, ResponseArrived)
        ]


class Keys:
    def __init__(self, key: bytes) -> None:
        self._cipher = EaxPrime(key)

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._cipher if key_id == 0 else None


def report(esn: str, number: int, first_sequence: int, **changes: int) -> list[bytes]:
    header = {
        "BASE": DEFAULT_BASE,
        "ESN": esn,
        "OUTBOX_EPOCH": 1,
        "REPORT_NBR": number,
        "CAUSE": Cause.SCHEDULE,
        "SCHEDULE_NBR": 1,
        "TIME": UTC_S,
        "DUE_TIME": UTC_S,
        "CONFIG_VERSION": 0,
        "CONTEXT_ID": 1,
        "STATE": 6,
        "WARNING": 0,
        **changes,
    }
    intervals = [Interval(first_sequence + n, UTC_S + 900 * n, b"", (n,)) for n in range(2)]
    images = (
        (SsiTable.REPORT_HEADER, header),
        (SsiTable.LOAD_PROFILE_PART, profile_part(1, intervals, 900, 1, 1)),
    )
    return [
        encode_request(FullWrite(DEFAULT_BASE + table, ssi_tables.encode(table, value)))
        for table, value in images
    ]
