"""Conformance checks that take relays: 58, 60, 61, 64 to 68, 73; two relays and a master."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.c1222.builder import NEVER, URGENT, Envelope, build_apdu
from protocols.c1222.dissection import dissect
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import Node, NodeSettings, RequestArrived, ResponseArrived
from protocols.c1222.registrar import Registrar, RegistrarSettings
from protocols.c1222.registration import Register, decode_registered, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.services import Deregister, Resolve, Trace, encode_service
from protocols.c1222.ways import RelayOwner
from protocols.machine import US_PER_S
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead, Identify
from tests.protocols.c1222.chain import ESN, FIRST, MASTER, SECOND, Chain
from tests.protocols.c1222.conversation import (
    HOST,
    KEY_ID,
    METER,
    NOW_US,
    OPEN,
    READ_1,
    Clock,
    Ring,
    Talk,
    items,
    lock,
    request,
    vector,
)

BASE = ApTitle(BASE_ARCS, False)


def test_check_58_a_registration_is_accepted_and_the_routes_lead_to_the_node() -> None:
    chain = Chain()
    [answer] = chain.register()
    assert decode_registered(answer).title == METER
    assert decode_registered(answer).period_s == 3600
    assert [
        relay.routes()[METER.absolute] for relay in (chain.master, chain.second, chain.first)
    ] == [
        "second",
        "first",
        "meter",
    ]
    assert chain.ask(READ_1)[0][0] == 0


def test_check_58_a_first_registration_without_a_title_finds_its_way_back() -> None:
    chain = Chain()
    octets = vector("own-register-request-ipv4")
    chain.first.receive("meter", octets, NOW_US)
    chain.settle()
    [answer] = [o for who, path, o in chain.carried if (who, path) == ("first", "meter")]
    given_title = decode_registered(items(answer)[0]).title
    assert str(given_title) == ".7.1" and chain.first.routes()[given_title.absolute] == "meter"


def test_a_first_registration_that_names_no_master_goes_up_to_it_and_back() -> None:
    chain = Chain()
    envelope = Envelope(77, None, None, None)
    asked = encode_service(Register(None, ESN, 86_400))
    chain.first.receive("meter", build_apdu(envelope, [asked]), NOW_US)
    chain.settle()
    [answer] = [o for who, path, o in chain.carried if (who, path) == ("first", "meter")]
    title = decode_registered(items(answer)[0]).title
    assert chain.first.routes()[title.absolute] == "meter"
    # What concerns the relay itself stays with it.
    chain.first.receive("meter", build_apdu(envelope, [encode_request(Identify())]), NOW_US)
    chain.settle()
    assert chain.carried[-1][:2] == ("first", "meter") and items(chain.carried[-1][2])[0][0] == 0


def test_check_60_the_same_serial_number_gets_the_same_title() -> None:
    registrar = Registrar(ApTitle.parse(".7"))
    first = decode_registered(registrar.register(Register(None, ESN), 0)).title
    other = decode_registered(registrar.register(Register(None, serial_uid("OTHER")), 0)).title
    again = decode_registered(registrar.register(Register(None, ESN), 9)).title
    assert first == again != other


def test_check_61_what_is_not_refreshed_is_removed_after_period_and_grace_and_then_uat() -> None:
    chain = Chain()
    chain.register()
    chain.later(3659)
    assert chain.registrar.find(METER) is not None and chain.ask(READ_1)[0][0] == 0
    chain.later(2)
    assert chain.registrar.find(METER) is None
    assert chain.ask(READ_1) == [b"\x0c"]


def test_check_64_an_unknown_title_is_uat_with_titles_swapped_and_a4_set() -> None:
    chain = Chain()
    asked = request([READ_1], 0x6C, called=ApTitle.parse(".7.43"))
    chain.master.receive("host", asked, NOW_US)
    [(path, octets)] = chain.master.outgoing()
    told, published = dissect(octets, {}.get), dissect(vector("own-error-uat"), {}.get)
    assert path == "host" and told["services"] == published["services"]
    assert (told["called_ap_title"], told["calling_ap_title"]) == (".5", ".7.43")
    assert told["called_ap_invocation_id"] == 0x6C and told["security_mode"] == "cleartext"
    silent = request([READ_1], 2, called=ApTitle.parse(".7.43"), response_control=NEVER)
    chain.master.receive("host", silent, NOW_US)
    assert chain.master.outgoing() == []


def test_check_65_a_next_hop_that_is_gone_is_netr_and_one_that_is_silent_nett() -> None:
    for code in (b"\x0e", b"\x0d"):
        chain = Chain()
        chain.register()
        del chain.links["first", "meter"]
        chain.host.request([READ_1], METER, "master", chain.now_us)
        chain.settle()
        assert chain.host.events() == []
        if code == b"\x0e":
            chain.first.path_failed("meter")
        else:
            chain.later(61)
        chain.settle()
        [event] = chain.host.events()
        assert isinstance(event, ResponseArrived) and event.responses == (code,)


def test_check_66_a_secured_message_for_another_is_forwarded_unchanged() -> None:
    chain = Chain(NodeSettings())
    chain.register()
    chain.carried.clear()
    assert chain.ask(READ_1, key_id=KEY_ID)[0][0] == 0
    hops = [octets for _, _, octets in chain.carried]
    assert len(hops) == 8 and len(set(hops)) == 2


def test_check_66_segments_go_there_and_back_as_they_are() -> None:
    chain = Chain(NodeSettings(segment_octets=200))
    chain.register()
    chain.meter.tables.images[9] = bytes(500)
    chain.host.joins_segments = True
    chain.carried.clear()
    # The host has no way of its own: the pieces of an answer go to who asked.
    [response] = chain.ask(encode_request(FullRead(9)), key_id=KEY_ID)
    assert response[:3] == b"\0\1\xf4"
    pieces = {octets for _, _, octets in chain.carried if decode_apdu(octets).is_segment}
    assert len(pieces) >= 4 and len(chain.carried) == 4 + 4 * len(pieces)


def test_check_67_a_trace_lists_initiator_relays_and_target_in_order() -> None:
    chain = Chain()
    node = chain.meter.server.node
    node.request([encode_service(Trace((METER,)))], MASTER, "first", NOW_US)
    chain.settle()
    [event] = [e for e in chain.meter.server.events() if isinstance(e, ResponseArrived)]
    [answer] = [o for who, path, o in chain.carried if (who, path) == ("first", "meter")]
    told = dissect(answer, {}.get, in_reply_to=["trace"])
    assert told["services"][0]["ap_titles"] == [".7.42", ".91", ".92", ".1"]
    assert event.responses[0][0] == 0
    # One that stops on its way tells how far it came.
    chain.first.receive(
        "meter", request([encode_service(Trace((METER,)))], called=ApTitle.parse(".3")), NOW_US
    )
    chain.settle()
    [stopped] = [o for who, path, o in chain.carried if (who, path) == ("first", "meter")][1:]
    [item] = dissect(stopped, {}.get, in_reply_to=["trace"])["services"]
    assert item["response"] == "uat" and item["ap_titles"] == [".7.42", ".91", ".92"]


def test_a_secured_trace_is_forwarded_unchanged() -> None:
    chain = Chain()
    octets = request([encode_service(Trace((HOST,)))], called=MASTER, lock=lock())
    chain.first.receive("meter", octets, NOW_US)
    assert chain.first.outgoing() == [("second", octets)]


def test_check_68_who_does_not_know_a_title_is_silent_if_everybody_was_asked() -> None:
    chain = Chain()
    chain.master.receive("segment", vector("own-resolve-request"), NOW_US)
    assert chain.master.outgoing() == []
    chain.registrar.register(Register(MASTER, serial_uid("M"), address=b"\xc0\0\2\1"), NOW_US)
    # The same question again, as another message: now it is known.
    known = request([encode_service(Resolve(MASTER))], 9, called=None)
    chain.master.receive("segment", known, NOW_US)
    [(_, answer)] = chain.master.outgoing()
    assert items(answer) == [bytes.fromhex("0004c0000201")]
    unicast = request([encode_service(Resolve(METER))], 10, called=MASTER)
    chain.master.receive("segment", unicast, NOW_US)
    [(_, answer)] = chain.master.outgoing()
    assert items(answer) == [b"\x0c"]


def test_check_73_a_broadcast_through_two_relays_is_spread_once() -> None:
    chain = Chain()
    chain.register()
    broadcast = request([encode_request(Identify())], called=ApTitle.parse(".7.0"))
    chain.carried.clear()
    for _ in range(2):
        chain.master.receive("host", broadcast, NOW_US)
        chain.settle()
    assert [who for who, _, octets in chain.carried if octets == broadcast] == [
        "master",
        "second",
        "first",
    ]
    assert chain.meter.server.node.counts["served"] == 1
    assert chain.master.counts["dropped group-repeated"] == 1


def test_a_broadcast_goes_up_and_down_and_its_answers_come_back_to_who_asked() -> None:
    chain = Chain()
    chain.register()
    identify = encode_request(Identify())
    octets = request([identify], 9, calling=HOST, called=ApTitle.parse(".7.0"))
    for asker in ("first", "second"):
        chain.meter = Talk(OPEN)
        relay = getattr(chain, asker)
        chain.carried.clear()
        relay.receive("a host", octets, chain.now_us)
        chain.settle()
        chain.now_us += 5_000_000  # who is asked in a group waits for a while
        chain.meter.server.expire(chain.now_us)
        chain.settle()
        [answer] = [o for who, path, o in chain.carried if (who, path) == (asker, "a host")]
        assert decode_apdu(answer).calling == METER
        assert {who for who, _, o in chain.carried if o == octets} >= {asker, "second"}
        chain.later(200)
    assert chain.first.counts["dropped no-way-back"] == 0


def test_messages_to_groups_are_few() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    for number in range(50):
        relay.receive("a", request([READ_1], number, called=ApTitle.parse(".7.0")), NOW_US)
    assert len(relay.outgoing()) == 32 and relay.counts["dropped too-many-groups"] == 18


def test_who_claims_anothers_title_gets_neither_answer_nor_route() -> None:
    chain = Chain(NodeSettings())
    chain.register()
    claimed = Register(METER, serial_uid("THIEF"))
    thief = request([encode_service(claimed)], calling=METER, called=MASTER)
    chain.first.receive("thief", thief, NOW_US)
    chain.settle()
    assert chain.first.routes()[METER.absolute] == "meter"
    assert chain.ask(READ_1, key_id=KEY_ID)[0][0] == 0
    # Nor does a message under a wrong key move the route: its answer is sme, in clear.
    forged = bytearray(request([READ_1], 7, lock(), calling=METER, called=HOST))
    forged[-1] ^= 1
    chain.first.receive("thief", bytes(forged), NOW_US)
    chain.settle()
    assert chain.first.routes()[METER.absolute] == "meter"


@pytest.mark.parametrize("claimed", [METER, MASTER, SECOND, ApTitle.parse(".7"), BASE])
def test_who_asks_in_clear_under_anothers_title_takes_no_messages_away(claimed: ApTitle) -> None:
    chain = Chain()
    chain.register()
    before = chain.first.routes(), chain.second.routes()
    claim = request([encode_request(Identify())], 70, calling=claimed, called=MASTER)
    chain.first.receive("thief", claim, NOW_US)
    chain.settle()
    assert (chain.first.routes(), chain.second.routes()) == before
    assert chain.ask(READ_1)[0][0] == 0
    node = chain.meter.server.node
    node.request([encode_request(Identify())], MASTER, "first", NOW_US)
    chain.settle()
    [event] = [e for e in chain.meter.server.events() if isinstance(e, ResponseArrived)]
    assert event.responses[0][0] == 0
    assert [o for who, path, o in chain.carried if path == "thief"][1:] == []


def test_what_a_receiver_says_of_a_segment_comes_back_and_nothing_else_is_said_of_it() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    segment = vector("own-segment-0-of-3")
    relay.receive("meter", segment, NOW_US)
    assert relay.outgoing() == [("up", segment)]
    relay.expire(NOW_US + 60_000_000)
    assert relay.outgoing() == []
    relay.receive("meter", segment, NOW_US)
    piece = decode_apdu(segment)
    envelope = Envelope(1, piece.calling, piece.called, piece.calling_invocation_id)
    relay.outgoing()
    relay.receive("up", answer := build_apdu(envelope, [b"\x11"]), NOW_US)
    assert relay.outgoing() == [("meter", answer)]


def test_a_node_that_only_notifies_is_reached_from_upstream_where_it_was_heard() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    for path in ("meter", "thief"):
        node = Node(METER, Ring(), Clock(), None, OPEN)
        node.request([READ_1], MASTER, "x", NOW_US, key_id=KEY_ID, response_control=NEVER)
        relay.receive(path, node.outgoing()[0][1], NOW_US)
    relay.outgoing()
    asked = request([READ_1], 8, called=METER)
    relay.receive("up", asked, NOW_US)
    assert relay.outgoing() == [("meter", asked)]
    # From below nothing goes there: the title may well live upstream.
    relay.receive("host", asked, NOW_US)
    assert relay.outgoing() == [("up", asked)] and relay.routes() == {}
    relay.path_failed("meter")
    relay.outgoing()
    relay.receive("up", request([READ_1], 9, called=METER), NOW_US)
    assert [items(octets) for _, octets in relay.outgoing()] == [[b"\x0c"]]


def test_what_comes_from_upstream_without_a_called_title_does_not_go_back() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    relay.receive("up", request([encode_service(Register(METER, ESN))], called=None), NOW_US)
    [(_, answer)] = relay.outgoing()
    assert items(answer) == [b"\x02"] and relay.counts["forwarded"] == 0


def test_nothing_goes_back_to_who_sent_it() -> None:
    owner = RelayOwner(seek=lambda title: True)
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), owner=owner)
    asked = request([READ_1], 7, lock(), called=METER)
    relay.receive("host", asked, NOW_US)
    assert relay.outgoing() == []  # it waits
    relay.way_found(METER, "host", NOW_US)
    [(path, answer)] = relay.outgoing()
    assert path == "host" and items(answer) == [b"\x0e"]
    relay.way_found(METER, "meter", NOW_US)
    relay.receive("host", asked, NOW_US)
    assert relay.outgoing() == [("meter", asked)]
    own_answer = build_apdu(Envelope(1, HOST, METER, 7), [b"\0"], lock())
    relay.receive("host", own_answer, NOW_US)
    assert relay.outgoing() == []


def test_two_below_one_relay_cannot_speak_for_each_other() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    accomplice = ApTitle.parse(".7.66")
    relay.way_found(accomplice, "accomplice", NOW_US)
    relay.receive("thief", request([READ_1], 7, lock(), calling=MASTER, called=accomplice), NOW_US)
    [(path, asked)] = relay.outgoing()
    assert path == "accomplice"
    envelope = Envelope(1, MASTER, accomplice, decode_apdu(asked).calling_invocation_id)
    relay.receive("accomplice", build_apdu(envelope, [b"\0"], lock()), NOW_US)
    assert [path for path, _ in relay.outgoing()] == ["thief"]
    assert MASTER.absolute not in relay.routes()


def test_an_accomplice_above_cannot_answer_for_whom_a_thief_asks() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    relay.receive("thief", request([READ_1], 7, lock(), calling=METER, called=MASTER), NOW_US)
    accomplice = Envelope(1, METER, ApTitle.parse(".8.66"), 7)
    relay.receive("up", build_apdu(accomplice, [b"\0"], lock()), NOW_US)
    assert METER.absolute not in relay.routes()


def test_nobody_answers_in_the_name_of_a_relay() -> None:
    chain = Chain()
    chain.register()
    forged = build_apdu(Envelope(1, METER, MASTER, 7), [b"\0"], lock())
    chain.master.receive("somebody", forged, NOW_US)
    assert chain.master.outgoing() == [] and chain.master.counts["dropped own-title"] == 1


@pytest.mark.parametrize("claimed", [MASTER, ApTitle.parse(".3.1")])
def test_who_asks_under_anothers_title_and_id_does_not_take_its_answer_away(
    claimed: ApTitle,
) -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    asked = request([READ_1], 7, lock(), calling=METER, called=MASTER)
    relay.receive("meter", asked, NOW_US)
    for number in range(3):
        claim = request([READ_1], 7, calling=METER, called=claimed)
        relay.receive(f"thief {number}", claim, NOW_US)
    relay.outgoing()
    envelope = Envelope(1, METER, MASTER, 7)
    relay.receive("up", answer := build_apdu(envelope, [b"\0"], lock()), NOW_US)
    assert ("meter", answer) in (told := relay.outgoing())
    if claimed == MASTER:
        assert METER.absolute not in relay.routes(), "several asked: whose way is it?"
    else:
        assert told == [("meter", answer)], "the others asked somebody else"


@pytest.mark.parametrize("response_control", [0, 2])
def test_a_message_between_relays_that_lead_to_each_other_ends(response_control: int) -> None:
    one = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="two")
    two = Relay(Node(SECOND, Ring(), Clock(), None, OPEN), upstream="one too")
    host = Node(HOST, Ring(), Clock(), None, OPEN)
    host.request([READ_1], METER, "", NOW_US, response_control=response_control)
    [(_, octets)] = host.outgoing()
    one.receive("host", octets, NOW_US)
    for _ in range(100):
        for _, octets in one.outgoing():
            two.receive("one", octets, NOW_US)
        for _, octets in two.outgoing():
            one.receive("two too", octets, NOW_US)
    assert one.outgoing() == two.outgoing() == []
    assert one.counts["dropped in-a-circle"] == 1
    # What is repeated in good faith passes, also by a client that has one invocation id.
    for second in range(60, 90):
        one.receive("host", request([READ_1], 8, called=METER), NOW_US + second * 1_000_000)
    assert [path for path, _ in one.outgoing()] == ["two"] * 30


@pytest.mark.parametrize("title", [MASTER, ApTitle.parse(".7"), BASE, ApTitle((2, 16), False)])
def test_nobody_gets_a_title_above_the_registrars_own_or_its_domain(title: ApTitle) -> None:
    registrar = Registrar(ApTitle.parse(".7"), own=MASTER)
    assert registrar.register(Register(title, ESN), 0) == b"\x01"
    assert list(registrar) == []


def test_a_node_deregisters_itself_and_nobody_else_can() -> None:
    chain = Chain()
    chain.register()
    foreign = request([encode_service(Deregister(METER))], called=MASTER)
    chain.master.receive("host", foreign, NOW_US)
    [(_, answer)] = chain.master.outgoing()
    assert items(answer) == [b"\x03"]
    node = chain.meter.server.node
    node.request([encode_service(Deregister(METER))], MASTER, "first", NOW_US)
    chain.settle()
    assert chain.registrar.find(METER) is None


def test_a_list_that_was_kept_is_taken_up_again() -> None:
    registrar = Registrar(ApTitle.parse(".7"))
    registrar.register(Register(None, ESN), 0)
    again = Registrar(ApTitle.parse(".7"))
    again.load(registrar, 0)
    assert list(again) == list(registrar)
    assert decode_registered(again.register(Register(None, ESN), 5)).title == ApTitle.parse(".7.1")


def test_what_was_kept_lapses_no_later_than_what_comes_now() -> None:
    """A clock that is behind at the start puts the ends off, by years where it begins in 1970."""
    registrar = Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
    registrar.register(Register(None, ESN), 2 * NOW_US)
    again = Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
    again.load(registrar, NOW_US)
    assert again.deadline_us() == NOW_US + 3660 * US_PER_S


def test_the_list_and_its_titles_are_bounded_and_a_flood_is_bsy() -> None:
    registrar = Registrar(ApTitle.parse(".7"), RegistrarSettings(max_entries=3))
    answers = [registrar.register(Register(None, serial_uid(f"N{n}")), 0)[0] for n in range(5)]
    assert answers == [0, 0, 0, 6, 6]
    assert registrar.register(Register(None, serial_uid("N0")), 0)[0] == 0
    assert registrar.register(Register(ApTitle.parse(".7.1"), serial_uid("N9")), 0) == b"\x01"
    assert registrar.register(Register(None, None), 0) == b"\x05"


def test_a_flood_of_requests_is_bounded_and_told_bsy() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up", max_pending=10)
    for number in range(30):
        relay.receive("flood", request([READ_1], number), NOW_US)
    relay.receive("another", request([READ_1], 99), NOW_US)
    assert relay.counts["answered bsy"] == 23
    told = [path for path, _ in relay.outgoing()]
    assert told.count("up") == 8, "the last quarter is for who has asked little"
    assert told.count("flood") == 23


def test_urgent_messages_go_ahead_and_an_answer_never_goes_back_its_way() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    host = Node(HOST, Ring(), Clock(), None, OPEN)
    host.request([READ_1], METER, "x", NOW_US)
    host.request([READ_1], METER, "x", NOW_US, qualifier=URGENT)
    plain, urgent = (octets for _, octets in host.outgoing())
    for octets in (plain, urgent):
        relay.receive("node", octets, NOW_US)
    assert [octets for _, octets in relay.outgoing()] == [urgent, plain]
    relay.receive("up", plain, NOW_US)
    [(path, answer)] = relay.outgoing()
    assert path == "up" and items(answer) == [b"\x0c"]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_octets_are_dropped_answered_or_forwarded(messages: list[bytes]) -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), Registrar(FIRST), upstream="up")
    for octets in messages:
        relay.receive("a", octets, NOW_US)
        relay.receive("b", b"\x60" + bytes([len(octets)]) + octets, NOW_US)
    relay.outgoing()
    assert sum(relay.counts.values()) >= 2 * len(messages)


def test_a_meters_own_requests_are_events_of_its_node() -> None:
    chain = Chain()
    chain.register()
    number = chain.meter.server.node.request([READ_1], HOST, "first", NOW_US)
    chain.master.way_found(HOST, "host", NOW_US)
    chain.settle()
    [event] = chain.host.events()
    assert isinstance(event, RequestArrived) and event.calling == METER
    chain.host.answer(event.token, [b"\0"], NOW_US)
    chain.settle()
    [answered] = chain.meter.server.events()
    assert isinstance(answered, ResponseArrived) and answered.transaction == number


def test_an_answer_on_a_second_connection_comes_back_and_no_way_is_learned_from_it() -> None:
    chain = Chain()
    chain.register()
    relay, way = chain.first, "second"
    secured = request([READ_1], 77, lock())
    relay.receive(way, secured, chain.now_us)
    [(path, asked)] = relay.outgoing()
    assert path == "meter"
    chain.meter.server.receive("x", asked, chain.now_us)
    [(_, answer)] = chain.meter.server.outgoing()
    routes = relay.routes()
    relay.receive("another", answer, chain.now_us)
    assert relay.outgoing() == [(way, answer)] and relay.routes() == routes
    # It was answered: nobody is told later that it was not.
    relay.expire(chain.now_us + 60_000_000)
    assert [one for one in relay.outgoing() if one[0] == way] == []


def test_a_relay_tells_its_own_address_for_whoever_answers_above_it() -> None:
    """So that a node which asks everybody for its master finds the relay before it (11.5)."""
    owner = RelayOwner(address_of=lambda path, own: bytes.fromhex("c0000205048111"))
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up", owner=owner)

    def looked_for(title: ApTitle, number: int) -> list[bytes]:
        asked = request([encode_service(Resolve(title))], number, called=None, calling=None)
        relay.receive("node", asked, NOW_US)
        return [item for _, octets in relay.outgoing() for item in items(octets)]

    assert looked_for(MASTER, 1) == []
    relay.ask_above(NOW_US)
    [(path, asked)] = relay.outgoing()
    assert path == "up" and decode_apdu(asked).called is None
    answer = Envelope(9, FIRST, MASTER, decode_apdu(asked).calling_invocation_id)
    relay.receive("up", build_apdu(answer, [bytes.fromhex("0003010000")]), NOW_US)
    assert looked_for(MASTER, 2) == [bytes.fromhex("0007c0000205048111")]
    assert looked_for(ApTitle.parse(".8"), 3) == []
    relay.path_failed("up")
    assert looked_for(MASTER, 4) == []
