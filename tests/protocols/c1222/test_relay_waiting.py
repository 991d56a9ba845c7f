"""What a relay does with messages that wait, with who registers anew, and with what goes round."""

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node
from protocols.c1222.passages import MAX_REMEMBERED, MAX_SAME, Passages
from protocols.c1222.registrar import Registrar
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.services import Resolve, encode_service
from protocols.c1222.waiting import WAIT_US, Message, WaitingRoom
from protocols.c1222.ways import RelayOwner, Ways
from tests.protocols.c1222.conversation import (
    HOST,
    METER,
    NOW_US,
    OPEN,
    READ_1,
    Clock,
    Ring,
    items,
    lock,
    request,
)

OWN, S = ApTitle.parse(".91"), 1_000_000
ADDRESS = bytes.fromhex("c0000205048111")


def a_relay(owner: RelayOwner, registrar: Registrar | None = None) -> Relay:
    return Relay(Node(OWN, Ring(), Clock(), SecurityState(1), OPEN), registrar, owner=owner)


def test_a_node_that_was_looked_for_is_known_from_then_on() -> None:
    relay = a_relay(RelayOwner(seek=lambda title: True))
    relay.receive("host", request([READ_1], 7, called=METER), NOW_US)
    relay.way_found(METER, "meter", NOW_US)
    assert relay.routes() == {METER.absolute: "meter"}


def test_who_asks_the_same_by_two_paths_is_answered_by_both() -> None:
    relay, asked = a_relay(RelayOwner(seek=lambda title: True)), request([READ_1], 7, called=METER)
    for path in ("first", "second", "first"):
        relay.receive(path, asked, NOW_US)
    assert relay.outgoing() == []
    relay.way_found(METER, "meter", NOW_US)
    assert relay.outgoing() == [("meter", asked)] * 2
    answer = build_apdu(Envelope(1, HOST, METER, 7), [b"\0"])
    relay.receive("meter", answer, NOW_US)
    assert relay.outgoing() == [("first", answer), ("second", answer)]


def test_who_was_told_that_no_answer_came_is_not_told_again_that_the_node_was_not_found() -> None:
    relay = a_relay(RelayOwner(way_to=lambda title: "meter", call=lambda title: True))
    relay.receive("host", request([READ_1], 7, called=METER), NOW_US)
    told = []
    for seconds in range(10, 300, 10):
        relay.expire(NOW_US + seconds * S)
        told += [items(octets) for path, octets in relay.outgoing() if path == "host"]
    assert told == [[b"\x0d"]]


def test_who_registers_anew_is_reached_there_whatever_its_key_has_proven_before() -> None:
    relay = a_relay(RelayOwner(), Registrar(ApTitle.parse(".7")))
    register = encode_service(Register(METER, serial_uid("SM000001")))

    def way() -> object:
        return relay.routes()[METER.absolute]

    relay.receive("first", request([register], 1, called=OWN, calling=METER), NOW_US)
    relay.way_found(HOST, "host", NOW_US)
    asked = request([READ_1], 2, lock(), called=HOST, calling=METER)
    relay.receive("first", asked, NOW_US)
    relay.receive("host", build_apdu(Envelope(3, METER, HOST, 2), [b"\0"], lock()), NOW_US)
    assert way() == "first"
    relay.receive("second", request([register], 4, called=OWN, calling=METER), NOW_US)
    assert way() == "second"


def test_who_registered_without_an_address_is_reached_through_the_relay() -> None:
    relay = a_relay(RelayOwner(address_of=lambda path, own: ADDRESS), Registrar(OWN))
    asked = encode_service(Resolve(METER))
    for address in (bytes(len(ADDRESS)), b""):
        register = Register(METER, serial_uid("SM000001"), address=address)
        relay.receive("meter", request([encode_service(register)], called=OWN), NOW_US)
        relay.outgoing()
        relay.receive("host", request([asked], 2 + len(address), called=OWN), NOW_US)
        assert [items(octets) for _, octets in relay.outgoing()] == [[b"\0\x07" + ADDRESS]]


def test_a_node_that_has_gone_up_is_tried_below_only_for_who_asks_from_above() -> None:
    ways = Ways("up", RelayOwner(), max_routes=9, keep_us=S)
    ways.routes.learn(METER.absolute, "below", NOW_US)
    ways.moved(METER, "below", "up", NOW_US)
    assert ways.known(METER, NOW_US) is None
    assert ways.otherwise(METER, "another", NOW_US) == "up"
    assert ways.otherwise(METER, "up", NOW_US) == "below"


def test_what_goes_round_is_remembered_only_among_so_many_messages() -> None:
    passages, around = Passages(), [b"round and round"] * MAX_SAME
    assert all(passages.allow("way", octets, 0) for octets in around)
    assert not passages.allow("way", around[0], 0)
    assert all(passages.allow("way", b"%d" % n, 0) for n in range(MAX_REMEMBERED))
    assert passages.allow("way", around[0], 0)


def test_what_has_waited_too_long_is_given_once_and_no_more_is_due() -> None:
    room = WaitingRoom()
    for late, octets in enumerate((request([READ_1], 1), request([READ_1], 2))):
        room.take(Message("host", decode_apdu(octets), octets), NOW_US + late)
    assert room.deadline_us() == NOW_US + WAIT_US
    assert len(room.overdue(NOW_US + WAIT_US)) == 1
    assert room.deadline_us() == NOW_US + WAIT_US + 1
    assert len(room.overdue(NOW_US + WAIT_US + 1)) == 1 and room.deadline_us() is None
