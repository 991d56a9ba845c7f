"""A node whose own connection is silent is called where it said that it listens."""

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.keys import TitleKeys
from protocols.c1222.native_address import TCP, UDP, NativeAddress
from protocols.c1222.node import Node
from protocols.c1222.registration import ConnectionType, Register, serial_uid
from protocols.c1222.services import encode_service
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify
from smartmeter.base.clock import US_PER_S
from smartmeter.comms.way_finder import native_address
from smartmeter.simulation.street import MODEL
from smartmeter.tms.asking import ANSWER_TIMEOUT_US
from smartmeter.tms.dispatch import CALL_US
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.model import Kind
from smartmeter.tms.registrations import store_registration
from smartmeter.tms.template import make_template
from smartmeter.tms.upgrades import make_image
from tests.smartmeter.tms.bell import FACTORY, Office
from tests.smartmeter.tms.peer import HOST_TITLE

ADDRESS = NativeAddress("192.0.2.7", 1153, TCP).encode()
IMAGE = make_image(b"payload", MODEL, "2", bytes(32))
OWN, CALLED = "its own connection", "the one that was called"


class Switchboard(Office):
    """A head-end that knows where its SmartMeter listens, and notes whom it called."""

    def __init__(self, address: bytes = ADDRESS) -> None:
        super().__init__(number="")
        accepts = ConnectionType.CONNECTION | ConnectionType.ACCEPTS_CONNECTIONS
        serial = serial_uid(FACTORY.esn)
        asked = Register(FACTORY.title, serial, 0, connection_type=accepts, address=address)
        head_end, place = self.head_end, native_address(accepts, address)
        head_end.store.write_now(lambda c: store_registration(c, FACTORY.esn, asked, place, 0))
        head_end.registrations.load(0)
        self.called: list[ApTitle] = []
        head_end.shell.seek = lambda title: not self.called.append(title)  # type: ignore[func-returns-value]
        self.heard(OWN)

    def wait(self) -> list[object]:
        """Let time pass until an answer is overdue, and then until the job tries again."""
        return self.later_by(ANSWER_TIMEOUT_US) + self.later_by(5 * US_PER_S)


def test_a_job_goes_on_by_a_call_when_the_own_connection_is_silent() -> None:
    office = Switchboard()
    number = office.head_end.request(FACTORY.esn, Kind.PROVISION, "ann")
    assert office.later_by(0) == [OWN] and not office.called
    assert office.later_by(ANSWER_TIMEOUT_US) == [] and office.called == [FACTORY.title]
    office.head_end.way_found(FACTORY.title, CALLED, office.now_us)
    assert office.later_by(0) == [CALLED] and office.job(number)[0] == "running"


def test_the_two_take_turns_until_one_answers() -> None:
    office = Switchboard()
    office.head_end.upgrade([FACTORY.esn], IMAGE, 0, "ann")
    office.later_by(ANSWER_TIMEOUT_US)
    office.head_end.way_found(FACTORY.title, CALLED, office.now_us)
    ways = []
    for _ in range(40):
        ways += office.later_by(15 * US_PER_S)
    assert ways[:6] == [CALLED, OWN] * 3 and len(office.called) == 1
    office.heard(OWN)
    assert office.head_end.connected(FACTORY.esn)
    office.head_end.disconnected(CALLED)
    assert office.head_end.connected(FACTORY.esn)


def test_where_the_call_fails_the_own_connection_is_tried_again() -> None:
    office = Switchboard()
    office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    office.later_by(ANSWER_TIMEOUT_US)
    office.head_end.way_lost(FACTORY.title)
    assert office.later_by(CALL_US) == [OWN]


def test_a_node_that_came_by_itself_meanwhile_keeps_its_new_connection() -> None:
    office = Switchboard()
    office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    office.later_by(ANSWER_TIMEOUT_US)
    office.heard("its new connection")
    assert office.later_by(0) == ["its new connection"]
    office.head_end.way_found(FACTORY.title, CALLED, office.now_us)
    assert office.later_by(0) == []


def test_a_relay_that_knows_no_way_has_the_node_called() -> None:
    office = Switchboard()
    office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    [(path, octets)] = office.head_end.outgoing()
    title, number = office.head_end.collector.node.title, decode_apdu(octets).calling_invocation_id
    hint = build_apdu(Envelope(1, title, FACTORY.title, number), [bytes([ResponseCode.uat])])
    office.head_end.receive(path, hint, office.now_us)
    assert path == OWN and office.called == [FACTORY.title]


def test_who_listens_nowhere_is_called_nowhere() -> None:
    office = Switchboard(address=b"")
    number = office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    assert office.later_by(0) + office.wait() == [OWN, OWN] and not office.called
    assert office.job(number)[0] == "running"


def test_where_a_datagram_with_a_registration_came_from_is_kept_over_a_restart() -> None:
    office, source = Office(""), NativeAddress("192.0.2.7", 4711, UDP)
    office.head_end.shell.address_of = lambda path, own: source.encode()
    ring = TitleKeys()
    ring.add(HOST_TITLE, FACTORY.key)
    meter = Node(FACTORY.title, ring, office.head_end.calendar)
    register = encode_service(Register(FACTORY.title, serial_uid(FACTORY.esn)))
    meter.request([register], HOST_TITLE, "udp", 0, key_id=0)
    [(_, octets)] = meter.outgoing()
    office.head_end.receive("udp", octets, 0)
    office.later_by(0)
    again = HeadEnd(
        office.head_end.store, office.head_end.calendar, make_template(), office.later.append
    )
    again.load(0)
    assert again.collector.native_address(FACTORY.title) == source


def test_an_order_waits_after_a_restart_though_the_call_failed_and_then_calls_again() -> None:
    office = Switchboard()
    former = office.head_end
    number = former.request(FACTORY.esn, Kind.READ, "ann")
    again = HeadEnd(
        former.store, former.calendar, former.template, office.later.append, shell=former.shell
    )
    again.load(0)
    office.head_end = again
    assert office.later_by(0) == [] and len(office.called) == 1
    again.way_lost(FACTORY.title)
    for _ in range(15):
        office.later_by(60 * US_PER_S)
    waits = ("waiting", "not connected; waits until the SmartMeter is heard")
    assert office.job(number)[:2] == waits and len(office.called) == 1
    for _ in range(2):
        office.later_by(60 * US_PER_S)
    assert office.job(number)[:2] == ("waiting", "is being called") and len(office.called) == 2


def test_who_is_found_only_where_it_was_silent_is_woken() -> None:
    office = Switchboard()
    store, number = office.head_end.store, "+15557654321"
    store.write_now(lambda c: c.execute("UPDATE meters SET wake_number=?", (number,)).rowcount)
    office.head_end.waking.load()
    office.head_end.request(FACTORY.esn, Kind.PING, "ann")
    assert office.later_by(0) == [OWN]
    office.later_by(ANSWER_TIMEOUT_US)
    office.head_end.way_found(FACTORY.title, OWN, office.now_us)
    assert office.later_by(5 * US_PER_S) == [] and office.rung == [number]


def test_an_answer_in_clear_on_another_connection_of_its_host_goes_back_to_who_asked() -> None:
    office, client = Switchboard(), ApTitle.parse(".5")
    head_end = office.head_end
    hosts = {OWN: "192.0.2.7", "its second connection": "192.0.2.7", "a stranger": "192.0.2.8"}
    head_end.shell.address_of = lambda path, own: NativeAddress(
        hosts[str(path)], 1153, TCP
    ).encode()
    asked = build_apdu(Envelope(77, FACTORY.title, client), [encode_service(Identify())])
    answer = build_apdu(Envelope(9, client, FACTORY.title, 77), [b"\0\3\1\0\0"])
    head_end.receive("the client", asked, office.now_us)
    assert head_end.outgoing() == [(OWN, asked)]
    head_end.receive("a stranger", answer, office.now_us)
    assert head_end.outgoing() == []
    head_end.receive("its second connection", answer, office.now_us)
    assert head_end.outgoing() == [("the client", answer)]


@pytest.mark.parametrize("has_come", [True, False])
def test_others_reach_a_registered_node_whose_relay_began_anew(has_come: bool) -> None:
    office, client = Office(number=""), ApTitle.parse(".5")
    head_end = office.head_end
    if has_come:
        asked = Register(FACTORY.title, serial_uid(FACTORY.esn))
        head_end.store.write_now(lambda c: store_registration(c, FACTORY.esn, asked, None, 1))
        head_end.registrations.load(0)
    who = build_apdu(Envelope(3, None, ApTitle.parse(".91")), [encode_request(Identify())])
    head_end.receive("its relay", who, 0)
    head_end.outgoing()
    asking = build_apdu(Envelope(77, FACTORY.title, client), [encode_request(Identify())])
    head_end.receive("the client", asking, 0)
    [(path, octets)] = head_end.outgoing()
    assert (path, octets == asking) == (("its relay", True) if has_come else ("the client", False))
    if has_come:
        answer = build_apdu(Envelope(9, client, FACTORY.title, 77), [b"\0\3\1\0\0"])
        head_end.receive("its relay", answer, 0)
        assert head_end.outgoing() == [("the client", answer)]


def test_who_only_says_that_it_is_a_relay_takes_no_nodes_way_from_the_tms() -> None:
    office, client = Office(number=""), ApTitle.parse(".5")
    head_end = office.head_end
    asked = Register(FACTORY.title, serial_uid(FACTORY.esn))
    head_end.store.write_now(lambda c: store_registration(c, FACTORY.esn, asked, None, 1))
    head_end.registrations.load(0)
    for number, path in enumerate(("the relay", "a stranger", "its second connection")):
        who = Envelope(number, None, ApTitle.parse(f".9{number}"))
        head_end.receive(path, build_apdu(who, [encode_request(Identify())]), 0)
    asking = build_apdu(Envelope(77, FACTORY.title, client), [encode_request(Identify())])
    head_end.outgoing()
    head_end.receive("the client", asking, 0)
    assert head_end.outgoing() == [("its second connection", asking)]
    later_us = 10 * US_PER_S
    head_end.expire(later_us)
    assert head_end.outgoing() == [("a stranger", asking)]
    answer = build_apdu(Envelope(9, client, FACTORY.title, 77), [b"\0\3\1\0\0"])
    head_end.receive("a stranger", answer, later_us)
    assert not head_end.connected(FACTORY.esn)
