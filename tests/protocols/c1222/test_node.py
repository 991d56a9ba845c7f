"""Two nodes talk: answered once, never replayed, and not fooled."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, ON_EXCEPTION, Envelope, build_apdu
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    AnsweredLate,
    MessageRejected,
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.node_events import SERVING_S
from protocols.c1222.security import EaxPrime
from protocols.c1222.transactions import LATE_US, MAX_LATE, NO_ANSWER
from protocols.errors import LocalProtocolError
from protocols.psem.codes import ResponseCode
from tests.protocols.c1222.conversation import KEY_ID, Clock, Ring

METER, HOST = ApTitle.parse(".7.42"), ApTitle.parse(".1")
READ = bytes.fromhex("300001")
NOW_US = 1_767_225_600_000_000


def a_pair(other_key: bool = False) -> tuple[Node, Node]:
    ring, other = Ring({0: EaxPrime(bytes(16))}), Ring({0: EaxPrime(b"another key here")})
    return Node(HOST, ring, Clock()), Node(METER, other if other_key else ring, Clock())


def only(node: Node) -> bytes:
    [(_, octets)] = node.outgoing()
    return octets


def test_a_request_is_served_once_and_its_answer_matched() -> None:
    host, meter = a_pair()
    number = host.request([READ, READ], METER, "tcp", NOW_US, key_id=0)
    request = only(host)
    meter.receive("line", request, NOW_US)
    [arrived] = meter.events()
    assert isinstance(arrived, RequestArrived)
    assert arrived.services == (READ, READ) and arrived.calling == HOST and arrived.key_id == 0
    meter.answer(arrived.token, [b"\0", b"\3"], NOW_US)
    answer = only(meter)
    host.receive("tcp", answer, NOW_US)
    assert host.events() == [ResponseArrived(number, (b"\0", b"\3"), True, METER)]
    host.receive("tcp", answer, NOW_US)
    assert isinstance(host.events()[0], MessageRejected)
    meter.receive("line", request, NOW_US)
    assert [type(event) for event in meter.events()] == [MessageRejected]
    assert only(meter) == answer


def test_a_node_that_serves_as_many_as_it_may_is_busy_and_then_serves_again() -> None:
    host = Node(HOST, Ring(), Clock())
    meter = Node(METER, Ring(), Clock(), None, NodeSettings(max_serving=1))
    numbers = [host.request([READ] * 2, METER, "tcp", NOW_US, key_id=KEY_ID) for _ in range(2)]
    first, second = (octets for _, octets in host.outgoing())
    meter.receive("line", first, NOW_US)
    [arrived] = meter.events()
    assert isinstance(arrived, RequestArrived)
    meter.receive("line", second, NOW_US)
    assert meter.counts["rejected busy"] == len(meter.events()) == 1
    host.receive("tcp", only(meter), NOW_US)
    bsy = bytes([ResponseCode.bsy])
    assert host.events() == [ResponseArrived(numbers[1], (bsy, bsy), True, METER)]
    meter.expire(NOW_US + SERVING_S * 1_000_000 - 1)
    assert meter.waits(arrived.token)
    meter.expire(NOW_US + SERVING_S * 1_000_000)
    assert not meter.waits(arrived.token) and meter.counts["unanswered"] == 1
    meter.receive("line", second, NOW_US)
    assert isinstance(meter.events()[0], RequestArrived), "it was never served"


def test_everybody_below_a_title_may_answer_whichever_form_it_has() -> None:
    relative = ApTitle.parse(".7.0")
    for everybody in (relative, ApTitle(relative.absolute, False)):
        host, _ = a_pair()
        number = host.request([b"\x20"], everybody, "tcp", NOW_US)
        for caller in (METER, ApTitle.parse(".7.43")):
            host.receive("tcp", build_apdu(Envelope(5, HOST, caller, number), [b"\0"]), NOW_US)
        assert [type(event) for event in host.events()] == [ResponseArrived] * 2


def test_a_wrong_key_gets_sme_and_nothing_is_served() -> None:
    host, meter = a_pair(other_key=True)
    number = host.request([READ], METER, "tcp", NOW_US, key_id=0)
    meter.receive("line", only(host), NOW_US)
    assert meter.events() == [MessageRejected("line", HOST, "mac-mismatch")]
    host.receive("tcp", only(meter), NOW_US)
    assert host.events() == [TransactionFailed(number, "sme")]


def test_an_ok_in_clear_to_a_secured_request_is_tampering() -> None:
    host, _ = a_pair()
    number = host.request([READ], METER, "tcp", NOW_US, key_id=0)
    host.receive("tcp", build_apdu(Envelope(5, HOST, METER, number), [b"\0"]), NOW_US)
    assert host.events() == [MessageRejected("tcp", METER, "tampering")]
    host.expire(NOW_US + 16_000_000)
    assert host.events() == [TransactionFailed(number, "no answer in time")]


def test_a_request_in_clear_is_refused_where_security_is_demanded() -> None:
    host, meter = a_pair()
    host.request([READ], METER, "tcp", NOW_US)
    meter.receive("line", only(host), NOW_US)
    assert meter.events() == [MessageRejected("line", HOST, "security-demanded")]
    assert only(meter)


def test_an_old_message_is_outside_the_window_and_a_node_without_clock_sends_nothing_secured() -> (
    None
):
    host, meter = a_pair()
    host.request([READ], METER, "tcp", NOW_US, key_id=0)
    meter.receive("line", only(host), NOW_US + 901_000_000)
    assert meter.events() == [MessageRejected("line", HOST, "outside-window")]
    blind = Node(HOST, Ring({0: EaxPrime(bytes(16))}), Clock(None))
    try:
        blind.request([READ], METER, "tcp", NOW_US, key_id=0)
    except LocalProtocolError as error:
        assert "clock" in str(error)
    else:
        raise AssertionError("sent without a clock")


def test_response_control_decides_whether_an_answer_goes_out() -> None:
    for control, responses, count in (
        (NEVER, [b"\1"], 0),
        (ON_EXCEPTION, [b"\0"], 0),
        (ON_EXCEPTION, [b"\0", b"\4"], 1),
    ):
        host, meter = a_pair()
        host.request([READ], METER, "tcp", NOW_US, key_id=0, response_control=control)
        meter.receive("line", only(host), NOW_US)
        [arrived] = meter.events()
        assert isinstance(arrived, RequestArrived)
        meter.answer(arrived.token, responses, NOW_US)
        assert len(meter.outgoing()) == count


@given(st.integers(-10_000, 10_000), st.integers(1, 20))
def test_after_a_restart_no_pair_of_iv_and_id_comes_again(step_s: int, before: int) -> None:
    ring, clock, sent, state = Ring({0: EaxPrime(bytes(16))}), Clock(), set(), SecurityState()
    for _ in range(2):
        node = Node(HOST, ring, clock, state)
        for _ in range(before):
            node.request([READ], METER, "tcp", NOW_US, key_id=0)
        for _, octets in node.outgoing():
            assert octets not in sent
            sent.add(octets)
        state = node.locks.state
        clock.offset_us = step_s * 1_000_000


@given(st.binary(max_size=90))
def test_any_octets_are_an_event_and_never_an_exception(octets: bytes) -> None:
    _, meter = a_pair()
    meter.receive("line", octets, NOW_US)
    assert [type(event) for event in meter.events()] == [MessageRejected]


def test_a_node_that_has_started_again_refuses_what_was_stamped_before() -> None:
    ring = Ring({0: EaxPrime(bytes(16))})
    host, later = Node(HOST, ring, Clock()), NOW_US + 5_000_000
    host.request([READ], METER, "tcp", NOW_US, key_id=0)
    old = only(host)
    host.request([READ], METER, "tcp", later, key_id=0)
    new = only(host)
    restarted = Node(
        METER, ring, Clock(), None, NodeSettings(not_before_s=(NOW_US + 2_000_000) // 1_000_000)
    )
    restarted.receive("line", old, later)
    restarted.receive("line", new, later)
    rejected, arrived = restarted.events()
    assert isinstance(rejected, MessageRejected) and rejected.reason == "outside-window"
    assert isinstance(arrived, RequestArrived)


def an_answer_that_is_late(meter: Node, host: Node) -> tuple[int, bytes]:
    """Ask, give up, and only then answer: give the request's number and the answer."""
    number = host.request([READ], METER, "tcp", NOW_US, key_id=0)
    meter.receive("line", only(host), NOW_US)
    [arrived] = meter.events()
    assert isinstance(arrived, RequestArrived)
    host.expire(NOW_US + 15_000_000)
    assert host.events() == [TransactionFailed(number, NO_ANSWER)]
    meter.answer(arrived.token, [b"\3"], NOW_US + 15_000_000)
    return number, only(meter)


def test_an_answer_that_comes_too_late_is_known_as_one_and_told_once() -> None:
    host, meter = a_pair()
    number, answer = an_answer_that_is_late(meter, host)
    wrong = answer[:-1] + bytes([answer[-1] ^ 1])
    in_clear = build_apdu(Envelope(9, HOST, METER, number), [b"\0"])
    for octets in (wrong, in_clear, answer, answer):
        host.receive("tcp", octets, NOW_US + 600_000_000)
    told = [getattr(event, "reason", event) for event in host.events()]
    late = AnsweredLate(number, (b"\3",), True, METER, NOW_US)
    assert told == ["mac-mismatch", "no-such-transaction", late, "no-such-transaction"]


def test_an_answer_is_known_for_half_an_hour_and_of_a_thousand_requests() -> None:
    host, meter = a_pair()
    _, answer = an_answer_that_is_late(meter, host)
    host.expire(NOW_US + 15_000_000 + LATE_US)
    host.receive("tcp", answer, NOW_US + 15_000_000 + LATE_US)
    assert [type(event) for event in host.events()] == [MessageRejected]
    _, answer = an_answer_that_is_late(meter, host)
    for _ in range(MAX_LATE):
        host.request([READ], METER, "tcp", NOW_US, key_id=0, timeout_us=1)
        host.expire(NOW_US + 1)
    host.events()
    host.receive("tcp", answer, NOW_US + 1)
    assert [type(event) for event in host.events()] == [MessageRejected]


def test_who_waits_longer_than_a_relay_goes_on_waiting_when_that_waits_no_more() -> None:
    host, meter = a_pair()
    for timeout_us, outcome in ((60_000_000, AnsweredLate), (61_000_000, ResponseArrived)):
        number = host.request([READ], METER, "tcp", NOW_US, key_id=0, timeout_us=timeout_us)
        meter.receive("line", only(host), NOW_US)
        [arrived] = meter.events()
        assert isinstance(arrived, RequestArrived)
        of_relay = build_apdu(Envelope(9, HOST, METER, number), [bytes([ResponseCode.nett])])
        host.receive("tcp", of_relay, NOW_US + 5)
        gave_up = [TransactionFailed(number, "nett")] if outcome is AnsweredLate else []
        assert host.events() == gave_up
        meter.answer(arrived.token, [b"\3"], NOW_US + 5)
        host.receive("tcp", only(meter), NOW_US + 6)
        assert [type(event) for event in host.events()] == [outcome]
