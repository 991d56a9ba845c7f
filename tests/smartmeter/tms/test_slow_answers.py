"""A SmartMeter whose answers take long: the TMS learns to wait for them."""

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node, NodeSettings, RequestArrived
from protocols.c1222.security import EaxPrime
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.arrivals import PathDoubted
from smartmeter.tms.collector import Collector
from smartmeter.tms.meters import Meters
from smartmeter.tms.registrations import Registrations
from smartmeter.tms.shell import Shell
from smartmeter.tms.source import Answered, Unanswered

ESN, TITLE, KEY = "SM000001", ".1.7", bytes(range(16))
EPOCH_US = 1_767_225_600 * US_PER_S
LATE_US = 40 * US_PER_S
IDENTIFY = encode_request(Identify())


class Keys:
    """The SmartMeter's; implements KeyStore."""

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return EaxPrime(KEY)


def asked(collector: Collector, meter: Node, now_us: int) -> tuple[type, int]:
    """Ask; the answer comes late.  Give what came of it, and when it was known."""
    collector.asking.request(ESN, [IDENTIFY], "path", now_us)
    [(_, request)] = collector.outgoing()
    meter.receive("link", request, now_us)
    [event] = meter.events()
    assert isinstance(event, RequestArrived)
    due_us = collector.deadline_us()
    assert due_us is not None
    if due_us < now_us + LATE_US:
        collector.expire(due_us)
        doubted, told = collector.events()
        assert doubted == PathDoubted(ESN)
        return type(told), due_us
    meter.answer(event.token, [b"\0\0\1\0\0"], now_us + LATE_US)
    [(_, answer)] = meter.outgoing()
    collector.receive("path", answer, now_us + LATE_US)
    [told] = collector.events()
    return type(told), now_us + LATE_US


def test_the_wait_for_a_late_answer_grows_until_it_comes_and_stays_so() -> None:
    meters, calendar = Meters(), Calendar(EPOCH_US)
    meters.add(ESN, TITLE, 0, KEY)
    collector = Collector(meters, Registrations(MemoryStore()), calendar, 1, Shell())
    meter = Node(ApTitle.parse(TITLE), Keys(), calendar, settings=NodeSettings())
    now_us, outcomes = 0, []
    for _ in range(4):
        told, now_us = asked(collector, meter, now_us)
        outcomes.append((told, now_us // US_PER_S))
    waits = [(Unanswered, 15), (Unanswered, 45), (Answered, 85), (Answered, 125)]
    assert outcomes == waits
