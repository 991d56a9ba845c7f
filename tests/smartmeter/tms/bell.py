"""A head-end with a bell that notes whom it rang."""

from collections.abc import Callable

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.template import make_template

UTC_S, NUMBER, SLOW = 1_767_225_600, "+15557654321", "by short message"
FACTORY = factory_of(1, 3, "tcp:127.0.0.1:1")


class Office:
    """A head-end in memory with a bell that notes whom it rang; implements Bell."""

    def __init__(self, number: str = NUMBER) -> None:
        store = MemoryStore()
        shipped = Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL, number)
        store.write_now(lambda c: import_shipment(c, [shipped], 0))
        self.later: list[Callable[[], None]] = []
        calendar = Calendar(UTC_S * US_PER_S)
        self.head_end = HeadEnd(store, calendar, make_template(), self.later.append)
        self.head_end.load(0)
        self.head_end.waking.bell = self
        self.head_end.shell.is_slow = lambda path: path == SLOW
        self.rung: list[str] = []
        self.now_us = 0

    def wake(self, number: str) -> None:
        self.rung.append(number)

    def later_by(self, us: int) -> list[object]:
        """Let time pass; give where APDUs went."""
        self.now_us += us
        self.head_end.expire(self.now_us)
        while self.later:
            self.later.pop(0)()
        return [path for path, _ in self.head_end.outgoing()]

    def heard(self, path: str) -> None:
        self.head_end._heard(FACTORY.esn, path)

    def job(self, number: int) -> tuple[str, str, int]:
        row = self.head_end.store.one("SELECT * FROM jobs WHERE id=?", number)
        assert row is not None
        return row["state"], row["cause"], row["attempts"]
