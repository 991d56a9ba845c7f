"""SmartMeters that are woken by short message: when it is rung, how often, and what follows."""

import pytest

from protocols.c1222.transactions import NO_ANSWER
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from smartmeter.simulation.street import MODEL
from smartmeter.tms.asking import ANSWER_TIMEOUT_US, SLOW_ANSWER_US
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.model import Kind
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.upgrades import make_image
from smartmeter.tms.waking import COME_US
from tests.smartmeter.tms.bell import FACTORY, NUMBER, SLOW, Office


def test_a_person_who_asks_has_it_woken_and_is_answered_as_soon_as_it_has_come() -> None:
    office = Office()
    number = office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    assert office.later_by(0) == [] and office.rung == [NUMBER]
    assert office.job(number) == ("waiting", "is being woken", 1)
    assert office.later_by(COME_US // 2) == [], "it is waited for"
    office.heard("its socket")
    assert office.later_by(0) == ["its socket"] and office.job(number)[0] == "running"
    assert office.rung == [NUMBER]


@pytest.mark.parametrize("losses", [0, 1, 5])
def test_it_is_woken_in_the_middle_of_a_work_whatever_was_lost_before(losses: int) -> None:
    office = Office()
    office.heard("socket")
    runner, answers = office.head_end.jobs, losses + 1

    def work() -> Exchange[None]:
        for _ in range(answers + 1):
            yield [encode_request(Identify())]

    number = office.head_end.orders.submit(FACTORY.esn, Kind.READ, "ann", work)
    assert number is not None
    for lost in range(answers):
        office.later_by(0)
        if lost < losses:
            runner.unanswered(max(runner._by_transaction), "no answer in time", office.now_us)
            office.later_by(2_000_000)
        runner.answered(max(runner._by_transaction), [b"\0"], office.now_us)
    office.later_by(0)
    office.head_end.disconnected("socket")
    for _ in range(4):
        office.later_by(COME_US)
    assert office.rung == [NUMBER], "the lost connection was the first of three tries"
    assert office.job(number)[:2] == ("failed", "not connected")


def test_who_does_not_come_is_woken_once_more_and_then_the_job_fails() -> None:
    office = Office()
    number = office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    for _ in range(3):
        office.later_by(COME_US)
    assert office.rung == [NUMBER] * 2 and office.job(number) == ("failed", "not connected", 3)


def test_a_shipment_file_without_numbers_takes_none_away() -> None:
    office = Office()
    plain = Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)
    office.head_end.store.write_now(lambda c: import_shipment(c, [plain], 0))
    office.head_end.load_keys()
    office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    assert office.rung == [NUMBER]


def test_a_job_of_many_tries_rings_twice() -> None:
    office = Office()
    image = make_image(b"payload", MODEL, "2", bytes(32))
    office.head_end.upgrade([FACTORY.esn], image, 0, "ann")
    for _ in range(10):
        office.later_by(COME_US)
    assert office.rung == [NUMBER] * 2


def test_a_look_after_silence_wakes_once() -> None:
    office = Office()
    office.head_end.orders.look_after(FACTORY.esn, attempts=2)
    for _ in range(3):
        office.later_by(COME_US)
    assert office.rung == [NUMBER] and office.head_end.figures.polls == 0


def test_who_has_sent_a_short_message_is_asked_by_one_if_waking_did_not_help() -> None:
    office = Office()
    office.heard(SLOW)
    number = office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    assert office.later_by(0) == [] and office.rung == [NUMBER]
    assert office.later_by(COME_US) == [SLOW]
    assert office.later_by(ANSWER_TIMEOUT_US) == [] and office.job(number)[0] == "running"
    office.later_by(SLOW_ANSWER_US)
    assert office.job(number) == ("waiting", NO_ANSWER, 2)


@pytest.mark.parametrize("without", ["number", "bell"])
def test_nobody_is_woken_without_a_number_or_a_bell(without: str) -> None:
    office = Office("" if without == "number" else NUMBER)
    if without == "bell":
        office.head_end.waking.bell = None
    number = office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    office.later_by(0)
    assert office.rung == [] and office.job(number) == ("waiting", "not connected", 1)
