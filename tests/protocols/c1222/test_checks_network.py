"""Conformance checks 58 to 63 and 68 to 73 at a node: registration, notifications, groups.

Those that take a relay stand in ``test_checks_relay.py``.
"""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.c1222.addressing import Addressed, addressed
from protocols.c1222.ap_title import BASE_ARCS, ApTitle
from protocols.c1222.builder import ALWAYS, NEVER, NOTIFICATION, ON_EXCEPTION
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import Node, NodeSettings, RequestArrived, ResponseArrived
from protocols.c1222.node_events import GROUP_DELAY_US, MAX_LATER
from protocols.c1222.registrant import Registrant, RegistrantSettings, State
from protocols.c1222.registrar import Registrar
from protocols.c1222.registration import (
    ConnectionType,
    Register,
    Registered,
    decode_register,
    decode_registered,
    refusal,
    serial_uid,
)
from protocols.c1222.services import Deregister, NetworkSecurity, Resolve, encode_service
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite, Identify
from tests.protocols.c1222.conversation import (
    HOST,
    KEY_ID,
    METER,
    NOW_US,
    PASSWORD,
    READ_1,
    Clock,
    Ring,
    Talk,
    items,
    lock,
    request,
    vector,
)

MINUTE_US = 60_000_000
SECURITY = encode_service(NetworkSecurity(PASSWORD, 2))


def most(least: int, greatest: int) -> int:
    return greatest


def test_check_58_a_valid_registration_is_read_whole_and_its_answer_too() -> None:
    node = Node(ApTitle.parse(".1"), Ring(), Clock(), None, NodeSettings(demand_security=False))
    node.receive("line", vector("own-register-request-ipv4"), NOW_US)
    [event] = node.events()
    assert isinstance(event, RequestArrived) and event.calling is None
    register = decode_register(event.services[0])
    assert refusal(register) is None and register.period_s == 86_400
    node.answer(event.token, [Registered(METER, 300, 3600, 0xC1).encode()], NOW_US)
    [(path, answer)] = node.outgoing()
    assert path == "line" and decode_registered(items(answer)[0]).title == METER
    published = decode_registered(items(vector("own-register-response"))[0])
    assert (str(published.title), published.delay_s, published.period_s) == (".7.42", 300, 3600)


@pytest.mark.parametrize("nibble", range(16))
def test_check_59_invalid_connection_flags_are_iar(nibble: int) -> None:
    asked = Register(METER, None, connection_type=ConnectionType(nibble << 4))
    valid = nibble in (1, 3, 4, 5, 7, 0xC, 0xD, 0xF)
    assert refusal(asked) == (None if valid else ResponseCode.iar)
    answered = Registrar(ApTitle.parse(".7")).register(asked, NOW_US)[0]
    assert answered == (ResponseCode.ok if valid else ResponseCode.iar)
    assert refusal(Register(None, None)) == ResponseCode.iar


def test_check_60_the_serial_number_names_the_node_whatever_title_it_wishes() -> None:
    registrar = Registrar(ApTitle.parse(".7"))

    def given(wished: str | None, serial: str) -> ApTitle:
        asked = Register(ApTitle.parse(wished) if wished else None, serial_uid(serial))
        title = decode_registered(registrar.register(decode_register(asked.encode()), NOW_US)).title
        assert title is not None
        return title

    first = given(None, "SM000001")
    assert given(".7.99", "SM000001") == first != given(None, "SM000002")


def test_check_62_unanswered_registrations_are_spaced_1_2_4_4_of_a_random_base() -> None:
    registrant, now_us, asked = Registrant(most, None, RegistrantSettings(60, 60)), 0, []
    for _ in range(12):
        if registrant.poll(now_us):
            asked.append(now_us)
        due_us = registrant.deadline_us()
        assert due_us is not None and due_us >= now_us
        now_us = due_us
    gaps = [(b - a) // MINUTE_US for a, b in itertools.pairwise(asked)]
    assert gaps[:5] == [1 + 1, 1 + 2, 1 + 4, 1 + 4, 1 + 4]


def test_check_62_the_base_of_the_pauses_is_drawn_each_time() -> None:
    drawn: list[tuple[int, int]] = []

    def chance(least: int, greatest: int) -> int:
        drawn.append((least, greatest))
        return least

    registrant = Registrant(chance)
    assert registrant.poll(0)
    registrant.failed(0)
    assert drawn == [(60, 300)] and registrant.deadline_us() == 60_000_000


def test_check_63_a_node_told_to_deregister_answers_then_registers_again() -> None:
    talk = Talk()
    registrant = Registrant(most)
    registrant.poll(NOW_US)
    registrant.accepted(Registered(METER, 0, 3600), NOW_US)
    deregister = encode_service(Deregister(METER))
    [answer] = talk.offer(request([SECURITY, deregister]))
    assert items(answer) == [b"\0", b"\0"] and talk.tables.left == 1
    registrant.deregistered(NOW_US)
    assert registrant.state is State.UNREGISTERED and registrant.title is None
    assert registrant.poll(NOW_US) and registrant.state is State.REGISTERING
    foreign = encode_service(Deregister(HOST))
    assert items(talk.offer(request([SECURITY, foreign], 2))[0])[1] == b"\x05"
    # The published one goes the other way: the node tells its master relay.
    assert Talk(title=ApTitle.parse(".1")).offer(vector("own-deregister-request")) != []


def test_a_registration_is_refreshed_before_it_ends_and_lapses_when_nobody_answers() -> None:
    registrant = Registrant(most, None, RegistrantSettings(60, 60))
    assert registrant.poll(0)
    registrant.accepted(Registered(METER, 300, 3600), 0)
    assert not registrant.poll(3059 * 1_000_000)
    assert registrant.poll(3060 * 1_000_000) and registrant.state is State.REFRESHING
    assert registrant.registered and registrant.title == METER
    registrant.poll(3120 * 1_000_000)
    assert registrant.state is State.REFRESH_WAIT and registrant.registered
    registrant.poll(3600 * 1_000_000)
    assert not registrant.registered and registrant.title is None


def test_a_registration_for_ever_is_never_refreshed() -> None:
    registrant = Registrant(most)
    registrant.poll(0)
    registrant.accepted(Registered(METER, 300, 0), 0)
    assert registrant.deadline_us() is None and not registrant.poll(10**15)


@pytest.mark.parametrize(("remaining_s", "due_s"), [(599, 5), (601, 300)])
def test_after_a_power_up_a_stored_registration_is_refreshed_soon_or_within_its_delay(
    remaining_s: int, due_s: int
) -> None:
    registrant = Registrant(most)
    registrant.power_up(Registered(METER, 300, 3600), remaining_s, 0)
    assert registrant.registered and registrant.deadline_us() == due_s * 1_000_000


def test_check_68_a_multicast_resolve_of_an_unknown_title_meets_silence() -> None:
    # A node knows no other titles; a group's question is never answered with an error.
    talk = Talk(NodeSettings(demand_security=False, groups=frozenset((9,))))
    resolve = encode_service(Resolve(ApTitle.parse(".1")))
    assert vector("own-resolve-request").endswith(resolve)
    identify = encode_request(Identify())
    for number, called in enumerate(map(ApTitle.parse, (".7.0.9", ".7.0")), 1):
        assert talk.offer(request([resolve], number, called=called)) == []
        assert talk.offer(request([identify], 10 + number, called=called)) == []
        talk.later(10)  # what is said to a group is said after a while
        [(_, answer)] = talk.server.outgoing()
        assert decode_apdu(answer).called_invocation_id == 10 + number, "the other one is silent"
    assert talk.offer(request([resolve], 20, called=None)) == []
    [refused] = talk.offer(request([resolve], 21))
    assert items(refused) == [b"\x02"]


def test_check_69_a_notification_is_delivered_as_arrived_data_and_not_answered() -> None:
    node = Node(HOST, Ring(), Clock(), None, NodeSettings(demand_security=False))
    node.receive("line", vector("own-notification-cleartext"), NOW_US)
    [event] = node.events()
    assert isinstance(event, RequestArrived)
    assert event.qualifier == NOTIFICATION and event.ed_class == b"ACME"
    node.answer(event.token, [b"\0"], NOW_US)
    assert node.outgoing() == []


def test_check_70_an_urgent_notification_that_cannot_be_taken_gets_an_error_answer() -> None:
    octets = vector("own-notification-urgent-ack-on-exception")
    for response, count in ((b"\0", 0), (b"\4", 1)):
        ring = Ring()
        key = bytes.fromhex("f0e1d2c3b4a5968778695a4b3c2d1e0f")
        ring.ciphers = {1: type(ring.ciphers[KEY_ID])(key)}
        node = Node(HOST, ring, Clock())
        node.receive("line", octets, NOW_US)
        [event] = node.events()
        assert isinstance(event, RequestArrived) and event.qualifier == 6
        node.answer(event.token, [response], NOW_US)
        assert len(node.outgoing()) == count


def test_check_71_a_broadcast_title_reaches_those_below_it_and_nobody_else() -> None:
    broadcast = ApTitle.parse(".7.0")
    assert addressed(METER, broadcast) is Addressed.BROADCAST
    assert addressed(ApTitle.parse(".8.1"), broadcast) is Addressed.ELSEWHERE
    assert addressed(ApTitle.parse(".77.1"), broadcast) is Addressed.ELSEWHERE
    identify = encode_request(Identify())
    talk, other = Talk(), Talk(title=ApTitle.parse(".8.1"))
    octets = request([identify], called=broadcast)
    assert talk.offer(octets) == [] and other.offer(octets) == []
    assert other.rejections() == ["not-for-this-node"]
    talk.later(5)
    [(_, answer)] = talk.server.outgoing()
    host = Node(HOST, Ring(), Clock(), None, NodeSettings(demand_security=False))
    host.request([identify], broadcast, "line", NOW_US)
    answer = answer.replace(bytes.fromhex("a40402021122"), bytes.fromhex("a403020101"))
    fixed = bytes([0x60, len(answer) - 2]) + answer[2:]
    host.receive("line", fixed, NOW_US)
    [event] = host.events()
    assert isinstance(event, ResponseArrived) and event.calling == METER


def test_many_that_are_asked_at_once_answer_one_after_the_other_within_their_bound() -> None:
    asked = request([encode_request(Identify())], called=ApTitle.parse(".7.0"))
    counts = []
    nodes = [Talk(title=ApTitle.parse(f".7.{number}")) for number in range(1, 101)]
    for talk in nodes:
        assert talk.offer(asked) == []
    for _ in range(10):
        for talk in nodes:
            talk.later(GROUP_DELAY_US / 10 / 1_000_000)
        counts.append(sum(len(talk.server.outgoing()) for talk in nodes))
    assert sum(counts) == 100 and min(counts) >= 3, counts


def test_a_groups_order_is_carried_out_only_under_a_key() -> None:
    broadcast, write = ApTitle.parse(".7.0"), encode_request(FullWrite(3, b"\x55"))
    talk = Talk()
    talk.offer(request([SECURITY, write], called=broadcast))
    assert talk.tables.images[3] == bytes(5) and talk.rejections() == ["group-not-secured"]
    talk.offer(request([SECURITY, write], 2, lock(), called=broadcast, response_control=NEVER))
    assert talk.tables.images[3] == b"\x55"


def test_multicast_reaches_the_members_of_its_group() -> None:
    title = ApTitle.parse(".7.0.12")
    assert addressed(METER, title, frozenset((12,))) is Addressed.MULTICAST
    assert addressed(METER, title, frozenset((13,))) is Addressed.ELSEWHERE
    assert addressed(ApTitle.parse(".8.1"), title, frozenset((12,))) is Addressed.ELSEWHERE


def test_check_72_the_exact_own_title_that_ends_in_0_is_unicast() -> None:
    title = ApTitle.parse("1.3.6.1.4.1.33507.1919.12345678.0")
    assert addressed(title, title) is Addressed.HERE
    octets = vector("cap-ident-request")
    [answer] = Talk(title=title).offer(octets)
    assert items(answer)[0][0] == 0


def test_check_73_a_broadcast_seen_twice_is_carried_out_once() -> None:
    broadcast, write = ApTitle.parse(".7.0"), encode_request(FullWrite(3, b"\x55"))
    talk = Talk()
    octets = request([SECURITY, write], lock=lock(), called=broadcast, response_control=NEVER)
    talk.offer(octets, "through one relay")
    talk.tables.images[3] = b"later"
    talk.offer(octets, "through another")
    assert talk.tables.images[3] == b"later" and talk.rejections() == ["repeated"]
    in_clear = request([encode_request(Identify())], 9, called=broadcast, response_control=ALWAYS)
    talk.offer(in_clear, "through one relay")
    talk.offer(in_clear, "through another")
    assert talk.rejections() == ["repeated"]


def test_who_repeats_a_question_to_many_is_answered_once_and_after_its_own_time() -> None:
    talk = Talk()
    octets = request([encode_request(Identify())], 9, called=ApTitle.parse(".7.0"))
    for _ in range(3):
        assert talk.offer(octets) == []
    assert talk.offer(octets, "another way") == [] and talk.offer(octets, "another way") == []
    talk.later(5)
    assert sorted(path for path, _ in talk.server.outgoing()) == ["another way", "line"]
    assert talk.offer(octets) == [], "the one that was sent may have been lost"
    talk.later(5)
    assert [path for path, _ in talk.server.outgoing()] == ["line"]


def test_a_flood_of_questions_to_many_leaves_no_more_answers_waiting_than_may() -> None:
    talk = Talk()
    octets = request([encode_request(Identify())], 9, called=ApTitle.parse(".7.0"))
    for number in range(MAX_LATER + 5):
        assert talk.offer(octets, f"way {number}") == []
    talk.later(5)
    assert len(talk.server.outgoing()) == MAX_LATER
    assert talk.offer(octets, "another way") == []
    talk.later(5)
    assert [path for path, _ in talk.server.outgoing()] == ["another way"]


def test_the_base_of_relative_titles_addresses_nobody() -> None:
    assert addressed(METER, ApTitle(BASE_ARCS, False)) is Addressed.ELSEWHERE
    assert addressed(METER, ApTitle((), True)) is Addressed.ELSEWHERE


@example([1], [1, 0])
@example([1], [1, 0, 2])
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.lists(st.integers(0, 3), max_size=5))
def test_a_group_title_means_only_what_is_below_it(own: list[int], called: list[int]) -> None:
    mine, title = ApTitle(tuple(own), True), ApTitle(tuple(called), True)
    found = addressed(mine, title, frozenset((2,)))
    below = len(own) >= len(called) and own[: len(called) - 1] == called[:-1]
    assert (found is Addressed.BROADCAST) == (called[-1:] == [0] and below and own != called)
    member = len(own) >= len(called) - 1 and own[: len(called) - 2] == called[:-2]
    ours = called[-2:] == [0, 2] and member
    assert (found is Addressed.MULTICAST) == (ours and own != called)
    assert (found is Addressed.HERE) == (own == called)


def test_a_notification_answered_on_exception_only_tells_of_trouble() -> None:
    talk = Talk()
    assert talk.ask([READ_1], qualifier=NOTIFICATION, response_control=ON_EXCEPTION) is None
